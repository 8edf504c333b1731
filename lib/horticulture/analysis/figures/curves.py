"""Error against what a network costs."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from horticulture.analysis.figures.style import (
    BLACK,
    CRITERION_COLORS,
    CURVES,
    GREY,
    HOLLOW,
    INDIGO,
    CurveStyle,
    legend_below,
)
from horticulture.analysis.tables.cases import (
    assign_cases,
    fill_defaults,
    retrained_rounds,
    same_run_as,
    scratch_b_epochs,
)
from horticulture.analysis.tables.names import join_words, label, times

LINES = ["-", "--", ":", "-."]  # where there are more criteria than colours
FEW = 3  # rounds of a pruning that are drawn as points, without a line between them
LATENCY = "latency_"  # columns of milliseconds; their batch size follows

COSTS = {
    "params": "parameters",
    "macs": "multiply-accumulates per image",
    "train_macs": "forward multiply-accumulates of all training, pruning included",
}
OUTLINED: dict[str, Any] = {"markeredgecolor": BLACK, "markeredgewidth": 0.9}


def error_against(results: pd.DataFrame, cost: str, network: str, ax: Axes | None = None) -> Axes:
    """Test error (%) against a cost: a line through the means over seeds at each size, a faint dot a network.

    results: columns curve, criterion, seed, params, test_error and `cost`, and where there are any longer,
    run, round and ratio; rows without an error are left out. cost: params, macs, train_macs or latency_BATCH
    (ms).
    Of a pruning every round that was measured is a dot; the outlined marks are means of the rounds that were
    retrained. What was trained longer than the rest is hollow, with an arrow from what was not. A run that
    stands in two curves is drawn in the first. The y-axis ends a little above the worst of these, so that the
    last ruins of a pruning do not flatten everything else. A curve has a colour; if there are several
    criteria, these have the colours, and a curve is known by its marker.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    criteria = list(dict.fromkeys(results.loc[results["criterion"] != "", "criterion"]))
    found = fill_defaults(results).dropna(subset=[cost, "test_error"])
    marks = assign_cases(found)
    marks, epochs = marks.assign(double=same_run_as(marks) != ""), scratch_b_epochs(found)
    for curve, look in CURVES.items():
        for criterion, one in found[found["curve"] == curve].groupby("criterion"):
            line = "-"
            if criterion and len(criteria) > 1:
                again, place = divmod(criteria.index(criterion), len(CRITERION_COLORS))
                look, line = look._replace(color=CRITERION_COLORS[place]), LINES[again % len(LINES)]
            elif criterion and curve == "whole":
                look = look._replace(color=INDIGO)
            mine = marks[(marks["named"] == curve) & (marks["criterion"] == criterion)]
            name = label(curve, str(criterion), network, epochs)
            if curve == "pruned-tuned":
                _rounds(one[one["longer"] == found["longer"].min()], cost, look, line, name, ax)
                _means(mine, cost, look._replace(marker="o"), "", None, ax)
            else:
                _means(mine, cost, look, line, name, ax)
    scratch = marks.loc[marks["curve"] != "whole", "test_error"]
    _error_limits(scratch if len(scratch) else found["test_error"], found["test_error"].min(), ax)
    if cost in COSTS:
        ax.set_xlim(0, 1.04 * found[cost].max())
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.xaxis.set_major_locator(MaxNLocator(7))
    batch = cost.removeprefix(LATENCY)
    ax.set_xlabel(COSTS.get(cost, f"latency of a batch of {batch} (ms)" if batch != cost else cost))
    ax.set_ylabel("test error (%)")
    _legend(marks, (marks["curve"] == "pruned-tuned").any(), ax)
    return ax


def error_against_costs(results: pd.DataFrame, network: str) -> Figure:
    """`error_against` multiply-accumulates and every measured latency, in two columns, with one legend.

    results: as for `error_against`, with the columns macs and latency_BATCH for some batch sizes.
    """
    costs = ["macs", *results.columns[results.columns.str.startswith(LATENCY)]]
    rows = len(costs) // 2 + 1
    figure, axes = plt.subplots(rows, 2, figsize=(9, 3.8 * rows), sharey=True, layout="constrained")
    for ax, cost in zip(axes.flat, costs, strict=False):
        error_against(results, cost, network, ax)
        legend = ax.get_legend()
        legend.remove()
        ax.yaxis.set_tick_params(labelleft=True)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    for ax in axes.flat[len(costs) :]:
        ax.axis("off")
    names = [text.get_text() for text in legend.get_texts()]
    axes.flat[len(costs)].legend(legend.legend_handles, names, loc="center left", fontsize=8)
    return figure


