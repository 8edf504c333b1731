"""A study's curves: which runs make them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from horticulture.files import CorruptFileError, read_json, write_json
from horticulture.runs.run import Run

INDEX = "index"  # which files there are, so that one which is gone is missed; earlier versions wrote none
# What pruning runs by several criteria need not share.
OWN = {"criterion", "code", "scope", "floor", "ratio", "evaluate_every"}
# Budgets that tune for as many epochs as the study says.
TUNED = ("fine-tuned", "lr-rewound", "random-channels", "sparse-fine-tuned", "sparse-lr-rewound")


class CurvePoint(NamedTuple):
    """A network's place in a study: on which curve, found by which criterion, after which round.

    `before` is what it cost to find the architecture, in MACs: none for a simple family. `ratio`: the
    fraction that pruning removed, if a study asks for one. `longer`: the factor on the study's epochs and
    steps with which all of it was trained. `whole_macs`: what the whole network's training took with it.
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
        """Whether the run only measures a round of a pruning run."""
        return self.curve == "pruned-tuned" and self.run.kind != "prune"

    @property
    def file_name(self) -> str:
        """Where it is kept: with the others of its curve and criterion."""
        parts = (self.curve, self.criterion, "measured" if self.measures_round else "")
        return "-".join(filter(None, parts)) + ".json"


def read_curves(study: str | Path) -> list[CurvePoint]:
    """Every point of every curve of a study. Raises CorruptFileError if a file of them is damaged or gone."""
    return list(chain.from_iterable(map(_read, curve_files(study))))


def curve_files(study: str | Path) -> list[Path]:
    """The files that say which runs make a study's curves. Raises CorruptFileError if one is gone."""
    there = _files(Path(study))
    if gone := _listed(Path(study)) - {path.name for path in there}:
        raise CorruptFileError(Path(study) / "curves" / min(gone))
    return there


def _files(study: Path) -> list[Path]:
    return sorted((study / "curves").glob("*.json"))


def _listed(study: Path) -> set[str]:
    """The names in the index."""
    index = study / "curves" / INDEX
    return set(read_json(index)["files"]) if index.exists() else set()


def forget_curves(study: Path) -> None:
    """Remove a study's curves; its runs stay."""
    for path in (study / "curves" / INDEX, *_files(study)):
        path.unlink(missing_ok=True)


def record_curves(study: Path, points: Iterable[CurvePoint]) -> list[str]:
    """Write down which runs make a study's curves; others of the same curve and criterion are replaced.

    Rounds of a pruning run that were measured by runs of their own stand beside it. Where a pruning run is no
    longer among its criterion's, all that this criterion found with that seed is removed from the curves: the
    measured rounds, what was trained on or anew, and the families that follow, at every length.
    Returns a sentence for everything that a person should know of curves that now stand side by side.
    """
    points, files = list(points), dict(_intact_files(study))
    there = list(chain(*files.values()))
    replaced = _replaced(points, there)
    removed = [one for one in there if _found_by(one, replaced)]
    left = {path: [one for one in its if not _found_by(one, replaced)] for path, its in files.items()}
    new: dict[Path, list[CurvePoint]] = {}
    for point in points:
        new.setdefault(study / "curves" / point.file_name, []).append(point)
    beside = {path.stem: its for path, its in left.items() if path not in new}
    remarks = chain(
        _pruned_otherwise(points, there), _removed(removed, replaced), _tuned_otherwise(points, beside)
    )
    changed = {path: its for path, its in left.items() if len(its) < len(files[path])}
    _write({**changed, **new}, study)
    return [f"{study.name} has {remark}" for remark in remarks]


def _intact_files(study: Path) -> Iterator[tuple[Path, list[CurvePoint]]]:
    for path in _files(study):
        with suppress(CorruptFileError):  # it is written anew
            yield path, _read(path)


def _read(path: Path) -> list[CurvePoint]:
    content = read_json(path)
    try:
        entries = content["points"] if isinstance(content, dict) else content  # a list: an earlier version's
        return [CurvePoint(**{**entry, "run": Run.from_json(entry["run"])}) for entry in entries]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFileError(path) from error


