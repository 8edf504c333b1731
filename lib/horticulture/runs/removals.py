"""The rounds of a pruning run: what each removed, and what was left."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.runs.run import Run, folder, read_verified
from horticulture.system.files import CorruptFileError

if TYPE_CHECKING:
    import pandas as pd

REMOVAL_COLUMNS = [
    "run",
    "round",
    "group",
    "channel",
    "saliency",
    "params",
    "macs",
    "val_error",
    "test_error",
    "loss",
    "train_macs",
    "seconds",
    "architecture",
    "digest",
]


def removals(run: Run, outputs: Path) -> pd.DataFrame:
    """The removals of a finished pruning run: a row per channel; a round without one has a row, too.

    Raises InputError if there are none, CorruptFileError if they are damaged.
    """
    import pandas as pd  # takes a second: only where there are results

    path = folder(run, outputs) / "removals.csv"
    try:
        content = read_verified(path.parent, path.name)
    except FileNotFoundError as error:
        raise InputError(f"{run} is not finished: there is no {path}") from error
    try:
        frame = pd.read_csv(BytesIO(content), dtype={"run": str, "architecture": str, "digest": str})
        rounds = list(frame["round"].unique())
        complete = rounds == list(range(len(rounds))) and len(rounds) == run.recipe["rounds"] + 1
        if list(frame.columns) != REMOVAL_COLUMNS or not complete:
            raise ValueError("columns or rounds are missing")
        # round 0 removes nothing, and not every round is evaluated
        if frame.drop(columns=["saliency", "val_error", "test_error"]).isna().any(axis=None):
            raise ValueError("values are missing")
    except ValueError as error:
        raise CorruptFileError(path) from error
    return frame


def widths_by_round(whole: Architecture, removed: pd.DataFrame) -> np.ndarray:
    """(round, group): the width of every group of a network after each round of its pruning."""
    lost = np.zeros((removed["round"].max() + 1, len(whole.widths)), dtype=int)
    channels = removed["group"].isin(range(len(whole.widths)))  # -1: no channel removed
    np.add.at(lost, tuple(removed.loc[channels, ["round", "group"]].to_numpy(dtype=int).T), 1)
    return np.array(whole.widths) - lost.cumsum(axis=0)


def architecture_at(run: Run, removed: pd.DataFrame, round_: int) -> Architecture:
    """The architecture after a round of a pruning run. Raises InputError if there is no such round."""
    if not 0 <= round_ <= removed["round"].max():
        raise InputError(f"no round {round_}: {run} has rounds 0 to {removed['round'].max()}")
    widths = widths_by_round(run.architecture, removed)[round_]
    return run.architecture.with_widths(tuple(widths))


def remaining_channels(run: Run, removed: pd.DataFrame, round_: int) -> list[list[int]]:
    """The channels left in every group after a round, by their numbers in the whole network."""
    lost = removed[(removed["round"] <= round_) & (removed["group"] >= 0)]
    remaining = [list(range(width)) for width in run.architecture.widths]
    for group, channel in zip(lost["group"], lost["channel"], strict=True):
        remaining[group].remove(channel)
    return remaining


def removed_by_round(removed: pd.DataFrame) -> dict[int, list[tuple[int, int]]]:
    """(group, channel in the whole network) of everything removed, by round, in order of removal."""
    channels = removed[removed["group"] >= 0]
    return {
        int(round_): list(zip(in_round["group"].tolist(), in_round["channel"].tolist(), strict=True))
        for round_, in_round in channels.groupby("round")
    }


def nearest_round(removed: pd.DataFrame, params: float) -> int:
    """The round whose number of parameters is nearest."""
    return int(removed.loc[(removed["params"] - params).abs().idxmin(), "round"])
