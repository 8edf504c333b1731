"""A study in the terminal: one line of progress per notebook, and its tables in the end."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horticulture import runs
from horticulture.errors import list_first, printable, reading
from horticulture.execution import status
from horticulture.study import study_files
from horticulture.system.progress import UPDATE_SECONDS, bar, clock, columns, cut, rewrite_line, row

if TYPE_CHECKING:
    import pandas as pd

OWN_TRAINING = (
    "(in brackets: the compute spent on a network's own weights, as a share of the whole network's training "
    "of the same length)"
)
NARROWEST = 24  # columns for the names of a table's rows
ROOMY = 120  # columns needed to show a notebook's name beside the status of two runs


class Terminal:
    """One line per notebook: its progress, what it is doing, and the time that it and the rest will take.

    expected: seconds by notebook, from the study file.
    """

    def __init__(self, expected: dict[str, float]) -> None:
        self.expected = expected
        self.rest = list(expected)  # the notebooks still to run
        self.took: dict[str, float] = {}  # seconds, for notebooks none of whose runs existed before
        self.live = sys.stderr.isatty()
        self._remarks = set[str]()
        self.name, self._began, self._shown = "", 0.0, 0.0
        self._made = self._resumed = 0.0

    def begin(self, name: str) -> None:
        """Start the line of a notebook."""
        self.name, self._began, self._shown = name, time.monotonic(), time.monotonic()
        self._made = self._resumed = 0.0
        if self.live:
            self._write("starting")

    def update(self, line: str, share: float, resumed: float) -> None:
        """Show a report of `Progress` in the notebook. resumed: the fraction done by an earlier process."""
        self._made = max(self._made, share - resumed)
        self._resumed = max(self._resumed, resumed)
        if time.monotonic() - self._shown >= UPDATE_SECONDS["terminal" if self.live else "log"]:
            self._shown = time.monotonic()
            self._write(line, share)

    def remark(self, line: str) -> None:
        """Show a line that stays, above the progress, unless an earlier notebook had the same to say."""
        if line in self._remarks:
            return
        self._remarks.add(line)
        if self.live:
            rewrite_line("")
        print(f"{self.name}: {printable(line)}", file=sys.stderr, flush=True)

    def end(self, finished: bool) -> None:
        """Show the time it took, and an estimate for the rest at the pace of `took`."""
        if not finished:  # the cause is reported in a line of its own
            self._write("")
            return
        seconds = time.monotonic() - self._began
        self.rest.remove(self.name)
        if self._made and not self._resumed:
            self.took[self.name] = seconds
        remaining = sum(self.expected[name] for name in self.rest)
        if self.took:
            pace = sum(self.took.values()) / sum(self.expected[name] for name in self.took)
            estimate = f"about {clock(pace * remaining)}"
        else:  # runs of later notebooks may exist already, too
            estimate = f"up to about {clock(remaining)}"
        note = f", {estimate} left for {', '.join(name[:2] for name in self.rest)}" if self.rest else ""
        self._write(f"took {clock(seconds)}{note}")
        if self.live:
            print(file=sys.stderr)

    def _write(self, text: str, share: float | None = None) -> None:
        if self.live:
            name = self.name if columns() >= ROOMY else self.name[:2]
            shown = row(share, text, name) if share is not None else cut(f"{name} {text}")
            rewrite_line(shown if text else "")
        elif text:
            bars = f"{bar(share)} " if share is not None else ""
            print(f"{self.name:<24} {bars}{text}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a text that may come from a stranger, without its control characters."""
    print("\n".join(map(printable, text.split("\n"))))


def print_tables(folder: Path) -> None:
    """Print the tables, notes on them, and the paths of the figures."""
    with reading(folder):
        texts = list(_texts(folder))
    for text in texts:
        say(text)


def print_status(folder: Path) -> None:
    """Print how far a study has come, by what its processes have written last."""
    with reading(folder / status.FILE):
        lines = list(_status(folder))
    for line in lines:
        say(line)


def _status(folder: Path) -> Iterator[str]:
    if not (record := status.read(folder)):
        what = "something has run, without saying how far it came" if any(folder.iterdir()) else ""
        yield f"{folder.name}: {what or 'nothing has run yet'}"
        return
    over = status.is_over(record)
    yield f"{folder.name}: {_state(record, over)}"
    ago, ended = clock(time.time() - record["time"]), ", which has ended" if over else ""
    yield f"  written {ago} ago by {record['process']}{ended}"
    for run, error in record["failed"]:
        yield f"  failed: {run}: {error}"


def _state(record: dict[str, Any], over: bool) -> str:
    where = ": ".join(filter(None, [record.get("notebook"), record.get("line")]))
    going_on = (
        f"; runs in progress go on at {record['cluster']} until they end" if record.get("cluster") else ""
    )
    match record.get("state"):
        case status.FINISHED:
            return "finished"
        case status.FAILED:
            return f"failed: {record['error']}" + (f"; the last was {where}" if record.get("line") else "")
        case status.STOPPED:
            return f"stopped in {where}{going_on}"
        case _ if over and going_on:
            return f"the command has ended; the last was {where}{going_on}"
        case _:
            return f"nothing is running any more; the last was {where}" if over else where


def _texts(folder: Path) -> Iterator[str]:
    from horticulture.analysis import tables

    study_files.read_study_json(folder)  # refuses a damaged one
    unverified = runs.files_without_digest(folder)
    results = runs.collect(folder)
    by_size, by_budget = tables.error_by_size(results), tables.error_by_budget(results)
    if len(by_size):
        yield _as_text(by_size)
    if len(by_budget):
        yield f"\ntest error (%) by budget (own training)\n{_as_text(by_budget)}"
    explained = OWN_TRAINING if len(by_size) or len(by_budget) else "no network has a test error"
    for line in (explained, *tables.notes(results)):
        yield textwrap.fill(line, columns()) if sys.stdout.isatty() else line
    if unverified:
        why = "written without a digest by an earlier version"
        yield f"not verified, {why}: {list_first([path.name for path in unverified], 1)}"
    yield from map(str, sorted((folder / "figures").glob("*.png")))


def _as_text(table: pd.DataFrame) -> str:
    """A table in the terminal's width; as wide as it is where the output goes elsewhere."""
    text, width = table.to_string(na_rep=""), columns() if sys.stdout.isatty() else None
    if width is None or _width(text) <= width:
        return text
    if table.index.nlevels > 1:
        return table.to_string(na_rep="", line_width=width)
    room, excess = max(NARROWEST + 1, *(len(str(name)) for name in table.index)), 0
    while room > NARROWEST:
        room = max(NARROWEST, room - excess)
        wrapped = _wrap_names(table, room)
        text = wrapped.to_string()
        if (excess := _width(text) - width) <= 0:
            break
    else:
        text = wrapped.to_string(line_width=width)
    return f"{table.index.name}\n{text}"


def _wrap_names(table: pd.DataFrame, room: int) -> pd.DataFrame:
    """A table whose rows' names go on in further rows where they have more characters than `room`."""
    import pandas as pd

    rows: list[tuple] = []
    for name, values in table.fillna("").astype(str).iterrows():
        first, *more = textwrap.wrap(str(name), room, subsequent_indent="  ")
        rows += [(first, *values), *((line, *[""] * len(values)) for line in more)]
    return pd.DataFrame(rows, columns=["", *table.columns]).set_index("").rename_axis(None)


def _width(text: str) -> int:
    return max(map(len, text.splitlines()))


def ask_yes_no(question: str) -> bool:
    """Whether a person at the terminal says yes."""
    try:
        return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() == "y"
    except EOFError:  # Ctrl-D
        return False
