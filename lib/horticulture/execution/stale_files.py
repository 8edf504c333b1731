"""Remove what killed processes left behind: files by the process number in their name, folders by a lock."""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock

FILE = re.compile(r".+\.([0-9]{1,7})\.tmp")  # temporary files of `files.write`
FOLDER = re.compile(r"horticulture\.([0-9]{1,7})\.\w{8}")  # folders made by `temporary_folder`
LOCK = ".lock"  # in these folders: held by the process that made it, which another container may not see
UNLOCKED_SECONDS = 60.0  # for which a folder without a lock is kept: it has just been made


def remove(paths: Iterable[Path], idle: float = 0.0) -> None:
    """Remove those of these files and folders that were made by an ended process of this user.

    Anything else is kept, whatever its name. idle: seconds for which a file must not have been written to,
    where processes of other machines or containers write, whose numbers mean nothing here.
    """
    for path in paths:
        with suppress(OSError):  # another process is removing it as well, or holds its lock
            status = path.lstat()
            is_folder = stat.S_ISDIR(status.st_mode)
            made = (FOLDER if is_folder else FILE).fullmatch(path.name)
            if made is None or not _belongs_to_user(status) or psutil.pid_exists(int(made[1])):
                continue
            unlocked = is_folder and not (path / LOCK).exists()
            if time.time() - status.st_mtime < max(idle, UNLOCKED_SECONDS * unlocked):
                continue
            if is_folder:
                _remove_folder(path)
            else:
                path.unlink()


def _remove_folder(folder: Path) -> None:
    """Remove a folder. Raises OSError if its lock is held, or where there are no locks."""
    FileLock(folder / LOCK).acquire(blocking=False).lock.release()
    shutil.rmtree(folder)


def _belongs_to_user(status: os.stat_result) -> bool:
    """Whether it is this user's. Windows has no numbers of users, and gives each a folder for such files."""
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


@contextmanager
def temporary_folder(parent: str | Path = "") -> Iterator[Path]:
    """A private folder for the duration of a `with`. Removes the folders of ended processes first.

    parent: the folder to make it in (empty: the system's for temporary files).
    """
    parent = parent or tempfile.gettempdir()
    remove(Path(parent).glob("horticulture.*"))
    with tempfile.TemporaryDirectory(prefix=f"horticulture.{os.getpid()}.", dir=parent) as folder:
        lock = FileLock(Path(folder) / LOCK)
        with suppress(OSError):  # of a file system without locks, where nobody removes it either
            lock.acquire(blocking=False)
        try:
            yield Path(folder)
        finally:
            lock.release()
