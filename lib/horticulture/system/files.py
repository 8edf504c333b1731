"""Files that are complete or absent, even after a power cut, and that reveal alterations."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horticulture.errors import InputError
from horticulture.system import limits

if TYPE_CHECKING:  # takes seconds to load, and refusing bad input does not need it
    import pandas as pd

MAX_MEMORY_FRACTION = 0.25  # of memory: what is parsed exists twice or more
SEAL = "seal"  # the last entry of a sealed record: a digest of the others
# Copies on this machine of files of the machine that sent the work, by their path there.
LOCAL_COPIES: dict[str, Path] = {}


class CorruptFileError(InputError):
    """A file has changed since it was written, or is missing."""

    def __init__(self, path: Path, sums: Path | None = None) -> None:
        """sums: the file of checksums that the other one does not match, and which may be the damaged one."""
        what = "damaged" if path.exists() else "missing"
        other = f", or {sums.name} beside it is" if sums else ""
        super().__init__(f"{path} is {what}{other}: run the study again to remake {'both' if sums else 'it'}")
        self.path = path


def write(path: Path, content: bytes | str) -> None:
    """Write a file atomically and durably: after any crash it has either its old or its new content.

    The content and then the name are flushed to disk, so anything written later can rely on the file.
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
        temporary.unlink(missing_ok=True)  # on a full disk it would take up space
        raise
    sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, durably."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def local_path(path: str | Path) -> Path:
    """Where a file is on this machine; the path may be one of the machine that sent the work."""
    return LOCAL_COPIES.get(str(path), Path(path))


def resolved(path: str | Path) -> Path:
    """The absolute path, without `~` and links. Raises InputError for an unknown user or a loop of links."""
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise InputError(f"no path {path}: {error}") from error


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's names, to disk."""
    if os.name != "nt":  # which cannot open a folder
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def digest(content: bytes) -> str:
    """The first twelve hexadecimal digits of the content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


@cache
def _largest() -> float:
    """The size of the largest file to read. To ask each time would take longer than most reading."""
    return MAX_MEMORY_FRACTION * limits.memory()


def read(path: Path) -> bytes:
    """Read a file.

    Raises CorruptFileError for a pipe or device in its place, which might never end, and InputError for a
    file that would take more than `MAX_MEMORY_FRACTION` of memory.
    """
    if (size := _regular_size(path)) > _largest():
        raise InputError(f"{path} has {size:,} bytes, too many to be read into memory here")
    return path.read_bytes()


def file_digest(path: Path) -> str:
    """`digest` of a file's content, which need not fit into memory. Raises CorruptFileError as `read`."""
    _regular_size(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def check_loadable(path: Path, what: str) -> None:
    """Raise InputError unless it is a regular file that fits into memory. what: what to call it."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"no {what} {path}") from error
    except OSError as error:  # a link to itself, or too long a name
        raise InputError(f"{what} {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{what} {path} is not a regular file")
    if (size := status.st_size) > (most := limits.memory()):
        raise InputError(f"{what} {path} has {size:,} bytes, more than the memory here ({most:,})")


def _regular_size(path: Path) -> int:
    """The number of bytes in a file. Raises CorruptFileError if it is something else than a file."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CorruptFileError(path)
    return status.st_size


def safetensors_metadata(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, which `safetensors.torch.load` leaves out."""
    length = int.from_bytes(content[:8], "little")  # of the header, which is JSON
    return json.loads(content[8 : 8 + length])["__metadata__"]


# --- sealed records --------------------------------------------------------------------------------------


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """Add a digest of itself to a record, for `unseal`. Keys must be strings, as in JSON."""
    return {**record, SEAL: digest(json.dumps(record).encode())}


def unseal(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check a record and remove its seal. Raises CorruptFileError, naming the file, if they do not match.

    Earlier versions wrote records without a seal: those are returned unchanged.
    """
    content = dict(islice(record.items(), max(0, len(record) - 1)))
    # The seal is the last entry, whatever its name, which may be damaged too.
    if record and record[list(record)[-1]] == seal(content)[SEAL]:
        return content
    if SEAL in record:
        raise CorruptFileError(path)
    return record


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Seal a record and `write` it as JSON."""
    write(path, json.dumps(seal(record), indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file, without the seal.

    Raises CorruptFileError if it is not JSON, or has been altered.
    """
    content = _parsed(path)
    return unseal(content, path) if isinstance(content, dict) else content


def is_sealed(path: Path) -> bool:
    """Whether a JSON file has a seal; those of earlier versions do not.

    Raises CorruptFileError if it has been altered.
    """
    content = _parsed(path)
    return isinstance(content, dict) and unseal(content, path) is not content


def _parsed(path: Path) -> Any:
    content = read(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(path) from error


# --- tables ----------------------------------------------------------------------------------------------


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """`write` a table as CSV."""
    write(path, frame.to_csv(index=False))


class JsonlTable:
    """A growing table with a sealed line of JSON per row. Appending takes constant time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict) -> None:
        """Append a row."""
        with self.path.open("a") as file:
            file.write(_line(row))

    def sync(self) -> None:
        """Flush the rows to disk, so that a checkpoint written later can rely on them."""
        if self.path.exists():
            sync(self.path)
            sync(self.path.parent)

    def truncate(self, count: int) -> list[dict]:
        """Keep and return only the first rows; those after the last checkpoint will be made again.

        Raises CorruptFileError if there are fewer.
        """
        rows = list(islice(self._intact(), count))
        if len(rows) < count:
            raise CorruptFileError(self.path)
        self._rewrite(rows)
        return rows

    def truncate_to_round(self, round_: int) -> list[dict]:
        """Keep and return only the rows of rounds before that one; the others will be made again.

        Raises CorruptFileError if a round is missing.
        """
        rows = [row for row in self._intact() if row.get("round", math.inf) < round_]
        if {row["round"] for row in rows} != set(range(round_)):
            raise CorruptFileError(self.path)
        self._rewrite(rows)
        return rows

    def rows(self) -> list[dict]:
        """All rows. Raises CorruptFileError if a line is damaged."""
        rows = list(self._intact())
        if len(rows) < len(self._lines()):
            raise CorruptFileError(self.path)
        return rows

    def to_csv(self, path: Path) -> None:
        """`write` all rows as CSV."""
        import pandas as pd

        write_csv(path, pd.DataFrame(self.rows()))

    def clear(self) -> None:
        """Remove the file, once the table is written elsewhere."""
        self.path.unlink(missing_ok=True)

    def _lines(self) -> list[bytes]:
        return read(self.path).splitlines() if self.path.exists() else []

    def _intact(self) -> Iterator[dict]:
        """The rows up to the first damaged line, usually one being written when the process died."""
        for line in self._lines():
            try:
                yield unseal(json.loads(line), self.path)
            except (ValueError, AttributeError):  # not JSON, altered, or not a record
                return

    def _rewrite(self, rows: Iterable[dict]) -> None:
        write(self.path, "".join(map(_line, rows)))


def _line(row: dict) -> str:
    return json.dumps(seal(row)) + "\n"
