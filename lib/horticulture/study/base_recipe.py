"""What a study fixes when it begins: one base recipe on one data set, in one precision.

Curves of different recipes would stand in one picture and could not be compared. Whichever notebook comes
first in a new study fixes them, in `study.json`; only the first notebook may change them later.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import InputError
from horticulture.execution import cluster
from horticulture.files import CorruptFileError, write_json
from horticulture.study.config import StudyConfig
from horticulture.study.study_files import read_study_json
from horticulture.training import hardware

# What all networks of a study share, as far as it says.
BASE = (
    *("data", "images", "image_size", "network", "epochs", "lr", "schedule", "batch_size", "weight_decay"),
    *("precision", "norms", "norm_images", "residual_sets", "pretrained"),
)
LATER = {"residual_sets": False, "pretrained": ""}  # what a study has that was begun by a version without it


def fix(parameters: Mapping[str, Any], *, first: bool = False) -> StudyConfig:
    """Fix the base of a study by a notebook's parameters, or hold these against it; returns the config.

    parameters: all that the notebook declares; other names do not matter. first: whether it is the notebook
    that trains the base, and so may change it; the study's curves are then removed, for they belong to the
    base before. Raises InputError for any other notebook with another base, naming what differs.
    """
    folder = runs.outputs_folder(parameters["outputs"]) / parameters["study"]
    try:
        fixed = base_of(folder)
    except CorruptFileError as error:
        if not first:
            raise
        print(f"{error.path} is damaged: the curves of the study {folder.name} go, its runs stay")
        error.path.unlink()
        forget(folder)
        fixed = None
    if first and (differences := _differences(fixed, parameters)):
        print(f"{differences}: the curves of the study {folder.name} go, its runs stay")
        forget(folder)
        fixed = None
    if fixed is None:
        wanted, place = parameters["precision"], (parameters["device"], parameters["cluster"])
        fixed = {name: parameters[name] for name in BASE} | {"precision": _precision(wanted, *place)}
        write_json(folder / "study.json", {**read_study_json(folder), "base": fixed})
    check_base(parameters, folder)
    return StudyConfig.of({**parameters, "precision": fixed["precision"]})


def check_base(parameters: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError if a study was begun with another base, naming what differs and the remedy."""
    if differences := _differences(base_of(folder), parameters):
        raise InputError(
            f"the study {folder.name} was begun otherwise ({differences}): give this one a name of its own, "
            'such as study="mine", or begin again with 01_train'
        )


def base_of(folder: Path) -> dict[str, Any] | None:
    """What a study has fixed; None if nothing yet. Raises CorruptFileError if the file does not say."""
    fixed = read_study_json(folder).get("base")
    fixed = {**LATER, **fixed} if isinstance(fixed, dict) else fixed
    if fixed is not None and not (isinstance(fixed, dict) and set(BASE) <= fixed.keys()):
        raise CorruptFileError(folder / "study.json")
    return fixed


def forget(folder: Path) -> None:
    """Remove a study's curves and its base; its runs stay."""
    runs.forget_curves(folder)
    content = read_study_json(folder)
    if content.pop("base", None) is not None:
        write_json(folder / "study.json", content)


def _differences(fixed: Mapping[str, Any] | None, parameters: Mapping[str, Any]) -> str:
    """`epochs=3 instead of 2`, for all that differs."""
    names = [name for name in BASE if fixed is not None and fixed[name] != parameters[name]]
    names = [name for name in names if (name, parameters[name]) != ("precision", "auto")]
    return ", ".join(f"{name}={parameters[name]!r} instead of {(fixed or {})[name]!r}" for name in names)


def _precision(wanted: str, device: str, address: str) -> str:
    """The precision of a whole study: `auto` becomes what the machine that computes does natively."""
    if address:
        return cluster.precision(wanted, device, address)
    return hardware.precision(wanted, hardware.resolve_device(device))
