"""A study: a file of parameters for the five notebooks, run through papermill, and what they produced.

papermill alone lets a misspelt parameter pass with a log line, reports nothing of a killed kernel, and
can wait for ever on a widget. This room knows that: parameters are checked before anything starts, a
notebook is finished only if every cell is, and the engine cannot stall.
"""

import ast
import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from horticulture.errors import BadInput, choose
from horticulture.progress import bar, clock
from horticulture.runs import files

TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
HEADLESS = "HORTICULTURE_HEADLESS"


class NotebookFailed(Exception):
    """A notebook did not finish; the message says which, in which cell, and where its executed copy is."""


@dataclass(frozen=True)
class Study:
    """What a study file says. seconds: what each notebook took on two cores, to estimate the time left.

    A study in parts goes through the notebooks once for each: `parts` has what is different in it.
    """

    name: str
    about: str
    parameters: dict[str, Any]
    seconds: dict[str, float]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def each(self) -> list["Study"]:
        """The study itself, or one for each of its parts, called `STUDY-PART`."""
        if not self.parts:
            return [self]
        return [
            replace(self, name=f"{self.name}-{part}", parameters=self.parameters | different, parts={})
            for part, different in self.parts.items()
        ]


def notebooks() -> list[Path]:
    """The ordered notebooks of the checkout. Raises BadInput if the package is not in one."""
    found = sorted((Path(__file__).parents[3] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise BadInput(
            "the notebooks are not beside the package: install it from a checkout, pip install -e ."
        )
    return found


def studies() -> dict[str, Path]:
    """The study files of the checkout, by name."""
    folder = Path(__file__).parents[3] / "notebooks" / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read(name: str) -> Study:
    """A study by its name or the path of its file. Raises BadInput if there is none or it is malformed."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else studies()[choose(name, studies(), "study")]
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise BadInput(f"no study file {path}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"study file {path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise BadInput(f"study file {path} must hold `about`, `seconds` and `parameters`")
    parts = content.get("parts") or {}
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise BadInput(f"study file {path}: parts must hold parameters by the name of the part")
    about, seconds = content.get("about", ""), content.get("seconds") or {}
    return Study(path.stem, about, content["parameters"], seconds, parts)


# --- parameters ------------------------------------------------------------------------------------------


def declared(notebook: Path) -> dict[str, dict]:
    """The parameters of a notebook: name -> {"type", "default", "help"}, from its `parameters` cell."""
    return {
        name: {
            "type": found["inferred_type_name"],
            "default": ast.literal_eval(found["default"]),
            "help": found["help"],
        }
        for name, found in papermill.inspect_notebook(str(notebook)).items()
    }


def parse(assignments: list[str]) -> dict[str, str]:
    """`["seeds=[0, 1]", "data=clutter"]` -> {"seeds": "[0, 1]", "data": "clutter"}."""
    split = [assignment.partition("=") for assignment in assignments]
    for name, equals, _ in split:
        if not equals:
            raise BadInput(f"-p {name!r}: say NAME=VALUE")
    return {name.strip(): value for name, _, value in split}


def settle(study: Study, overrides: dict[str, Any]) -> dict[str, Any]:
    """All parameters of all notebooks: defaults, then the study's, then the overrides.

    An override given as text is read as the type that the notebooks declare. Raises BadInput for a name
    that no notebook has, or a value of the wrong type.
    """
    known = {name: about for notebook in notebooks() for name, about in declared(notebook).items()}
    settled = {name: about["default"] for name, about in known.items()}
    for source, given in ((f"study {study.name}", study.parameters), ("-p", overrides)):
        for name, value in given.items():
            choose(name, known, f"parameter ({source})")
            settled[name] = _typed(name, value, known[name]["type"])
    return settled


def _typed(name: str, value: Any, kind: str) -> Any:
    if isinstance(value, str) and kind != "str":
        with contextlib.suppress(yaml.YAMLError):  # what stays text is refused below
            value = yaml.safe_load(value)
    wanted = TYPES[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise BadInput(f"parameter {name} must be of type {kind}, not {value!r}")
    return float(value) if isinstance(value, int) and kind == "float" else value


# --- running ---------------------------------------------------------------------------------------------


def run(study: Study, parameters: dict[str, Any], outputs: Path, first: str = "01") -> Path:
    """Execute the notebooks in order, from the one that begins with `first`; returns the study's folder.

    Begun from the start, the folder shows this run and nothing older; the runs themselves, under
    `outputs/runs`, are kept and not made again. Raises NotebookFailed at the first that does not finish, and
    at the end if a page to read could not be made of one.
    """
    every = notebooks()
    names = [path.stem for path in every]
    start = next((i for i, name in enumerate(names) if name.startswith(first)), None)
    if start is None:
        raise BadInput(f"no notebook begins with {first!r}: choose from {', '.join(names)}")
    folder = outputs / study.name
    if start == 0:
        for path in (folder / "curves").glob("*.json"):
            path.unlink()
    about = _fixed(folder / "study.json", anew=start == 0)
    files.write_json(folder / "study.json", {"study": study.name, "parameters": parameters, **about})
    terminal = _Terminal({name: study.seconds.get(name, 60.0) for name in names[start:]})
    with _Pages() as pages:
        for notebook in every[start:]:
            mine = {name: value for name, value in parameters.items() if name in declared(notebook)}
            places = {"study": study.name, "outputs": str(outputs)}
            target = folder / "notebooks" / notebook.name
            _execute(notebook, target, {**mine, **places}, terminal)
            pages.begin(target)
    return folder


def _fixed(path: Path, anew: bool) -> dict[str, Any]:
    """What the notebooks of the study have fixed there before (`session`): it stays, for them to compare."""
    try:
        found = files.read_json(path) if path.exists() else {}
    except files.Damaged:
        if not anew:
            raise
        found = {}
    return {"base": found["base"]} if isinstance(found, dict) and "base" in found else {}


def _execute(notebook: Path, target: Path, parameters: dict[str, Any], terminal: "_Terminal") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    before = os.environ.get(HEADLESS)
    os.environ[HEADLESS] = "1"
    terminal.begin(notebook.stem)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(target).replace("{", "{{").replace("}", "}}"),  # papermill would fill in what is in braces
            parameters,
            engine_name="horticulture",
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=False,
            listen=terminal.hear,
        )
    except PapermillExecutionError as error:
        what = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise NotebookFailed(
            f"{notebook.stem} failed in cell {error.exec_count}: {what} (see {target})"
        ) from error
    except (DeadKernelError, CellExecutionError) as error:
        raise NotebookFailed(
            f"{notebook.stem}: its kernel died, perhaps for want of memory (see {target})"
        ) from error
    finally:
        terminal.end()
        if before is None:
            del os.environ[HEADLESS]
        else:
            os.environ[HEADLESS] = before
    if not finished(target):
        raise NotebookFailed(f"{notebook.stem} did not run to its last cell (see {target})")


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
    temporary = target.with_suffix(".tmp")
    temporary.write_text(page)
    os.replace(temporary, target)
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
            raise NotebookFailed("; ".join(self._failed))
        for line in self._failed:  # beside what stopped the study
            print(line, file=sys.stderr)


class _Terminal:
    """One line a notebook: how far it is, what it does, how long it and the rest will take."""

    def __init__(self, expected: dict[str, float]) -> None:
        self.expected = expected
        self.took: dict[str, float] = {}
        self.live = sys.stderr.isatty()
        self.name, self._began, self._shown = "", 0.0, 0.0

    def begin(self, name: str) -> None:
        self.name, self._began, self._shown = name, time.monotonic(), time.monotonic()
        if self.live:
            self._write("starting", end="")

    def hear(self, line: str, share: float) -> None:
        """What a `Progress` in the notebook says."""
        now = time.monotonic()
        if now - self._shown >= (0.2 if self.live else 30):
            self._shown = now
            self._write(f"{bar(share)} {line}", end="" if self.live else "\n")

    def end(self) -> None:
        self.took[self.name] = time.monotonic() - self._began
        rest = [name for name in self.expected if name not in self.took]
        pace = sum(self.took.values()) / sum(self.expected[name] for name in self.took)
        left = pace * sum(self.expected[name] for name in rest)
        note = f", about {clock(left)} left for {', '.join(name[:2] for name in rest)}" if rest else ""
        self._write(f"took {clock(self.took[self.name])}{note}", end="\n")

    def _write(self, text: str, end: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self.live else "") + f"{self.name:<24} {text}{end}")
        sys.stderr.flush()
