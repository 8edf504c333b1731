from .recipe import (
    OUR_SCHEDULES as OUR_SCHEDULES,
)
from .recipe import (
    SCHEDULES as SCHEDULES,
)
from .recipe import (
    Recipe as Recipe,
)
from .recipe import (
    TrainingRecipe as TrainingRecipe,
)
from .trainer import (
    VALIDATIONS as VALIDATIONS,
)
from .trainer import (
    Checkpoint as Checkpoint,
)
from .trainer import (
    Epoch as Epoch,
)
from .trainer import (
    Resumable as Resumable,
)
from .trainer import (
    Trainer as Trainer,
)
from .trainer import (
    check_finite as check_finite,
)
from .trainer import (
    collect_tensors as collect_tensors,
)
from .trainer import (
    restore_tensors as restore_tensors,
)
from .trainer import (
    sgd as sgd,
)
from .trainer import (
    step as step,
)
from .trainer import (
    with_prefix as with_prefix,
)
