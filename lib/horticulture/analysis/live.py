"""A small picture of runs in progress: their measurements by epoch or round, and their current status.

It is redrawn twice a second during training, so it is hand-written HTML and SVG, which takes a millisecond; a
matplotlib figure would take a hundred. It has the colour of the surrounding text, light or dark.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from horticulture import training
from horticulture.analysis.curves import BLUE, GREEN, VERMILION

Row = Mapping[
    str, float
]  # a row of a run's table, reduced by `live_columns`; all rows of a run have the same names
Point = tuple[float, float]

X_COLUMNS = ("epoch", "round")  # one of them is in every row: its x-coordinate
QUANTITIES = {"loss": "loss", "val_error": "validation error (%)", "params": "parameters"}
DASHED = ' stroke-dasharray="5 2.5"'
STYLES = [(color, dashes) for dashes in ("", DASHED) for color in (BLUE, VERMILION, GREEN)]
MAX_CURVES = 24  # at most this many curves; those beyond the styles are pale
MAX_POINTS = 100  # about this many per curve: more would not be visible
ERROR_SPAN = 2.0  # points that the axis of errors shows at least: smaller differences are mostly noise
UNKNOWN = "not measured yet"
WIDTH, HEIGHT = 290, 124  # of a panel, in pixels
LEFT, TOP, RIGHT, BOTTOM = 52, 20, WIDTH - 6, HEIGHT - 18  # edges of its axes
GAP = "margin:0 0 2px;line-height:1.35"


class RunTrace(NamedTuple):
    """A run in the picture: its name, its current status, and the rows of its table."""

    name: str
    note: str
    rows: Sequence[Row]


def live_columns(row: Mapping[str, float]) -> Row:
    """The part of a row that the picture needs."""
    return {name: row[name] for name in (*X_COLUMNS, "epochs", *QUANTITIES) if name in row}


def position(row: Row) -> float:
    """The epoch or round of a row."""
    return row[_x_column(row)]


def _x_column(row: Row) -> str:
    return next(name for name in X_COLUMNS if name in row)


def picture(traces: Sequence[RunTrace], end: float) -> str:
    """A panel for each quantity in the rows, with one curve per run, and a line of text for each run.

    traces: the last few are in colour, earlier ones pale. end: the epochs or rounds of the longest run.
    """
    first = max(0, len(traces) - len(STYLES))
    names = [name for name in QUANTITIES if any(name in row for trace in traces for row in trace.rows[:1])]
    panels = "".join(_panel(name, traces, first, end) for name in names)
    if panels:
        panels = f'<div style="display:flex;flex-wrap:wrap;gap:2px 14px">{panels}</div>'
    words = [
        (f"{html.escape(trace.name)}: {html.escape(trace.note)}", _style(number, first))
        for number, trace in enumerate(traces[first:], first)
    ]
    if first:
        words.insert(0, (f"{first:,} started earlier", _style(0, first)))
    return panels + "".join(
        f'<div style="{GAP}"><svg aria-hidden="true" width="26" height="8"><path d="M0 4H20" {style}/></svg>'
        f"{text}</div>"
        for text, style in words
    )


def _style(number: int, first: int) -> str:
    """The SVG style of a curve, by its number. first: number of the first one in colour."""
    if number < first:
        return 'fill="none" stroke="currentColor" stroke-opacity=".3"'
    color, dashes = STYLES[number % len(STYLES)]
    return f'fill="none" stroke="{color}" stroke-width="1.7"{dashes}'


def _panel(name: str, traces: Sequence[RunTrace], first: int, end: float) -> str:
    """One quantity against epochs or rounds, with the ends of its axis."""
    drawn = {
        number: line
        for number in range(max(0, len(traces) - MAX_CURVES), len(traces))
        if (line := _line(name, traces[number].rows))
    }
    x_column = next(_x_column(row) for trace in traces for row in trace.rows)
    values = [value for line in drawn.values() for _, value in line]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if name == "val_error" and values:
        air = max(0.0, ERROR_SPAN - (high - low)) / 2
        low = max(0.0, low - air)
        high = max(high + air, low + ERROR_SPAN)
    across, up = (RIGHT - LEFT) / (end or 1), (BOTTOM - TOP) / ((high - low) or 1)
    floor = BOTTOM if high > low else (TOP + BOTTOM) // 2  # of the smallest value
    parts = [
        f'<text x="{LEFT}" y="12" font-weight="600">{QUANTITIES[name]}</text>',
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="currentColor" stroke-opacity=".45"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 4}" text-anchor="middle">0</text>',
        f'<text x="{RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{x_column} {end:,.0f}</text>',
    ]
    unknown = _unknown(name, traces)
    if values:
        labels = {_short(high): TOP + 8, _short(low): floor}
        parts += [
            f'<text x="{LEFT - 5}" y="{y}" text-anchor="end">{text}</text>' for text, y in labels.items()
        ]
    else:
        parts.append(f'<text x="{LEFT + 8}" y="{(TOP + BOTTOM) // 2}">{unknown}</text>')
    words = []
    for number, line in drawn.items():
        points = [(LEFT + number * across, floor - (value - low) * up) for number, value in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" {_style(number, first)}/>')
        if number >= first:
            (x, y), color = points[-1], STYLES[number % len(STYLES)][0]
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{color}"/>')
            words.append(f"{traces[number].name} {_course(line, x_column)}")
    label = html.escape(f"{QUANTITIES[name]}: {'; '.join(words) or unknown}")
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11" '
        f'fill="currentColor" style="width:{WIDTH}px;max-width:100%">{"".join(parts)}</svg>'
    )


def _unknown(name: str, traces: Sequence[RunTrace]) -> str:
    """What a panel without values says: if it is known, the epoch after which there will be one."""
    lengths = {int(row["epochs"]) for trace in traces for row in trace.rows[:1] if "epochs" in row}
    firsts = [training.validation_epochs(epochs)[-1] for epochs in lengths if epochs]
    if name != "val_error" or not firsts:
        return UNKNOWN
    return f"first measured after epoch {min(firsts):,}"


def _line(name: str, rows: Sequence[Row]) -> list[Point]:
    """The points at which a quantity was measured, thinned to about `MAX_POINTS`; the last one stays."""
    x_column = _x_column(rows[0]) if rows else ""
    line = [(row[x_column], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    return line[:: -max(1, len(line) // MAX_POINTS)][::-1]


def _course(line: list[Point], x_column: str) -> str:
    (begun, first), (now, last) = line[0], line[-1]
    if begun == now:
        return f"{_short(last)} at {x_column} {now:,}"
    return f"from {_short(first)} at {x_column} {begun:,} to {_short(last)} at {x_column} {now:,}"


def _short(value: float) -> str:
    """0.53, 88,210, 2.25 M: short enough to fit beside an axis."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
