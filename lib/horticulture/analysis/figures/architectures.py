"""Widths by group: of one network, over the rounds of a pruning run, and over seeds."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogFormatterSciNotation

from horticulture.analysis.curves import BLACK, BLUE, VERMILION
from horticulture.analysis.figures.style import limit_costs, literal
from horticulture.architecture import Architecture, profiles


@literal
def widths(pruned: Architecture, whole: Architecture, ax: Axes | None = None) -> Axes:
    """Channels by group: a pruned network (filled bars) and the whole one (outlines)."""
    ax = ax or plt.subplots(figsize=(max(4, 0.45 * len(whole.widths)), 3))[1]
    _bars(pruned.widths, whole, ax)
    ax.set(xlabel="group", ylabel="channels")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0.2)  # not over a bar
    return ax


@literal
def diagram(whole: Architecture) -> Figure:
    """The convolutions of a network from left to right, with the channels between them in blue.

    A linear layer that every token passes is a convolution of 1 x 1. If the network has a trunk, its blocks
    are below it, and arrows show where a block reads from the trunk and adds to it. Not for users' own
    networks, whose connections only their code knows.
    """
    blocks: dict[str, list] = {}  # convolutions by stage and block
    for layer in whole.layers:
        if layer.kind in ("conv", "attention") and layer.name != "stem" and "shortcut" not in layer.name:
            blocks.setdefault(".".join(layer.name.split(".")[:2]), []).append(layer)
    level, right = (-1.0 if whole.trunk else 0.0), 1.0
    size = (min(11, 1.5 + 0.6 * sum(map(len, blocks.values()))), 2.1 if whole.trunk else 1.3)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    ax.axis("off")
    font = 9 if len(blocks) <= 6 else 5

    def box(x: float, height: float, text: str, colour: str) -> None:
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": BLACK}
        ax.text(x, height, text, ha="center", va="center", fontsize=font, bbox=box)

    def channels(x: float, number: int) -> None:
        ax.plot([x - 0.5, x + 0.5], [level, level], color=BLUE, linewidth=3, zorder=1)
        ax.text(x, level + 0.25, f"{number}", ha="center", color=BLUE, fontsize=font + 1)

    for name, layers in blocks.items():
        for i, layer in enumerate(layers):
            named = "att." if layer.kind == "attention" else f"{layer.kernel} x {layer.kernel}"
            box(right + i + 0.5, level, named, "white")
            if not whole.trunk or i < len(layers) - 1:
                channels(right + i + 1, layer.outputs)
        ax.text(right + len(layers) / 2, level - 0.45, name, ha="center", fontsize=font + 1)
        if whole.trunk:
            for x, begin, end in ((right + 0.5, 0.0, level), (right + len(layers) - 0.5, level, 0.0)):
                ends = {"shrinkA": 9 if begin else 0, "shrinkB": 0 if begin else 9}
                arrow = {"arrowstyle": "->", "color": BLACK, **ends}
                ax.annotate("", (x, end), (x, begin), arrowprops=arrow)
        right += len(layers) + (0.2 if whole.trunk else 0)
    if whole.trunk:
        ax.plot([0.2, right + 0.2], [0, 0], color="#999999", linewidth=3, zorder=0)
        ax.text((right + 0.4) / 2, 0.12, "trunk", ha="center", color="#666666", fontsize=font + 1)
        box(0.2, 0, "stem", "#eeeeee")
    box(right + 0.7, 0, "classifier", "#eeeeee")
    ax.set_ylim(level - 0.6, 0.5)
    counts = ", ".join(f"{group}: {width}" for group, width in zip(whole.groups, whole.widths, strict=True))
    figure.set_label(f"{len(blocks)} blocks of convolutions. Channels by group: {counts}")
    return figure


def _bars(kept: Sequence[float], whole: Architecture, ax: Axes, **error: Any) -> None:
    """A bar for each group, in front of an outline for the whole network."""
    xs = np.arange(len(whole.widths))
    ax.bar(xs, whole.widths, color="none", edgecolor="#999999", label="whole network")
    ax.bar(xs, kept, color=BLUE, label="left", **error)
    ax.set_xticks(xs, whole.groups, rotation=0 if len(xs) <= 12 else 90)


@literal
def side_by_side(architectures: Mapping[str, Architecture], whole: Architecture) -> Figure:
    """The widths of several networks, one panel each, with names and parameters.

    A network whose groups differ from those of the whole network has only a title.
    """
    figure, axes = _panels(len(architectures))
    for ax, (name, architecture) in zip(axes, architectures.items(), strict=False):
        ax.set_title(f"{name}: {architecture.params:,}", fontsize=10)
        if architecture.groups == whole.groups:
            _bars(architecture.widths, whole, ax)
    return figure


class _PlainNumbers(LogFormatterSciNotation):
    """Writes 30 instead of 3 x 10^1 along a logarithmic axis."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


