"""What a run is and where it lives (key, folder, result), and all results of a study in one frame.

A run is fixed by its description. Its key is a digest of that, so two notebooks or studies that need the same
run share it, and it is executed once. `run.json` is written last: if it exists, the run is complete. Results,
curves and tables carry digests, and are refused if these do not match. This room does not import torch, so
that results can be collected and drawn on a laptop without it.
"""

from horticulture.runs.curves import CurvePoint, forget_curves, read_curves, record_curves
from horticulture.runs.image_errors import (
    IMAGE_ERRORS,
    ImageErrors,
    image_errors,
    image_errors_of,
    write_image_errors,
)
from horticulture.runs.lookup import StudyNetwork, find_network
from horticulture.runs.removals import (
    REMOVAL_COLUMNS,
    architecture_at,
    nearest_round,
    remaining_channels,
    removals,
    removed_by_round,
)
from horticulture.runs.results import (
    PRETRAINED,
    RESULT_COLUMNS,
    TYPES,
    architectures,
    collect,
    collect_removals,
    files_without_digest,
    forget_results,
    read_table,
    run_table,
    write_architectures,
    write_tables,
)
from horticulture.runs.run import (
    VERSION,
    Run,
    folder,
    metrics,
    outputs_folder,
    quarantine,
    read_verified,
    require_result,
    result,
    verified_result,
    write_result,
)
