"""What several seeds say: every one as a point, their mean with its interval, and ranks against the truth."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from horticulture.analysis.figures.style import BLACK, BLUE, CURVES, GREY
from horticulture.analysis.statistics import FEWEST, confidence_interval
from horticulture.analysis.tables import MORE_EPOCHS, again, complete, label, times
from horticulture.errors import check_choice


def budgets(
    results: pd.DataFrame,
    whole_errors: Mapping[float, Sequence[float]],
    ax: Axes | None = None,
    *,
    epochs: str = MORE_EPOCHS,
) -> Axes:
    """Test error of the same pruned shapes, trained again in several ways (the tables of Liu et al., 2019).

    results: columns criterion, ratio (share removed), curve, seed, test_error (%); whole_errors: for each
    length of training the test errors of the whole network, one a seed. Cases and curves keep the order of
    the frame; what was trained longer is a case of its own, rows without an error are left out, and what is
    one run in two curves is drawn in the first. Every seed is a small point; the large ones beside them are
    means with their 95 % intervals, the line and its band those of the whole network that was trained as
    long. Of one seed or two there are only the points, large. An interval much wider than the points lie
    apart is cut off by the axis. epochs: what Scratch-B's are, as `tables.scratch_b` says.
    Raises InputError for a curve that has no look.
    """
    for curve in results["curve"].unique():
        check_choice(curve, CURVES, "curve")
    results = complete(results).dropna(subset=["test_error"])
    results = results[again(results) == ""]
    curves = results.groupby("curve", sort=False)
    cases = list(results.groupby(["criterion", "ratio", "longer"], sort=False).groups)
    ax = ax or plt.subplots(figsize=(max(5.5, 1.5 + 1.3 * len(cases)), 4.2))[1]
    points = results["test_error"].to_list()
    for i, (*_, longer) in enumerate(cases):
        if not len(errors := whole_errors.get(longer, ())):
            continue
        points += errors
        shown, across = confidence_interval(errors), {"xmin": i / len(cases), "xmax": (i + 1) / len(cases)}
        name = None if ax.lines else label("whole")
        ax.axhline(shown.mean, **across, color=BLACK, linewidth=1, zorder=1, label=name)
        if shown.n >= FEWEST:
            ax.axhspan(shown.low, shown.high, **across, color=BLACK, alpha=0.08, linewidth=0, zorder=0)
    for i, (curve, found) in enumerate(curves):
        look = CURVES[str(curve)]
        slot = 0.8 / len(curves)
        aside = slot * (i + 0.5) - 0.4
        means = []
        for case, errors in found.groupby(["criterion", "ratio", "longer"])["test_error"]:
            place = cases.index(case) + aside
            if len(errors) < FEWEST:
                means += [(place, confidence_interval([error])) for error in errors]
                continue
            beside = [place - 0.25 * slot] * len(errors)
            ax.plot(beside, errors, linestyle="", alpha=0.5, markersize=4, **look.style)
            means.append((place + 0.15 * slot, confidence_interval(errors)))
        ax.errorbar(
            [x for x, _ in means],
            [one.mean for _, one in means],
            yerr=[one.high - one.mean for _, one in means],
            linestyle="",
            markersize=8,
            elinewidth=1.4,
            capsize=3,
            zorder=3,
            label=label(str(curve), epochs=epochs),
            **look.style,
        )
    least, most = min(points), max(points)
    room = max(0.5, most - least)
    low, high = ax.get_ylim()
    ax.set_ylim(max(0, low, least - room / 2), min(high, most + room / 2))
    ax.set_xlim(-0.5, len(cases) - 0.5)
    ax.set_xticks(range(len(cases)), [_case(*case) for case in cases])
    for edge in np.arange(0.5, len(cases) - 1):
        ax.axvline(edge, color="#cccccc", linewidth=0.8)
    ax.grid(visible=False, axis="x")
    ax.set_xlabel("criterion and share removed")
    ax.set_ylabel("test error (%)")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize="small")
    return ax


def _case(criterion: str, ratio: float, longer: float) -> str:
    gone = f"−{100 * ratio:.0f} %" if ratio else "all zeros"
    return f"{criterion}\n{gone}" + ("" if longer == 1 else f"\n{times(longer)} as long")


def agreement(correlations: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How well each criterion ranks channels by what their removal costs: a point a seed, a bar at the mean.

    correlations: columns criterion, seed, correlation (Spearman's, with the true change of the loss), and
    `ceiling` where it is known: what a perfect criterion would reach among the channels that this one
    compares, because the true change is itself measured on so many images only; its mean over seeds is a
    dashed tick. The best criterion is at the top.
    """
    means = correlations.groupby("criterion")["correlation"].mean().sort_values()
    ax = ax or plt.subplots(figsize=(6, 0.45 * len(means) + 1.2))[1]
    for place, (criterion, mean) in enumerate(means.items()):
        seeds = correlations.loc[correlations["criterion"] == criterion, "correlation"]
        ax.plot(seeds, [place] * len(seeds), linestyle="", marker="o", color=BLUE, alpha=0.45, markersize=6)
        ax.plot([mean, mean], [place - 0.3, place + 0.3], color=BLACK, linewidth=2)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    if "ceiling" in correlations and correlations["ceiling"].notna().any():
        best = correlations.groupby("criterion")["ceiling"].mean()[means.index]
        said, places = "best possible with this many images", np.arange(len(means))
        ax.vlines(best, places - 0.45, places + 0.45, BLACK, linestyles="--", linewidth=1.2, label=said)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", borderpad=0)
    ax.set_xlim(min(-0.1, correlations["correlation"].min() - 0.05), 1)
    ax.set_ylim(-0.6, len(means) - 0.4)
    ax.set_yticks(range(len(means)), list(means.index))
    ax.set_xlabel("rank correlation with the true change of the loss")
    return ax


def saliency_against_truth(scored: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One criterion's ranks of the channels against the ranks of what their removals cost.

    scored: columns saliency, loss_change; a row a channel. On the line the criterion would be right; the
    title says Spearman's correlation.
    """
    ax = ax or plt.subplots(figsize=(4.4, 4.4))[1]
    ranks = scored[["saliency", "loss_change"]].rank()
    ax.plot([1, len(ranks)], [1, len(ranks)], color=GREY, linewidth=1, zorder=1)
    ax.plot(
        ranks["saliency"],
        ranks["loss_change"],
        linestyle="",
        marker="o",
        color=BLUE,
        alpha=0.5,
        markersize=6 if len(ranks) < 200 else 3,
        markeredgewidth=0,
    )
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("rank of the saliency (1 goes first)")
    ax.set_ylabel("rank of the true change of the loss")
    ax.set_title(f"rank correlation {ranks['saliency'].corr(ranks['loss_change']):.2f}", fontsize=11)
    return ax