@literal
def saliencies(scores: pd.DataFrame, whole: Architecture) -> Axes:
    """The saliency of every channel by group, with a line at each group's mean.

    scores: a row per channel, with the columns group (its number) and saliency. Groups with no channels left
    stay empty. The axis is logarithmic if all saliencies are positive.
    """
    _, ax = plt.subplots(figsize=(max(4, 0.6 * len(whole.widths)), 3.4))
    xs = scores["group"] + 0.5 * (
        scores.groupby("group").cumcount() / scores.groupby("group")["group"].transform("size") - 0.5
    )
    ax.plot(xs, scores["saliency"], ".", color=BLUE, markersize=4, label="channel")
    means = scores.groupby("group")["saliency"].mean()
    ax.plot(means.index, means, "_", color=BLACK, markersize=18, markeredgewidth=2, label="group mean")
    ax.set_xticks(range(len(whole.groups)), whole.groups, rotation=0 if len(whole.groups) <= 12 else 90)
    if (scores["saliency"] > 0).all():
        ax.set_yscale("log")
        if scores["saliency"].between(1e-3, 1e5).all():
            ax.yaxis.set_major_formatter(_PlainNumbers())
            ax.yaxis.set_minor_formatter(_PlainNumbers(labelOnlyBase=False))
    ax.set(xlim=(-0.6, len(whole.groups) - 0.4), xlabel="group", ylabel="saliency")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


@literal
def mean_widths(pruned: Mapping[str, Sequence[Architecture]], whole: Architecture) -> Figure:
    """Mean widths and standard deviations over seeds, one panel for each way of pruning.

    pruned: by label, one architecture per seed. The titles say how similar they are (`profiles.similarity`;
    1: identical).
    """
    figure, axes = _panels(len(pruned))
    for ax, (name, architectures) in zip(axes, pruned.items(), strict=False):
        statistics = profiles.width_statistics(architectures, whole)
        seeds, error_bars = "1 seed", dict[str, Any]()
        if len(architectures) > 1:
            seeds = f"{len(architectures)} seeds, similarity {profiles.similarity(architectures, whole):.2f}"
            error_bars = {"yerr": statistics["std"], "error_kw": {"elinewidth": 1.2, "ecolor": BLACK}}
        _bars(statistics["mean"], whole, ax, **error_bars)
        ax.set_title(f"{name} ({seeds})", fontsize=9)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Axes for widths by group, up to four in a row; unused ones stay empty."""
    columns = max(1, min(4, count))
    rows = max(1, -(-count // columns))
    size = (max(5.5, min(13, 3.4 * columns)), 2.6 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax in axes.flat[count:]:
        ax.axis("off")
    for ax in axes.flat[:count]:
        ax.tick_params(axis="x", labelsize=7, labelrotation=90)
    figure.supylabel("channels (outline: whole network)", fontsize=9)
    return figure, list(axes.flat)


@literal
def kept_heatmap(networks: Mapping[str, Architecture], whole: Architecture) -> Axes:
    """The fraction of each group that each network has kept, from white (none) to dark (all).

    networks: by label, from left to right. A gap separates runs whose labels are `run, round N`.
    """
    import seaborn as sns  # takes two seconds, so import it only when needed

    _, ax = plt.subplots(figsize=(max(6, 0.3 * len(networks) + 2), 0.22 * len(whole.widths) + 2.4))
    frame = pd.DataFrame({name: profiles.kept_fractions(pruned, whole) for name, pruned in networks.items()})
    sns.heatmap(
        frame.set_axis(list(whole.groups)),
        cmap="Blues",
        vmin=0,
        vmax=1,
        ax=ax,
        cbar_kws={"label": "fraction of channels kept"},
        xticklabels=max(1, len(networks) // 12),
        yticklabels=max(1, len(whole.groups) // 40),
    )
    for column, (name, following) in enumerate(itertools.pairwise(networks), start=1):
        if name.rpartition(", round ")[0] != following.rpartition(", round ")[0]:
            ax.axvline(column, color="white", linewidth=5)
    ax.set_ylabel("group")
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=60)
    plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    return ax


@literal
def round_view(
    removals: pd.DataFrame, whole: Architecture, pruned: Architecture, round_: int, color: str = VERMILION
) -> Figure:
    """One round of a pruning run: the remaining widths, and the network's place on the curve of test errors.

    removals: columns round, params and test_error, as returned by `runs.removals`. pruned: the
    architecture after that round. color: of the curve, which joins the evaluated rounds; a vertical line
    marks this one.
    """
    figure, (bars, curve) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2), layout="constrained")
    widths(pruned, whole, bars)
    row = removals.loc[removals["round"] == round_].iloc[0]
    measured = removals.dropna(subset=["test_error"])
    curve.plot(measured["params"], measured["test_error"], ".-", color=color, linewidth=0.8, alpha=0.7)
    curve.axvline(row["params"], color=BLACK, linewidth=1)
    title = f"{int(row['params']):,} parameters"
    if pd.notna(row["test_error"]):
        curve.plot(row["params"], row["test_error"], color=BLACK, marker="o", markersize=9)
        title += f", test error {row['test_error']:.1f} %"
    limit_costs(removals["params"], curve)
    curve.set(xlabel="parameters", ylabel="test error (%)")
    curve.xaxis.set_major_formatter(EngFormatter(sep=""))
    curve.set_title(title, fontsize=11)
    bars.set_title(f"after round {round_}", fontsize=11, loc="left")
    return figure
