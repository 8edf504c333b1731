"""The recipe that fixes a training run, and its learning-rate schedules.

Torch is imported only when needed: a recipe can be described and refused without it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from horticulture.errors import InputError, check_choice

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16")  # of matrix products, by torch's names

# The norm statistics with which a network is evaluated. `running`: the averages kept in training, as
# published; in a pruning run they lag many rounds behind the weights. `estimated`: from training images.
NORMS = ("estimated", "running")

# `sgd` has momentum. `adamw` is that of Loshchilov and Hutter (2019); its first moment decays by `momentum`.
OPTIMIZERS = ("sgd", "adamw")

# Schedules: from the fraction of steps done, 0 to 1, to a factor on the recipe's learning rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "steps": lambda done: 0.2 ** sum(done >= at for at in (0.3, 0.6, 0.8)),
    "tenths": lambda done: 0.1 ** sum(done >= at for at in (0.5, 0.75)),
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "one-cycle": lambda done: min(done / 0.25, (1 - done) / 0.75),
    "constant": lambda done: 1.0,
}
BUILT_IN_SCHEDULES = dict(SCHEDULES)  # descriptions of runs include a digest of any other

VALIDATIONS = 3  # at most, per training run; the last is at its end


def validation_epochs(epochs: int) -> range:
    """The epochs after which a training run measures its error on held-out images, the last one first."""
    return range(epochs, 0, -max(1, math.ceil(epochs / VALIDATIONS)))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The common part of all recipes: how a network is evaluated, and conversion to plain data.

    A description leaves out the fields that have their `OMITTED_DEFAULTS`, so that keys of earlier versions
    stay.
    """

    OMITTED_DEFAULTS: ClassVar[dict[str, Any]] = {"optimizer": "sgd"}

    batch_size: int = 128
    precision: str = "float32"  # a name in PRECISIONS: the one actually used, so that a key fixes it
    norms: str = "estimated"  # a name in NORMS: the statistics with which the network is evaluated
    norm_images: int = 512  # from which the statistics are estimated

    @property
    def dtype(self) -> "torch.dtype":
        """The type in which matrix products are computed."""
        import torch

        return getattr(torch, self.precision)

    @property
    def images_for_norms(self) -> int:
        """The number of images from which norm statistics are estimated; 0: use the running averages."""
        return self.norm_images if self.norms == "estimated" else 0

    def check_fields(self, *positive: str) -> None:
        """Raise InputError if fields of the evaluation are invalid, or `positive` ones are not."""
        check_choice(self.precision, PRECISIONS, "precision")
        check_choice(self.norms, NORMS, "norms")
        if self.norm_images < 2:
            raise InputError(f"norm_images must be 2 or more, not {self.norm_images!r}")
        for name in ("batch_size", *positive):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)!r}")

    @classmethod
    def from_json(cls, description: dict[str, Any]) -> Self:
        """The recipe in a run's description, ignoring other entries: the inverse of `to_json`."""
        known = {**cls.OMITTED_DEFAULTS, **description}
        return cls(**{field.name: known[field.name] for field in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """Plain names and numbers. Floats are normalised, so that 1 and 1.0 are the same."""
        types = {field.name: field.type for field in fields(self)}
        values = {name: getattr(self, name) for name in types}
        return {
            name: float(value) if types[name] is float else value
            for name, value in values.items()
            if name not in self.OMITTED_DEFAULTS or value != self.OMITTED_DEFAULTS[name]
        }


EVALUATION = tuple(field.name for field in fields(Recipe))  # what fixes how a network is evaluated


@dataclass(frozen=True)
class TrainingRecipe(Recipe):
    """Everything that fixes a training run, apart from the network, the data and the seed.

    Gradient descent on the mean cross-entropy of a batch. The defaults are those of Wide ResNets: stochastic
    gradient descent, whose learning rate is multiplied by 0.2 after 30, 60 and 80 % of the steps.
    """

    epochs: int
    lr: float = 0.1  # the highest rate of the schedule
    schedule: str = "steps"  # a name in SCHEDULES
    momentum: float = 0.9
    weight_decay: float = 5e-4
    penalty: str = "none"  # a name in penalties.PENALTIES
    strength: float = 0.0  # of the penalty
    optimizer: str = "sgd"  # a name in OPTIMIZERS

    def __post_init__(self) -> None:
        check_choice(self.schedule, SCHEDULES, "schedule")
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        if self.penalty != "none":
            from horticulture.training.penalties import PENALTIES

            check_choice(self.penalty, PENALTIES, "penalty")
        self.check_fields("lr")
        if self.epochs < 0:  # 0: only evaluated
            raise InputError(f"epochs must be 0 or more, not {self.epochs!r}")

    def __str__(self) -> str:
        if not self.epochs:
            return "as it is"
        by = "" if self.optimizer == "sgd" else f", {self.optimizer}"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"{epochs}, {self.schedule} {self.lr:g}, batch {self.batch_size}{by}"
