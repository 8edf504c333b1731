"""What all figures share: style, legend and file formats. Marks of longer training are hollow."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

from horticulture.analysis.figures.alt_text import describe, store_alt_texts
from horticulture.system import files

SMALL = "x-small"
HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 1.4, "fillstyle": "full"}


def use_style() -> None:
    """Set the style of all figures, and store their alt text with them. Call once per notebook.

    The style is matplotlib's copy of seaborn's; seaborn itself takes two seconds to import.
    """
    plt.style.use(
        [
            "default",
            "seaborn-v0_8-ticks",
            "seaborn-v0_8-notebook",
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
    store_alt_texts()


def limit_costs(costs: pd.Series, ax: Axes) -> None:
    """Begin the x-axis at zero, unless the least is more than half of the greatest, as in the explorer."""
    least, most = costs.min(), costs.max()
    begin = least if least > most / 2 else 0
    margin = 0.04 * (most - begin or most)
    ax.set_xlim(begin and begin - margin, most + margin)


def legend_below(ax: Axes, handles: Sequence[Artist], labels: Sequence[str]) -> Legend:
    """A legend below the axes and their labels, in as many columns (up to three) as fit.

    Two columns in smaller letters are better than one.
    """
    outer = ax.get_tightbbox()
    assert outer is not None  # the axes are visible
    labels_height = (ax.get_window_extent().y0 - outer.y0) / ax.figure.dpi  # inches
    below = ax.transAxes + ScaledTranslation(0, -labels_height, ax.figure.dpi_scale_trans)
    position: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    usual = plt.rcParams["legend.fontsize"]
    for columns, size in ((3, usual), (2, usual), (2, SMALL), (1, usual)):
        legend = ax.legend(handles, labels, ncols=columns, fontsize=size, **position)
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            break
    return legend


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove figures that were saved in a folder."""
    for name in names:
        for kind in ("png", "svg"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name.png`, with a description in its metadata, and `name.svg` into a folder."""
    settings: dict[str, dict[str, Any]] = {
        "png": {"dpi": 160, "metadata": {"Description": describe(figure)}},
        "svg": {"metadata": {"Date": None}},
    }
    for kind, how in settings.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, **how)
        files.write(folder / f"{name}.{kind}", content.getvalue())
