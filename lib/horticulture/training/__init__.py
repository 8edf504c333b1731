"""Training a network by a recipe, and measuring it.

Recipes need no torch; the names of `trainer`, which does, are imported when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from horticulture.training.recipe import OUR_SCHEDULES, SCHEDULES, Recipe, TrainingRecipe

if TYPE_CHECKING:
    from horticulture.training.trainer import (
        VALIDATIONS,
        Checkpoint,
        Epoch,
        Resumable,
        Trainer,
        check_finite,
        collect_tensors,
        restore_tensors,
        sgd,
        step,
        with_prefix,
    )

__all__ = [
    "OUR_SCHEDULES",
    "SCHEDULES",
    "VALIDATIONS",
    "Checkpoint",
    "Epoch",
    "Recipe",
    "Resumable",
    "Trainer",
    "TrainingRecipe",
    "check_finite",
    "collect_tensors",
    "restore_tensors",
    "sgd",
    "step",
    "with_prefix",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.trainer"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
