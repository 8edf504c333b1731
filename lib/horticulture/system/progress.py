"""A progress line that is updated in place, in JupyterLab and in a terminal.

In a notebook it is a single display that is updated, so that headless execution leaves one readable line, not
thousands. It needs no widget (an Output widget can stall a headless execution forever). The runner of a
study listens for `MIME` and shows the same line in the terminal. In an interactive notebook there may be a
picture below the line. Making and sending updates is limited to `MAX_UPDATE_SHARE` of the time, in the thread
that calls; hearing the messages of runs, and what Jupyter's own threads do, come on top.
"""

import html
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

MIME = "application/vnd.horticulture.progress+json"
REMARK = "application/vnd.horticulture.remark+json"
UPDATE_SECONDS = {"notebook": 0.5, "terminal": 0.2, "log": 30.0}  # least seconds between two updates
ALMOST = 0.99  # the largest fraction shown until all is done
MAX_UPDATE_SHARE = 1 / 80  # largest fraction of the time to spend on updates


class Progress:
    """`with Progress("pruning", total) as progress: progress.update(done, "round 17/192")`.

    picture: returns HTML to show below the line of an interactive notebook.
    """

    def __init__(self, what: str, total: float) -> None:
        self.what, self.total = what, total
        self.done, self.resumed, self.note, self.details = 0.0, 0.0, "", ""
        self.picture: Callable[[], str] = lambda: ""
        self._began = time.monotonic()
        self._next = -1e9
        self._handle: Any = None
        self._medium = _medium()
        self._watched = self._medium == "notebook" and _watched()

    def __enter__(self) -> "Progress":
        self._show()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._show(finished=True)

    def update(self, done: float, note: str = "", resumed: float = 0.0, details: str = "") -> None:
        """Report how much of `total` is done; cheap enough to call at every step.

        resumed: how much of it an earlier process did, which is not counted when estimating the time left.
        details: status that the picture shows as well, if there is one.
        """
        self.done, self.note, self.resumed, self.details = done, note, resumed, details
        if time.monotonic() >= self._next:
            self._show()

    @property
    def share(self) -> float:
        """The fraction done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    def line(self, finished: bool = False, details: bool = True) -> str:
        """`pruning  43%  1:02, 1:22 left  round 17/192, 88,210 parameters; 1/2 finished`."""
        elapsed = time.monotonic() - self._began
        parts = [self.what, f"{self._shown(finished):4.0%}", f"{clock(elapsed)} elapsed"]
        if not finished and self.done > self.resumed:
            remaining = elapsed * (self.total - self.done) / (self.done - self.resumed)
            parts[-1] = f"{clock(elapsed)}, {clock(max(1.0, remaining))} left"
        notes = filter(None, [self.details if details else "", self.note])  # a terminal cuts off the end
        return "  ".join(filter(None, [*parts, "; ".join(notes)]))

    def _shown(self, finished: bool) -> float:
        return self.share if finished else min(self.share, ALMOST)

    def _show(self, finished: bool = False) -> None:
        began = time.monotonic()
        line, share = self.line(finished), self._shown(finished)
        if self._medium == "notebook":
            picture = self.picture() if self._watched else ""
            above = f"{bar(share)} {html.escape(self.line(finished, details=not picture))}"
            data = {
                "text/plain": line,
                "text/html": f"<pre style='margin:0;white-space:pre-wrap'>{above}</pre>{picture}",
                MIME: {"line": line, "share": share, "resumed": self.resumed / (self.total or 1)},
            }
            if self._handle is None:
                from IPython.display import display

                self._handle = display(data, raw=True, display_id=True)
            else:
                self._handle.update(data, raw=True)
        elif self._medium == "terminal":
            rewrite_line(row(share, line) + ("\n" if finished else ""))
        else:
            print(line, file=sys.stderr, flush=True)
        now = time.monotonic()
        pause = (now - began) * (1 / MAX_UPDATE_SHARE - 1)
        self._next = max(began + UPDATE_SECONDS[self._medium], now + pause)


def remark(line: str, file: TextIO | None = None) -> None:
    """Show a line on the results; if `horticulture run` executes the notebook, in the terminal, too.

    file: where to print it outside notebooks (None: to standard output).
    """
    if _medium() == "notebook":
        from IPython.display import display

        display({"text/plain": line, REMARK: {"line": line}}, raw=True)
    else:
        print(line, file=file)


def bar(share: float, width: int = 20) -> str:
    """A bar of `width` characters, full only when all is done."""
    full = int(width * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (width - full)


def row(share: float, line: str, name: str = "") -> str:
    """A name, a bar and a line in one row of the terminal; if it is too narrow, without the bar, then cut."""
    room = columns() - len(name) - len(line) - 3
    return cut(" ".join(filter(None, [name, bar(share, min(20, room)) if room >= 5 else "", line])))


def rewrite_line(text: str) -> None:
    """Replace the terminal's current line."""
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def cut(text: str) -> str:
    """Cut a text to one row of the terminal, because a longer one could not be replaced."""
    most = columns() - 1
    return text if len(text) <= most else f"{text[: most - 1]}…"


def columns() -> int:
    """The width of the terminal now."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or shutil.get_terminal_size().columns
    except (OSError, ValueError):  # stderr is not a terminal
        return shutil.get_terminal_size().columns


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours too: `1:02`, `3:07:45`."""
    total = max(0, round(seconds))
    hours, minutes = divmod(total // 60, 60)
    return f"{hours}:{minutes:02}:{total % 60:02}" if hours else f"{minutes}:{total % 60:02}"


def shell() -> Any:
    """The IPython shell of this process, or None. Does not import IPython."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _medium() -> str:
    if hasattr(shell(), "kernel"):
        return "notebook"
    return "terminal" if sys.stderr.isatty() else "log"


def _watched() -> bool:
    """Whether the notebook is run interactively: headless execution does not allow input from stdin."""
    return bool(shell().get_parent().get("content", {}).get("allow_stdin"))
