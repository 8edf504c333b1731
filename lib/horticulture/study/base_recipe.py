"""What a study fixes when it starts: one base recipe on one data set, in one precision.

Otherwise a figure would show curves that cannot be compared. The first notebook run in a new study fixes them
in `study.json`; only notebook 01 may change them later.
"""

import shlex
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import InputError
from horticulture.execution import cluster
from horticulture.study import inventory
from horticulture.study.config import StudyConfig
from horticulture.study.study_files import STUDY_JSON, editing, read_study_json
from horticulture.study.training_config import TrainingConfig
from horticulture.system.files import CorruptFileError
from horticulture.training import hardware

PER_RUN = ("seeds", "strengths", "digest_of")  # fields that are not part of the base
# The fields that all runs of a study share.
BASE = tuple(field.name for field in fields(TrainingConfig) if field.name not in PER_RUN)
EARLIER_DEFAULTS: dict[str, Any] = {  # values for studies started by a version without these
    "residual_sets": False,
    "pretrained": "",
    "optimizer": "sgd",
    "flip": "auto",
    "crop_padding": -1,
    "source_data": "",
    "source_images": 0,
    "source_epochs": 7,
    "source_lr": 0.2,
    "move_lr": 0.2,
}


def fix(parameters: Mapping[str, Any], *, first: bool = False) -> StudyConfig:
    """Fix the base of a study from a notebook's parameters, or check them against it. Return the config.

    parameters: those that the notebook declares; others are ignored. first: whether this notebook trains the
    base and so may change it; the study's curves, tables and figures, which belong to the old base, are then
    removed. Any other notebook with a different base raises InputError, naming the differences.
    """
    folder = runs.outputs_folder(parameters["outputs"]) / parameters["study"]
    try:
        fixed = base_of(folder)
    except CorruptFileError as error:
        if not first:
            raise
        print(f"{error.path} is damaged: {_removal(folder)}")
        forget(folder, damaged=True)
        fixed = None
    if first and (line := describe_change(parameters, folder)):
        print(line)
        forget(folder)
        fixed = None
    if fixed is None:
        wanted, device, address = (parameters[name] for name in ("precision", "device", "cluster"))
        if address:
            precision = cluster.common_precision(wanted, device, address)
        else:
            precision = hardware.resolve_precision(wanted, hardware.resolve_device(device))
        base = {name: parameters[name] for name in BASE} | {"precision": precision}
        with editing(folder) as content:
            fixed = content["base"] = content.get("base") or base  # another notebook may have been first
    check_base(parameters, folder)
    return StudyConfig.of({**parameters, "precision": fixed["precision"]})


def describe_change(parameters: Mapping[str, Any], folder: Path) -> str:
    """What notebook 01 does to a study that has another base, or a damaged one, as a line; otherwise ""."""
    try:
        fixed = base_of(folder)
        differences = _differences(fixed, parameters, _differing(fixed, parameters))
    except CorruptFileError as error:
        return f"{error.path} is damaged: {_removal(folder)}"
    return f"{differences}: {_removal(folder)}" if differences else ""


def _removal(folder: Path) -> str:
    return f"01_train removes the results of the study {folder.name} and keeps its runs"


def check_base(parameters: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError if a study has another base, naming the differences and the remedy."""
    fixed = base_of(folder)
    if names := _differing(fixed, parameters):
        differences = _differences(fixed, parameters, names)
        raise InputError(
            f"the study {folder.name} was started with other values ({differences}): give this one its own "
            'name (study = "mine" in a notebook, --name mine in the command), or start again with 01_train'
        )


def check_defaults(parameters: Mapping[str, Any], given: Container[str], folder: Path, whole: str) -> None:
    """Raise InputError if a study's results would be replaced although nobody said so.

    given: the parameters that the study file or the command sets. Others are those of notebooks, where they
    may have been edited for another study; or the command set them the last time, and does not now. whole:
    the name of the study that this one is a part of, or its own.
    """
    with suppress(CorruptFileError):  # it will be started again
        fixed = base_of(folder) or {}
        names = [name for name in _differing(fixed, parameters) if name not in given]
        if names and any((folder / "curves").glob("*.json")):
            before, now = (
                " ".join(f"-p {shlex.quote(f'{name}={values[name]}')}" for name in names)
                for values in (fixed, parameters)
            )
            differences = _differences(fixed, parameters, names)
            raise InputError(
                f"the study {folder.name} has results with other values ({differences}), and neither its "
                f"file nor -p says so: go on with {before} --name {whole}, replace them with {now}, or "
                "choose another --name"
            )


def check_precision(parameters: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError if a study has runs left in a precision that its device would only emulate.

    On a cluster, the workers are asked when the study starts.
    """
    if parameters["cluster"]:
        return
    wanted, fixed = parameters["precision"], {}
    with suppress(CorruptFileError):  # it will be started again, or is refused elsewhere
        fixed = base_of(folder) or {}
    began = wanted == "auto" and "precision" in fixed
    wanted = fixed["precision"] if began else wanted
    try:
        hardware.resolve_precision(wanted, hardware.resolve_device(parameters["device"]))
    except InputError as error:
        runs_of = inventory.runs_by_purpose(
            StudyConfig.of({**parameters, "precision": wanted}), folder.parent
        )
        todo = chain(*runs_of.values())
        if all(runs.result(run, folder.parent) is not None for run in todo):
            return  # nothing is computed
        own = f", under another name (--name mine): the study {folder.name} has {wanted}" if began else ""
        raise InputError(f"{error}{own}") from error


def base_of(folder: Path) -> dict[str, Any] | None:
    """The base that a study has fixed, or None. Raises CorruptFileError if its file is incomplete."""
    fixed = read_study_json(folder).get("base")
    fixed = {**EARLIER_DEFAULTS, **fixed} if isinstance(fixed, dict) else fixed
    if fixed is not None and not (isinstance(fixed, dict) and set(BASE) <= fixed.keys()):
        raise CorruptFileError(folder / STUDY_JSON)
    return fixed


def forget_results(folder: Path) -> None:
    """Remove a study's curves, tables and figures. Its runs are kept."""
    from horticulture.analysis import figures  # takes a second

    runs.forget_results(folder)
    figures.remove(folder)


def forget(folder: Path, *, damaged: bool = False) -> None:
    """Remove a study's results and its base, or all of a damaged `study.json`. Its runs are kept."""
    forget_results(folder)
    with editing(folder, replace_damaged=damaged) as content:
        content.pop("base", None)


def _differing(fixed: Mapping[str, Any] | None, parameters: Mapping[str, Any]) -> list[str]:
    """The names of the base's parameters that have other values than the fixed ones, if any are fixed."""
    names = [name for name in BASE if fixed and fixed[name] != parameters[name]]
    return [name for name in names if (name, parameters[name]) != ("precision", "auto")]


def _differences(fixed: Mapping[str, Any] | None, parameters: Mapping[str, Any], names: list[str]) -> str:
    """Differences in words, such as `epochs=3 instead of 2`."""
    return ", ".join(f"{name}={parameters[name]!r} instead of {(fixed or {})[name]!r}" for name in names)
