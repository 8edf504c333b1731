"""A run: its description, its key, and its result on disk in `run.json`, which is written last."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.system import files
from horticulture.system.files import CorruptFileError

RESULT = "run.json"
Kind = Literal["train", "given", "move", "prune", "tune", "compress", "judge"]

# Version of what descriptions mean; raising it gives every run a new key. 2: recipes include penalties, and
# what a ratio is a fraction of. 3: networks are evaluated with estimated norm statistics, ties are spread,
# Taylor follows the paper; descriptions include the precision, the scope, and digests of users' code.
VERSION = 3


@dataclass(frozen=True)
class Run:
    """One unit of work: training, moving, pruning, tuning or compressing a network, or comparing criteria.

    kind: what is done, by `execution.KINDS`. recipe: a `training.TrainingRecipe` or `pruning.PruningRecipe`
    as plain data. data: from `execution.describe_data`. start: the run whose network this one starts from.
    """

    kind: Kind
    architecture: Architecture
    recipe: dict[str, Any]
    data: dict[str, Any]
    seed: int
    start: "Run | None" = None

    @cached_property
    def key(self) -> str:
        """Twelve hexadecimal digits, equal for equal descriptions, whatever the device or folder."""
        text = json.dumps({"version": VERSION, **_without_places(self.to_json())}, sort_keys=True)
        return files.digest(text.encode())

    def to_json(self) -> dict:
        """The description: everything that fixes the run."""
        return {
            "kind": self.kind,
            "architecture": self.architecture.to_json(),
            "recipe": self.recipe,
            "data": self.data,
            "seed": self.seed,
            "start": self.start.to_json() if self.start else None,
        }

    @staticmethod
    def from_json(description: dict) -> "Run":
        """The inverse of `to_json`. Raises InputError for anything else."""
        try:
            start = description["start"]
            architecture = _architecture(json.dumps(description["architecture"]))
            start = Run.from_json(start) if start else None
            run = Run(**{**description, "architecture": architecture, "start": start})
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise InputError(f"this describes no run ({error})") from error
        kinds = {"kind": str, "recipe": dict, "data": dict, "seed": int}
        wrong = [name for name, kind in kinds.items() if type(getattr(run, name)) is not kind]
        if wrong or not all(isinstance(value, str | int | None) for value in run.data.values()):
            raise InputError(f"this describes no run (by its {', '.join(wrong or ['data'])})")
        return run

    @property
    def chain(self) -> Iterator["Run"]:
        """This run, the one that it starts from, and so on."""
        yield self
        if self.start:
            yield from self.start.chain

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.architecture.params:,} parameters, seed {self.seed})"


@lru_cache(maxsize=10_000)  # of a study's thousands of runs, many share one, with its counts of parameters
def _architecture(text: str) -> Architecture:
    return Architecture.from_json(json.loads(text))


def _without_places(description: dict) -> dict:
    """Leave out paths of data and networks that have a digest: they say only where these are."""
    start = description["start"]
    data = dict(description["data"])
    architecture = description["architecture"]
    recipe = {name: value for name, value in description["recipe"].items() if name != "file"}
    if "digest" in data:
        data.pop("name", None)
    if "table" in architecture:
        architecture = Architecture.from_json(architecture).identity()
    return {
        **description,
        "architecture": architecture,
        "recipe": recipe,
        "data": data,
        "start": _without_places(start) if start else None,
    }


def folder(run: Run, outputs: Path) -> Path:
    """Where a run lives: shared by all studies under `outputs`."""
    return outputs / "runs" / run.key


def result(run: Run, outputs: Path) -> dict | None:
    """The result of a run, None if it is not finished. Raises CorruptFileError if its file is damaged."""
    content = _result(folder(run, outputs))
    if content is not None and content.get("key", run.key) != run.key:
        raise CorruptFileError(folder(run, outputs) / RESULT)
    return content


def require_result(run: Run, outputs: Path) -> dict:
    """The result of a run. Raises InputError if it is not finished."""
    content = result(run, outputs)
    if content is None:
        raise InputError(f"{run} is not finished: run the study again")
    return content


def _result(run_folder: Path) -> dict | None:
    path = run_folder / RESULT
    try:
        content = files.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not (
        isinstance(content, dict)
        and {"run", "metrics"} <= content.keys()
        and all(isinstance(content.get(name, {}), dict) for name in ("run", "metrics", "files"))
    ):
        raise CorruptFileError(path)
    return content


def metrics(run: Run, outputs: Path) -> dict:
    """The metrics in a run's result. Raises InputError if it is not finished."""
    return require_result(run, outputs)["metrics"]


def write_result(
    run: Run, outputs: Path, metrics: dict, environment: dict, names: Iterable[str] = ()
) -> dict:
    """Write the result, after all other files. environment: of the machine. names: of files."""
    run_folder = folder(run, outputs)
    files.make_folder(run_folder)
    present = set(os.listdir(run_folder))  # takes less than to ask for each
    digests = {name: files.file_digest(run_folder / name) for name in names if name in present}
    described = {"key": run.key, "run": run.to_json(), "metrics": metrics}
    content = {**described, "about": environment, "files": digests}
    files.write_json(run_folder / RESULT, content)
    return content


def verified_result(run: Run, outputs: Path) -> dict | None:
    """Like `result`, but also raises CorruptFileError if another file of the run has changed."""
    content = result(run, outputs)
    for name, digest in (content or {}).get("files", {}).items():
        path = folder(run, outputs) / name
        if not path.exists() or files.file_digest(path) != digest:
            raise CorruptFileError(path)
    return content


def read_verified(run_folder: Path, name: str) -> bytes:
    """Read a file in a run's folder. Raises CorruptFileError if it does not match the result's digest."""
    content = files.read(run_folder / name)
    digests = (_result(run_folder) or {}).get("files", {})
    if digests.get(name) not in (None, files.digest(content)):
        raise CorruptFileError(run_folder / name)
    return content


def quarantine(run: Run, outputs: Path) -> Path:
    """Set a damaged run aside, so that it is executed again and nothing is lost."""
    run_folder = folder(run, outputs)
    number = 1
    while (aside := run_folder.with_name(f"{run.key}.damaged-{number}")).exists():
        number += 1
    os.rename(run_folder, aside)
    files.sync(aside.parent)
    return aside


def outputs_folder(path: str | Path = "") -> Path:
    """Where results go: `path`, or `HORTICULTURE_OUTPUTS`, or `outputs/` in the checkout.

    The path is absolute, so that it does not depend on the directory in which a notebook runs. Raises
    InputError if it is, or leads through, something else than a folder.
    """
    default = os.environ.get("HORTICULTURE_OUTPUTS") or Path(__file__).parents[3] / "outputs"
    outputs = files.resolved(path or default)
    try:
        nearest = next((path for path in (outputs, *outputs.parents) if path.exists()), outputs)
    except OSError as error:  # too long a name
        raise InputError(f"outputs {str(outputs)[:60]}...: {error.strerror}") from error
    if nearest.exists() and not nearest.is_dir():
        raise InputError(f"outputs {outputs}: {nearest} is not a folder")
    return outputs
