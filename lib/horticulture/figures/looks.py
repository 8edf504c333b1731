"""What all figures share: how a curve looks and is called, style, numbers, files.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; every curve has a marker of
its own, for print. Networks with single weights removed are drawn hollow.
"""

from pathlib import Path
from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a curve is drawn and called; `{criterion}`, `{network}`, `{depth}` and `{width}` are filled in.

    short: what it is called where criterion and network are said elsewhere.
    """

    label: str
    color: str
    marker: str | tuple[int, int, int]  # matplotlib's: (points, 1, turn) is a star
    short: str = ""
    hollow: bool = False

    @property
    def style(self) -> dict[str, Any]:
        """Colour and marker as matplotlib takes them."""
        inside = {"markerfacecolor": "white", "markeredgewidth": 1.4} if self.hollow else {}
        return {"color": self.color, "marker": self.marker, **inside}


BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"
COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY, "#882255")  # one a criterion

CURVES: dict[str, Look] = {
    "whole": Look("unpruned {network}", BLACK, "*", "unpruned"),
    "pruned-tuned": Look("{criterion}-pruned + fine-tuning {network}", VERMILION, ".", "pruned bit by bit"),
    "pruned-scratch": Look("{criterion} architectures from scratch", BLUE, "o", "Scratch-E"),
    "width": Look("{narrower} from scratch", ORANGE, "s", "narrower"),
    "depth": Look("{shallower} from scratch", SKY, "P", "shallower"),
    "bottleneck": Look("{network} with bottlenecks from scratch", GREEN, "D", "bottlenecks"),
    "copycat": Look("copycat {criterion} architectures from scratch", PURPLE, "^", "copycat"),
    # one cut, then another training of what is left
    "fine-tuned": Look("{criterion}-pruned at once + fine-tuning", VERMILION, "v", "fine-tuned"),
    "lr-rewound": Look("{criterion}-pruned at once, learning rate rewound", ORANGE, ">", "lr rewound"),
    "weights-rewound": Look("{criterion}-pruned at once, weights rewound", PURPLE, "<", "weights rewound"),
    "scratch-b": Look("{criterion} architectures from scratch, same compute", SKY, "X", "Scratch-B"),
    "scratch-b-all": Look("{criterion} architectures from scratch, all compute", BLUE, "8", "Scratch-B, all"),
    # what the weights, and what the places, are worth
    "sliced": Look("{criterion} architectures from a slice of the wide start", GREEN, "d", "sliced start"),
    "random-channels": Look("random channels at {criterion} widths", GREY, (4, 1, 0), "random channels"),
    "shuffled": Look("{criterion} widths shuffled, from scratch", GREY, "p", "shuffled"),
    "uniform": Look("{network} with one share everywhere, from scratch", BLACK, (6, 1, 0), "uniform"),
    "guided": Look("guided by {criterion}, from scratch", GREEN, "h", "guided"),
    "transferred": Look("guided by {criterion} on another network", BLUE, (3, 1, 0), "transferred"),
}
CURVES |= {  # the same, where single weights were removed
    f"sparse-{name}": look._replace(
        label=f"{look.label}, single weights", short=f"{look.short}, sparse", hollow=True
    )
    for name, look in CURVES.items()
    if name.split("-")[0] in ("fine", "lr", "weights", "scratch") or name == "pruned-scratch"
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


def magnitude(value: float) -> str:
    """`1.2M`, `350k`, `7`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
