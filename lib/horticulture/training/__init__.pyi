from .recipe import (
    BUILT_IN_SCHEDULES as BUILT_IN_SCHEDULES,
    SCHEDULES as SCHEDULES,
    Recipe as Recipe,
    TrainingRecipe as TrainingRecipe,
    validation_epochs as validation_epochs,
)
from .trainer import (
    Checkpoint as Checkpoint,
    Epoch as Epoch,
    Resumable as Resumable,
    Trainer as Trainer,
    check_finite as check_finite,
    collect_tensors as collect_tensors,
    make_optimizer as make_optimizer,
    restore_tensors as restore_tensors,
    sgd as sgd,
    step as step,
    with_prefix as with_prefix,
)
