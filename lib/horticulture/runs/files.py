"""Files that are whole or not there, and that tell when they are not what was written."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from horticulture.errors import InputError


class CorruptFileError(InputError):
    """A file of a run is not what it was when it was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged: run the study again to have it made anew")
        self.path = path


def write_json(path: Path, content: Any) -> None:
    """Write so that the file is whole or not there, even if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Raises InputError, naming the file, if it does not hold JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise CorruptFileError(path) from error


def file_digest(path: Path) -> str:
    """Twelve hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it dies.

    on_wait: called once where another process holds it, before this one waits; it may raise instead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
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


class JsonlTable:
    """A table under way, a line of JSON a row: appending one costs the same however many there are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict) -> None:
        """Add a row."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def truncate(self, count: int) -> None:
        """Keep the first rows only: those after the last checkpoint will come again.

        Raises CorruptFileError if there are fewer.
        """
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        if len(lines) < count:
            raise CorruptFileError(self.path)
        self.path.write_text("".join(lines[:count]))

    def truncate_to_round(self, round_: int) -> list[dict]:
        """Keep the rows of rounds before that one, and return them: the others will come again.

        Raises CorruptFileError if a round is missing.
        """
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        rows = [row for line in lines if (row := self._row(line))["round"] < round_]
        if {row["round"] for row in rows} != set(range(round_)):
            raise CorruptFileError(self.path)
        self.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return rows

    def _row(self, line: str) -> dict:
        try:
            return json.loads(line)
        except ValueError:  # a line that was being written when the process died
            return {"round": math.inf}

    def last(self) -> dict | None:
        """The last row, if there is one."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return json.loads(lines[-1]) if lines else None

    def to_csv(self, path: Path) -> None:
        """The whole table."""
        rows = [json.loads(line) for line in self.path.read_text().splitlines()]
        temporary = path.with_suffix(".tmp")
        pd.DataFrame(rows).to_csv(temporary, index=False)
        os.replace(temporary, path)

    def clear(self) -> None:
        """The table is written: its rows are not needed any more."""
        self.path.unlink(missing_ok=True)
