"""A study's curves: which runs they consist of."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from horticulture.files import CorruptFileError, locked, read_json, sync, write_json
from horticulture.runs.run import Run

INDEX = "index"  # lists the files, so that a missing one is noticed; earlier versions wrote none
# Entries of a recipe in which pruning runs by several criteria may differ.
OWN = {"criterion", "code", "scope", "floor", "ratio", "evaluate_every"}


class CurvePoint(NamedTuple):
    """A network's place in a study: its curve, the criterion that found it, and the pruning round.

    `before`: the MACs spent to find the architecture (0 for a simple family). `ratio`: the fraction that
    pruning removed, if the study sets one. `longer`: the factor on the study's epochs and steps.
    `whole_macs`: the cost of the whole network's training at that length.
    """

    curve: str
    run: Run
    criterion: str = ""
    round: int | None = None
    before: int = 0
    ratio: float | None = None
    longer: float = 1.0
    whole_macs: int = 0

    @property
    def measures_round(self) -> bool:
        """Whether the run only evaluates the network after a round of a pruning run."""
        return self.curve == "pruned-tuned" and self.run.kind != "prune"

    @property
    def file_name(self) -> str:
        """The file of all points of this curve and criterion."""
        parts = (self.curve, self.criterion, "measured" if self.measures_round else "")
        return "-".join(filter(None, parts)) + ".json"


def read_curves(study: str | Path) -> list[CurvePoint]:
    """Every point of every curve of a study. Raises CorruptFileError if a file is damaged or missing."""
    return list(chain.from_iterable(map(_read, curve_files(study))))


def curve_files(study: str | Path) -> list[Path]:
    """The files of a study's curves. Raises CorruptFileError if one is missing."""
    there = _files(Path(study))
    if gone := _listed(Path(study)) - {path.name for path in there}:
        raise CorruptFileError(Path(study) / "curves" / min(gone))
    return there


def _files(study: Path) -> list[Path]:
    return sorted((study / "curves").glob("*.json"))


def _listed(study: Path) -> set[str]:
    """The names in the index."""
    index = study / "curves" / INDEX
    try:
        return {str(name) for name in read_json(index)["files"]} if index.exists() else set()
    except (LookupError, TypeError) as error:  # not written by us
        raise CorruptFileError(index) from error


def forget_curves(study: Path) -> None:
    """Remove a study's curves. Its runs are kept."""
    with _locked(study):
        _remove([study / "curves" / INDEX, *_files(study)])


def _locked(study: Path) -> AbstractContextManager[None]:
    """Let one process at a time change the curves: several notebooks of a study may be open."""
    return locked(study / ".curves.lock")


