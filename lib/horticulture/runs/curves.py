"""A study's curves: which runs make them, and all their results in one frame."""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.runs.files import CorruptFileError, read_json, write_json
from horticulture.runs.removals import REMOVAL_COLUMNS, removals
from horticulture.runs.run import Run, result

RESULT_COLUMNS = [
    *("study", "curve", "criterion", "family", "architecture", "params", "macs", "seed", "round", "longer"),
    *("recipe", "epochs", "train_macs", "compute_share", "val_error", "test_error", "seconds", "run"),
    *("ratio", "bytes", "precision", "device"),
]
# Columns that may be empty keep their type, whether they come from runs or from a file.
TYPES = {"round": "Int64", "ratio": float, "bytes": "Int64", "longer": float, "compute_share": float}
AS_IT_IS = "as it is"  # the recipe of a run that trains nothing and only measures


class CurvePoint(NamedTuple):
    """A network's place in a study: on which curve, found by which criterion, after which round.

    `before` is what it cost to find the architecture, in MACs: none for a simple family. `ratio`: the share
    that the pruning took away, if it was asked for. `longer`: how many times the study's epochs and steps
    everything about it was trained. `whole_macs`: what the whole network's training took at that length.
    """

    curve: str
    run: Run
    criterion: str = ""
    round: int | None = None
    before: int = 0
    ratio: float | None = None
    longer: float = 1.0
    whole_macs: int = 0


def record_curves(study: Path, members: Iterable[CurvePoint]) -> None:
    """Say which runs make a study's curves; what was said of the same curve and criterion is replaced.

    Rounds of a pruning run that were measured by runs of their own stand beside it. Where a pruning run is no
    longer among its criterion's, all that this criterion found with that seed is removed from the curves: the
    measured rounds, what was trained on or anew, and the families that follow, at every length.
    """
    members = list(members)
    stay = _drop_replaced(study, members, dict(_read_files(study)))
    curves: dict[str, list[CurvePoint]] = {}
    for member in members:
        parts = (member.curve, member.criterion, "measured" if _measures(member) else "")
        curves.setdefault("-".join(filter(None, parts)), []).append(member)
    _report_other_tuning(study, members, {path: its for path, its in stay.items() if path.stem not in curves})
    for name, its in curves.items():
        _write(study / "curves" / f"{name}.json", its)


def _read_files(study: Path) -> Iterator[tuple[Path, list[CurvePoint]]]:
    for path in (study / "curves").glob("*.json"):
        with suppress(CorruptFileError):  # it is written anew
            yield path, _read(path)


def _report_other_tuning(study: Path, members: list[CurvePoint], stay: dict[Path, list[CurvePoint]]) -> None:
    """Say where curves that stay were tuned for other epochs than these: a table would compare the tuning."""

    def tuning(points: Iterable[CurvePoint]) -> set[tuple[float, int]]:
        return {(one.longer, one.run.recipe["epochs"]) for one in points if one.curve in TUNED}

    now = tuning(members)
    lengths = {longer for longer, _ in now}
    others = [
        path.stem for path, its in stay.items() if any(longer in lengths for longer, _ in tuning(its) - now)
    ]
    if others:
        print(
            f"{study.name} has {', '.join(sorted(others))}, tuned for other epochs than these: ask for all "
            "budgets at once, or give these a study of their own"
        )


def _drop_replaced(
    study: Path, members: list[CurvePoint], files: dict[Path, list[CurvePoint]]
) -> dict[Path, list[CurvePoint]]:
    """Take off the curves what was found by pruning runs that these members do not have any more, and say so.

    Say also where pruning runs by other criteria, which stay, cannot be compared with these. Returns what
    stays.
    """
    new = [member for member in members if member.run.kind == "prune"]
    there = list(chain(*files.values()))
    keys, lengths = {member.run.key for member in new}, {member.longer for member in new}
    criteria, tuned = {member.criterion for member in new}, {_alike(member) for member in new}
    gone = {
        (member.criterion, member.run.seed)
        for member in there
        if member.criterion in criteria
        and (pruning := _pruning(member.run)) is not None
        and pruning.key not in keys
        and (member.run.kind == "prune" or member.longer in lengths)  # not every longer pruning is a curve
    }
    others = {
        member.criterion
        for member in there
        if member.run.kind == "prune" and member.criterion not in criteria and member.longer in lengths
        if _alike(member) not in tuned
    }
    if others:
        print(
            f"{study.name} has pruning runs by {', '.join(sorted(others))} that were made by another recipe "
            "than these: prune by all criteria alike, or give these a study of their own"
        )

    def stays(one: CurvePoint) -> bool:
        return one.curve == "whole" or (one.criterion, one.run.seed) not in gone

    lost = {one.curve for one in there if not stays(one) and one.run.kind != "prune"}
    if not lost:
        return files
    left = {path: [one for one in its if stays(one)] for path, its in files.items()}
    for path, its in left.items():
        if its:
            _write(path, its)
        else:
            path.unlink()
    by = ", ".join(sorted({criterion for criterion, _ in gone}))
    print(
        f"{study.name} has other pruning runs by {by} now: what the earlier ones found goes from its curves "
        f"({', '.join(sorted(lost))}), its runs stay"
    )
    return left


