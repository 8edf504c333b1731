"""A study's curves: which runs they consist of."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from horticulture.runs.run import Run
from horticulture.system import locks
from horticulture.system.files import CorruptFileError, read_json, sync, write_json

INDEX = "index"  # lists the files, so that a missing one is noticed; earlier versions wrote none
# Fields of a recipe in which pruning runs by several criteria may differ.
CRITERION_FIELDS = {"criterion", "code", "scope", "floor", "ratio", "evaluate_every"}


class CurvePoint(NamedTuple):
    """A network's place in a study: its curve, the criterion that found it, and the pruning round.

    `search_macs`: the MACs spent to find the architecture (0 for a simple family), on disk as `before`.
    `ratio`: the fraction that pruning removed, if the study sets one. `longer`: the factor on the study's
    epochs and steps. `whole_macs`: the cost of the whole network's training at that length.
    """

    curve: str
    run: Run
    criterion: str = ""
    round: int | None = None
    search_macs: int = 0
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

    def to_json(self) -> dict:
        """Plain values, by the names that the files have."""
        plain = {**self._asdict(), "run": self.run.to_json()}
        return {"before" if name == "search_macs" else name: value for name, value in plain.items()}

    @staticmethod
    def from_json(entry: dict) -> "CurvePoint":
        """The inverse of `to_json`."""
        plain = {"search_macs" if name == "before" else name: value for name, value in entry.items()}
        return CurvePoint(**{**plain, "run": Run.from_json(entry["run"])})


def read_curves(study: str | Path) -> list[CurvePoint]:
    """Every point of every curve of a study. Raises CorruptFileError if a file is damaged or missing."""
    return list(chain.from_iterable(map(_read, curve_files(study))))


def curve_files(study: str | Path) -> list[Path]:
    """The files of a study's curves. Raises CorruptFileError if one is missing."""
    files = _files(Path(study))
    if missing := _listed(Path(study)) - {path.name for path in files}:
        raise CorruptFileError(Path(study) / "curves" / min(missing))
    return files


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


def _locked(study: Path) -> AbstractContextManager[object]:
    """Let one process at a time change the curves: several notebooks of a study may be open."""
    return locks.held(study / ".curves.lock")


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
        recorded = list(chain(*files.values()))
        replaced = _replaced(points, recorded)
        removed = [point for point in recorded if _is_superseded(point, replaced)]
        kept = {path: [p for p in file if not _is_superseded(p, replaced)] for path, file in files.items()}
        new: dict[Path, list[CurvePoint]] = {}
        for point in points:
            new.setdefault(study / "curves" / point.file_name, []).append(point)
        beside = {path.stem: file for path, file in kept.items() if path not in new}
        remarks = chain(
            _other_pruning(points, recorded), _removed(removed, replaced), _other_tuning(points, beside)
        )
        changed = {path: file for path, file in kept.items() if len(file) < len(files[path])}
        _write({**changed, **new}, study)
        return [f"{study.name} has {remark}" for remark in remarks]


def _read(path: Path) -> list[CurvePoint]:
    try:
        content = read_json(path)
    except OSError as error:
        if path.exists():
            raise
        raise CorruptFileError(path) from error  # a link to nowhere, or to itself
    try:
        entries = content["points"] if isinstance(content, dict) else content  # earlier versions wrote a list
        points = [CurvePoint.from_json(entry) for entry in entries]
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
            write_json(path, {"points": [point.to_json() for point in points]})
            listed.add(path.name)
    empty = [path for path, points in changed.items() if not points]
    write_json(study / "curves" / INDEX, {"files": sorted(listed - {path.name for path in empty})})
    _remove(empty)


# --- removing what replaced pruning runs found -----------------------------------------------------------


def _replaced(points: list[CurvePoint], recorded: list[CurvePoint]) -> set[tuple[str, int]]:
    """Criterion and seed of pruning runs on the curves that these points replace."""
    now = _pruning_points(points)
    keys, criteria = {point.run.key for point in now}, {point.criterion for point in now}
    lengths = {point.longer for point in now}
    return {
        (point.criterion, point.run.seed)
        for point in recorded
        if point.criterion in criteria
        and (pruning_run := next((run for run in point.run.chain if run.kind == "prune"), None))
        and not point.curve.endswith("pruned-moving")  # its pruning runs are on no curve
        and pruning_run.key not in keys
        and (point.run.kind == "prune" or point.longer in lengths)  # not every longer pruning run is drawn
    }


def _is_superseded(point: CurvePoint, replaced: set[tuple[str, int]]) -> bool:
    return point.curve != "whole" and (point.criterion, point.run.seed) in replaced


def _pruning_points(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    return [point for point in points if point.run.kind == "prune"]


# --- remarks ---------------------------------------------------------------------------------------------


def _removed(points: list[CurvePoint], replaced: set[tuple[str, int]]) -> Iterator[str]:
    """Report points that were removed together with the pruning runs that found them."""
    curves = sorted({point.curve for point in points if point.run.kind != "prune"})
    criteria = sorted({criterion for criterion, _ in replaced})
    if curves:
        yield (
            f"new pruning runs by {', '.join(criteria)}: results of the old ones are removed from its curves "
            f"({', '.join(curves)}), their runs are kept"
        )


def _other_pruning(points: list[CurvePoint], recorded: list[CurvePoint]) -> Iterator[str]:
    """Report pruning runs by other criteria that cannot be compared with these."""

    def recipe(point: CurvePoint) -> str:
        shared = {name: value for name, value in point.run.recipe.items() if name not in CRITERION_FIELDS}
        return f"{point.longer} {sorted(shared.items())}"

    now = _pruning_points(points)
    names, lengths = {point.criterion for point in now}, {point.longer for point in now}
    recipes = {recipe(point) for point in now}
    earlier = [p for p in _pruning_points(recorded) if p.criterion not in names and p.longer in lengths]
    if others := sorted({point.criterion for point in earlier if recipe(point) not in recipes}):
        yield (
            f"pruning runs by {', '.join(others)} with another recipe than these: use one recipe for all "
            "criteria, or give these a study of their own"
        )


def _other_tuning(points: list[CurvePoint], beside: dict[str, list[CurvePoint]]) -> Iterator[str]:
    """Report curves that were fine-tuned for a different number of epochs than these."""

    def tuning(points: Iterable[CurvePoint]) -> set[tuple[float, int]]:
        runs = [(point.longer, point.run.recipe) for point in points if point.run.kind == "tune"]
        kept = [(longer, recipe) for longer, recipe in runs if recipe["weights"] in ("kept", "random")]
        return {(longer, recipe["epochs"]) for longer, recipe in kept if recipe["epochs"]}

    now = tuning(points)
    lengths = {longer for longer, _ in now}
    if others := sorted(c for c, file in beside.items() if lengths & dict(tuning(file) - now).keys()):
        yield (
            f"{', '.join(others)}, fine-tuned for other epochs than these: run all budgets at once, or give "
            "these a study of their own"
        )
