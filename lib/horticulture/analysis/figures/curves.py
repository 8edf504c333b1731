"""Error against what a network costs."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from horticulture.analysis.figures.style import BLACK, COLORS, CURVES, GREY, HOLLOW, CurveStyle, magnitude
from horticulture.analysis.tables import again, cells, complete, label, listed, scratch_b, times

LINES = ["-", "--", ":", "-."]  # one a criterion
FEW = 3  # rounds of a pruning that are drawn as points, without a line between them
MANY = 2  # criteria; of more each has a colour, and a curve is known by its marker
MISSED = 0.01  # of a size, before a mark says that it missed it
ROOM = 9  # entries of a legend inside the axes; a longer one stands beside them

AXES = {
    "params": "parameters",
    "macs": "multiply-accumulates an image",
    "train_macs": "multiply-accumulates of all training",
}


def error_against(
    results: pd.DataFrame, cost: str, network: str, ax: Axes | None = None, *, error: str = "test_error"
) -> Axes:
    """Error (%) against a cost: a line through the means over seeds at each size, each network a faint dot.

    results: columns curve, criterion, seed, params, `cost` and `error`, and where there are any longer, run,
    round and ratio; rows without an error are left out. Of a pruning every round that was measured is a dot,
    and of those that were taken out to be trained again the means are outlined. What was trained longer than
    the rest is hollow, with an arrow from what was not. What is one run in two curves is drawn in the first.
    The axis ends a little above the worst of these, so that the last ruins of a pruning do not flatten
    everything else. A curve has a colour; where there are many criteria they have it, and whole networks
    that were trained with a criterion's penalty always have it.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    criteria = list(dict.fromkeys(results.loc[results["criterion"] != "", "criterion"]))
    found = complete(results)
    found = found.assign(test_error=found[error]).dropna(subset=[cost, "test_error"])
    marks = cells(found)
    marks, epochs = marks.assign(double=again(marks) != ""), scratch_b(found)
    for curve, look in CURVES.items():
        for criterion, one in found[found["curve"] == curve].groupby("criterion"):
            line = LINES[criteria.index(criterion) % len(LINES)] if criterion else "-"
            if criterion and (len(criteria) > MANY or curve == "whole"):
                look = look._replace(color=COLORS[criteria.index(criterion) % len(COLORS)])
                line = LINES[criteria.index(criterion) // len(COLORS)]
            mine = marks[(marks["named"] == curve) & (marks["criterion"] == criterion)]
            name = label(curve, str(criterion), network, epochs)
            if curve == "pruned-tuned":
                _rounds(one[one["longer"] == found["longer"].min()], cost, look, line, name, ax)
                _means(mine, cost, look._replace(marker="o"), "", None, ax)
            else:
                _means(mine, cost, look, line, name, ax)
    scratch = marks.loc[marks["curve"] != "whole", "test_error"]
    top, bottom = (scratch if len(scratch) else found["test_error"]).max(), found["test_error"].min()
    ax.set_ylim(max(0, bottom - 0.12 * (top - bottom)), top + 0.25 * (top - bottom) + 0.5)
    ax.set_xlim(0, 1.04 * found[cost].max())
    ax.set_xlabel(AXES.get(cost, cost))
    ax.set_ylabel(f"{error.removesuffix('_error').replace('val', 'validation')} error (%)")
    if cost in AXES:
        ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    _legend(ax, marks, outlines=True)
    return ax


def _means(marks: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str | None, ax: Axes) -> None:
    """One curve: means over seeds by size, joined; seeds faint; what was trained longer hollow, beside it."""
    if marks.empty or marks["double"].all():
        return
    star, outlined = look.marker == "*", name is None
    size = 15 if star else 8 if outlined else 6.5
    style: dict[str, Any] = {**look.style, "markersize": size, "zorder": 5 if star or outlined else 3}
    if outlined:
        style |= {"markeredgecolor": BLACK, "markeredgewidth": 0.9}
    places = marks.groupby(["longer", "ratio", "size"], dropna=False)
    means = places[[cost, "test_error", "missed"]].mean().assign(double=places["double"].all()).reset_index()
    usual = means[means["longer"] == means["longer"].min()].sort_values(cost)
    shown = [i for i, double in enumerate(usual["double"]) if not double]
    ax.plot(
        usual[cost], usual["test_error"], linestyle="" if star else line, linewidth=1.8, markevery=shown,
        label=name, **style,
    )  # fmt: skip
    missed = usual[~usual["double"] & (usual["missed"].abs() > MISSED)]
    if len(missed) and not star and not outlined:
        ax.plot(missed[cost], missed["test_error"], linestyle="", **style, **_light(look.color))
    for _, one in means[(means["longer"] > usual["longer"].min()) & ~means["double"]].iterrows():
        alike = usual[(usual["ratio"] == one["ratio"]) | (usual["ratio"].isna() & pd.isna(one["ratio"]))]
        if len(alike):
            near = alike.loc[(alike["size"] - one["size"]).abs().fillna(0).idxmin()]
            to, start = ((row[cost], row["test_error"]) for row in (one, near))
            beside = sum(abs(other.get_position()[0] / start[0] - 1) < 0.1 for other in ax.texts)
            bent = f"arc3,rad={0.1 * (beside + 1) * (-1) ** beside}"  # each its own way
            arrow = {"arrowstyle": "->", "color": look.color, "linewidth": 0.8, "shrinkA": 4, "shrinkB": 4}
            arrow |= {"connectionstyle": bent}
            ax.annotate("", xy=to, xytext=start, arrowprops=arrow, zorder=2)
        above: dict[str, Any] = {**style, **HOLLOW, "markeredgecolor": look.color, "zorder": 6}
        ax.plot([one[cost]], [one["test_error"]], linestyle="", **above)
    if marks["seed"].nunique() > 1:
        for longer, some in marks[~marks["double"]].groupby("longer"):
            hollow = HOLLOW if longer > usual["longer"].min() else {}
            if outlined and not hollow:  # they are dots already, as rounds
                continue
            faint: dict[str, Any] = {**look.style, **hollow, "alpha": 0.35, "markersize": 6 if star else 4}
            ax.plot(some[cost], some["test_error"], linestyle="", zorder=7 if hollow else 2, **faint)


def _rounds(rounds: pd.DataFrame, cost: str, look: CurveStyle, line: str, name: str, ax: Axes) -> None:
    """The way of a pruning: every round that was measured, a thin line a seed."""
    few = rounds.groupby("seed").size().max() <= FEW if len(rounds) else True
    if few or cost not in AXES:  # a stroke has no way to draw; measured times do not fall with the rounds
        line = ""
    for i, (_, one) in enumerate(rounds.sort_values("round").groupby("seed")):
        ax.plot(
            one[cost], one["test_error"], linestyle=line, linewidth=0.7, markersize=9 if few else 4,
            alpha=0.8, label=name if i == 0 else None, **look.style,
        )  # fmt: skip


def _light(color: str) -> dict[str, Any]:
    """The edge of a mark that missed its size."""
    pale = tuple(0.35 * part + 0.65 for part in to_rgb(color))
    return {"markeredgecolor": pale, "markeredgewidth": 1.6}


def _legend(ax: Axes, marks: pd.DataFrame, outlines: bool = False) -> None:
    """Inside, or beside the axes if it is long; what outlines, hollow marks and light edges mean is last."""
    handles, labels = ax.get_legend_handles_labels()
    mark: dict[str, Any] = {"linestyle": "", "marker": "o", "color": GREY, "markersize": 6.5}
    if (marks["curve"] == "pruned-tuned").any() and outlines:
        handles.append(Line2D([], [], **mark, markeredgecolor=BLACK, markeredgewidth=0.9))
        labels.append("outlined: means of the rounds whose networks were trained again")
    longer = sorted(marks["longer"].unique())[1:]
    if longer:
        handles.append(Line2D([], [], **{**mark, **HOLLOW}))
        labels.append(f"hollow: trained {listed(map(times, longer))} as long")
    alone = marks[~marks["curve"].isin(["whole", "pruned-tuned"]) & ~marks["double"]]
    of_size = alone[alone["longer"] == marks["longer"].min()].groupby(["curve", "criterion", "size"])
    missed = of_size["missed"].mean().abs().max() if len(alone) else 0
    if missed > MISSED:
        handles.append(Line2D([], [], **mark, **_light(GREY)))
        labels.append(f"light edge: size missed, by {100 * missed:.1f} % at most")
    if len(labels) <= ROOM:
        ax.legend(handles, labels, fontsize=9)
    else:
        ax.legend(handles, labels, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))


