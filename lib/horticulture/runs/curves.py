"""A study's curves: which runs make them, and all their results in one frame."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture.architecture import Architecture
from horticulture.errors import BadInput
from horticulture.runs.files import Damaged, read_json, write_json
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


class Member(NamedTuple):
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


def record(study: Path, members: Iterable[Member]) -> None:
    """Say which runs make a study's curves; what was said of the same curve and criterion is replaced.

    Rounds of a pruning that were measured by runs of their own stand beside the pruning, and stay with it.
    """
    curves: dict[str, list[dict]] = {}
    for member in members:
        entry = {**member._asdict(), "run": member.run.to_json()}
        measured = member.curve == "pruned-tuned" and member.run.kind != "prune"
        parts = (member.curve, member.criterion, "measured" if measured else "")
        curves.setdefault("-".join(filter(None, parts)), []).append(entry)
    for name, entries in curves.items():
        write_json(study / "curves" / f"{name}.json", entries)


def recorded(study: str | Path) -> list[Member]:
    """Every member of every curve of a study."""
    return [
        Member(**{**entry, "run": Run.from_json(entry["run"])})
        for path in sorted((Path(study) / "curves").glob("*.json"))
        for entry in read_json(path)
    ]


def collect(study: str | Path) -> pd.DataFrame:
    """The results of a study: one row for every network that was evaluated, columns as in the README.

    study: a study's folder, such as `outputs/quick`. Raises BadInput if there are no results there, or
    if a file is damaged.
    """
    study = Path(study)
    members = recorded(study)
    if not members:
        return _read_results(study / "results.csv")
    rows = [row for member in members for row in _rows(study, member)]
    return _measured_once(pd.DataFrame(rows, columns=RESULT_COLUMNS).astype(TYPES))


def _measured_once(results: pd.DataFrame) -> pd.DataFrame:
    """A round of a pruning that a run of its own has measured keeps that run's row, not the pruning's."""
    place = ["criterion", "longer", "seed", "round"]
    tuned = results[(results["curve"] == "pruned-tuned") & results["ratio"].isna()]
    own = tuned[tuned["recipe"] == AS_IT_IS]
    twice = tuned.set_index(place).index.isin(own.set_index(place).index)
    return results.drop(index=tuned.index[twice].difference(own.index)).reset_index(drop=True)


def collect_removals(study: str | Path) -> pd.DataFrame:
    """Every round of every pruning of a study, one row each."""
    study = Path(study)
    prunings = [m.run for m in recorded(study) if m.run.kind == "prune"]
    if not prunings and (study / "removals.csv").exists():
        return pd.read_csv(study / "removals.csv", dtype={"run": str, "architecture": str})
    frames = [removals(run, study.parent) for run in prunings]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=REMOVAL_COLUMNS)


def architectures(study: str | Path) -> dict[str, Architecture]:
    """Every architecture of a study by its short id, as the column `architecture` of the results has it."""
    study = Path(study)
    found: dict[str, Architecture] = {}
    for member in recorded(study):
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


def _rows(study: Path, member: Member) -> list[dict]:
    run, outputs = member.run, study.parent
    found = result(run, outputs)
    if found is None:
        raise BadInput(f"{run} of the curve {member.curve} is not finished: run the study again")
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
        raise BadInput(f"no results in {path.parent}: run the study first")
    try:
        frame = pd.read_csv(path, dtype={"run": str, "architecture": str, "criterion": str, **TYPES})
    except ValueError as error:
        raise Damaged(path) from error
    missing = [name for name in RESULT_COLUMNS if name not in frame.columns]
    if missing:
        raise BadInput(f"{path} lacks the columns {', '.join(missing)}")
    return frame.fillna({"criterion": ""})
