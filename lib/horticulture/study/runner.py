"""Running the notebooks of a study through papermill, in order.

papermill alone reports nothing of a killed kernel, and can wait for ever on a widget. This module knows
that: a notebook is finished only if every cell is, and the engine cannot stall.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from horticulture import files
from horticulture.errors import NotebookError
from horticulture.progress import bar, clock, columns, cut, row
from horticulture.study.parameters import COMMON, Study, beginning, fill_in, kept

HEADLESS = "HORTICULTURE_HEADLESS"


def run(study: Study, parameters: dict[str, Any], outputs: Path, first: str = "01") -> Path:
    """Execute the notebooks in order, from the one that begins with `first`; returns the study's folder.

    Begun from the start, the folder shows this run and nothing older; the runs themselves, under
    `outputs/runs`, are kept and not made again. Raises NotebookError at the first that does not finish, and
    at the end if a page to read could not be made of one.
    """
    folder, chosen, anew = outputs / study.name, *beginning(first)
    if anew:
        for path in (folder / "curves").glob("*.json"):
            path.unlink()
    about = _fixed(folder / "study.json", anew)
    said = {name: value for name, value in parameters.items() if name not in COMMON}
    files.write_json(folder / "study.json", {"study": study.name, "parameters": said, **about})
    terminal = _Terminal({path.stem: study.seconds.get(path.stem, 60.0) for path in chosen})
    with _Pages() as pages:
        for notebook in chosen:
            target = folder / "notebooks" / notebook.name
            _execute(notebook, target, {**parameters, "study": study.name, "outputs": str(outputs)}, terminal)
            pages.begin(target)
    return folder


def _fixed(path: Path, anew: bool) -> dict[str, Any]:
    """What the notebooks of the study have fixed there before: it stays, for them to compare."""
    try:
        found = kept(path.parent)
    except files.CorruptFileError:
        if not anew:
            raise
        found = {}
    return {"base": found["base"]} if "base" in found else {}


def _execute(notebook: Path, target: Path, parameters: dict[str, Any], terminal: "_Terminal") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    before = os.environ.get(HEADLESS)
    os.environ[HEADLESS] = "1"
    terminal.begin(notebook.stem)
    done = False
    try:
        papermill.execute_notebook(
            _filled_in(notebook, parameters),
            str(target).replace("{", "{{").replace("}", "}}"),  # papermill would fill in what is in braces
            engine_name="horticulture",
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            listen=terminal.hear,
        )
        done = finished(target)
    except PapermillExecutionError as error:
        what = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise NotebookError(
            f"{notebook.stem} failed in cell {error.exec_count}: {what} (see {target})"
        ) from error
    except (DeadKernelError, CellExecutionError) as error:
        raise NotebookError(
            f"{notebook.stem}: its kernel died, perhaps for want of memory (see {target})"
        ) from error
    finally:
        terminal.end(done)
        if before is None:
            del os.environ[HEADLESS]
        else:
            os.environ[HEADLESS] = before
    if not done:
        raise NotebookError(f"{notebook.stem} did not run to its last cell (see {target})")


def _filled_in(notebook: Path, parameters: dict[str, Any]) -> nbformat.NotebookNode:
    """The notebook with these values in its own parameters cell, where papermill would add a second one."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = fill_in(cell.source, parameters)
    return content


def finished(notebook: Path) -> bool:
    """Whether every cell ran without an error. papermill's own flag is empty after a kill."""
    content = nbformat.read(notebook, as_version=4)
    if not content.metadata.get("papermill", {}).get("end_time"):
        return False
    cells = [cell for cell in content.cells if cell.cell_type == "code" and cell.source.strip()]
    return all(
        cell.execution_count is not None and not any(o.output_type == "error" for o in cell.outputs)
        for cell in cells
    )


def to_html(notebook: Path) -> Path:
    """A page to read beside an executed notebook, pictures inside."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    files.write(target, page)
    return target


class _Pages:
    """Pages of finished notebooks, made while later ones run; all are there when the `with` is left.

    An interruption waits for none of them: a page is whole or not there. What went wrong is said at the end.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._failed: list[str] = []

    def begin(self, notebook: Path) -> None:
        """Begin to make the page of a notebook."""
        thread = threading.Thread(target=self._make, args=(notebook,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _make(self, notebook: Path) -> None:
        try:
            to_html(notebook)
        except Exception as error:
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            self._failed.append(f"no page could be made of {notebook} ({what})")

    def __enter__(self) -> "_Pages":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        for thread in self._threads:
            thread.join()
        if self._failed and kind is None:
            raise NotebookError("; ".join(self._failed))
        for line in self._failed:  # beside what stopped the study
            print(line, file=sys.stderr)


class _Terminal:
    """One line a notebook: how far it is, what it does, how long it and the rest will take."""

    def __init__(self, expected: dict[str, float]) -> None:
        self.expected = expected
        self.rest = list(expected)  # the notebooks that are still to come
        self.took: dict[str, float] = {}  # seconds, of those in which everything was made
        self.live = sys.stderr.isatty()
        self.name, self._began, self._shown = "", 0.0, 0.0
        self._made = self._found = 0.0

    def begin(self, name: str) -> None:
        self.name, self._began, self._shown = name, time.monotonic(), time.monotonic()
        self._made = self._found = 0.0
        if self.live:
            self._write("starting")

    def hear(self, line: str, share: float, found: float) -> None:
        """What a `Progress` in the notebook says. found: the share that an earlier process had made."""
        self._made, self._found = max(self._made, share - found), max(self._found, found)
        now = time.monotonic()
        if now - self._shown >= (0.2 if self.live else 30):
            self._shown = now
            self._write(line, share)

    def end(self, finished: bool) -> None:
        """What it took, and how long the rest will, at the pace of those that found nothing made."""
        if not finished:  # whatever stopped it is said in a line of its own
            self._write("")
            return
        seconds = time.monotonic() - self._began
        self.rest.remove(self.name)
        if self._made and not self._found:
            self.took[self.name] = seconds
        expected = sum(self.expected[name] for name in self.took)
        pace = sum(self.took.values()) / expected if expected else 1.0
        left = pace * sum(self.expected[name] for name in self.rest)
        note = f", about {clock(left)} left for {', '.join(name[:2] for name in self.rest)}"
        self._write(f"took {clock(seconds)}{note if self.rest else ''}")
        if self.live:
            print(file=sys.stderr)

    def _write(self, text: str, share: float | None = None) -> None:
        if self.live:
            name = self.name if columns() >= 80 else self.name[:2]
            shown = row(share, text, name) if share is not None else cut(f"{name} {text}")
            print(f"\r\x1b[K{shown if text else ''}", end="", file=sys.stderr, flush=True)
        elif text:
            bars = f"{bar(share)} " if share is not None else ""
            print(f"{self.name:<24} {bars}{text}", file=sys.stderr, flush=True)
