"""Where data are stored."""

import os
from pathlib import Path


def data_folder() -> Path:
    """The folder of downloaded and cached data: `HORTICULTURE_DATA`, or `data/` in the checkout."""
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[3] / "data")
