"""Study files: which ones exist, what they contain, and the names of their results.

Neither papermill nor torch is loaded here, so the command answers at once.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from horticulture.errors import InputError, check_choice
from horticulture.study import literals
from horticulture.system import files, locks
from horticulture.system.files import CorruptFileError, read_json, write_json

STUDY_FILE_ENTRIES = ("about", "seconds", "parameters", "parts")
RESERVED = ("runs", "reference")  # folders under outputs that are not studies
FOLDERS = ("curves", "exports", "figures", "notebooks")  # in a study's folder
LOCKS = (".lock", ".study.lock", ".tables.lock", ".curves.lock")  # beside them
STUDY_JSON = "study.json"  # what a study's notebooks agreed on, in its folder
MAX_NAME_BYTES = 200  # bytes of a study's name
MAX_SECONDS = 1e9  # of a notebook: thirty years
MAX_PARTS = 50  # of a study
RENAMED = {  # parameters by their names in earlier versions
    "tune_lr": "finetune_lr",
    "tune_epochs": "finetune_epochs",
    "longer": "base_epoch_factors",
    "longer_sizes": "factor_sizes",
    "judged": "oracle_criteria",
    "judged_channels": "oracle_channels",
    "judged_images": "oracle_images",
    "timed": "latency_batch_sizes",
    "timed_seconds": "latency_seconds",
    "copied": "copycat_size",
}


@dataclass(frozen=True)
class Study:
    """The content of a study file. seconds: measured per notebook on two cores, to estimate the time left.

    A study in parts runs all notebooks once per part; `parts` has the parameters in which each part differs.
    """

    name: str
    about: str
    parameters: dict[str, Any]
    seconds: dict[str, float]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def expand_parts(self) -> list["Study"]:
        """The study itself, or one study per part, named `STUDY-PART`."""
        if not self.parts:
            return [self]
        return [
            replace(self, name=f"{self.name}-{part}", parameters=self.parameters | different, parts={})
            for part, different in self.parts.items()
        ]


def studies() -> dict[str, Path]:
    """The study files of the checkout, by name."""
    folder = Path(__file__).parents[3] / "notebooks" / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def notebooks() -> list[Path]:
    """The ordered notebooks of the checkout. Raises InputError if the package is not in one."""
    paths = sorted((Path(__file__).parents[3] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise InputError(
            "the notebooks are not next to the package: install it from a checkout with pip install -e ."
        )
    return paths


def is_file(name: str) -> bool:
    """Whether a study is given as the path of its file."""
    return name.endswith((".yaml", ".yml"))


def read(name: str) -> Study:
    """Read a study by name or file path. Raises InputError if there is none or it is malformed."""
    path = Path(name) if is_file(name) else studies()[check_choice(name, studies(), "study")]
    content = literals.read_file(path)
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise InputError(f"study file {path} has no `parameters`: a mapping from names to values")
    for entry in content:
        check_choice(entry, STUDY_FILE_ENTRIES, f"entry of study file {path}")
    about = content.get("about") or ""
    seconds, parts = (content.get(entry) or {} for entry in ("seconds", "parts"))
    if not isinstance(about, str):
        raise InputError(f"study file {path}: about must be a string, not {about!r}")
    if not isinstance(seconds, dict) or not all(map(_are_seconds, seconds.values())):
        what = f"a number above 0, and at most {MAX_SECONDS:g}, for each notebook"
        raise InputError(f"study file {path}: seconds must give {what}")
    for notebook in seconds:
        check_choice(notebook, [path.stem for path in notebooks()], f"notebook in seconds of {path}")
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise InputError(f"study file {path}: parts must map the name of each part to its parameters")
    if len(parts) > MAX_PARTS:
        raise InputError(f"study file {path} has {len(parts):,} parts; at most {MAX_PARTS} are allowed")
    if len({part.casefold() for part in parts}) < len(parts):  # one folder, where case does not count
        raise InputError(f"study file {path}: parts must differ in more than upper and lower case")
    study = Study(path.stem, about, content["parameters"], seconds, parts)
    for expanded in study.expand_parts():
        check_name(expanded.name, f"study file {path}: name")
    for part in parts:
        check_name(part, f"study file {path}: part")
    if path.resolve() not in {known.resolve() for known in studies().values()}:
        taken = names()
        for name in (study.name, *(part.name for part in study.expand_parts())):
            if name in taken:
                raise InputError(
                    f"study file {path}: there is a study {name!r}, so give the file another name"
                )
    return study


def names() -> set[str]:
    """The names of the studies of the checkout and of their parts."""
    return {part.name for name in studies() for part in read(name).expand_parts()} | set(studies())


def _are_seconds(value: Any) -> bool:
    return literals.is_number(value) and 0 < value <= MAX_SECONDS


def folders(name: str, outputs: Path) -> list[Path]:
    """The folders of a study or its parts, found by its file or by the name it was run under.

    Raises InputError if there are none under `outputs`.
    """
    files_of_studies = (path for name in (STUDY_JSON, "results.csv") for path in outputs.glob(f"*/{name}"))
    begun = sorted({path.parent for path in files_of_studies})
    if is_file(name) or name in studies():
        wanted = [outputs / part.name for part in read(name).expand_parts()]
    elif (outputs / name).is_dir():
        wanted = [outputs / name]
    else:
        wanted = [folder for folder in begun if folder.name.startswith(f"{name}-")]
    if not (existing := [folder for folder in wanted if folder.is_dir()]):
        known = ", ".join(folder.name for folder in begun)
        raise InputError(f"no study {name!r} in {outputs}, which has {known or 'none yet'}")
    return existing


def check_name(name: str, what: str = "study") -> None:
    """Raise InputError for a name that cannot be the folder of a study."""
    if name in RESERVED:
        raise InputError(f"{what} {name!r}: that folder of the outputs is taken, choose another name")
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise InputError(f"{what} {name[:20]!r}...: a name has at most {MAX_NAME_BYTES} bytes")
    if not re.fullmatch(r"\w[\w.=+-]*", name):
        raise InputError(f"{what} {name!r}: a study is named like a folder, with letters and digits")


def check_own_folders(folder: Path) -> None:
    """Raise InputError if a name under which we write in a study's folder is a link out of it, or misused."""
    root = files.resolved(folder)
    for path in (folder / name for name in (*FOLDERS, *LOCKS)):
        target = Path(os.path.realpath(path))
        where = "itself" if target.is_symlink() else f"{target}, outside the study's folder"
        if target.is_symlink() or not target.is_relative_to(root):
            raise InputError(f"{path} is a link to {where}: remove the link")
        if path.exists() and path.is_dir() != (path.name in FOLDERS):
            raise InputError(f"{path} is {'no' if path.name in FOLDERS else 'a'} folder: move it elsewhere")


