"""Frames to pictures: every function takes plain data, draws on matplotlib axes and returns them.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every curve has a marker of
its own, for print.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from horticulture.architecture import Architecture


class Look(NamedTuple):
    """How a curve is drawn and called; `{criterion}`, `{network}`, `{depth}` and `{width}` are filled in."""

    label: str
    color: str
    marker: str


CURVES: dict[str, Look] = {
    "whole": Look("unpruned {network}", "#000000", "*"),
    "pruned-tuned": Look("{criterion}-pruned + fine-tuning {network}", "#D55E00", "."),
    "pruned-scratch": Look("{criterion} architectures from scratch", "#0072B2", "o"),
    "width": Look("{narrower} from scratch", "#E69F00", "s"),
    "depth": Look("{shallower} from scratch", "#56B4E9", "P"),
    "bottleneck": Look("{network} with bottlenecks from scratch", "#009E73", "D"),
    "copycat": Look("copycat {criterion} architectures from scratch", "#CC79A7", "^"),
}
LINES = ["-", "--", ":", "-."]  # one a criterion

AXES = {
    "params": "parameters",
    "macs": "multiply-accumulates an image",
    "train_macs": "multiply-accumulates of all training",
}


def use_style() -> None:
    """The look of all figures: quiet, legible in print. Call once, at the top of a notebook."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        rc={
            "axes.grid": True,
            "grid.color": "#e6e6e6",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "figure.dpi": 96,
            "savefig.bbox": "tight",
            "svg.hashsalt": "horticulture",
        },
    )


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name.png` and `name.svg` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=160)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def label(curve: str, criterion: str, network: str) -> str:
    """What a curve is called, in the words of the blog post's legend."""
    family, _, size = network.partition("-")
    depth, _, width = size.partition("-")
    return CURVES[curve].label.format(
        criterion=criterion.capitalize(),
        network=network.upper(),
        narrower=f"{family.upper()}-{depth}-k" if width else f"narrower {network}",
        shallower=f"{family.upper()}-d-{width}" if width else f"shallower {network}",
    )


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
    style: dict[str, Any] = {"color": look.color, "marker": look.marker, "label": name}
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
            ax.plot(
                one[cost],
                one[error],
                linestyle="",
                color=look.color,
                marker=look.marker,
                alpha=0.35,
                markersize=4,
            )


def magnitude(value: float) -> str:
    """`1.2M`, `350k`, `7`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def images(pixels: np.ndarray, labels: Sequence[str], columns: int = 12) -> Figure:
    """A sheet of images. pixels: (n, channels, height, width) uint8; labels: one a picture."""
    rows = -(-len(pixels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * 0.8, rows * 0.98), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, name in zip(axes.flat, pixels, labels, strict=False):
        ax.imshow(picture.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
        ax.set_title(name, fontsize=9, pad=2)
    figure.tight_layout(pad=0.2)
    return figure


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


def shares_over_rounds(removals: pd.DataFrame, whole: Architecture, ax: Axes | None = None) -> Axes:
    """What share of every group is left, round after round: dark is all, white is nothing."""
    ax = ax or plt.subplots(figsize=(8, 0.3 * len(whole.widths) + 1.4))[1]
    gone = pd.crosstab(removals["round"], removals["group"]).reindex(
        columns=range(len(whole.widths)), fill_value=0
    )
    left = 1 - gone.cumsum() / np.maximum(1, whole.widths)
    sns.heatmap(
        left.T.set_axis(list(whole.groups)),
        cmap="Blues",
        vmin=0,
        vmax=1,
        ax=ax,
        cbar_kws={"label": "share left"},
        xticklabels=max(1, len(left) // 8),
    )
    ax.set_xlabel("round")
    ax.set_ylabel("group")
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=0)
    return ax


def rounds(removals: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Validation and test error of the shrinking network, round by round."""
    ax = ax or plt.subplots(figsize=(8, 3.6))[1]
    ax.plot(removals["round"], removals["val_error"], color="#999999", linewidth=0.8, label="validation")
    ax.plot(removals["round"], removals["test_error"], color="#D55E00", linewidth=1.2, label="test")
    ax.set_xlabel("channels removed")
    ax.set_ylabel("error (%)")
    ax.legend()
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
