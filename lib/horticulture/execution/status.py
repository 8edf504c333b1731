"""How far a study has come, written by its processes for `horticulture status`."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from horticulture import files

FILE = ".status.json"  # in a study's folder
RUNNING, FINISHED, FAILED, STOPPED = "running", "finished", "failed", "stopped"  # states of a study
LOCK = ".lock"  # in a study's folder; held by the command that runs the study


def read(folder: Path) -> dict[str, Any]:
    """What was written last, {} if nothing was.

    `line`, of progress; `failed`, pairs of a run's name and its error; `process` and `time`; and, unless an
    earlier version wrote it, `state` (with `error` if it is FAILED), `notebook`, `host`, `pid` and `began`.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    content = files.read_json(path)
    failed = content.get("failed", [])
    return {
        **content,
        "failed": list(failed.items()) if isinstance(failed, dict) else failed,
    }  # of an earlier version


def begin(folder: Path, notebook: str) -> None:
    """Say that a notebook begins."""
    _replace(folder, {"state": RUNNING, "notebook": notebook, "line": "", "failed": []})


def write(folder: Path, **fields: Any) -> None:
    """Change some of what is said."""
    try:
        before = read(folder)
    except (OSError, files.CorruptFileError):
        before = {}
    _replace(folder, {**before, **fields})


def _replace(folder: Path, fields: dict[str, Any]) -> None:
    host, pid = socket.gethostname(), os.getpid()
    who = {"host": host, "pid": pid, "began": psutil.Process().create_time()}
    fields |= {"process": f"process {pid} on {host}", **who, "time": time.time()}
    with suppress(OSError):  # a full disk must not stop the work for this
        files.write(folder / FILE, json.dumps(fields))


@contextmanager
def ending(folder: Path) -> Iterator[None]:
    """Say in the end that the study is finished, or has failed, or was stopped."""
    try:
        yield
    except BaseException as error:
        state = FAILED if isinstance(error, Exception) else STOPPED
        write(folder, state=state, error=str(error) or type(error).__name__)
        raise
    write(folder, state=FINISHED)


def is_over(said: dict[str, Any], folder: Path) -> bool:
    """Whether the process that wrote it has ended, and no command runs the study, as far as is seen here."""
    if said.get("host") != socket.gethostname():
        return False
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(said["pid"])
        if process.create_time() == said["began"] and process.status() != psutil.STATUS_ZOMBIE:
            return False
    try:
        with files.locked(folder / LOCK, _busy):
            return True
    except (_Busy, OSError):  # or it is a folder of somebody else
        return False


class _Busy(Exception):
    """A command runs the study."""


def _busy() -> None:
    raise _Busy
