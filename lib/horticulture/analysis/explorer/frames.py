"""The data of the explorer: a study's frames as plain data, with one number per round where possible."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.markers import MarkerStyle
from numpy.typing import ArrayLike

from horticulture.analysis.curves import BLACK, DRAWN, SPARSE, criterion_colors, drop_sparse, label
from horticulture.analysis.tables.cases import fill_defaults, retrained_rounds
from horticulture.analysis.tables.wording import COSTS, LATENCY, cost_name, percent, times
from horticulture.architecture import Architecture
from horticulture.errors import InputError

PAPERS = ("#ffffff", "#121212")  # behind the explorer in the light and in the dark
AXES = {**COSTS, "train_macs": "compute so far: multiply-accumulates of all training", "round": "round"}


class PruningRun(NamedTuple):
    """A pruning run as the explorer shows it.

    removed: a row per removed channel, as returned by `runs.removals`. rounds: a row per round, indexed by
    its number, with params, macs and train_macs, and with test_error and latencies where measured. color: as
    in the figures.
    """

    name: str
    criterion: str
    seed: int
    whole: Architecture
    removed: pd.DataFrame
    rounds: pd.DataFrame
    color: str = DRAWN["pruned-tuned"].color

    def widths(self, round_: int) -> tuple[int, ...]:
        """Channels of every group after a round."""
        lost = self.removed.loc[self.removed["round"] <= round_, "group"].value_counts()
        return tuple(width - int(lost.get(group, 0)) for group, width in enumerate(self.whole.widths))


def pruning_runs(
    results: pd.DataFrame, removals: pd.DataFrame, architectures: Mapping[str, Architecture]
) -> list[PruningRun]:
    """Every pruning run, in the order of the results. Raises InputError if there is none.

    A round that was evaluated by another run has that run's error, as in the results. Of a pruning run that
    is not drawn round by round, the results have such rounds only: it is the one run that made them.
    """
    results = fill_defaults(results)
    keys = ["criterion", "seed", "longer", "ratio"]
    made = ["round", "architecture", "train_macs"]
    courses = results[results["curve"].map(drop_sparse) == "pruned-tuned"]
    of_run = dict(iter(removals.groupby("run", sort=False)))
    latencies = [name for name in results if name.startswith(LATENCY)]
    measured = ["test_error", *latencies]
    pruned = []
    for (criterion, seed, longer, ratio), course in courses.groupby(keys, sort=False, dropna=False):
        drawn = [key for key in course["run"].unique() if key in of_run]
        makers = removals.merge(course[made].drop_duplicates())["run"].unique()
        for key in drawn or makers[: len(makers) == 1]:
            removed = of_run[key]
            rounds = removed.drop_duplicates("round", keep="last").set_index("round")
            whole = architectures[rounds.loc[0, "architecture"]]
            by_round = course.dropna(subset=["test_error"]).drop_duplicates("round").set_index("round")
            own_errors = rounds["test_error"]
            rounds = rounds[[*COSTS]].join(by_round[measured])
            if not drawn:  # a timed round or two say nothing of the others
                rounds[latencies] = np.nan
            rounds["test_error"] = rounds["test_error"].fillna(own_errors)
            name = f"{criterion}{'' if pd.isna(ratio) else f' −{percent(ratio)}'}, seed {seed}"
            name += "" if longer == 1 else f", trained {times(longer)} as long"
            pruned.append(PruningRun(name, criterion, int(seed), whole, removed, rounds))
    if not pruned:
        raise InputError("no network of these results was pruned: there are no rounds to explore")
    colors = criterion_colors(run.criterion for run in pruned)
    return [run._replace(color=colors.get(run.criterion, run.color)) for run in pruned]


def describe(
    runs: list[PruningRun], results: pd.DataFrame, architectures: Mapping[str, Architecture]
) -> dict[str, Any]:
    """The data of the element: axes, pruning runs, and all other trained networks by curve.

    As in the figures, retrained rounds of longer training are among them, but for those pruned by a ratio,
    and a network that belongs to two curves is in the first. `same` numbers the networks: one
    that criteria share is listed for each, because only one criterion is shown at a time.
    """
    trained = fill_defaults(results)
    drawn = trained["curve"].isin([name for name in DRAWN if not name.startswith(SPARSE)])
    rounds = retrained_rounds(trained) & (trained["longer"] > 1) & trained["ratio"].isna()
    drawn &= (trained["curve"] != "pruned-tuned") | rounds
    drawn &= trained["test_error"].notna() & trained["architecture"].isin(architectures)
    trained = trained[drawn]
    network = ["run", "architecture", "longer"]
    trained = trained.assign(
        place=trained["curve"].map(list(DRAWN).index),  # as in tables and legends
        same=trained.groupby(network, sort=False).ngroup(),
    )
    trained = trained.sort_values(["place", "criterion", "longer", "params", "seed"], kind="stable")
    trained = trained.drop_duplicates([*network, "criterion"])
    latencies = [name for name in results if name.startswith(LATENCY) and results[name].notna().any()]
    numbers = {short: n for n, short in enumerate(trained["architecture"].unique())}
    curves = {pair: n for n, pair in enumerate(trained.groupby(["curve", "criterion"], sort=False).groups)}
    return {
        "axes": [*AXES.items(), *((name, cost_name(name)) for name in latencies)],
        "runs": [_run(run, latencies) for run in runs],
        "curves": [_curve(curve, criterion) for curve, criterion in curves],
        "architectures": [architectures[short].widths for short in numbers],
        "networks": [
            {
                "curve": curves[row["curve"], row["criterion"]],
                "architecture": numbers[row["architecture"]],
                "longer": row["longer"],
                **{name: int(row[name]) for name in ("seed", "same", *COSTS)},
                "error": _short(row["test_error"]),
                **{name: _short(row[name]) for name in latencies if pd.notna(row[name])},
            }
            for row in trained.to_dict("records")
        ],
    }


def _run(run: PruningRun, latencies: list[str]) -> dict[str, Any]:
    """What each round removed, and the sizes and measurements of the network after it."""
    by_round = [rows for round_, rows in run.removed.groupby("round") if round_]
    return {
        "name": run.name,
        "criterion": run.criterion,
        "seed": run.seed,
        "colors": [_contrasting(run.color, paper) for paper in PAPERS],
        "groups": run.whole.groups,
        "widths": run.whole.widths,
        "gone": [_lost(rows["group"]) for rows in by_round],
        "channel": [int(rows["channel"].iloc[0]) if len(rows) == 1 else -1 for rows in by_round],
        "saliency": [_short(rows["saliency"].max()) for rows in by_round],
        **{name: run.rounds[name].tolist() for name in COSTS},
        "error": _measured(run.rounds["test_error"]),
        **{name: _measured(run.rounds[name]) for name in latencies},
    }


def _lost(groups: pd.Series) -> int | list[list[int]]:
    """The group that lost a channel (-1: none); for several channels, [group, number lost] pairs."""
    if len(groups) == 1:
        return int(groups.iloc[0])
    return [[int(group), int(count)] for group, count in groups.value_counts().sort_index().items()]


def _measured(values: pd.Series) -> dict[str, list]:
    """The rounds at which something was measured, and the values."""
    measured = values.dropna()
    return {"rounds": measured.index.tolist(), "values": [_short(value) for value in measured]}


def _short(value: float) -> float | None:
    """Round to six digits, so that what is shown with fewer is not rounded twice to another number."""
    return None if pd.isna(value) else float(f"{value:.6g}")


def _curve(curve: str, criterion: str) -> dict[str, Any]:
    drawn = DRAWN[curve]
    return {
        "name": label(curve, criterion),
        "criterion": criterion,
        # Black would vanish in the dark.
        "colors": [
            "currentColor" if drawn.color == BLACK else _contrasting(drawn.color, paper) for paper in PAPERS
        ],
        "marker": _path(MarkerStyle(drawn.marker)),
    }


def _contrasting(color: str, paper: str) -> str:
    """The colour, mixed with white or black until it has the contrast that WCAG 2.1 asks of marks, 3:1.

    On dark paper 4.5:1, with which the fainter marks of other seeds have enough, too.
    """
    below = _luminance(to_rgb(paper))
    end = float(below < 0.18)  # white on dark paper, black on light
    least = 4.55 if end else 3.05  # more, because colours are rounded
    for share in np.linspace(0, 1, 51):
        mixed = (1 - share) * np.array(to_rgb(color)) + share * end
        light, dark = sorted((_luminance(mixed), below), reverse=True)
        if (light + 0.05) / (dark + 0.05) >= least:
            break
    return to_hex(mixed)


def _luminance(color: ArrayLike) -> float:
    """Relative luminance of an sRGB colour, from 0 to 1: WCAG 2.1."""
    parts = np.asarray(color)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _path(marker: MarkerStyle) -> str:
    """A marker of the figures as an SVG path, 2 wide or high."""
    polygons = marker.get_path().transformed(marker.get_transform()).to_polygons()
    corners = [np.asarray(polygon) for polygon in polygons]
    size = max(np.abs(polygon).max() for polygon in corners)
    return "".join(f"M{'L'.join(f'{x:.2g},{-y:.2g}' for x, y in polygon / size)}Z" for polygon in corners)
