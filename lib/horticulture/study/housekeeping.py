"""Find and remove runs that no study refers to."""

import csv
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from horticulture import runs
from horticulture.errors import InputError
from horticulture.execution import status
from horticulture.runs import Run
from horticulture.study import own_code, parameters, study_files
from horticulture.study.config import StudyConfig
from horticulture.study.inventory import runs_by_purpose
from horticulture.system import files
from horticulture.system.code_files import is_code

RUN = re.compile(r"[0-9a-f]{12}(\.damaged-[0-9]+)?")  # names that folders of runs have
SIGNS = (status.FILE, "SHA256SUMS", "architectures.json", "notebooks/0[1-5]_*.ipynb")  # of a study's folder
RECENT = 3600.0  # seconds: anything changed since then may belong to a study in progress

Digests = Mapping[tuple[str, int], str]  # of data sets, by name and image size


class UnusedRun(NamedTuple):
    """The folder of a run that no study under the same outputs refers to."""

    folder: Path
    description: str  # of the run
    size: int  # bytes
    recent: bool  # changed a short while ago


def find_unused_runs(outputs: Path) -> list[UnusedRun]:
    """Every unused run's folder, including damaged runs that were set aside, largest first.

    Links are kept, and folders that are no runs by their names. A study refers to the runs of its tables and
    curves, to those that its parameters ask for, and to the runs these start from. An oracle run is kept as
    long as its network. Raises InputError if a study cannot be read, because then its needs are unknown.
    """
    folders = [path for path in _folders(outputs) if RUN.fullmatch(path.name)]
    recorded = {path: _read_run(path) for path in folders}
    known = list(filter(None, recorded.values()))
    digests = _recorded_digests(known)
    needed: set[str] = set()
    for study in sorted(outputs.glob("*")):
        tabulated = _tabulated(study)
        _check_readable(study, bool(tabulated))
        needed |= _keys(run for run in known if run.key in tabulated)
        if (study / study_files.STUDY_JSON).exists():
            needed |= _needed(study, outputs, digests, known)
        elif (study / "curves").exists():
            needed |= _keys(point.run for point in runs.read_curves(study))
    not_needed = []
    for path, run in recorded.items():
        if path.is_symlink() or path.name in needed:  # what a link leads to may belong to others
            continue
        if run and run.kind == "judge" and run.start and run.start.key in needed:
            continue
        inside = [file.stat() for file in path.rglob("*") if file.is_file()]
        changed = max((stat.st_mtime for stat in inside), default=0.0)
        size = sum(stat.st_size for stat in inside)
        not_needed.append(UnusedRun(path, str(run or "not finished"), size, time.time() - changed < RECENT))
    return sorted(not_needed, key=lambda folder: -folder.size)


def _check_readable(study: Path, tabulated: bool) -> None:
    """Raise InputError for a study that has lost what says which runs it needs. tabulated: a table does."""
    why = ""
    for place in (study, *(study / name for name in (study_files.STUDY_JSON, "curves", "results.csv"))):
        if place.is_symlink() and not place.exists():
            why = f"{place} is a link to nothing"
    says = tabulated or (study / study_files.STUDY_JSON).exists() or any((study / "curves").glob("*"))
    of_a_study = any(any(study.glob(sign)) for sign in SIGNS) and any(study.glob("[!.]*"))
    if of_a_study and not says:
        why = f"{study_files.STUDY_JSON} and curves are missing: move its folder elsewhere to go on"
    if why:
        raise InputError(f"the study {study.name} cannot be read, so nothing is removed ({why})")


def _tabulated(study: Path) -> set[str]:
    """The keys of the runs in a study's table, if it has one."""
    try:
        with (study / "results.csv").open(newline="", encoding="utf-8") as file:
            return {row.get("run") or "" for row in csv.DictReader(file)}
    except (OSError, ValueError, csv.Error):  # a table, if it is one, of something else
        return set()


def not_runs(outputs: Path) -> list[Path]:
    """The folders among the runs that are none, by their names."""
    return [path for path in _folders(outputs) if not RUN.fullmatch(path.name)]


def _folders(outputs: Path) -> list[Path]:
    return sorted(path for path in (outputs / "runs").glob("[!.]*") if path.is_dir())


def remove(folders: Iterable[UnusedRun]) -> None:
    """Remove the folders; one that is removed only in part can no longer pass for a run."""
    for path in (run.folder for run in folders):
        (path / "run.json").unlink(missing_ok=True)  # first, because without it there is no result
        shutil.rmtree(path)


def _recorded_digests(recorded: Iterable[Run]) -> Digests:
    """The digests of data that runs record, where all of them agree."""
    known: dict[tuple[str, int], set[str]] = {}
    for run in recorded:
        key = run.data.get("name", ""), run.data.get("image_size", 0)
        known.setdefault(key, set()).add(run.data.get("digest", ""))
    return {key: digest for key, (digest, *others) in known.items() if digest and not others}


def _needed(study: Path, outputs: Path, digests: Digests, recorded: list[Run]) -> set[str]:
    """The keys of the runs that a study refers to.

    Its folder records the parameters of every notebook started so far. Those of later notebooks ask for
    nothing yet, and their defaults need not fit this network. Where the network is code in a file, which is
    not run for this, the study refers to every recorded run of it.
    """
    needed = _keys(point.run for point in runs.read_curves(study))
    try:
        content = study_files.read_study_json(study)
        recorded_values = {**content.get("parameters", {}), **content.get("base", {})}
        if files_of_code := [
            str(recorded_values.get(name)) for name in own_code.NETWORKS if is_code(recorded_values.get(name))
        ]:
            tables = [(run, run.architecture.table) for run in recorded]
            needed |= _keys(run for run, table in tables if table and table.network in files_of_code)
        elif recorded_values and recorded_values["precision"] != "auto":  # otherwise it was never started
            own_code.register_recorded(recorded_values, content.get("own", {}))
            declared = parameters.all_parameters()
            last = max(declared[name]["notebook"] for name in recorded_values if name in declared)
            defaults = {n: known["default"] for n, known in declared.items() if known["notebook"] <= last}
            config = StudyConfig.of(
                {**defaults, **recorded_values, "digest_of": lambda *key: digests.get(key)}
            )
            for wanted in runs_by_purpose(config, outputs).values():
                needed |= _keys(wanted)
    except (ValueError, ArithmeticError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"the study {study.name} cannot be read, so nothing is removed ({error})") from error
    return needed


def _keys(wanted: Iterable[Run]) -> set[str]:
    """The keys of runs, and of all runs they start from."""
    return {run.key for last in wanted for run in last.chain}


def _read_run(folder: Path) -> Run | None:
    try:
        return Run.from_json(files.read_json(folder / "run.json")["run"])
    except (OSError, InputError, LookupError, TypeError):
        return None
