"""What all figures share: how each curve looks, the style, the legend, the files.

The colours are Okabe and Ito's, with Tol's wine and indigo, which colour-blind people can tell apart. Every
curve also has a marker of its own, for print. Networks without single weights are half filled, what was
trained longer is hollow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation


class CurveStyle(NamedTuple):
    """How a curve is drawn."""

    color: str
    marker: str | tuple[int, int, int]  # matplotlib's: (points, 1, angle) is a star
    half: bool = False

    @property
    def style(self) -> dict[str, Any]:
        """Colour and marker as keyword arguments of `Axes.plot`."""
        return {"color": self.color, "marker": self.marker, **(HALF if self.half else {})}


HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 1.4, "fillstyle": "full"}
HALF = {"fillstyle": "bottom", "markerfacecoloralt": "white", "markeredgewidth": 1.2}
BLACK, ORANGE, SKY, GREEN, BLUE = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILION, PURPLE, GREY, WINE, INDIGO = "#D55E00", "#CC79A7", "#999999", "#882255", "#332288"
CRITERION_COLORS = (BLUE, VERMILION, SKY, WINE, INDIGO, GREEN, PURPLE, ORANGE, GREY)

CURVES: dict[str, CurveStyle] = {
    "whole": CurveStyle(BLACK, "*"),
    "pruned-tuned": CurveStyle(VERMILION, "."),
    "pruned-scratch": CurveStyle(BLUE, "o"),
    "width": CurveStyle(ORANGE, "s"),
    "depth": CurveStyle(SKY, "P"),
    "bottleneck": CurveStyle(GREEN, "D"),
    "copycat": CurveStyle(PURPLE, "^"),
    # what a pruning left, trained again
    "fine-tuned": CurveStyle(VERMILION, "v"),
    "lr-rewound": CurveStyle(ORANGE, ">"),
    "weights-rewound": CurveStyle(PURPLE, "<"),
    "scratch-b": CurveStyle(SKY, "X"),
    "scratch-b-all": CurveStyle(WINE, "8"),
    # what the weights, and what the places, are worth
    "sliced": CurveStyle(GREEN, "d"),
    "random-channels": CurveStyle(INDIGO, (4, 1, 0)),
    "shuffled": CurveStyle(BLACK, "p"),
    "reselected": CurveStyle(GREY, (5, 1, 0)),
    "uniform": CurveStyle(BLACK, (6, 1, 0)),
    "guided": CurveStyle(WINE, "h"),
    "transferred": CurveStyle(INDIGO, (3, 1, 0)),
}
CURVES |= {  # the same, where single weights were removed
    f"sparse-{name}": CURVES[name]._replace(half=True)
    for name in (
        "pruned-scratch",
        "fine-tuned",
        "lr-rewound",
        "weights-rewound",
        "scratch-b",
        "scratch-b-all",
    )
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
                "axes.axisbelow": True,
                "grid.color": "#e6e6e6",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "legend.frameon": False,
                "legend.fontsize": "small",
                "figure.dpi": 96,
                "savefig.bbox": "tight",
                "svg.hashsalt": "horticulture",
            },
        ]
    )


def legend_below(ax: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> Legend:
    """A legend under the axes and their labels, in as many columns as there is room for."""
    outer = ax.get_tightbbox()
    assert outer is not None  # the axes are visible
    labels_height = (ax.get_window_extent().y0 - outer.y0) / ax.figure.dpi  # inches
    below = ax.transAxes + ScaledTranslation(0, -labels_height, ax.figure.dpi_scale_trans)
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    for columns in (3, 2, 1):
        legend = ax.legend(handles, labels, ncols=columns, **place)
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            break
    return legend


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name.png` and `name.svg` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=160)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
