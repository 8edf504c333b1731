"""What travels to other processes and machines as plain bytes: users' code and files, and finished runs.

Files and runs are checked by digest where they arrive, images by whoever reads them; all are written as a
whole or not at all.
"""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cloudpickle

from horticulture import data, runs
from horticulture.data import datasets
from horticulture.data.catalog import FOLDER, SAVED
from horticulture.errors import InputError
from horticulture.pruning import criteria
from horticulture.runs import Run, code_digest
from horticulture.runs.run import RESULT
from horticulture.system import code_files, files

# The only files of a run besides those whose digests its result records.
CHECKPOINT = re.compile(r"rounds/round-[0-9]{6,}-([0-9a-f]{12})\.safetensors")
UNFINISHED = ("at-*.safetensors", "rows.jsonl")  # files of a run that is not finished
SENT: dict[tuple[str, int], str] = {}  # digests of image folders of another machine, by path and image size


# --- finished runs -----------------------------------------------------------------------------------------


def pack(run: Run, outputs: Path) -> dict[str, bytes]:
    """The files of a finished run, by name. Raises CorruptFileError if one has changed."""
    where = runs.folder(run, outputs)
    names = [*runs.require_result(run, outputs)["files"], RESULT]
    names += [f"rounds/{path.name}" for path in where.glob("rounds/round-*.safetensors")]
    packed = {name: files.read(where / name) for name in names}
    _check(run, packed, where)
    return packed


def unpack(run: Run, packed: dict[str, bytes], outputs: Path) -> None:
    """Write the files of a finished run, the result last. Needs the run's lock.

    Raises CorruptFileError, before anything is written, if they are not exactly those that the result lists.
    """
    where = runs.folder(run, outputs)
    _check(run, packed, where)
    for name in sorted(packed, key=lambda name: name == RESULT):
        files.write(where / name, packed[name])
    for pattern in UNFINISHED:  # left by an earlier process here
        for path in where.glob(pattern):
            path.unlink()


def _check(run: Run, packed: dict[str, bytes], where: Path) -> None:
    result = where / RESULT
    try:
        record = files.unseal(json.loads(packed[RESULT]), result)
        listed = {RESULT: None, **record["files"]}
    except (LookupError, TypeError, ValueError) as error:
        raise files.CorruptFileError(result) from error
    if record.get("key") != run.key or not packed.keys() >= listed.keys():
        raise files.CorruptFileError(result)
    for name, content in packed.items():
        checkpoint = CHECKPOINT.fullmatch(name)
        expected = checkpoint[1] if checkpoint else listed.get(name, "")
        if expected not in (None, files.digest(content)) or "/" in name.removeprefix("rounds/"):
            raise files.CorruptFileError(where / Path(name).name)


# --- users' code -------------------------------------------------------------------------------------------


def pack_code() -> bytes:
    """Pickle users' code for another process: digests of the files that may run, and criteria.

    What these import from users' files goes along, for the files may not be there. If that cannot be
    pickled, such as a lock, it is imported where it arrives.
    """
    own = criteria.own_criteria()
    modules = code_digest.users_modules() if own else []
    try:
        with suppress(Exception):
            return _pickle((code_files.ALLOWED, own), modules)
        return _pickle((code_files.ALLOWED, own), [])
    except Exception as error:  # users' functions may refer to anything
        mine = ", ".join(own)
        raise InputError(f"{mine} cannot be sent to worker processes, so set workers=1: {error}") from error


def _pickle(content: Any, modules: list[ModuleType]) -> bytes:
    """Pickle something. modules: those whose functions and values are pickled too, not their names alone."""
    known = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in known]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(content)
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


def unpack_code(packed: bytes) -> None:
    """Let the code of another process run here."""
    allowed, own = cloudpickle.loads(packed)
    code_files.ALLOWED.update(allowed)
    criteria.CRITERIA.update(own)


# --- users' files ------------------------------------------------------------------------------------------


class SentFile(NamedTuple):
    """A file that runs need and that only this machine may have: code of a network, or weights."""

    path: str
    digest: str

    def is_here(self, folder: Path) -> bool:
        """Whether this machine has it, unchanged. folder: of files that it was sent."""
        try:
            return self._copy(folder).exists() or files.file_digest(Path(self.path)) == self.digest
        except (OSError, files.CorruptFileError):
            return False

    def content(self) -> bytes:
        """Its bytes."""
        return files.read(Path(self.path))

    def install(self, content: bytes, folder: Path) -> None:
        """Write what was sent into that folder. Raises InputError if it was altered."""
        if files.digest(content) != self.digest:
            raise InputError(f"{self.path} was altered on its way here")
        if not self._copy(folder).exists():
            files.write(self._copy(folder), content)

    def use(self, folder: Path) -> None:
        """Have the next run here find what was sent, if it was: another command may have sent another."""
        files.LOCAL_COPIES.pop(self.path, None)
        if (copy := self._copy(folder)).exists():
            files.LOCAL_COPIES[self.path] = copy

    def _copy(self, folder: Path) -> Path:
        return folder / f"{self.digest}-{Path(self.path).name}"


class SentDataset(NamedTuple):
    """The images of a data set that runs need and that only this machine may have."""

    name: str
    digest: str
    image_size: int

    def is_here(self, folder: Path) -> bool:
        """Whether this machine has it: as an image folder, of which a run checks the digest, or saved."""
        return self._is_folder_here() or data.saved_path(self.digest).exists()

    def content(self) -> bytes:
        """The bytes of the saved data set; an image folder is decoded first."""
        if self.name.startswith(FOLDER):
            from horticulture.execution import loading

            data.save(loading.load_dataset(self.name, image_size=self.image_size))
        return files.read(data.saved_path(self.digest))

    def install(self, content: bytes, folder: Path) -> None:
        """Save what was sent. Whoever reads it checks its digest."""
        if not (path := data.saved_path(self.digest)).exists():
            files.write(path, content)

    def use(self, folder: Path) -> None:
        """Have the next run here find what was sent, if there is no such image folder here."""
        if self.name.startswith(FOLDER) and not self._is_folder_here():
            SENT[self.name, self.image_size] = self.digest
            datasets.DATASETS[self.name] = _loader(self.name)

    def _is_folder_here(self) -> bool:
        return self.name.startswith(FOLDER) and Path(self.name.removeprefix(FOLDER)).is_dir()


Sent = SentFile | SentDataset


@cache  # so that the data set is read once per process
def _loader(name: str):
    return lambda image_size: data.load_saved(SENT[name, image_size])


def own_files(todo: Iterable[Run]) -> list[Sent]:
    """Everything of the user's that these runs need: code of networks, weights, images."""
    distinct: dict[Sent, None] = {}
    for run in chain.from_iterable(run.chain for run in todo):
        table, name = run.architecture.table, str(run.data["name"])
        if table is not None and code_files.is_code(table.network):
            distinct[SentFile(table.network.rpartition(":")[0], table.digest)] = None
        if run.recipe.get("file"):
            distinct[SentFile(run.recipe["file"], run.recipe["file_digest"])] = None
        if name.startswith((FOLDER, SAVED)) and run.data.get("digest"):
            distinct[SentDataset(name, run.data["digest"], run.data.get("image_size", 0))] = None
    return list(distinct)
