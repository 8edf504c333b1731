from .executor import complete_result as complete_result, execute as execute
from .loading import (
    load_dataset as load_dataset,
    load_network as load_network,
    measure_error as measure_error,
    network_at as network_at,
    restore as restore,
)
from .specs import (
    OracleConfig as OracleConfig,
    compression_run as compression_run,
    describe_data as describe_data,
    finetuning_run as finetuning_run,
    moving_run as moving_run,
    oracle_run as oracle_run,
    pretrained_run as pretrained_run,
    pruning_run as pruning_run,
    training_run as training_run,
)
from .tasks import KINDS as KINDS
