"""Files that are whole or not there, even after a power cut, and that tell when they were altered."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from horticulture.errors import InputError

if TYPE_CHECKING:  # takes seconds to load, and a command that refuses something needs none
    import pandas as pd

SEAL = "seal"  # the last entry of a sealed record: a digest of the others


class CorruptFileError(InputError):
    """A file is not what it was when it was written, or not there any more."""

    def __init__(self, path: Path) -> None:
        what = "damaged" if path.exists() else "missing"
        super().__init__(f"{path} is {what}: run the study again to have it made anew")
        self.path = path


def write(path: Path, content: bytes | str) -> None:
    """Write a file: it is whole or as it was before, whatever dies meanwhile, and stays once this returns.

    The content, then the name are forced to the disk, so what is written after it can rely on it.
    """
    make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # on a full disk it would be in the way
        raise
    sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing; they stay once this returns."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Force to the disk what a file holds, or which names a folder has."""
    if os.name != "nt":  # where a folder cannot be opened
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def digest(content: bytes) -> str:
    """Twelve hexadecimal digits of it."""
    return hashlib.sha256(content).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """`digest` of a file's content, which need not fit into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


# --- sealed records --------------------------------------------------------------------------------------


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """A record with a digest of itself, for `unseal`. Its keys must be text, as JSON has them."""
    return {**record, SEAL: digest(json.dumps(record).encode())}


def unseal(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """A record without its seal. Raises CorruptFileError, naming the file, if it is not what was sealed.

    Earlier versions wrote records without a seal: those come back as they are.
    """
    content = dict(islice(record.items(), max(0, len(record) - 1)))
    if record and record[list(record)[-1]] == seal(content)[SEAL]:  # under whatever name: that may be hit too
        return content
    if SEAL in record:
        raise CorruptFileError(path)
    return record


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record, sealed, by `write`."""
    write(path, json.dumps(seal(record), indent=1) + "\n")


def read_json(path: Path) -> Any:
    """What a file of JSON holds, without the seal.

    Raises CorruptFileError if it holds none, or something else than was written.
    """
    content = _parsed(path)
    return unseal(content, path) if isinstance(content, dict) else content


def is_sealed(path: Path) -> bool:
    """Whether a file of JSON tells when it is altered: those of earlier versions do not.

    Raises CorruptFileError if it was.
    """
    content = _parsed(path)
    return isinstance(content, dict) and unseal(content, path) is not content


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(path) from error


# --- tables ----------------------------------------------------------------------------------------------


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """Write a table by `write`."""
    write(path, frame.to_csv(index=False))


class JsonlTable:
    """A table under way, a sealed line of JSON a row: appending one costs the same however many there are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict) -> None:
        """Add a row."""
        with self.path.open("a") as file:
            file.write(_line(row))

    def sync(self) -> None:
        """Force the rows to the disk, so that a checkpoint written after it can rely on them."""
        if self.path.exists():
            sync(self.path)
            sync(self.path.parent)

    def truncate(self, count: int) -> None:
        """Keep the first rows only: those after the last checkpoint will come again.

        Raises CorruptFileError if there are fewer.
        """
        rows = list(islice(self._intact(), count))
        if len(rows) < count:
            raise CorruptFileError(self.path)
        self._rewrite(rows)

    def truncate_to_round(self, round_: int) -> list[dict]:
        """Keep the rows of rounds before that one, and return them: the others will come again.

        Raises CorruptFileError if a round is missing.
        """
        rows = [row for row in self._intact() if row.get("round", math.inf) < round_]
        if {row["round"] for row in rows} != set(range(round_)):
            raise CorruptFileError(self.path)
        self._rewrite(rows)
        return rows

    def rows(self) -> list[dict]:
        """The whole table. Raises CorruptFileError if a line of it is damaged."""
        rows = list(self._intact())
        if len(rows) < len(self._lines()):
            raise CorruptFileError(self.path)
        return rows

    def to_csv(self, path: Path) -> None:
        """The whole table, by `write`."""
        import pandas as pd

        write_csv(path, pd.DataFrame(self.rows()))

    def clear(self) -> None:
        """The table is written: its rows are not needed any more."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines() if self.path.exists() else []

    def _intact(self) -> Iterator[dict]:
        """The rows to the first damaged line: usually one that was being written when the process died."""
        for line in self._lines():
            try:
                yield unseal(json.loads(line), self.path)
            except (ValueError, AttributeError):  # no JSON, altered, or no record
                return

    def _rewrite(self, rows: Iterable[dict]) -> None:
        write(self.path, "".join(map(_line, rows)))


def _line(row: dict) -> str:
    return json.dumps(seal(row)) + "\n"


# --- locks -----------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it dies.

    on_wait: called once where another process holds it, before this one waits; it may raise instead.
    """
    make_folder(path.parent)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
