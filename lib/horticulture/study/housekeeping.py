"""Which runs no study refers to any more: what may go when the disk is full."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from horticulture import files, runs
from horticulture.errors import InputError
from horticulture.runs import Run
from horticulture.study import forecast, parameters, study_files
from horticulture.study.config import StudyConfig

RECENT = 3600.0  # seconds: what has changed since may be of a study that is under way


class Unused(NamedTuple):
    """The folder of a run that no study under the same outputs refers to."""

    folder: Path
    description: str  # of the run
    size: int  # bytes
    recent: bool  # changed a short while ago


def unused(outputs: Path) -> list[Unused]:
    """Every such folder, damaged runs that were set aside among them; the largest first.

    A study refers to the runs of its curves, to those that its parameters ask for, and to whatever these
    start from; criteria that were compared on a network stay as long as that. Raises InputError if a study
    cannot be read, for then nobody knows what it needs.
    """
    needed: set[str] = set()
    for path in sorted(outputs.glob("*/study.json")):
        needed |= _needed(path.parent, outputs)
    for path in outputs.glob("*/curves"):  # of a study without a file
        needed |= _keys(point.run for point in runs.read_curves(path.parent))
    folders = sorted(path for path in (outputs / "runs").glob("[!.]*") if path.is_dir())
    left = []
    for path in folders:
        run = _read_run(path)
        if path.name in needed or (run and run.kind == "judge" and run.start and run.start.key in needed):
            continue
        inside = [file.stat() for file in path.rglob("*") if file.is_file()]
        changed = max((stat.st_mtime for stat in inside), default=0.0)
        size = sum(stat.st_size for stat in inside)
        left.append(Unused(path, str(run or "not finished"), size, time.time() - changed < RECENT))
    return sorted(left, key=lambda one: -one.size)


def remove(folders: Iterable[Unused]) -> None:
    """Remove them, each altogether or not at all: one that is cut short could not be taken for a run."""
    for one in folders:
        (one.folder / "run.json").unlink(missing_ok=True)  # first: without it there is no result
        shutil.rmtree(one.folder)


def _needed(study: Path, outputs: Path) -> set[str]:
    """The keys of what a study refers to.

    Its folder states the parameters of every notebook that was begun. What belongs to later ones asks for
    nothing yet, and their defaults need not fit this network.
    """
    needed = _keys(point.run for point in runs.read_curves(study))
    try:
        content = study_files.read_study_json(study)
        stated = {**content.get("parameters", {}), **content.get("base", {})}
        if stated and stated["precision"] != "auto":  # else it was never begun
            declared = parameters.declared()
            last = max(declared[name]["step"] for name in stated if name in declared)
            defaults = {name: one["default"] for name, one in declared.items() if one["step"] <= last}
            config = StudyConfig.of({**defaults, **stated})
            for wanted in forecast.steps(config, outputs).values():
                needed |= _keys(wanted)
    except (InputError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"the study {study.name} cannot be read, so nothing is removed ({error})") from error
    return needed


def _keys(wanted: Iterable[Run]) -> set[str]:
    """Of runs, and of all that they start from."""
    keys: set[str] = set()
    for one in wanted:
        run: Run | None = one
        while run is not None and run.key not in keys:
            keys.add(run.key)
            run = run.start
    return keys


def _read_run(folder: Path) -> Run | None:
    try:
        return Run.from_json(files.read_json(folder / "run.json")["run"])
    except (OSError, InputError, KeyError, TypeError):
        return None
