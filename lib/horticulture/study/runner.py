"""Run the notebooks of a study through papermill, in order.

papermill alone does not report a killed kernel, and can wait forever for a widget. Here a notebook counts as
finished only if every cell is, and the engine cannot stall.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import LocalHandler, papermill_io

from horticulture.data.locations import data_folder
from horticulture.errors import InputError, NotebookError, first_line, printable
from horticulture.execution import interruption, stale_files, status
from horticulture.study.parameters import COMMON, fill_in, notebooks_from
from horticulture.study.study_files import Study, editing
from horticulture.study.terminal import Terminal
from horticulture.system import files, locks

IDLE_SECONDS = 3600.0  # after which nobody writes to a temporary file any more
MAX_HOLDER_BYTES = 500  # of what a command says about itself to one that waits for it
KERNEL_SECONDS = 300  # for a kernel to start: on a busy machine, loading Python's modules takes minutes


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one command at a time run the study in this folder; a second one says who does, and waits.

    Removes what killed commands left in the folder, and of images that they were decoding. Signals that end
    the process are raised as interruptions, so no kernel or worker is left behind.
    """
    holder = folder / ".holder"

    def report_holder() -> None:
        who = ""
        with suppress(OSError, InputError):  # it may be missing, or anything
            if holder.stat().st_size <= MAX_HOLDER_BYTES:
                who = printable(files.read(holder).decode(errors="replace"))
        said = f"{folder.name} is being run by {who or 'another process'}"
        print(f"{said}: waiting for it to end", file=sys.stderr)

    with interruption.on_end_signals(), locks.held(folder / ".lock", report_holder):
        files.write(holder, f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%H:%M')}")
        stale_files.remove(folder.rglob("*.tmp"))
        stale_files.remove((data_folder() / "cache").glob("*.tmp"), idle=IDLE_SECONDS)
        yield


def run(
    study: Study, parameters: dict[str, Any], outputs: Path, first: str = "01", cluster: str = ""
) -> Path:
    """Execute the notebooks in order, from the one named by `first`. Return the study's folder.

    cluster: the address of a scheduler that outlives this command, for `status`.
    If started from the first notebook, the folder shows only this execution; finished runs under
    `outputs/runs` are reused. Raises NotebookError at the first notebook that does not finish, and at the end
    if a page could not be made.
    """
    folder, (chosen, position) = outputs / study.name, notebooks_from(first)
    shown = folder / "notebooks"
    with status.running(folder, cluster), _Pages() as pages:
        _record_parameters(study.name, parameters, folder, afresh=position == 0)
        for text in chosen[0].parent.glob("*.md"):  # the notebooks link to them
            files.write(shown / text.name, text.read_bytes())
            pages.begin(shown / text.name)
        for notebook in chosen:  # pages of an earlier execution
            for old in (shown / notebook.name, (shown / notebook.name).with_suffix(".html")):
                old.unlink(missing_ok=True)
        parameters = {**parameters, "study": study.name, "outputs": str(outputs)}
        terminal = Terminal({path.stem: study.seconds.get(path.stem, 60.0) for path in chosen})
        for notebook in chosen:
            target = shown / notebook.name
            execute_notebook(notebook, target, parameters, terminal)
            pages.begin(target)
    return folder


def _record_parameters(name: str, parameters: dict[str, Any], folder: Path, *, afresh: bool) -> None:
    """Write a study's parameters into its folder. afresh: and remove its results."""
    if afresh:
        from horticulture.study import base_recipe  # loads torch

        base_recipe.forget_results(folder)
    with editing(folder, replace_damaged=afresh) as content:
        for key in content.keys() - {"base", "own"}:  # fixed by earlier notebooks
            del content[key]
        of_steps = {name: value for name, value in parameters.items() if name not in COMMON}
        content |= {"study": name, "parameters": of_steps}


def execute_notebook(notebook: Path, target: Path, parameters: dict[str, Any], terminal: Terminal) -> None:
    """Execute a notebook with these parameters to `target`. Raises NotebookError if it does not finish."""
    target.parent.mkdir(parents=True, exist_ok=True)
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
            start_timeout=KERNEL_SECONDS,
            on_progress=terminal.update,
            on_remark=terminal.remark,
        )
        done = is_finished(target)
    except PapermillExecutionError as error:
        what = f"{error.ename}: {error.evalue}".splitlines()[0]
        where = f"{notebook.stem} failed in cell {error.exec_count}"
        raise NotebookError(f"{where}: {what} (see {target})") from error
    except TimeoutError as error:  # none answers within `KERNEL_SECONDS`
        what = f"{notebook.stem}: its kernel did not start: {error}"
        raise NotebookError(f"{what}; run the same command again, when the machine is less busy") from error
    except (DeadKernelError, CellExecutionError) as error:
        died = f"{notebook.stem}: its kernel died, perhaps out of memory"
        raise NotebookError(f"{died} (see {target})") from error
    finally:
        terminal.end(done)
    if not done:
        raise NotebookError(f"{notebook.stem} did not run to its last cell (see {target})")


def _filled_in(notebook: Path, parameters: dict[str, Any]) -> nbformat.NotebookNode:
    """The notebook with values in its own parameters cell; papermill would add a second cell."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = fill_in(cell.source, parameters)
    return content


class _AtomicFiles(LocalHandler):
    """papermill's file handler, but writing atomically for other readers."""

    def write(self, buf: str, path: str) -> None:
        files.write(Path(path), buf)


papermill_io.register("/", _AtomicFiles())  # for absolute paths


def is_finished(notebook: Path) -> bool:
    """Whether every cell ran without an error. After a kill papermill's own flag is not set."""
    content = nbformat.read(notebook, as_version=4)
    if not content.metadata.get("papermill", {}).get("end_time"):
        return False
    cells = [cell for cell in content.cells if cell.cell_type == "code" and cell.source.strip()]
    return all(
        cell.execution_count is not None and not any(o.output_type == "error" for o in cell.outputs)
        for cell in cells
    )


def to_html(path: Path) -> Path:
    """Write the page of an executed notebook or a text, next to it."""
    from horticulture.study import pages  # takes a second to load

    return pages.write(path)


class _Pages(AbstractContextManager):
    """Makes pages of finished notebooks while later ones run, and waits for all of them on exit.

    An interruption does not wait: a page is complete or absent. Failures are reported at the end.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._failed: list[str] = []

    def begin(self, path: Path) -> None:
        """Start making the page of a notebook or a text."""
        thread = threading.Thread(target=self._make, args=(path,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _make(self, path: Path) -> None:
        try:
            to_html(path)
        except Exception as error:
            self._failed.append(f"could not make a page of {path} ({first_line(error)})")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        for thread in self._threads:
            thread.join()
        if self._failed and kind is None:
            raise NotebookError("; ".join(self._failed))
        for line in self._failed:  # in addition to the error that stopped the study
            print(line, file=sys.stderr)
