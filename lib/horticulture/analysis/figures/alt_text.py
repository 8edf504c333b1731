"""Alt text: figures in words computed from their content, for readers who cannot see them.

A notebook stores it with the picture, and its web page uses it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, Container, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FuncFormatter

from horticulture.analysis.tables.wording import count
from horticulture.system import progress

MAX_DESCRIBED = 12  # up to this many curves or bars of a panel are described one by one
LARGE_NUMBERS = (("trillion", 1e12), ("billion", 1e9), ("million", 1e6))


def describe(figure: Figure) -> str:
    """A sentence per panel: its axes, and the ends and the lowest point of every curve."""
    panels = [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]
    sentences = [figure.get_suptitle() or str(figure.get_label()), *(_panel(ax) for ax in panels)]
    sentences.append(_pictures([ax for ax in figure.axes if ax.images]))
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence) + "."


def _pictures(panels: list[Axes]) -> str:
    """How many pictures there are, their size, and their titles: how often each occurs, if one does again."""
    sizes = {"{1} x {0}".format(*ax.images[0].get_size()) for ax in panels}
    size = f" of {sizes.pop()} pixels" if len(sizes) == 1 else ""
    titles = Counter(title for ax in panels if (title := ax.get_title()))
    if len(titles) < titles.total():
        said = [f"{n} of {title}" for title, n in sorted(titles.items())]
    else:
        said = list(titles)
    return f"{count(len(panels), 'picture')}{size}{': ' if said else ''}{', '.join(said)}" if panels else ""


def store_alt_texts() -> None:
    """Make IPython, if it is running, store the alt text of every figure it displays, as `alt`."""
    if shell := progress.shell():
        formatter = shell.display_formatter.mimebundle_formatter
        formatter.for_type(Figure, lambda figure, **_: ({}, {"image/png": {"alt": describe(figure)}}))


def _panel(ax: Axes) -> str:
    beside = ax.get_shared_y_axes().get_siblings(ax)  # one of them may have the name of the axis for all
    ylabel = next(filter(None, (panel.get_ylabel() for panel in (ax, *beside))), "")
    axes = " against ".join(filter(None, (ylabel, ax.get_xlabel())))
    head = ": ".join(filter(None, (ax.get_title(), axes)))
    parts = list(_parts(ax))
    more = f"; and {len(parts) - MAX_DESCRIBED} more" if len(parts) > MAX_DESCRIBED else ""
    return f"{head or 'A panel'}: {'; '.join(parts[:MAX_DESCRIBED])}{more}" if parts else ""


def _parts(ax: Axes) -> Iterator[str]:
    """Describe everything drawn from numbers. Unnamed lines beside named lines or points are decoration."""
    for drawn in [*ax.containers, *ax.collections]:
        if isinstance(drawn, BarContainer):
            yield _bars(drawn, ax)
        elif isinstance(drawn, ErrorbarContainer) and drawn.lines[0]:  # not the intervals of bars
            yield _means(drawn, ax)
        elif isinstance(drawn, QuadMesh):
            yield _mesh(drawn, ax)
    named = [line for line in ax.lines if _name(line)]
    points = [drawn for drawn in ax.collections if isinstance(drawn, PathCollection)]
    means = [drawn for drawn in ax.containers if isinstance(drawn, ErrorbarContainer)]
    if not (named or points or means):
        named = list(ax.lines)
    series: list[Line2D | PathCollection] = [*named, *points]
    for drawn in series:
        is_level = drawn.get_transform() == ax.get_yaxis_transform()  # a line across the panel
        data = drawn.get_data() if isinstance(drawn, Line2D) else np.transpose(drawn.get_offsets())
        x, y = np.ma.filled(np.ma.asarray(data, dtype=float), np.nan)
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
        # A vertical line through several named rows is only decoration.
        if len(x) and not (_names(ax.yaxis) and np.ptp(y)):
            yield _name(drawn) + (_short(y[0]) if is_level else _series(x, y, ax))


def _bars(bars: BarContainer, ax: Axes) -> str:
    heights = [bar.get_height() for bar in bars]
    names = _names(ax.xaxis)
    if len(heights) == len(names) <= MAX_DESCRIBED:
        pairs = zip(names, heights, strict=True)
        return _name(bars) + ", ".join(f"{name} {_short(height)}" for name, height in pairs)
    return f"{_name(bars)}{count(len(heights), 'bar')} from {_short(min(heights))} to {_short(max(heights))}"


def _means(means: ErrorbarContainer, ax: Axes) -> str:
    """Every mean with its interval, by the name of its row or column; or their range if they are many."""
    line, _, bars = means.lines
    x, y = np.asarray(line.get_data(), dtype=float)
    along = 0 if _names(ax.yaxis) else 1  # the coordinate that has the values
    axis, places, values = (ax.xaxis, x, y) if along else (ax.yaxis, y, x)
    if len(values) > MAX_DESCRIBED:
        return f"{_name(means)}{len(values)} means from {_short(min(values))} to {_short(max(values))}"
    names = _names(axis)

    def describe(place: float, value: float, bar: Any) -> str:
        interval = f" ({_short(bar[0, along])} to {_short(bar[1, along])})" if len(bar) else ""
        return f"{_tick(place, axis, names)} {_short(value)}{interval}"

    intervals = bars[0].get_segments() if bars else [()] * len(values)  # an unknown one has no points
    return _name(means) + ", ".join(map(describe, places, values, intervals))


def _mesh(mesh: QuadMesh, ax: Axes) -> str:
    """The size and range of a heat map, and its lowest row."""
    values: np.ma.MaskedArray = np.ma.asarray(mesh.get_array())
    least, names = values.mean(axis=1).argmin(), _names(ax.yaxis)
    row = names[least] if len(names) == len(values) else f"number {least + 1}"
    unit = mesh.colorbar.ax.get_ylabel() if mesh.colorbar else ""
    return (
        f"{unit + ', ' if unit else ''}{count(len(values), 'row')} by {count(values.shape[1], 'column')}, "
        f"from {_short(values.min())} to {_short(values.max())}, lowest on average in row {row}"
    )


def _series(x: np.ndarray, y: np.ndarray, ax: Axes) -> str:
    """The first, last and lowest point of a series; its range if it is in one row or one column."""
    if rows := _names(ax.yaxis):
        return f"{_tick(y[0], ax.yaxis, rows)} from {_short(x.min())} to {_short(x.max())}"
    columns = _names(ax.xaxis)
    first, last, least = int(x.argmin()), int(x.argmax()), int(y.argmin())

    def point(i: int) -> str:
        return f"{_short(y[i])} at {_tick(x[i], ax.xaxis, columns)}"

    if len(x) == 1:
        return point(0)
    if (place := _tick(x[first], ax.xaxis, columns)) == _tick(x[last], ax.xaxis, columns):
        return f"{len(x)} points, {_short(y.min())} to {_short(y.max())} at {place}"
    lowest = "" if y[least] in (y[first], y[last]) else f", lowest {point(least)}"
    return f"{len(x)} points, from {point(first)} to {point(last)}{lowest}"


def _names(axis: Axis) -> list[str]:
    """The names along an axis that has names instead of numbers."""
    formatter = axis.get_major_formatter()  # its names are there even if the panel beside it shows them
    if not isinstance(formatter, FuncFormatter | FixedFormatter):
        return []
    return [name.replace("\n", " ") for name in formatter.format_ticks(axis.get_majorticklocs().tolist())]


def _tick(value: float, axis: Axis, names: list[str]) -> str:
    return names[np.abs(axis.get_majorticklocs() - value).argmin()] if names else _short(value)


def _name(drawn: Line2D | PathCollection | Container) -> str:
    label = str(drawn.get_label())
    return "" if label.startswith("_") else f"{label}: "


def _short(value: float) -> str:
    """0.25, 1,154, 6.59 million: as one would read it aloud."""
    for name, unit in LARGE_NUMBERS:
        if abs(value) >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
