"""Test error against the cost of a network."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from horticulture.analysis.curves import (
    BLACK,
    CRITERION_COLORS,
    CURVES,
    DRAWN,
    GREY,
    INDIGO,
    CurveStyle,
    criterion_colors,
    label,
)
from horticulture.analysis.figures.style import HOLLOW, legend_below, limit_costs, literal
from horticulture.analysis.tables import cases
from horticulture.analysis.tables.wording import COSTS, LATENCY, cost_name, join_words, times
from horticulture.errors import check_choice

LINES = ["-", "--", ":", "-."]  # for more criteria than colours
POINTS_ONLY = 3  # a pruning run of up to this many rounds is drawn without a line
OUTLINED: dict[str, Any] = {"markeredgecolor": BLACK, "markeredgewidth": 0.9}


@literal
def error_against(results: pd.DataFrame, cost: str, network: str, ax: Axes | None = None) -> Axes:
    """Test error (%) against a cost: the means over seeds, and a faint dot for each network.

    The means of a curve are joined by a line, except against measured latency, by which the sizes of a curve
    may come in any order.

    results: columns curve, criterion, seed, params, test_error and `cost`, optionally longer, run, round and
    ratio; rows without an error are left out. cost: params, macs, train_macs or latency_BATCH (ms).
    Every evaluated round of a pruning run is a dot; outlined marks are the means of the retrained rounds.
    Networks trained longer than usual are hollow, with an arrow from the mark of the usual length. A run that
    belongs to two curves is drawn in the first. The y-axis ends a little above the worst trained network, so
    that the last rounds of a pruning run do not flatten everything else. Colours stand for curves, or for
    criteria if there are several; then the marker identifies the curve.
    Raises InputError for an unknown curve.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    for curve in results["curve"].unique():
        check_choice(curve, CURVES, "curve")
    colors = criterion_colors(results["criterion"])
    results = cases.fill_defaults(results).dropna(subset=[cost, "test_error"])
    marks, epochs = cases.assign_cases(results), cases.scratch_b_in_words(results)
    marks = marks.assign(double=cases.same_run_as(marks) != "")
    for curve, look in DRAWN.items():
        for criterion, networks in results[results["curve"] == curve].groupby("criterion"):
            line = "-" if cost in COSTS else ""  # a smaller network is not always a faster one
            if criterion in colors:
                look = look._replace(color=colors[str(criterion)])
                again = list(colors).index(str(criterion)) // len(CRITERION_COLORS)
                line = line and LINES[again % len(LINES)]
            elif criterion and curve == "whole":
                look = look._replace(color=INDIGO)
            of_curve = marks[(marks["named"] == curve) & (marks["criterion"] == criterion)]
            name = label(curve, str(criterion), network, epochs=epochs, one_shot=cases.is_one_shot(networks))
            if curve == "pruned-tuned":
                rounds = networks[networks["longer"] == results["longer"].min()]
                _draw_rounds(rounds, cost, look, line, name, ax)
                _draw_means(of_curve, cost, look._replace(marker="o"), "", None, ax)
            else:
                _draw_means(of_curve, cost, look, line, name, ax)
    retrained = marks.loc[marks["curve"] != "whole", "test_error"]
    _limit_errors(retrained if len(retrained) else results["test_error"], results["test_error"].min(), ax)
    if cost in COSTS:
        limit_costs(results[cost], ax)
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.xaxis.set_major_locator(MaxNLocator(7))
    ax.set(xlabel=cost_name(cost), ylabel="test error (%)")
    _explain_marks(marks, (marks["curve"] == "pruned-tuned").any(), ax)
    return ax


