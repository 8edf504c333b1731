"""Training a network by a recipe, and measuring it."""

from horticulture.training.recipe import OUR_SCHEDULES, SCHEDULES, Recipe, TrainingRecipe
from horticulture.training.trainer import (
    VALIDATIONS,
    Checkpoint,
    Epoch,
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
    "Trainer",
    "TrainingRecipe",
    "check_finite",
    "collect_tensors",
    "restore_tensors",
    "sgd",
    "step",
    "with_prefix",
]
