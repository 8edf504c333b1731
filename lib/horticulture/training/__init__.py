"""Training a network by a recipe, and measuring it."""

from horticulture.training.recipe import OUR_SCHEDULES, SCHEDULES, Recipe, TrainingRecipe
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
