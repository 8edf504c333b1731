"""Error against what a network costs."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from horticulture.figures.looks import COLORS, CURVES, GREY, Look, label, magnitude

LINES = ["-", "--", ":", "-."]  # one a criterion
FEW = 3  # rounds of a pruning that are drawn as points, without a line between them
MANY = 2  # criteria; of more each has a colour, and a curve is known by its marker
ROOM = 9  # entries of a legend inside the axes; a longer one stands beside them

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
    scratch network, so that the last ruins of a pruning do not flatten everything else. A curve has a
    colour; where there are many criteria they have it.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    criteria = list(dict.fromkeys(results.loc[results["criterion"] != "", "criterion"]))
    found = results.dropna(subset=[cost])
    for curve, look in CURVES.items():
        for criterion, one in found[found["curve"] == curve].groupby("criterion"):
            line = LINES[criteria.index(criterion) % len(LINES)] if criterion else "-"
            if criterion and len(criteria) > MANY:
                look = look._replace(color=COLORS[criteria.index(criterion) % len(COLORS)])
                line = LINES[criteria.index(criterion) // len(COLORS)]
            _draw(one, cost, error, look, line, label(curve, str(criterion), network), ax)
    scratch = found.loc[~found["curve"].isin(["whole", "pruned-tuned"]), error]
    top, bottom = (scratch if len(scratch) else found[error]).max(), found[error].min()
    ax.set_ylim(max(0, bottom - 0.12 * (top - bottom)), top + 0.25 * (top - bottom) + 0.5)
    ax.set_xlim(0, 1.04 * found[cost].max())
    ax.set_xlabel(AXES.get(cost, cost))
    ax.set_ylabel(f"{error.removesuffix('_error').replace('val', 'validation')} error (%)")
    if cost in AXES:
        ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    _legend(ax)
    return ax


def _legend(ax: Axes) -> None:
    """Inside, or beside the axes if it is long."""
    if len(ax.get_legend_handles_labels()[1]) <= ROOM:
        ax.legend(fontsize=9)
    else:
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))


def against_training(results: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Test error (%) against the compute of all training, the search for a shape included.

    results: columns curve, criterion, ratio, params, train_macs, test_error; a point for every network that
    was trained, by curve. What a pruning passed through on its way is drawn small and grey.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    on_the_way = results[results["curve"] == "pruned-tuned"]
    style: dict[str, Any] = {"linestyle": "", "color": GREY, "label": CURVES["pruned-tuned"].short}
    ax.plot(on_the_way["train_macs"], on_the_way["test_error"], marker=".", markersize=3, **style)
    trained = results[results["curve"] != "pruned-tuned"]
    for curve, look in CURVES.items():
        one = trained[trained["curve"] == curve]
        if len(one):
            style = {**look.style, "linestyle": "", "label": look.short}
            size = 15 if curve == "whole" else 6
            ax.plot(one["train_macs"], one["test_error"], markersize=size, alpha=0.75, **style)
    top, bottom = trained["test_error"].quantile(0.95), trained["test_error"].min()
    ax.set_ylim(max(0, bottom - 0.12 * (top - bottom)), top + 0.25 * (top - bottom) + 0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(AXES["train_macs"])
    ax.set_ylabel("test error (%)")
    ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    _legend(ax)
    return ax


def _draw(one: pd.DataFrame, cost: str, error: str, look: Look, line: str, name: str, ax: Axes) -> None:
    style: dict[str, Any] = {**look.style, "label": name}
    if look.marker == "*":
        ax.plot(one[cost], one[error], linestyle="", markersize=15, zorder=5, **style)
    elif look.marker == ".":
        few = one["round"].nunique() <= FEW
        if few or cost not in AXES:  # a stroke has no way to draw; measured times do not fall with the rounds
            line = ""
        for i, (_, rounds) in enumerate(one.sort_values("round").groupby("seed")):
            style["label"] = name if i == 0 else None
            ax.plot(
                rounds[cost],
                rounds[error],
                linestyle=line,
                linewidth=0.7,
                markersize=9 if few else 4,
                alpha=0.8,
                **style,
            )
    else:
        several = one["seed"].nunique() > 1
        rank = one.groupby("seed")[cost].rank(method="first")
        means = one.groupby(rank)[[cost, error]].mean()
        ax.plot(means[cost], means[error], linestyle=line, linewidth=1.8, markersize=6.5, zorder=3, **style)
        if several:
            ax.plot(one[cost], one[error], linestyle="", alpha=0.35, markersize=4, **look.style)
