"""What killed processes left behind, told by the process number in its name, and removed by the next one."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def remove(paths: Iterable[Path]) -> None:
    """Remove those of these files and folders, called `NAME.PID.REST`, whose process has ended.

    One without a number goes too: it was written under a lock that the caller has now.
    """
    for path in paths:
        pid = path.name.split(".")[-2]
        if pid.isdigit() and psutil.pid_exists(int(pid)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # it may be another person's
        else:
            path.unlink(missing_ok=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that nobody else can enter, for the time of a `with`; those of ended processes are removed."""
    remove(Path(tempfile.gettempdir()).glob("horticulture.*.*"))
    with tempfile.TemporaryDirectory(prefix=f"horticulture.{os.getpid()}.") as folder:
        yield Path(folder)
