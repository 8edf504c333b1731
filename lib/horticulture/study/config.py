"""From the notebooks' parameters to the runs of a study.

A `StudyConfig` holds the parameters under the names that the notebooks use, and describes the runs that
follow from them. Nothing is computed here except architectures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from horticulture import architecture, execution, runs
from horticulture.architecture import Architecture
from horticulture.data import Outline, catalog
from horticulture.errors import InputError
from horticulture.pruning import PruningRecipe, criteria, selection
from horticulture.runs import CurvePoint, Run
from horticulture.study import own_code
from horticulture.study.pruned import PrunedNetwork, PruningJob, pruned_network
from horticulture.training.recipe import EVALUATION, TrainingRecipe

if TYPE_CHECKING:  # torch takes seconds to load, and most bad input is refused without it
    from horticulture.data import Dataset

LENGTHS = ("epochs", "steps", "finetune_epochs", "source_epochs")  # scaled by `base_epoch_factors`


@dataclass(frozen=True)
class StudyConfig:
    """The parameters of a study, and the runs that follow from them. Raises InputError if impossible."""

    data: str
    images: int
    network: str
    seeds: list[int]
    epochs: int
    lr: float
    schedule: str
    batch_size: int
    weight_decay: float
    image_size: int
    precision: str
    norms: str
    norm_images: int
    flip: str = "auto"
    crop_padding: int = -1
    residual_sets: bool = False
    pretrained: str = ""
    optimizer: str = "sgd"
    source_data: str = ""
    source_images: int = 0
    source_epochs: int = 1
    source_lr: float = 0.1
    move_lr: float = 0.1
    # Parameters that no notebook has declared yet ask for no runs.
    base_epoch_factors: list[float] = field(default_factory=lambda: [1.0])
    factor_sizes: list[float] = field(default_factory=list)
    strengths: dict[str, float] = field(default_factory=dict)
    criterion: str = "fisher"
    ratios: list[float] = field(default_factory=list)
    measure: str = "channels"
    scope: str = ""
    floor: float = 0.0
    rounds: int = 1
    steps: int = 1
    evaluate_every: int = 1
    finetune_lr: float = 0.01
    oracle_criteria: list[str] = field(default_factory=list)
    oracle_channels: int = 16
    oracle_images: int = 0
    finetune_epochs: int = 1
    sizes: list[float] = field(default_factory=list)
    budgets: list[str] = field(default_factory=list)
    cap: float = 2.0
    bits: int = 5
    curves: list[str] = field(default_factory=list)
    copycat_size: float = 0.5
    guide_network: str = ""
    guide_data: str = ""
    # The digest of a data set, by name and image size, if it is known: then it need not be read.
    digest_of: Callable[[str, int], str | None] = lambda name, image_size: None

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Self:
        """From all parameters of a study; those that do not affect its results are ignored."""
        known = [field.name for field in fields(cls)]
        return cls(**{name: own_code.known(name, parameters[name]) for name in known if name in parameters})

    @property
    def dataset(self) -> Dataset:
        """The data set, on the CPU."""
        return execution.dataset(self.data, self.images, image_size=self.image_size, **self.augmentation)

    @property
    def augmentation(self) -> dict[str, Any]:
        """How training images are shifted and mirrored, where the study does not leave it to the data set."""
        stated = {"pad": self.crop_padding} if self.crop_padding >= 0 else {}
        return stated if self.flip == "auto" else {**stated, "flip": self.flip == "random"}

    @cached_property
    def outline(self) -> Outline:
        """The shape of the data set, which is read only if necessary."""
        known = catalog.outline(self.data, self.images, self.image_size)
        return known or Outline(self.dataset.image, len(self.dataset.classes), len(self.dataset.train))

    @cached_property
    def data_spec(self) -> dict:
        """The data part of the runs' descriptions."""
        digest = self.digest_of(self.data, self.image_size)
        return execution.data_spec(self.data, self.images, self.image_size, digest, **self.augmentation)

    @cached_property
    def whole(self) -> Architecture:
        """The whole network's architecture."""
        outline = self.outline
        shape: Any = {"image": outline.image, "classes": outline.classes}
        if not architecture.is_own(self.network):
            return architecture.named(self.network, **shape)
        from horticulture import networks

        return networks.named(self.network, **shape, residual_sets=self.residual_sets)

    @cached_property
    def origin(self) -> StudyConfig | None:
        """The same study on the data set from which networks are moved, if they are."""
        if not self.source_data:
            return None
        there: Any = {"data": self.source_data, "images": self.source_images, "epochs": self.source_epochs}
        return replace(self, **there, lr=self.source_lr, source_data="")

    @property
    def criteria(self) -> list[str]:
        """The criteria: `criterion` may name several, separated by commas."""
        return [name.strip() for name in self.criterion.split(",")]

    # --- training the whole network ----------------------------------------------------------------------

    @property
    def recipe(self) -> TrainingRecipe:
        """The recipe of training from scratch."""
        return self._recipe(self.epochs, self.lr, self.schedule)

    @property
    def baselines(self) -> list[Run]:
        """The training runs of the whole network, one per seed."""
        return [self.baseline(seed) for seed in self.seeds]

    @property
    def whole_points(self) -> list[CurvePoint]:
        """All variants of the whole network: each training length, with and without a criterion's penalty."""
        penalties = {"": "none"}
        penalties |= {self.criterion_label(name): criteria.CRITERIA[name].penalty for name in self.criteria}
        points: dict[str, CurvePoint] = {}
        for longer in dict.fromkeys([1.0, *map(float, self.base_epoch_factors)]):
            study = self.trained_longer(longer)
            for criterion, penalty in penalties.items():
                for seed in self.seeds:  # a criterion without a penalty has the first of these points
                    base = study.baseline(seed, penalty)
                    point = CurvePoint("whole", base, criterion, longer=longer, whole_macs=study.whole_macs)
                    points.setdefault(base.key, point)
        return list(points.values())

    def trained_longer(self, longer: float) -> StudyConfig:
        """The same study with all training `longer` times as long: before, between and after removals."""
        if longer == 1:
            return self
        times = {name: max(1, round(longer * getattr(self, name))) for name in LENGTHS}
        return replace(self, **times, sizes=self.factor_sizes or self.sizes)

    @cached_property
    def whole_macs(self) -> int:
        """Forward multiply-accumulates of all training of the whole network; 0 if unknown."""
        before = self.origin.whole_macs if self.origin else 0
        return 0 if self.pretrained else before + self.whole.macs * self.epochs * self.images_per_epoch

    @property
    def images_per_epoch(self) -> int:
        """The training images of an epoch: those of its whole batches."""
        return self.outline.images // self.batch_size * self.batch_size

    def baseline(self, seed: int, penalty: str = "none") -> Run:
        """The run of the whole network: trained, perhaps with a penalty, or moved, or pretrained."""
        if self.pretrained:
            weights, recipe = self.pretrained, self.recipe
            return execution.evaluate_pretrained(self.whole, weights, recipe, self.data_spec, seed)
        if self.source_data:
            return self.moved(self.whole, seed)
        strength = 0.0 if penalty == "none" else self.strengths.get(penalty, 0.0)
        if penalty != "none" and not strength > 0:
            raise InputError(
                f"strengths must set the penalty {penalty} to a value above 0, not {self.strengths}"
            )
        recipe = replace(self.recipe, penalty=penalty, strength=strength)
        return execution.train(self.whole, recipe, self.data_spec, seed)

    def moved(self, shape: Architecture, seed: int, selections: Any = None, *, trained: bool = True) -> Run:
        """The run that moves a shape trained on `source_data`, and, if `trained`, trains it further here."""
        if self.origin is None:
            raise InputError("networks are moved from source_data, which is not set")
        first = replace(shape, classes=self.origin.outline.classes)
        start = execution.train(first, self.origin.recipe, self.origin.data_spec, seed, selections)
        recipe = self._recipe(self.epochs if trained else 0, self.move_lr, self.schedule)
        return execution.move(start, shape, recipe, self.data_spec)

    def finetuning_recipe(self, lr: float, schedule: str) -> TrainingRecipe:
        """The recipe of training after pruning."""
        return self._recipe(self.finetune_epochs, lr, schedule)

    def _recipe(self, epochs: int, lr: float, schedule: str) -> TrainingRecipe:
        return TrainingRecipe(epochs, lr, schedule, **self._common)

    @property
    def _common(self) -> dict[str, Any]:
        """The settings common to every training and pruning run of the study."""
        return {name: getattr(self, name) for name in (*EVALUATION, "weight_decay", "optimizer")}

    @property
    def comparisons(self) -> list[Run]:
        """Comparisons of criteria with the oracle, on the whole network of each seed; perhaps none."""
        oracle = execution.OracleConfig(
            tuple(self.oracle_criteria),
            channels=self.oracle_channels,
            images=self.oracle_images,
            **{name: getattr(self, name) for name in EVALUATION},
        )
        return [execution.compare_criteria(base, oracle) for base in self.baselines if self.oracle_criteria]

    # --- pruning it --------------------------------------------------------------------------------------

    def criterion_label(self, criterion: str) -> str:
        """The name of a criterion in the results, with its scope if that is not the criterion's own."""
        return criteria.criterion_label(criterion, self._scope(criterion))

    def _scope(self, criterion: str) -> str:
        """The study's scope if it applies to this criterion: presets are for channels, blocks have none."""
        scopes = {"weight": selection.SCOPES, "block": ()}
        unit = criteria.CRITERIA[criterion].granularity
        return self.scope if self.scope in scopes.get(unit, [self.scope]) else ""

    def pruning_recipe(self, criterion: str, ratio: float = 0.0) -> PruningRecipe:
        """The recipe of pruning by a criterion."""
        unit = criteria.CRITERIA[criterion].granularity
        return PruningRecipe(
            rounds=self.rounds,
            criterion=criterion,
            ratio=ratio,
            measure=self.measure,
            scope=self._scope(criterion),
            floor=self.floor if unit == "channel" else 0.0,
            steps=self.steps,
            lr=self.finetune_lr,
            evaluate_every=self.evaluate_every,
            **self._common,
        )

    @property
    def pruning_jobs(self) -> list[PruningJob]:
        """A job for every criterion, length, ratio and seed; without ratios, one channel a round goes."""
        lengths = [(float(longer), self.trained_longer(longer)) for longer in self.base_epoch_factors]
        jobs = []
        every = product(self.criteria, lengths, self.ratios or [0.0], self.seeds)
        for name, (longer, study), ratio, seed in every:
            base = study.baseline(seed, criteria.CRITERIA[name].penalty)
            run = execution.prune(base, study.pruning_recipe(name, ratio))
            jobs.append(PruningJob(self.criterion_label(name), base, run, longer, study.whole_macs))
        return jobs

    @property
    def moving_jobs(self) -> list[PruningJob]:
        """For the budget `pruned-moving`: each of these jobs on a network that is not trained here before."""
        jobs = []
        for job in self.pruning_jobs if "pruned-moving" in self.budgets else []:
            study = self.trained_longer(job.longer)
            base = study.moved(study.whole, job.run.seed, trained=False)
            steps = study.epochs * (study.outline.images // study.batch_size)  # of the training left out
            recipe = replace(job.recipe, steps=job.recipe.steps + round(steps / (study.rounds + 1)))
            jobs.append(job._replace(base=base, run=execution.prune(base, recipe)))
        return jobs

    @property
    def pruning_points(self) -> list[CurvePoint]:
        """The pruning runs drawn round by round. Given `factor_sizes`, longer ones are drawn there only."""
        return [job.point() for job in self.pruning_jobs if job.longer == 1 or not self.factor_sizes]

    def pruned_networks(self, outputs: Path) -> list[PrunedNetwork]:
        """The networks to retrain: those nearest to `sizes` if pruned one by one, otherwise the last."""
        return [n for job in (*self.pruning_jobs, *self.moving_jobs) for n in self.networks_of(job, outputs)]

    def networks_of(self, job: PruningJob, outputs: Path) -> list[PrunedNetwork]:
        """The networks of one pruning run to retrain. Raises InputError if it is not finished."""
        rounds = [self.rounds]
        if job.recipe.one_by_one:
            removed, sizes = runs.removals(job.run, outputs), self.trained_longer(job.longer).sizes
            near = [runs.nearest_round(removed, size * self.whole.params) for size in sizes]
            rounds = list(dict.fromkeys(near))  # each network once, even if two sizes are close
        return [pruned_network(job, round_, outputs) for round_ in rounds]

    # --- the same at other sizes -------------------------------------------------------------------------

    @property
    def guide(self) -> StudyConfig | None:
        """The same study for the network and data from which a profile is transferred."""
        if not self.guide_network:
            return None
        there: Any = {"network": self.guide_network, "data": self.guide_data or self.data}
        sets = self.residual_sets and architecture.is_own(self.guide_network)
        there |= {"guide_network": "", "pretrained": "", "source_data": ""}  # a guide has none of these
        return replace(self, **there, residual_sets=sets)

    @property
    def guide_jobs(self) -> list[PruningJob]:
        """The pruning runs whose profiles are transferred to this network."""
        return self.guide.pruning_jobs if self.guide else []
