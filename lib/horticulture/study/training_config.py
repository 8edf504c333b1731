"""The data set and the whole network of a study, and how its networks are trained or moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from horticulture import architecture, execution
from horticulture.architecture import Architecture
from horticulture.data import Outline, catalog
from horticulture.errors import InputError
from horticulture.runs import Run
from horticulture.study import own_code
from horticulture.study.parameters import all_parameters
from horticulture.training.recipe import EVALUATION, TrainingRecipe

if TYPE_CHECKING:  # torch takes seconds to load, and most bad input is refused without it
    from horticulture.data import Dataset


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The parameters of notebook 01, and the runs that follow from them. Raises InputError if impossible."""

    data: str
    images: int
    image_size: int
    network: str
    seeds: list[int]
    epochs: int
    lr: float
    schedule: str
    batch_size: int
    weight_decay: float
    precision: str
    norms: str
    norm_images: int
    residual_sets: bool
    pretrained: str
    optimizer: str
    flip: str
    crop_padding: int
    strengths: dict[str, float]  # of penalties, which notebook 02 declares
    source_data: str
    source_images: int
    source_epochs: int
    source_lr: float
    move_lr: float
    # The digest of a data set, by name and image size, if it is known: then it need not be read.
    digest_of: Callable[[str, int], str | None] = lambda name, image_size: None

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Self:
        """From the parameters of a study; those that do not affect its results are ignored.

        Until a notebook sets them, list parameters are empty, `rounds` is 1, which any network allows, and
        others have their defaults.
        """
        defaults = {
            name: [] if known["type"] == "list" and known["notebook"] > 0 else known["default"]
            for name, known in all_parameters().items()
        }
        values = {**defaults, "rounds": 1, **parameters}
        names = [field.name for field in fields(cls) if field.name in values]
        return cls(**{name: own_code.registered_name(name, values[name]) for name in names})

    @property
    def dataset(self) -> Dataset:
        """The data set, on the CPU."""
        return execution.load_dataset(self.data, self.images, image_size=self.image_size, **self.augmentation)

    @property
    def augmentation(self) -> dict[str, Any]:
        """How training images are shifted and mirrored, where the study does not leave it to the data set."""
        stated = {"pad": self.crop_padding} if self.crop_padding >= 0 else {}
        return stated if self.flip == "auto" else {**stated, "flip": self.flip == "random"}

    @cached_property
    def outline(self) -> Outline:
        """Image shape and classes of the data set, which is read only if necessary."""
        known = catalog.outline(self.data, self.images, self.image_size)
        return known or Outline(self.dataset.image, len(self.dataset.classes), len(self.dataset.train))

    @property
    def counts(self) -> tuple[int, int]:
        """Classes and training images. To count those of a folder, no image is decoded."""
        return catalog.counts(self.data, self.images) or self.outline[1:]

    @cached_property
    def data_spec(self) -> dict:
        """The data part of the runs' descriptions."""
        digest = self.digest_of(self.data, self.image_size)
        return execution.describe_data(self.data, self.images, self.image_size, digest, **self.augmentation)

    @cached_property
    def whole(self) -> Architecture:
        """The whole network's architecture."""
        outline = self.outline
        fixed_by_data: Any = {"image": outline.image, "classes": outline.classes}
        if not architecture.is_traced(self.network):
            return architecture.named(self.network, **fixed_by_data)
        architecture.check_traced(self.network, outline.image)  # before torch is loaded
        from horticulture import networks

        return networks.named(self.network, **fixed_by_data, residual_sets=self.residual_sets)

    # --- training ---------------------------------------------------------------------------------------

    @property
    def recipe(self) -> TrainingRecipe:
        """The recipe of training from scratch."""
        return self._recipe(self.epochs, self.lr, self.schedule)

    @property
    def baselines(self) -> list[Run]:
        """The training runs of the whole network, one per seed."""
        return [self.baseline(seed) for seed in self.seeds]

    def _recipe(self, epochs: int, lr: float, schedule: str) -> TrainingRecipe:
        return TrainingRecipe(epochs, lr, schedule, **self._common)

    @property
    def _common(self) -> dict[str, Any]:
        """The settings common to every training and pruning run of the study."""
        return {name: getattr(self, name) for name in (*EVALUATION, "weight_decay", "optimizer")}

    @cached_property
    def whole_macs(self) -> int:
        """Forward multiply-accumulates of all training of the whole network; 0 if unknown."""
        before = self.source_config.whole_macs if self.source_config else 0
        return 0 if self.pretrained else before + self.whole.macs * self.epochs * self.images_per_epoch

    @property
    def images_per_epoch(self) -> int:
        """The training images of an epoch: those of its whole batches."""
        return self.outline.images // self.batch_size * self.batch_size

    def baseline(self, seed: int, penalty: str = "none") -> Run:
        """The run of the whole network: trained, perhaps with a penalty, or moved, or pretrained."""
        if self.pretrained:
            weights, recipe = self.pretrained, self.recipe
            return execution.pretrained_run(self.whole, weights, recipe, self.data_spec, seed)
        if self.source_data:
            return self.moved(self.whole, seed)
        strength = 0.0 if penalty == "none" else self.strengths.get(penalty, 0.0)
        if penalty != "none" and not strength > 0:
            raise InputError(
                f"strengths must set the penalty {penalty} to a value above 0, not {self.strengths}"
            )
        recipe = replace(self.recipe, penalty=penalty, strength=strength)
        return execution.training_run(self.whole, recipe, self.data_spec, seed)

    # --- moving from another data set --------------------------------------------------------------------

    @cached_property
    def source_config(self) -> Self | None:
        """The same study on the data set from which networks are moved, if they are."""
        if not self.source_data:
            return None
        return replace(
            self,
            data=self.source_data,
            images=self.source_images,
            epochs=self.source_epochs,
            lr=self.source_lr,
            source_data="",
        )

    def moved(
        self, architecture: Architecture, seed: int, selections: Any = None, *, trained: bool = True
    ) -> Run:
        """The run that moves a network trained on `source_data` here and, if `trained`, trains it on."""
        source = self.source_config
        if source is None:
            raise InputError("networks are moved from source_data, which is not set")
        first = replace(architecture, classes=source.outline.classes)
        start = execution.training_run(first, source.recipe, source.data_spec, seed, selections)
        recipe = self._recipe(self.epochs if trained else 0, self.move_lr, self.schedule)
        return execution.moving_run(start, architecture, recipe, self.data_spec)
