"""Training a network by a recipe, and measuring it."""

from horticulture.training.trainer import (
    LOOKS,
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
