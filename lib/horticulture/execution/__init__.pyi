from .executor import execute as execute
from .executor import load_if_complete as load_if_complete
from .loading import (
    dataset as dataset,
)
from .loading import (
    evaluate as evaluate,
)
from .loading import (
    load as load,
)
from .loading import (
    network_at as network_at,
)
from .loading import (
    pruning_recipe as pruning_recipe,
)
from .loading import (
    restore as restore,
)
from .loading import (
    training_recipe as training_recipe,
)
from .specs import (
    OracleConfig as OracleConfig,
)
from .specs import (
    compare_criteria as compare_criteria,
)
from .specs import (
    compress as compress,
)
from .specs import (
    finetune as finetune,
)
from .specs import (
    given as given,
)
from .specs import (
    prune as prune,
)
from .specs import (
    source as source,
)
from .specs import (
    train as train,
)
from .tasks import KINDS as KINDS
