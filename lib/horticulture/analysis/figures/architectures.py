"""Widths by group: of one network, over the rounds, over seeds."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from horticulture.analysis.figures.style import COLORS, magnitude
from horticulture.architecture import Architecture, profiles


def widths(left: Architecture, whole: Architecture, ax: Axes | None = None) -> Axes:
    """Channels of every group, left (full) and in the whole network (outline)."""
    ax = ax or plt.subplots(figsize=(max(4, 0.45 * len(whole.widths)), 3))[1]
    places = np.arange(len(whole.widths))
    ax.bar(places, whole.widths, color="none", edgecolor="#999999", label="whole network")
    ax.bar(places, left.widths, color="#0072B2", label="left")
    ax.set_xticks(places, whole.groups, rotation=0 if len(places) <= 12 else 90)
    ax.set_xlabel("group (stage.block)")
    ax.set_ylabel("channels")
    ax.legend(loc="upper left")
    return ax


def side_by_side(shapes: Mapping[str, Architecture], whole: Architecture) -> Figure:
    """`widths` of several networks, by name; of one with other groups than the whole's only its size."""
    figure, axes = _panels(len(shapes))
    for ax, (name, shape) in zip(axes, shapes.items(), strict=False):
        if shape.groups == whole.groups:
            widths(shape, whole, ax)
            remove_legend(ax)
            ax.tick_params(axis="x", labelsize=7, rotation=90)
        ax.set_title(f"{name}: {shape.params:,}", fontsize=10)
    figure.tight_layout()
    return figure


def remove_legend(ax: Axes) -> None:
    """Where the title, or a neighbour, says it."""
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """So many axes in rows of four, and as many empty places as are left over."""
    columns = max(1, min(4, count))
    rows = max(1, -(-count // columns))
    size = (max(5.5, min(13, 3.4 * columns)), 2.6 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    for ax in axes.flat[count:]:
        ax.axis("off")
    return figure, list(axes.flat)


def shares(left: Mapping[str, Architecture], whole: Architecture, ax: Axes | None = None) -> Axes:
    """What share of every group each of some networks has left: dark is all, white is nothing.

    left: by label, in the order from left to right.
    """
    import seaborn as sns  # takes two seconds: only where it is used

    size = (max(6, 0.3 * len(left) + 2), 0.22 * len(whole.widths) + 2.4)
    ax = ax or plt.subplots(figsize=size)[1]
    frame = pd.DataFrame({name: profiles.shares(one, whole) for name, one in left.items()})
    sns.heatmap(
        frame.set_axis(list(whole.groups)),
        cmap="Blues",
        vmin=0,
        vmax=1,
        ax=ax,
        cbar_kws={"label": "share left"},
        xticklabels=max(1, len(left) // 12),
        yticklabels=max(1, len(whole.groups) // 40),
    )
    ax.set_ylabel("group (stage.block)")
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=60)
    plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    return ax


def round_view(removals: pd.DataFrame, whole: Architecture, left: Architecture, round_: int) -> Figure:
    """One moment of a pruning: the widths by layer, and where on the curve the network is."""
    figure, (bars, curve) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2))
    widths(left, whole, bars)
    here = removals.loc[removals["round"] == round_].iloc[0]
    curve.plot(removals["params"], removals["test_error"], color="#D55E00", linewidth=0.8, alpha=0.7)
    curve.plot(here["params"], here["test_error"], color="#000000", marker="o", markersize=9)
    curve.set_xlim(left=0)
    curve.set_xlabel("parameters")
    curve.set_ylabel("test error (%)")
    curve.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: magnitude(value)))
    curve.set_title(f"{here['params']:,} parameters, test error {here['test_error']:.1f} %", fontsize=11)
    bars.set_title(f"after {round_} removals", fontsize=11)
    figure.tight_layout()
    return figure


def profiles_found(pruned: Mapping[str, Sequence[Architecture]], whole: Architecture) -> Figure:
    """`consistency` in a panel for each way of pruning: what it left of every group, over the seeds."""
    figure, axes = _panels(len(pruned))
    for ax, (label, found) in zip(axes, pruned.items(), strict=False):
        consistency({label: found}, whole, ax)
        said = ax.get_legend_handles_labels()[1][-1]
        remove_legend(ax)
        ax.set_title(said, fontsize=9)
        ax.tick_params(axis="x", labelsize=7, rotation=90)
        ax.set(xlabel="", ylabel="")
    figure.supylabel("channels left (outline: the whole network)", fontsize=10)
    figure.tight_layout()
    return figure


def consistency(
    pruned: Mapping[str, Sequence[Architecture]], whole: Architecture, ax: Axes | None = None
) -> Axes:
    """Widths by group over several seeds: mean and standard deviation, a colour a criterion.

    pruned: the architectures that each criterion found, one a seed. The legend says how alike they are
    (`profiles.similarity`, 1: all the same).
    """
    ax = ax or plt.subplots(figsize=(max(5, 0.5 * len(whole.widths)), 3.4))[1]
    places = np.arange(len(whole.widths))
    ax.bar(places, whole.widths, width=0.9, color="none", edgecolor="#999999", label="whole network")
    step = 0.9 / len(pruned)
    for i, (criterion, found) in enumerate(pruned.items()):
        widths = profiles.width_statistics(found, whole)
        alike = f", alike {profiles.similarity(found, whole):.2f}" if len(found) > 1 else ""
        ax.bar(
            places - 0.45 + (i + 0.5) * step,
            widths["mean"],
            width=step,
            color=COLORS[i % len(COLORS)],
            label=f"{criterion} ({len(found)} {'seed' if len(found) == 1 else 'seeds'}{alike})",
            yerr=widths["std"] if len(found) > 1 else None,
            error_kw={"elinewidth": 1.2, "ecolor": "#000000"},
        )
    ax.set_xticks(places, whole.groups, rotation=0 if len(places) <= 12 else 90)
    ax.set_xlabel("group (stage.block)")
    ax.set_ylabel("channels left")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize="small")
    return ax
