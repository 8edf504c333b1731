from .executor import execute as execute, load_if_complete as load_if_complete
from .loading import (
    dataset as dataset,
    load as load,
    measure_error as measure_error,
    network_at as network_at,
    restore as restore,
)
from .specs import (
    OracleConfig as OracleConfig,
    compare_criteria as compare_criteria,
    compress as compress,
    data_spec as data_spec,
    evaluate_pretrained as evaluate_pretrained,
    finetune as finetune,
    move as move,
    prune as prune,
    train as train,
)
from .tasks import KINDS as KINDS
