"""Where data lie."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Where downloaded data sets lie: `HORTICULTURE_DATA`, or `data/` beside the library's checkout."""
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[3] / "data")
