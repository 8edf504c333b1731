"""What a run is and where it lives: key, folder, result; and all results of a study in one frame.

A run is fixed by its description. Its key is a digest of that, so a run asked for twice, by two
notebooks or two studies, is the same run and is made once. `run.json` is written last, by rename: if
it is there, the run is whole. No torch here: a laptop without it can collect and draw.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture.architecture import Architecture
from horticulture.errors import BadInput
from horticulture.store import Damaged, file_digest, read_json, write_json

# Of the meaning of a description: a change here makes every run anew. 2: recipes know penalties, and plans
# what a share is of, so every description says more than it did.
VERSION = 2

RESULT_COLUMNS = [
    *("study", "curve", "criterion", "family", "architecture", "params", "macs", "seed", "round"),
    *("recipe", "epochs", "train_macs", "val_error", "test_error", "seconds", "run", "ratio", "bytes"),
]
REMOVAL_COLUMNS = [
    *("run", "round", "group", "channel", "saliency", "params", "macs", "val_error", "test_error"),
    *("loss", "train_macs", "seconds", "architecture"),
]
# Columns that may be empty keep their type, whether they come from runs or from a file.
TYPES = {"round": "Int64", "ratio": float, "bytes": "Int64"}


@dataclass(frozen=True)
class Run:
    """One training or one pruning.

    kind: a name in `jobs.KINDS`. recipe: `training.Recipe` or `pruning.Plan` as plain data. data: what
    `jobs.source` says. start: the run whose network this one begins with.
    """

    kind: str
    architecture: Architecture
    recipe: dict[str, Any]
    data: dict[str, Any]
    seed: int
    start: "Run | None" = None

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits: the same for equal descriptions, whatever the device or folder."""
        text = json.dumps({"version": VERSION, **_without_places(self.to_json())}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict:
        """The description: everything that fixes the run."""
        return {
            "kind": self.kind,
            "architecture": self.architecture.to_json(),
            "recipe": self.recipe,
            "data": self.data,
            "seed": self.seed,
            "start": self.start.to_json() if self.start else None,
        }

    @staticmethod
    def from_json(description: dict) -> "Run":
        """The inverse of `to_json`."""
        start = description["start"]
        return Run(
            **{
                **description,
                "architecture": Architecture.from_json(description["architecture"]),
                "start": Run.from_json(start) if start else None,
            }
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.architecture.params:,} parameters, seed {self.seed})"


def _without_places(description: dict) -> dict:
    """The digest says what the data is; beside it the name, which can be a path, says only where."""
    start, data = description["start"], dict(description["data"])
    if "digest" in data:
        del data["name"]
    return {**description, "data": data, "start": _without_places(start) if start else None}


# --- one run on disk -------------------------------------------------------------------------------------


def folder(run: Run, outputs: Path) -> Path:
    """Where a run lives: shared by all studies under `outputs`."""
    return outputs / "runs" / run.key


def result(run: Run, outputs: Path) -> dict | None:
    """What a finished run found, or None. Raises BadInput if the file is there but damaged."""
    path = folder(run, outputs) / "run.json"
    if not path.exists():
        return None
    found = read_json(path)
    if not (isinstance(found, dict) and {"run", "metrics"} <= found.keys()):
        raise Damaged(path)
    return found


def finish(run: Run, outputs: Path, metrics: dict, about: dict, files: Iterable[str] = ()) -> dict:
    """Write the result, last of all the run's files. `about`: device, versions; `files`: to vouch for."""
    where = folder(run, outputs)
    digests = {name: file_digest(where / name) for name in files if (where / name).exists()}
    whole = {"key": run.key, "run": run.to_json(), "metrics": metrics, "about": about, "files": digests}
    write_json(where / "run.json", whole)
    return whole


def verified(run: Run, outputs: Path) -> dict | None:
    """The result as `result` gives it; raises Damaged too if another file of the run is not what it was."""
    found = result(run, outputs)
    for name, digest in (found or {}).get("files", {}).items():
        path = folder(run, outputs) / name
        if not path.exists() or file_digest(path) != digest:
            raise Damaged(path)
    return found


def set_aside(run: Run, outputs: Path) -> Path:
    """Move a damaged run out of the way, so that it is made again and nothing is lost."""
    where = folder(run, outputs)
    number = 1
    while (aside := where.with_name(f"{run.key}.damaged-{number}")).exists():
        number += 1
    os.rename(where, aside)
    return aside


