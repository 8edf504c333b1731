"""Error against cost, and round by round."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from horticulture.figures.looks import CURVES, Look, label, magnitude

LINES = ["-", "--", ":", "-."]  # one a criterion

AXES = {
    "params": "parameters",
    "macs": "multiply-accumulates an image",
    "train_macs": "multiply-accumulates of all training",
}


def error_against(
    results: pd.DataFrame, cost: str, network: str, ax: Axes | None = None, *, error: str = "test_error"
) -> Axes:
    """Error (%) against a cost: a point for every network, a line through the means over seeds.

    results: columns curve, criterion, seed, `cost` and `error`. The axis ends a little above the worst
    scratch network, so that the last ruins of a pruning do not flatten everything else.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    criteria = list(dict.fromkeys(results.loc[results["criterion"] != "", "criterion"]))
    found = results.dropna(subset=[cost])
    for curve, look in CURVES.items():
        for criterion, one in found[found["curve"] == curve].groupby("criterion"):
            line = LINES[criteria.index(criterion) % len(LINES)] if criterion else "-"
            _draw(one, cost, error, look, line, label(curve, str(criterion), network), ax)
    scratch = found.loc[~found["curve"].isin(["whole", "pruned-tuned"]), error]
    top, bottom = (scratch if len(scratch) else found[error]).max(), found[error].min()
    ax.set_ylim(max(0, bottom - 0.12 * (top - bottom)), top + 0.25 * (top - bottom) + 0.5)
    ax.set_xlim(0, 1.04 * found[cost].max())
    ax.set_xlabel(AXES.get(cost, cost))
    ax.set_ylabel(f"{error.removesuffix('_error').replace('val', 'validation')} error (%)")
    if cost in AXES:
        ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    return ax


def _draw(one: pd.DataFrame, cost: str, error: str, look: Look, line: str, name: str, ax: Axes) -> None:
    style: dict[str, Any] = {**look.style, "label": name}
    if look.marker == "*":
        ax.plot(one[cost], one[error], linestyle="", markersize=15, zorder=5, **style)
    elif look.marker == ".":
        line = line if cost in AXES else ""  # measured times do not fall from round to round
        for i, (_, rounds) in enumerate(one.sort_values("round").groupby("seed")):
            style["label"] = name if i == 0 else None
            ax.plot(
                rounds[cost], rounds[error], linestyle=line, linewidth=0.7, markersize=4, alpha=0.8, **style
            )
    else:
        several = one["seed"].nunique() > 1
        rank = one.groupby("seed")[cost].rank(method="first")
        means = one.groupby(rank)[[cost, error]].mean()
        ax.plot(means[cost], means[error], linestyle=line, linewidth=1.8, markersize=6.5, zorder=3, **style)
        if several:
            ax.plot(one[cost], one[error], linestyle="", alpha=0.35, markersize=4, **look.style)


def rounds(removals: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Validation and test error of the shrinking network, round by round."""
    ax = ax or plt.subplots(figsize=(8, 3.6))[1]
    ax.plot(removals["round"], removals["val_error"], color="#999999", linewidth=0.8, label="validation")
    ax.plot(removals["round"], removals["test_error"], color="#D55E00", linewidth=1.2, label="test")
    ax.set_xlabel("channels removed")
    ax.set_ylabel("error (%)")
    ax.legend()
    return ax