def read_study_json(folder: Path) -> dict[str, Any]:
    """Read `study.json` in a study's folder ({} if there is none): `study`, `parameters`, `base`,
    and `own`, the user's own criteria and data sets by name.

    Parameters of earlier versions are renamed. Raises CorruptFileError if the file cannot be read.
    """
    path = folder / STUDY_JSON
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict) or not isinstance(content.get("parameters", {}), dict):
        raise CorruptFileError(path)
    own = content.get("own", {})
    if not isinstance(own, dict) or not all(isinstance(about, dict) for about in own.values()):
        raise CorruptFileError(path)
    if "parameters" in content:
        old = content["parameters"].items()
        content["parameters"] = {RENAMED.get(name, name): value for name, value in old}
    return content


@contextmanager
def editing(folder: Path, *, replace_damaged: bool = False) -> Iterator[dict[str, Any]]:
    """The content of `study.json`, to change in place; it is written at the end, if an entry has changed.

    One process at a time, because several notebooks of a study may be open. replace_damaged: whether a
    damaged file counts as empty instead of raising CorruptFileError.
    """
    with locks.held(folder / ".study.lock"):
        before: dict[str, Any] | None = None
        try:
            before = read_study_json(folder)
        except CorruptFileError:
            if not replace_damaged:
                raise
        content = dict(before or {})
        yield content
        if content != before:
            write_json(folder / STUDY_JSON, content)
