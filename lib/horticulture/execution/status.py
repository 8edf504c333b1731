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

from horticulture.system import files

FILE = ".status.json"  # in a study's folder
RUNNING, FINISHED, FAILED, STOPPED = "running", "finished", "failed", "stopped"  # states of a study


def read(folder: Path) -> dict[str, Any]:
    """What was written last, {} if nothing was.

    `line`, of progress; `failed`, pairs of a run's name and its error; `process` and `time`; and, unless an
    earlier version wrote it, `state` (with `error` if it is FAILED), `notebook`, and who wrote it: `host`,
    `pid` and `began`; also `command`, the same of the command that ran the study last, if one has, and
    `cluster`, the address of a scheduler that outlives it.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise files.CorruptFileError(path)
    failed = content.get("failed", [])
    if isinstance(failed, dict):  # written by an earlier version
        failed = list(failed.items())
    return {**content, "failed": failed}


def begin(folder: Path, notebook: str) -> None:
    """Record that a notebook has begun."""
    write(folder, state=RUNNING, notebook=notebook, line="", failed=[])


def write(folder: Path, **fields: Any) -> None:
    """Update some fields and keep the others."""
    try:
        before = read(folder)
    except (OSError, files.CorruptFileError):
        before = {}
    process = "process {pid} on {host}".format(**_us())
    record = {**before, **fields, **_us(), "process": process, "time": time.time()}
    with suppress(OSError):  # a full disk must not stop the work for this
        files.write(folder / FILE, json.dumps(record))


def _us() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "began": psutil.Process().create_time()}


@contextmanager
def running(folder: Path, cluster: str = "") -> Iterator[None]:
    """Say that a command runs the study, whose notebooks `begin`, and in the end how that ended.

    cluster: the address of a scheduler that outlives the command, if one has the runs.
    """
    fresh = {"notebook": "", "line": "starting", "failed": [], "cluster": cluster}
    write(folder, state=RUNNING, command=_us(), **fresh)
    try:
        yield
    except BaseException as error:
        state = FAILED if isinstance(error, Exception) else STOPPED
        write(folder, state=state, error=str(error) or type(error).__name__)
        raise
    write(folder, state=FINISHED)


def is_over(record: dict[str, Any]) -> bool:
    """Whether the process that wrote the record, and the command that ran the study, have ended here."""
    return all(map(_has_ended, [record, *([record["command"]] if "command" in record else [])]))


def _has_ended(process: dict[str, Any]) -> bool:
    if process.get("host") != socket.gethostname():
        return False
    with suppress(psutil.NoSuchProcess):
        now = psutil.Process(process["pid"])
        return now.create_time() != process["began"] or now.status() == psutil.STATUS_ZOMBIE
    return True
