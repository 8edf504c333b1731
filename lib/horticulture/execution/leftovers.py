"""What killed processes left behind, told by the process number in its name, and removed by the next one."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

FILE = re.compile(r".+\.([0-9]{1,7})\.tmp")  # what `files.write` has under way
FOLDER = re.compile(r"horticulture\.([0-9]{1,7})\.\w{8}")  # what `temporary_folder` makes


def remove(paths: Iterable[Path]) -> None:
    """Remove those of these files and folders that a process of this account made and that has ended.

    Anything else, whatever it is called, is somebody's and stays.
    """
    for path in paths:
        with suppress(OSError):  # another process is removing it as well
            about = path.lstat()
            made = (FOLDER if stat.S_ISDIR(about.st_mode) else FILE).fullmatch(path.name)
            if made is None or about.st_uid != os.getuid() or psutil.pid_exists(int(made[1])):
                continue
            shutil.rmtree(path) if stat.S_ISDIR(about.st_mode) else path.unlink()


@contextmanager
def temporary_folder(place: str | Path = "") -> Iterator[Path]:
    """A folder that nobody else can enter, for the time of a `with`; those of ended processes are removed.

    place: where it is (empty: where temporary files are).
    """
    place = place or tempfile.gettempdir()
    remove(Path(place).glob("horticulture.*"))
    with tempfile.TemporaryDirectory(prefix=f"horticulture.{os.getpid()}.", dir=place) as folder:
        yield Path(folder)
