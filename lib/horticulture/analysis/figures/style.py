"""What all figures share: style, legend and file formats. Marks of longer training are hollow."""

import functools
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter
from matplotlib.transforms import ScaledTranslation

from horticulture.analysis.figures.alt_text import describe, store_alt_texts
from horticulture.system import files

SMALL = "x-small"
HOLLOW = {"markerfacecolor": "white", "markeredgewidth": 1.4, "fillstyle": "full"}

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn", Axes, Figure)


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


def literal(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Decorate a function that draws, so that `$` in a user's names begins no formula.

    This includes titles that are set later, but not the numbers along axes, which may be powers of ten. If
    the function is given Axes to draw on, the rest of their figure is left as it is.
    """

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with plt.rc_context({"text.parse_math": False}):
            result = draw(*args, **kwargs)
        ours: Artist = result.figure
        panels = result.figure.axes
        if isinstance(result, Axes) and any(result is argument for argument in (*args, *kwargs.values())):
            ours, panels = result, [result]
        numbers = _numbers(panels)
        for text in ours.findobj(Text):
            text.set_parse_math(text in numbers)
        return result

    return drawn


def _numbers(panels: Iterable[Axes]) -> set[Text]:
    """The texts of ticks that no name has been given to."""
    ticks = [
        tick
        for ax in panels
        for axis in (ax.xaxis, ax.yaxis)
        if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
    ]
    return {text for tick in ticks for text in (tick.label1, tick.label2)}


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