def _write(changed: dict[Path, list[CurvePoint]], study: Path) -> None:
    """Write what has changed, and remove what has no points any more."""
    listed = {path.name for path in _files(study)}
    with suppress(CorruptFileError):
        listed |= _listed(study)
    for path, points in changed.items():
        if points:
            write_json(path, {"points": [{**one._asdict(), "run": one.run.to_json()} for one in points]})
            listed.add(path.name)
    empty = [path for path, points in changed.items() if not points]
    write_json(study / "curves" / INDEX, {"files": sorted(listed - {path.name for path in empty})})
    for path in empty:
        path.unlink()


# --- what a pruning run found goes with it ---------------------------------------------------------------


def _replaced(points: list[CurvePoint], there: list[CurvePoint]) -> set[tuple[str, int]]:
    """Criterion and seed of pruning runs on the curves that these points do not have any more."""
    now = _prunings(points)
    keys, criteria = {one.run.key for one in now}, {one.criterion for one in now}
    lengths = {one.longer for one in now}
    return {
        (one.criterion, one.run.seed)
        for one in there
        if one.criterion in criteria
        and (pruning := _pruning_of(one.run)) is not None
        and pruning.key not in keys
        and (one.run.kind == "prune" or one.longer in lengths)  # not every longer pruning is a curve
    }


def _found_by(point: CurvePoint, prunings: set[tuple[str, int]]) -> bool:
    return point.curve != "whole" and (point.criterion, point.run.seed) in prunings


def _prunings(points: Iterable[CurvePoint]) -> list[CurvePoint]:
    return [one for one in points if one.run.kind == "prune"]


def _pruning_of(run: Run | None) -> Run | None:
    """The pruning run that a run is, or goes on from."""
    while run is not None and run.kind != "prune":
        run = run.start
    return run


# --- remarks ---------------------------------------------------------------------------------------------


def _removed(points: list[CurvePoint], prunings: set[tuple[str, int]]) -> Iterator[str]:
    """That points are no longer on the curves, because the pruning runs that found them are not."""
    curves = sorted({one.curve for one in points if one.run.kind != "prune"})
    criteria = sorted({criterion for criterion, _ in prunings})
    if curves:
        yield (
            f"other pruning runs by {', '.join(criteria)} now: what the earlier ones found goes from its "
            f"curves ({', '.join(curves)}), its runs stay"
        )


def _pruned_otherwise(points: list[CurvePoint], there: list[CurvePoint]) -> Iterator[str]:
    """That pruning runs by other criteria, which stay, cannot be compared with these."""

    def recipe(one: CurvePoint) -> str:
        shared = {name: value for name, value in one.run.recipe.items() if name not in OWN}
        return f"{one.longer} {sorted(shared.items())}"

    now = _prunings(points)
    criteria, lengths = {one.criterion for one in now}, {one.longer for one in now}
    recipes = {recipe(one) for one in now}
    beside = [one for one in _prunings(there) if one.criterion not in criteria and one.longer in lengths]
    if others := sorted({one.criterion for one in beside if recipe(one) not in recipes}):
        yield (
            f"pruning runs by {', '.join(others)} that were made by another recipe than these: prune by all "
            "criteria alike, or give these a study of their own"
        )


def _tuned_otherwise(points: list[CurvePoint], beside: dict[str, list[CurvePoint]]) -> Iterator[str]:
    """That curves which stay were tuned for other epochs than these: a table would compare the tuning."""

    def tuning(points: Iterable[CurvePoint]) -> set[tuple[float, int]]:
        return {(one.longer, one.run.recipe["epochs"]) for one in points if one.curve in TUNED}

    now = tuning(points)
    lengths = {longer for longer, _ in now}
    if others := sorted(c for c, its in beside.items() if lengths & {one for one, _ in tuning(its) - now}):
        yield (
            f"{', '.join(others)}, tuned for other epochs than these: ask for all budgets at once, or give "
            "these a study of their own"
        )
