"""Where data are: downloaded or cached, and in installed packages."""

import os
from importlib.util import find_spec
from pathlib import Path


def data_folder() -> Path:
    """The folder of downloaded and cached data: `HORTICULTURE_DATA`, or `data/` in the checkout."""
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[3] / "data")


def package_folder(name: str) -> Path:
    """The folder of an installed package, without importing it, which takes seconds in every process."""
    package = find_spec(name)
    assert package
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0])
