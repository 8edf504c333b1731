"""What all figures share: how a curve looks and is called, style, numbers, files.

Colours are those of Okabe and Ito, and Tol's wine, which colour-blind people can tell apart; every curve has
a marker of its own, for print. Networks with single weights removed are half filled, what was trained longer
is hollow.
"""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from horticulture.analysis.tables import label


class CurveStyle(NamedTuple):
    """How a curve is drawn and called; `label` as in `tables.NAMES`, without criterion and network."""

    label: str
    color: str
    marker: str | tuple[int, int, int]  # matplotlib's: (points, 1, turn) is a star
    half: bool = False

    @property
    def style(self) -> dict[str, Any]:
        """Colour and marker as matplotlib takes them."""
        return {"color": self.color, "marker": self.marker, **(HALF if self.half else {})}


HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 1.4, "fillstyle": "full"}
HALF = {"fillstyle": "bottom", "markerfacecoloralt": "white", "markeredgewidth": 1.2}
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY, WINE = "#0072B2", "#D55E00", "#CC79A7", "#999999", "#882255"
COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, GREY, WINE)  # one a criterion

_MARKS: dict[str, tuple[str, str | tuple[int, int, int]]] = {
    "whole": (BLACK, "*"),
    "pruned-tuned": (VERMILION, "."),
    "pruned-scratch": (BLUE, "o"),
    "width": (ORANGE, "s"),
    "depth": (SKY, "P"),
    "bottleneck": (GREEN, "D"),
    "copycat": (PURPLE, "^"),
    # what a pruning left, trained again
    "fine-tuned": (VERMILION, "v"),
    "lr-rewound": (ORANGE, ">"),
    "weights-rewound": (PURPLE, "<"),
    "scratch-b": (SKY, "X"),
    "scratch-b-all": (WINE, "8"),
    # what the weights, and what the places, are worth
    "sliced": (GREEN, "d"),
    "random-channels": (GREY, (4, 1, 0)),
    "shuffled": (GREY, "p"),
    "reselected": (PURPLE, (5, 1, 0)),
    "uniform": (BLACK, (6, 1, 0)),
    "guided": (GREEN, "h"),
    "transferred": (BLUE, (3, 1, 0)),
}
CURVES: dict[str, CurveStyle] = {name: CurveStyle(label(name), *marks) for name, marks in _MARKS.items()}
CURVES |= {  # the same, where single weights were removed
    f"sparse-{name}": look._replace(label=label(f"sparse-{name}"), half=True)
    for name, look in CURVES.items()
    if name.split("-")[0] in ("fine", "lr", "weights", "scratch") or name == "pruned-scratch"
}


def use_style() -> None:
    """The look of all figures: quiet, legible in print. Call once, at the top of a notebook.

    The style is seaborn's, of which matplotlib has a copy: seaborn itself takes two seconds to import.
    """
    plt.style.use(
        [
            *("default", "seaborn-v0_8-ticks", "seaborn-v0_8-notebook"),
            {
                "axes.grid": True,
                "grid.color": "#e6e6e6",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "legend.frameon": False,
                "figure.dpi": 96,
                "savefig.bbox": "tight",
                "svg.hashsalt": "horticulture",
            },
        ]
    )


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name.png` and `name.svg` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=160)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def magnitude(value: float) -> str:
    """`1.2M`, `350k`, `7`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