def _remove(paths: list[Path]) -> None:
    """Remove files durably: those that a power cut brings back would be believed."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths if path.parent.exists()}:
        sync(folder)


def record_curves(study: Path, points: Iterable[CurvePoint]) -> list[str]:
    """Record which runs make up a study's curves, replacing points of the same curve and criterion.

    Rounds of a pruning run that were measured by runs of their own are recorded next to it. If a pruning run
    is replaced, everything derived from the old one (same criterion and seed) is removed from the curves:
    measured rounds, retrained networks and families, at every training length.
    Returns a remark for each problem with comparing the curves that are now in the study.
    """
    points = list(points)
    with _locked(study):
        files: dict[Path, list[CurvePoint]] = {}
        for path in _files(study):
            with suppress(CorruptFileError):  # it will be rewritten
                files[path] = _read(path)
        there = list(chain(*files.values()))
        replaced = _replaced(points, there)
        removed = [one for one in there if _found_by(one, replaced)]
        left = {path: [one for one in file if not _found_by(one, replaced)] for path, file in files.items()}
        new: dict[Path, list[CurvePoint]] = {}
        for point in points:
            new.setdefault(study / "curves" / point.file_name, []).append(point)
        beside = {path.stem: file for path, file in left.items() if path not in new}
        remarks = chain(
            _other_pruning(points, there), _removed(removed, replaced), _other_tuning(points, beside)
        )
        changed = {path: file for path, file in left.items() if len(file) < len(files[path])}
        _write({**changed, **new}, study)
        return [f"{study.name} has {remark}" for remark in remarks]


def _read(path: Path) -> list[CurvePoint]:
    content = read_json(path)
    try:
        entries = content["points"] if isinstance(content, dict) else content  # earlier versions wrote a list
        points = [CurvePoint(**{**entry, "run": Run.from_json(entry["run"])}) for entry in entries]
        if not all(type(name) is str for point in points for name in (point.curve, point.criterion)):
            raise TypeError("a curve or criterion without a name")
        return points
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFileError(path) from error


def _write(changed: dict[Path, list[CurvePoint]], study: Path) -> None:
    """Write the changed files, and remove those without points."""
    listed = {path.name for path in _files(study)}
    with suppress(CorruptFileError):
        listed |= _listed(study)
    for path, points in changed.items():
        if points:
            write_json(path, {"points": [{**one._asdict(), "run": one.run.to_json()} for one in points]})
            listed.add(path.name)
    empty = [path for path, points in changed.items() if not points]
    write_json(study / "curves" / INDEX, {"files": sorted(listed - {path.name for path in empty})})
    _remove(empty)


# --- removing what replaced pruning runs found -----------------------------------------------------------


def _replaced(points: list[CurvePoint], there: list[CurvePoint]) -> set[tuple[str, int]]:
    """Criterion and seed of pruning runs on the curves that these points replace."""
    now = _pruning_points(points)
    keys, criteria = {one.run.key for one in now}, {one.criterion for one in now}
    lengths = {one.longer for one in now}
    return {
        (one.criterion, one.run.seed)
        for one in there
        if one.criterion in criteria
        and (found_by := next((run for run in one.run.chain if run.kind == "prune"), None))
        and not one.curve.endswith("pruned-moving")  # its pruning runs are on no curve
        and found_by.key not in keys
        and (one.run.kind == "prune" or one.longer in lengths)  # not every longer pruning run is drawn
    }


def _found_by(point: CurvePoint, replaced: set[tuple[str, int]]) -> bool:
    return point.curve != "whole" and (point.criterion, point.run.seed) in replaced


def _pruning_points(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    return [one for one in points if one.run.kind == "prune"]


# --- remarks ---------------------------------------------------------------------------------------------


def _removed(points: list[CurvePoint], replaced: set[tuple[str, int]]) -> Iterator[str]:
    """Report points that were removed together with the pruning runs that found them."""
    curves = sorted({one.curve for one in points if one.run.kind != "prune"})
    criteria = sorted({criterion for criterion, _ in replaced})
    if curves:
        yield (
            f"new pruning runs by {', '.join(criteria)}: results of the old ones are removed from its curves "
            f"({', '.join(curves)}), their runs are kept"
        )


def _other_pruning(points: list[CurvePoint], there: list[CurvePoint]) -> Iterator[str]:
    """Report pruning runs by other criteria that cannot be compared with these."""

    def recipe(one: CurvePoint) -> str:
        shared = {name: value for name, value in one.run.recipe.items() if name not in OWN}
        return f"{one.longer} {sorted(shared.items())}"

    now = _pruning_points(points)
    names, lengths = {one.criterion for one in now}, {one.longer for one in now}
    recipes = {recipe(one) for one in now}
    beside = [one for one in _pruning_points(there) if one.criterion not in names and one.longer in lengths]
    if others := sorted({one.criterion for one in beside if recipe(one) not in recipes}):
        yield (
            f"pruning runs by {', '.join(others)} with another recipe than these: use one recipe for all "
            "criteria, or give these a study of their own"
        )


def _other_tuning(points: list[CurvePoint], beside: dict[str, list[CurvePoint]]) -> Iterator[str]:
    """Report curves that were fine-tuned for a different number of epochs than these."""

    def tuning(points: Iterable[CurvePoint]) -> set[tuple[float, int]]:
        runs = [(one.longer, one.run.recipe) for one in points if one.run.kind == "tune"]
        kept = [(longer, recipe) for longer, recipe in runs if recipe["weights"] in ("kept", "random")]
        return {(longer, recipe["epochs"]) for longer, recipe in kept if recipe["epochs"]}

    now = tuning(points)
    lengths = {longer for longer, _ in now}
    if others := sorted(c for c, file in beside.items() if lengths & {one for one, _ in tuning(file) - now}):
        yield (
            f"{', '.join(others)}, fine-tuned for other epochs than these: run all budgets at once, or give "
            "these a study of their own"
        )