@literal
def error_against_costs(results: pd.DataFrame, network: str) -> Figure:
    """`error_against` for multiply-accumulates and every measured latency, in two columns with one legend.

    results: as for `error_against`, with the columns macs and latency_BATCH for some batch sizes.
    """
    costs = ["macs", *results.columns[results.columns.str.startswith(LATENCY)]]
    rows = len(costs) // 2 + 1
    figure, axes = plt.subplots(
        rows, 2, figsize=(9, 3.8 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    legends = []
    for ax, cost in zip(axes.flat, costs, strict=False):
        error_against(results, cost, network, ax)
        legends.append(ax.get_legend())
        legends[-1].remove()
        ax.yaxis.set_tick_params(labelleft=True)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    for ax in axes.flat[len(costs) :]:
        ax.axis("off")
    legend = legends[0]  # that of the panel with lines
    names = [text.get_text() for text in legend.get_texts()]
    axes.flat[len(costs)].legend(legend.legend_handles, names, loc="center left", fontsize=8)
    return figure


def _draw_means(
    marks: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str | None, ax: Axes
) -> None:
    """One curve: means over seeds joined by a line, faint seeds, and hollow marks for longer training."""
    if marks.empty or marks["double"].all():
        return
    star, outlined = look.marker == "*", name is None
    size = 15 if star else 8 if outlined else 6.5
    style: dict[str, Any] = {**look.style, "markersize": size, "zorder": 5 if star or outlined else 3}
    style |= OUTLINED if outlined else {}
    by_size = marks.groupby(["longer", "ratio", "size"], dropna=False)
    means = by_size[[cost, "test_error"]].mean().assign(double=by_size["double"].all()).reset_index()
    usual = means[means["longer"] == means["longer"].min()].sort_values(cost)
    shown = [i for i, double in enumerate(usual["double"]) if not double]
    ax.plot(
        usual[cost], usual["test_error"], linestyle="" if star else line, linewidth=1.8, markevery=shown,
        label=name, **style,
    )  # fmt: skip
    for _, mean in means[(means["longer"] > usual["longer"].min()) & ~means["double"]].iterrows():
        once = usual[usual["ratio"].isna() if pd.isna(mean["ratio"]) else usual["ratio"] == mean["ratio"]]
        if len(once):
            near = once.loc[(once["size"] - mean["size"]).abs().fillna(0).idxmin()]
            start, end = ((point[cost], point["test_error"]) for point in (near, mean))
            _draw_arrow(start, end, size, look.color, ax)
        hollow_style: dict[str, Any] = {**style, **HOLLOW, "markeredgecolor": look.color, "zorder": 6}
        ax.plot([mean[cost]], [mean["test_error"]], linestyle="", **hollow_style)
    if marks["seed"].nunique() > 1:
        for longer, seeds in marks[~marks["double"]].groupby("longer"):
            hollow = HOLLOW if longer > usual["longer"].min() else {}
            if outlined and not hollow:  # already drawn as rounds
                continue
            faint: dict[str, Any] = {**look.style, **hollow, "alpha": 0.35, "markersize": 6 if star else 4}
            ax.plot(seeds[cost], seeds["test_error"], linestyle="", zorder=7 if hollow else 2, **faint)


def _draw_arrow(
    start: tuple[float, float], end: tuple[float, float], size: float, color: str, ax: Axes
) -> None:
    """An arrow between two marks of that size; arrows from the same place bend to alternating sides."""
    neighbours = sum(abs(text.get_position()[0] / start[0] - 1) < 0.1 for text in ax.texts)
    bend = (0.25 + 0.15 * neighbours) * (-1) ** neighbours
    arrow = {"arrowstyle": "->", "connectionstyle": f"arc3,rad={bend}", "color": color, "linewidth": 0.8}
    arrow |= {"shrinkA": size / 2 + 1, "shrinkB": size / 2 + 1}
    ax.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=2)


def _draw_rounds(rounds: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str, ax: Axes) -> None:
    """The evaluated rounds of a pruning run, with a thin line for each seed."""
    few = rounds.groupby("seed").size().max() <= POINTS_ONLY if len(rounds) else True
    line = "" if few else line  # too few points for a line
    for i, (_, seed) in enumerate(rounds.sort_values("round").groupby("seed")):
        ax.plot(
            seed[cost], seed["test_error"], linestyle=line, linewidth=0.7, markersize=9 if few else 4,
            alpha=0.8, label=name if i == 0 else None, **look.style,
        )  # fmt: skip


def _limit_errors(errors: pd.Series, lowest: float, ax: Axes) -> None:
    """Set the y-axis to range from `lowest` to the highest of `errors`, with a margin."""
    margin = 0.06 * (errors.max() - lowest) + 0.2
    ax.set_ylim(max(0, lowest - margin), errors.max() + margin)


def _explain_marks(networks: pd.DataFrame, outlined: bool, ax: Axes) -> None:
    """A legend of the curves, followed by the meaning of outlined and hollow marks."""
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


@literal
def against_training(results: pd.DataFrame) -> Axes:
    """Test error (%) against the compute of all training, including the search for the shape.

    results: columns curve, criterion, ratio, params, train_macs and test_error, optionally longer, run and
    round; rows without an error are left out. One point for every trained network, hollow if trained longer
    than usual; rounds of a pruning run are small points.
    """
    _, ax = plt.subplots(figsize=(8, 5.2))
    results = cases.fill_defaults(results).dropna(subset=["test_error"])
    # A run that belongs to two curves is drawn twice only if the cost of finding its shape differs.
    same_cost = results.duplicated(["run", "train_macs"], keep=False)
    results = results.assign(double=same_cost & (cases.same_run_as(results) != ""))
    epochs = cases.scratch_b_in_words(results)
    rounds = results["curve"] == "pruned-tuned"
    shown = results.loc[~rounds | cases.retrained_rounds(results), "test_error"]
    round_size = 3 if rounds.sum() > 100 else 7
    for curve, look in DRAWN.items():
        networks = results[(results["curve"] == curve) & ~results["double"]]
        size = {"whole": 15, "pruned-tuned": round_size}.get(curve, 6)
        name: str | None = label(curve, epochs=epochs, one_shot=cases.is_one_shot(networks))
        for longer, points in networks.groupby("longer"):
            hollow = HOLLOW if longer > results["longer"].min() else {}
            style: dict[str, Any] = {**look.style, **hollow, "markersize": size}
            ax.plot(
                points["train_macs"], points["test_error"], linestyle="", label=None if hollow else name,
                alpha=0.75, zorder=2.5 if curve == "whole" else 2, **style,
            )  # fmt: skip
    _limit_errors(shown, results["test_error"].min(), ax)
    ax.set(xlim=(0, None), xlabel=cost_name("train_macs"), ylabel="test error (%)")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    _explain_marks(results, False, ax)
    return ax