def one_legend(figure: Figure) -> None:
    """For axes side by side with the same curves: one legend, right of the last of them."""
    *others, last = figure.axes
    for ax in others:
        if found := ax.get_legend():
            found.remove()
    if legend := last.get_legend():
        handles = [handle for handle in legend.legend_handles if handle]
        said = [text.get_text() for text in legend.get_texts()]
        last.legend(handles, said, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()


def against_training(results: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Test error (%) against the compute of all training, the search for a shape included.

    results: columns curve, criterion, ratio, params, train_macs, test_error, and where there are any longer,
    run and round; a point for every network that was trained, by curve, hollow if longer than the rest. What
    a pruning passed through on its way is drawn small; rows without an error are left out.
    """
    ax = ax or plt.subplots(figsize=(8, 5.2))[1]
    results = complete(results).dropna(subset=["test_error"])
    results, epochs = results.assign(double=again(results) != ""), scratch_b(results)
    trained = results[results["curve"] != "pruned-tuned"]
    way = 3 if len(results) - len(trained) > 100 else 7
    for curve, look in CURVES.items():
        one = results[(results["curve"] == curve) & ~results["double"]]
        size = {"whole": 15, "pruned-tuned": way}.get(curve, 6)
        for longer, some in one.groupby("longer"):
            hollow = HOLLOW if longer > results["longer"].min() else {}
            name = None if hollow else label(curve, epochs=epochs)
            style: dict[str, Any] = {
                **look.style,
                **hollow,
                "linestyle": "",
                "markersize": size,
                "label": name,
            }
            ax.plot(
                some["train_macs"],
                some["test_error"],
                alpha=0.75,
                zorder=2.5 if curve == "whole" else 2,
                **style,
            )
    top, bottom = trained["test_error"].max(), trained["test_error"].min()
    ax.set_ylim(max(0, bottom - 0.12 * (top - bottom)), top + 0.25 * (top - bottom) + 0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel(AXES["train_macs"])
    ax.set_ylabel("test error (%)")
    ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    _legend(ax, results.assign(size=1.0, missed=0.0))
    return ax
