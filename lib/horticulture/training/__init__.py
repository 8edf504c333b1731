"""Training a network by a recipe, and measuring it."""

from horticulture.training.trainer import (
    LOOKS,
    OUR_SCHEDULES,
    SCHEDULES,
    Checkpoint,
    Epoch,
    Trainer,
    TrainingRecipe,
    finite,
    plain,
    positive,
    restore_rule,
    restore_tensors,
    sgd,
    step,
    tensors_of,
)

__all__ = [
    "LOOKS",
    "OUR_SCHEDULES",
    "SCHEDULES",
    "Checkpoint",
    "Epoch",
    "Trainer",
    "TrainingRecipe",
    "finite",
    "plain",
    "positive",
    "restore_rule",
    "restore_tensors",
    "sgd",
    "step",
    "tensors_of",
]