def restore(run: Run, outputs: Path | None = None, *, round: int) -> Any:
    """The network after any round of a finished pruning, to the last bit: a `networks.Network`.

    outputs: where its results are (`outputs_folder()` if it is not said). Raises BadInput as `jobs.restore`.
    """
    from horticulture import jobs  # only here: whoever collects and draws needs no torch

    return jobs.restore(run, outputs or outputs_folder(), round)


def removals(run: Run, outputs: Path) -> pd.DataFrame:
    """The rounds of a finished pruning, one row each. Raises BadInput if there are none."""
    path = folder(run, outputs) / "removals.csv"
    try:
        frame = pd.read_csv(path, dtype={"run": str, "architecture": str})
        whole = range(run.recipe["rounds"] + 1)
        if list(frame.columns) != REMOVAL_COLUMNS or list(frame["round"].unique()) != list(whole):
            raise ValueError("columns or rounds are missing")
        if frame.drop(columns="saliency").isna().any(axis=None):  # round 0 removes nothing
            raise ValueError("values are missing")
    except FileNotFoundError as error:
        raise BadInput(f"{run} has not been made yet: there is no {path}") from error
    except ValueError as error:
        raise Damaged(path) from error
    return frame


def architecture_at(run: Run, removed: pd.DataFrame, round_: int) -> Architecture:
    """The architecture after that round of a pruning. Raises BadInput if there was no such round."""
    if not 0 <= round_ <= removed["round"].max():
        raise BadInput(f"no round {round_}: {run} has rounds 0 to {removed['round'].max()}")
    gone = removed.loc[removed["round"] <= round_, "group"].value_counts()  # -1: no channel went
    widths = enumerate(run.architecture.widths)
    return run.architecture.with_widths(tuple(width - int(gone.get(group, 0)) for group, width in widths))


def remaining(run: Run, removed: pd.DataFrame, round_: int) -> list[list[int]]:
    """The channels of every group that are there after a round, by their numbers in the whole network."""
    gone = removed[(removed["round"] <= round_) & (removed["group"] >= 0)]
    left = [list(range(width)) for width in run.architecture.widths]
    for group, channel in zip(gone["group"], gone["channel"], strict=True):
        left[group].remove(channel)
    return left


def round_nearest(removed: pd.DataFrame, params: float) -> int:
    """The round whose network comes nearest to that many parameters."""
    return int(removed.loc[(removed["params"] - params).abs().idxmin(), "round"])


# --- a study's curves ------------------------------------------------------------------------------------


class Member(NamedTuple):
    """A network's place in a study: on which curve, found by which criterion, after which round.

    `before` is what it cost to find the architecture, in MACs: none for a simple family. `ratio`: the share
    that the pruning took away, if it was asked for.
    """

    curve: str
    run: Run
    criterion: str = ""
    round: int | None = None
    before: int = 0
    ratio: float | None = None


def record(study: Path, members: Iterable[Member]) -> None:
    """Say which runs make a study's curves; what was said of the same curve and criterion is replaced."""
    curves: dict[str, list[dict]] = {}
    for member in members:
        entry = {**member._asdict(), "run": member.run.to_json()}
        curves.setdefault("-".join(filter(None, (member.curve, member.criterion))), []).append(entry)
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
    return pd.DataFrame(rows, columns=RESULT_COLUMNS).astype(TYPES)


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
    common |= {"run": run.key, "family": shape.family, "seed": run.seed}
    common |= {"recipe": metrics["recipe"], "ratio": member.ratio}
    if run.kind == "prune":
        rounds = removals(run, outputs).drop_duplicates("round", keep="last")
        return [{**common, **row} for row in rounds.to_dict("records")]
    row = {name: metrics.get(name) for name in ("val_error", "test_error", "seconds", "bytes")}
    row |= {"architecture": shape.id, "params": metrics.get("params", shape.params), "macs": shape.macs}
    row |= {"round": member.round, "epochs": run.recipe["epochs"]}
    return [{**common, **row, "train_macs": member.before + metrics["train_macs"]}]


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


# --- files -----------------------------------------------------------------------------------------------


def outputs_folder(path: str | Path = "") -> Path:
    """Where results go: `path`, or `HORTICULTURE_OUTPUTS`, or `outputs/` beside the library's checkout.

    Absolute, so that a notebook means the same folder whatever directory it runs in.
    """
    default = os.environ.get("HORTICULTURE_OUTPUTS") or Path(__file__).parents[2] / "outputs"
    return Path(path or default).expanduser().resolve()
