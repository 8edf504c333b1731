"""Figures over several seeds: each as a point, their mean with its interval; and ranks against the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from horticulture.analysis.curves import BLACK, BLUE, DRAWN, GREY, MORE_EPOCHS, label
from horticulture.analysis.figures.style import legend_below, literal
from horticulture.analysis.statistics import FEWEST, UNDECIDED, confidence_interval
from horticulture.analysis.tables.cases import RATIO_CASE, fill_defaults, same_run_as
from horticulture.analysis.tables.wording import case_name
from horticulture.errors import check_choice

MAX_CASES_IN_PANEL = 8

WholeErrors = Mapping[float, Sequence[float]]  # by length of training: test errors (%), one a seed


@literal
def budgets_by_ratio(
    results: pd.DataFrame, whole_errors: WholeErrors, *, epochs: str = MORE_EPOCHS
) -> Figure:
    """`budgets` of a whole study; with more cases than `MAX_CASES_IN_PANEL`, a panel for each ratio."""
    results = results.dropna(subset=["test_error"])
    together = len(results.drop_duplicates(RATIO_CASE)) <= MAX_CASES_IN_PANEL
    parts = [results] if together else [part for _, part in results.groupby("ratio", sort=True)]
    cases = max(len(part.drop_duplicates(RATIO_CASE)) for part in parts)
    size = (max(8.0, 1.2 * cases), 4.4 * len(parts))
    figure, axes = plt.subplots(len(parts), 1, figsize=size, squeeze=False)
    for ax, part in zip(axes.flat, parts, strict=True):
        budgets(part, whole_errors, ax, epochs=epochs)
    named: dict[str, Artist] = {}
    for ax in axes.flat:
        named |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        ax.get_legend().remove()
        ax.label_outer()
        ax.tick_params(labelbottom=True)
    legend_below(axes.flat[-1], list(named.values()), list(named))
    return figure


@literal
def budgets(
    results: pd.DataFrame, whole_errors: WholeErrors, ax: Axes | None = None, *, epochs: str = MORE_EPOCHS
) -> Axes:
    """Test error of the same pruned shapes, retrained in several ways (the tables of Liu et al., 2019).

    results: columns criterion, ratio (share removed), curve, seed and test_error (%), optionally longer and
    run; rows without an error are left out. Cases (criterion, ratio, length of training) and curves keep the
    order of the frame, and a run that belongs to two curves is drawn in the first.
    Every seed is a small point; the large one beside them is their mean with its 95 % interval. The
    horizontal line and band are those of the whole network with the same length of training. With fewer than
    three seeds there are only the points, drawn large. Intervals much wider than the range of the points are
    cut off.
    epochs: from `cases.scratch_b_in_words`.
    Raises InputError for a curve that cannot be drawn.
    """
    for curve in results["curve"].unique():
        check_choice(curve, DRAWN, "curve")
    results = fill_defaults(results).dropna(subset=["test_error"])
    results = results[same_run_as(results) == ""]
    cases = list(results.groupby(RATIO_CASE, sort=False).groups)
    ax = ax or plt.subplots(figsize=(max(5.5, 1.5 + 1.3 * len(cases)), 4.2))[1]
    shown = results["test_error"].to_list()
    for i, (*_, longer) in enumerate(cases):
        if errors := whole_errors.get(longer):
            shown += errors
            _draw_whole(errors, i / len(cases), (i + 1) / len(cases), ax)
    by_curve = results.groupby("curve", sort=False)
    slot = 0.8 / len(by_curve)  # the width of one curve in a case
    for i, (curve, networks) in enumerate(by_curve):
        xs = {case: x + slot * (i + 0.5) - 0.4 for x, case in enumerate(cases)}
        _draw_budget(str(curve), networks, xs, slot, label(str(curve), epochs=epochs), ax)
    room = max(0.5, max(shown) - min(shown)) / 2
    low, high = ax.get_ylim()
    ax.set_ylim(max(0, low, min(shown) - room), min(high, max(shown) + room))
    ax.set_xlim(-0.5, len(cases) - 0.5)
    names = [case_name(criterion, ratio, longer=longer, separator="\n") for criterion, ratio, longer in cases]
    ax.set_xticks(range(len(cases)), names, parse_math=False)  # the legend measures them
    for edge in range(1, len(cases)):
        ax.axvline(edge - 0.5, color="#cccccc", linewidth=0.8)
    ax.grid(visible=False, axis="x")
    ax.set(xlabel="criterion and share removed", ylabel="test error (%)")
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax


def _draw_whole(errors: Sequence[float], start: float, end: float, ax: Axes) -> None:
    """The whole network's mean and, as a band, its interval; start, end: fractions of the axes' width."""
    interval = confidence_interval(errors)
    name = None if ax.lines else label("whole")
    ax.axhline(interval.mean, start, end, color=BLACK, linewidth=1, zorder=1, label=name)
    if interval.n >= FEWEST:
        ax.axhspan(interval.low, interval.high, start, end, color=BLACK, alpha=0.08, linewidth=0, zorder=0)


def _draw_budget(
    curve: str, networks: pd.DataFrame, xs: Mapping[tuple, float], slot: float, name: str, ax: Axes
) -> None:
    """One curve at every case: its seeds, and beside them their mean with its interval. slot: its width."""
    style, means = DRAWN[curve].style, []
    for case, errors in networks.groupby(RATIO_CASE)["test_error"]:
        if len(errors) < FEWEST:
            means += [(xs[case], error, np.nan) for error in errors]
            continue
        seeds = [xs[case] - 0.3 * slot] * len(errors)
        ax.plot(seeds, errors, linestyle="", alpha=0.5, markersize=4, **style)
        interval = confidence_interval(errors)
        means.append((xs[case] + 0.22 * slot, interval.mean, interval.high - interval.mean))
    x, y, half = zip(*means, strict=True)
    ax.errorbar(
        x, y, half, linestyle="", markersize=7, elinewidth=1.4, capsize=3, zorder=3, label=name, **style
    )


@literal
def differences(compared: pd.DataFrame, ax: Axes | None = None, *, epochs: str = MORE_EPOCHS) -> Axes:
    """By how much shapes with new weights differ from the networks that kept theirs, at every case.

    compared: from `tables.decisive_verdicts`; columns curve, against, case, difference, low, high (points),
    margin and verdict. A row for each curve at each case, with its 95 % interval for the case alone, and
    beside it the verdict, which is adjusted for all cases. A shaded band marks what counts as equal.
    epochs: from `tables.scratch_b_in_words`.
    """
    names = list(compared["case"].unique())
    rows = compared.assign(at=compared["case"].map(names.index)).sort_values("at", kind="stable")
    rows["y"] = np.arange(len(rows)) + 0.5 * rows["at"]  # a little more room between two cases
    if ax is None:
        figure, ax = plt.subplots(figsize=(8, 0.3 * (rows["y"].max() + 1) + 1.4))
        counts = compared.groupby(["curve", "verdict"], sort=False).size().items()
        figure.set_label(
            "Verdicts: "
            + "; ".join(f"{label(curve)} {_word(verdict)} {number}" for (curve, verdict), number in counts)
        )
    margin = compared["margin"].iloc[0]
    ax.axvspan(-margin, margin, color=BLACK, alpha=0.08, linewidth=0, label=f"equal, to within {margin:g}")
    ax.axvline(0, color=BLACK, linewidth=1, zorder=1)
    for curve, of_curve in rows.groupby("curve", sort=False):
        half = (of_curve["high"] - of_curve["difference"]).to_numpy()
        ax.errorbar(
            of_curve["difference"], of_curve["y"], xerr=half, linestyle="", markersize=7, capsize=3,
            zorder=3, label=label(str(curve), epochs=epochs), **DRAWN[str(curve)].style,
        )  # fmt: skip
    for row in rows.itertuples():
        place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": "small"}
        ax.text(1.03, row.y, _word(row.verdict), **place)
    above: dict[str, Any] = {"transform": ax.transAxes, "va": "bottom", "fontsize": "small"}
    ax.text(0, 1.01, "← new weights better", **above)
    ax.text(1, 1.01, "kept weights better →", ha="right", **above)
    ax.text(1.03, 1.01, "corrected", style="italic", **above)
    ax.set_yticks(rows.groupby("at")["y"].mean(), names)
    ax.set_ylim(rows["y"].max() + 0.7, -0.7)
    ax.grid(visible=False, axis="y")
    against = label(str(compared["against"].iloc[0]), epochs=epochs)
    ax.set_xlabel(f"test error minus that of {against} (points)")
    legend_below(ax, *ax.get_legend_handles_labels())
    return ax


def _word(verdict: str) -> str:
    return "undecided" if verdict == UNDECIDED else verdict


@literal
def agreement(correlations: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How well each criterion ranks channels by the cost of removal: a point per seed, a bar at the mean.

    correlations: columns criterion, seed and correlation (Spearman's, with the true change of the loss), and
    optionally `ceiling`: about the correlation that a perfect criterion would reach on the same channels,
    because the true change is measured on a limited number of images (drawn as a dashed tick).
    The best criterion is at the top.
    """
    means = correlations.groupby("criterion")["correlation"].mean().sort_values()
    ax = ax or plt.subplots(figsize=(6, 0.45 * len(means) + 1.2))[1]
    for y, (criterion, mean) in enumerate(means.items()):
        seeds = correlations.loc[correlations["criterion"] == criterion, "correlation"]
        ax.plot(seeds, [y] * len(seeds), linestyle="", marker="o", color=BLUE, alpha=0.45, markersize=6)
        ax.plot([mean, mean], [y - 0.3, y + 0.3], color=BLACK, linewidth=2)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    if "ceiling" in correlations and correlations["ceiling"].notna().any():
        best = correlations.groupby("criterion")["ceiling"].mean()[means.index]
        name, ys = "noise ceiling, estimated", np.arange(len(means))
        ax.vlines(best, ys - 0.45, ys + 0.45, BLACK, linestyles="--", linewidth=1.2, label=name)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", borderpad=0)
    ax.set(xlim=(min(-0.1, correlations["correlation"].min() - 0.05), 1), ylim=(-0.6, len(means) - 0.4))
    ax.set_yticks(range(len(means)), list(means.index))
    ax.set_xlabel("rank correlation with the true change of the loss")
    return ax


@literal
def saliency_against_truth(scored: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """A criterion's ranking of the channels against the ranking by the true change of the loss.

    scored: columns saliency and loss_change, a row per channel. A perfect criterion would be on the line; the
    title has Spearman's correlation.
    """
    ax = ax or plt.subplots(figsize=(4.4, 4.4))[1]
    ranks = scored[["saliency", "loss_change"]].rank()
    ax.plot([1, len(ranks)], [1, len(ranks)], color=GREY, linewidth=1, zorder=1)
    area = 36 if len(ranks) < 200 else 9  # in points²
    ax.scatter(ranks["saliency"], ranks["loss_change"], area, color=BLUE, alpha=0.5, linewidths=0)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set(xlabel="rank of the saliency (1 goes first)", ylabel="rank of the true change of the loss")
    ax.set_title(f"rank correlation {ranks['saliency'].corr(ranks['loss_change']):.2f}", fontsize=11)
    return ax