def _means(marks: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str | None, ax: Axes) -> None:
    """One curve: means over seeds by size, joined; seeds faint; what was trained longer hollow, beside it."""
    if marks.empty or marks["double"].all():
        return
    star, outlined = look.marker == "*", name is None
    size = 15 if star else 8 if outlined else 6.5
    style: dict[str, Any] = {**look.style, "markersize": size, "zorder": 5 if star or outlined else 3}
    style |= OUTLINED if outlined else {}
    places = marks.groupby(["longer", "ratio", "size"], dropna=False)
    means = places[[cost, "test_error"]].mean().assign(double=places["double"].all()).reset_index()
    usual = means[means["longer"] == means["longer"].min()].sort_values(cost)
    shown = [i for i, double in enumerate(usual["double"]) if not double]
    ax.plot(
        usual[cost], usual["test_error"], linestyle="" if star else line, linewidth=1.8, markevery=shown,
        label=name, **style,
    )  # fmt: skip
    for _, one in means[(means["longer"] > usual["longer"].min()) & ~means["double"]].iterrows():
        alike = usual[(usual["ratio"] == one["ratio"]) | (usual["ratio"].isna() & pd.isna(one["ratio"]))]
        if len(alike):
            near = alike.loc[(alike["size"] - one["size"]).abs().fillna(0).idxmin()]
            _arrow((near[cost], near["test_error"]), (one[cost], one["test_error"]), look.color, ax)
        above: dict[str, Any] = {**style, **HOLLOW, "markeredgecolor": look.color, "zorder": 6}
        ax.plot([one[cost]], [one["test_error"]], linestyle="", **above)
    if marks["seed"].nunique() > 1:
        for longer, some in marks[~marks["double"]].groupby("longer"):
            hollow = HOLLOW if longer > usual["longer"].min() else {}
            if outlined and not hollow:  # they are dots already, as rounds
                continue
            faint: dict[str, Any] = {**look.style, **hollow, "alpha": 0.35, "markersize": 6 if star else 4}
            ax.plot(some[cost], some["test_error"], linestyle="", zorder=7 if hollow else 2, **faint)


def _arrow(start: tuple[float, float], end: tuple[float, float], color: str, ax: Axes) -> None:
    """An arrow between two marks, bent another way than those that begin near it."""
    beside = sum(abs(other.get_position()[0] / start[0] - 1) < 0.1 for other in ax.texts)
    bent = f"arc3,rad={0.1 * (beside + 1) * (-1) ** beside}"
    arrow = {"arrowstyle": "->", "color": color, "linewidth": 0.8, "shrinkA": 4, "shrinkB": 4}
    ax.annotate("", xy=end, xytext=start, arrowprops=arrow | {"connectionstyle": bent}, zorder=2)


def _rounds(rounds: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str, ax: Axes) -> None:
    """The course of a pruning: every round that was measured, a thin line a seed."""
    few = rounds.groupby("seed").size().max() <= FEW if len(rounds) else True
    if few or cost not in COSTS:  # one-shot pruning has no course; latencies do not fall with the rounds
        line = ""
    for i, (_, one) in enumerate(rounds.sort_values("round").groupby("seed")):
        ax.plot(
            one[cost], one["test_error"], linestyle=line, linewidth=0.7, markersize=9 if few else 4,
            alpha=0.8, label=name if i == 0 else None, **look.style,
        )  # fmt: skip


def _error_limits(errors: pd.Series, lowest: float, ax: Axes) -> None:
    """A y-axis for errors down to the lowest: those that are much higher than `errors` are cut off."""
    span = errors.max() - lowest
    ax.set_ylim(max(0, lowest - 0.12 * span), errors.max() + 0.25 * span + 0.5)


def _legend(networks: pd.DataFrame, outlined: bool, ax: Axes) -> None:
    """The curves, then what outlines and hollow marks mean."""
    handles, labels = ax.get_legend_handles_labels()
    mark: dict[str, Any] = {"linestyle": "", "marker": "o", "color": GREY, "markersize": 6.5}
    if outlined:
        handles.append(Line2D([], [], **mark, **OUTLINED))
        means = "means of the" if networks["seed"].nunique() > 1 else "the"
        labels.append(f"outlined: {means} rounds that were retrained")
    if longer := sorted(networks["longer"].unique())[1:]:
        handles.append(Line2D([], [], **{**mark, **HOLLOW}))
        labels.append(f"hollow: trained {join_words(map(times, longer))} as long")
    legend_below(ax, handles, labels)


def against_training(results: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Test error (%) against the compute of all training, the search for a shape included.

    results: columns curve, criterion, ratio, params, train_macs, test_error, and where there are any longer,
    run and round; a point for every network that was trained, by curve, hollow if longer than the rest. The
    rounds of a pruning are small points; rows without an error are left out.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    results = fill_defaults(results).dropna(subset=["test_error"])
    results, epochs = results.assign(double=same_run_as(results) != ""), scratch_b_epochs(results)
    rounds = results["curve"] == "pruned-tuned"
    shown = results.loc[~rounds | retrained_rounds(results), "test_error"]
    round_size = 3 if rounds.sum() > 100 else 7
    for curve, look in CURVES.items():
        networks = results[(results["curve"] == curve) & ~results["double"]]
        size = {"whole": 15, "pruned-tuned": round_size}.get(curve, 6)
        for longer, some in networks.groupby("longer"):
            hollow = HOLLOW if longer > results["longer"].min() else {}
            style: dict[str, Any] = {**look.style, **hollow, "markersize": size}
            name = None if hollow else label(curve, epochs=epochs)
            ax.plot(
                some["train_macs"], some["test_error"], linestyle="", label=name, alpha=0.75,
                zorder=2.5 if curve == "whole" else 2, **style,
            )  # fmt: skip
    _error_limits(shown, results["test_error"].min(), ax)
    ax.set_xlim(left=0)
    ax.set_xlabel(COSTS["train_macs"])
    ax.set_ylabel("test error (%)")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    _legend(results, False, ax)
    return ax