# What pruning runs by several criteria need not share.
OWN = {"criterion", "code", "scope", "floor", "ratio", "evaluate_every"}
# Budgets that tune for as many epochs as the study says.
TUNED = ("fine-tuned", "lr-rewound", "random-channels", "sparse-fine-tuned", "sparse-lr-rewound")


def _alike(member: CurvePoint) -> str:
    """What pruning runs by several criteria must share to be compared."""
    recipe = {name: value for name, value in member.run.recipe.items() if name not in OWN}
    return f"{member.longer} {sorted(recipe.items())}"


def _pruning(run: Run | None) -> Run | None:
    """The pruning that a run is, or goes on from."""
    while run is not None and run.kind != "prune":
        run = run.start
    return run


def _measures(member: CurvePoint) -> bool:
    """Whether the run measures a round of a pruning run."""
    return member.curve == "pruned-tuned" and member.run.kind != "prune"


def _write(path: Path, members: list[CurvePoint]) -> None:
    write_json(path, [{**member._asdict(), "run": member.run.to_json()} for member in members])


def _read(path: Path) -> list[CurvePoint]:
    return [CurvePoint(**{**entry, "run": Run.from_json(entry["run"])}) for entry in read_json(path)]


def read_curves(study: str | Path) -> list[CurvePoint]:
    """Every member of every curve of a study."""
    return [member for path in sorted((Path(study) / "curves").glob("*.json")) for member in _read(path)]


def collect(study: str | Path) -> pd.DataFrame:
    """The results of a study: one row for every network that was evaluated, columns as in docs/files.md.

    A round of a pruning run that a run of its own has measured keeps that run's row, not the pruning run's.
    study: a study's folder, such as `outputs/quick`. Raises InputError if there are no results there, or
    if a file is damaged.
    """
    study = Path(study)
    members = read_curves(study)
    if not members:
        return _read_results(study / "results.csv")
    measured = {
        (member.run.start.key, member.round) for member in members if _measures(member) and member.run.start
    }
    rows = [
        row
        for member in members
        for row in _rows(study, member)
        if (member.run.key, row["round"]) not in measured
    ]
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype(TYPES)


def collect_removals(study: str | Path) -> pd.DataFrame:
    """Every round of every pruning run of a study, one row each."""
    study = Path(study)
    prunings = [m.run for m in read_curves(study) if m.run.kind == "prune"]
    if not prunings and (study / "removals.csv").exists():
        return pd.read_csv(study / "removals.csv", dtype={"run": str, "architecture": str})
    frames = [removals(run, study.parent) for run in prunings]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=REMOVAL_COLUMNS)


def architectures(study: str | Path) -> dict[str, Architecture]:
    """Every architecture of a study by its short id, as the column `architecture` of the results has it."""
    study = Path(study)
    found: dict[str, Architecture] = {}
    for member in read_curves(study):
        shapes = [member.run.architecture]
        if member.run.kind == "prune":
            shapes += _after_rounds(member.run, removals(member.run, study.parent))
        found |= {shape.id: shape for shape in shapes}
    return found


def _after_rounds(run: Run, removed: pd.DataFrame) -> Iterator[Architecture]:
    widths = list(run.architecture.widths)
    for _, gone in removed.groupby("round"):
        for group in gone.loc[gone["group"] >= 0, "group"]:  # -1: no channel went
            widths[group] -= 1
        yield run.architecture.with_widths(tuple(widths))


def _rows(study: Path, member: CurvePoint) -> list[dict]:
    run, outputs = member.run, study.parent
    found = result(run, outputs)
    if found is None:
        raise InputError(f"{run} of the curve {member.curve} is not finished: run the study again")
    metrics, shape = found["metrics"], run.architecture
    common: dict[str, Any] = {"study": study.name, "curve": member.curve, "criterion": member.criterion}
    common |= {"run": run.key, "family": shape.family, "seed": run.seed, "longer": member.longer}
    common |= {"recipe": metrics["recipe"], "ratio": member.ratio}
    common |= {"precision": run.recipe["precision"], "device": found["about"]["device"]}
    whole = member.whole_macs or math.nan
    if run.kind == "prune":
        rounds = removals(run, outputs).drop_duplicates("round", keep="last")
        rounds["compute_share"] = (rounds["train_macs"] - whole) / whole
        return [{**common, **row} for row in rounds.to_dict("records")]
    row = {name: metrics.get(name) for name in ("val_error", "test_error", "seconds", "bytes")}
    row |= {"architecture": shape.id, "params": metrics.get("params", shape.params), "macs": shape.macs}
    row |= {"round": member.round, "epochs": run.recipe["epochs"]}
    spent = metrics["train_macs"] if run.recipe["epochs"] else member.before - whole
    row |= {"train_macs": member.before + metrics["train_macs"], "compute_share": spent / whole}
    return [{**common, **row}]


def _read_results(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise InputError(f"no results in {path.parent}: run the study first")
    try:
        frame = pd.read_csv(path, dtype={"run": str, "architecture": str, "criterion": str, **TYPES})
    except ValueError as error:
        raise CorruptFileError(path) from error
    missing = [name for name in RESULT_COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")
    return frame.fillna({"criterion": ""})
