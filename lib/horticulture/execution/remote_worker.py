"""What the workers of a Dask cluster do for `remote`: the functions of its tasks, and what these return."""

import asyncio
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.analysis import live
from horticulture.errors import first_line
from horticulture.execution import file_transfer, interruption
from horticulture.execution.board import reporter
from horticulture.execution.file_transfer import Sent
from horticulture.runs import Run

TOPIC = "horticulture"  # name of the workers' progress messages
SKIPPED = "a run that it starts from failed"  # the error of a run that is not tried


@dataclass(frozen=True)
class Settings:
    """What all tasks of a call of `remote.execute` share. (Dask would walk through a dict for every task.)"""

    outputs: str
    shared: bool  # whether all workers see them
    device: str
    threads: int


@dataclass(frozen=True)
class Reply:
    """A run that was made, or why it was not."""

    run: str  # its description as JSON
    packed: dict[str, bytes] = field(default_factory=dict)  # its files, where folders are not shared
    error: str = ""
    trace: str = ""


@dataclass(frozen=True)
class PickledCode:
    """Users' code, pickled."""

    pickled: bytes


Parcel = Reply | PickledCode


# --- before a worker gets runs ---


async def missing(needed: list[Sent], dask_worker: Any) -> list[Sent]:
    """Those that this worker lacks."""
    return await asyncio.to_thread(lambda: [item for item in needed if not item.is_here(_place(dask_worker))])


async def receive(sent: list[tuple[Sent, bytes]], dask_worker: Any) -> None:
    """Keep files of the user's that this worker lacks."""

    def install() -> None:
        for item, content in sent:
            item.install(content, _place(dask_worker))

    await asyncio.to_thread(install)


async def grant(resource: str, dask_worker: Any) -> None:
    """Let this worker have the runs that ask for a resource."""
    from distributed.core import Status

    await dask_worker.set_resources(**{resource: 1})
    if dask_worker.status == Status.running:  # the scheduler looks again at what no worker could do
        dask_worker.status = Status.paused
        dask_worker.status = Status.running


def _place(worker: Any) -> Path:
    return Path(worker.local_directory) / "horticulture"


# --- tasks ---


def hold(parcel: Parcel) -> Parcel:
    """A task whose result others depend on; Dask repeats it if the worker that holds it dies."""
    return parcel


def work(description: str, settings: Settings, *before: Parcel) -> Reply:
    """Execute the run that is described as JSON, with what other tasks made or hold.

    Errors are returned as text.
    """
    from distributed import get_worker

    if any(isinstance(parcel, Reply) and parcel.error for parcel in before):
        return Reply(description, {}, SKIPPED)
    place = _place(get_worker())
    outputs = Path(settings.outputs) if settings.shared else place / "outputs"
    try:
        run = Run.from_json(json.loads(description))
        for item in file_transfer.own_files([run]):
            item.use(place)
        _unpack(before, outputs)
        _execute(run, outputs, settings)
        return Reply(description, {} if settings.shared else file_transfer.pack(run, outputs))
    except Exception as error:  # a run's own fault, whatever it is
        return Reply(description, {}, first_line(error), "".join(traceback.format_exception(error)))


def _unpack(before: Sequence[Parcel], outputs: Path) -> None:
    """Put what other tasks made or hold where a run finds it."""
    for parcel in before:
        if isinstance(parcel, PickledCode):
            file_transfer.unpack_code(parcel.pickled)
        elif parcel.packed and runs.result(start := Run.from_json(json.loads(parcel.run)), outputs) is None:
            file_transfer.unpack(start, parcel.packed, outputs)


def _execute(run: Run, outputs: Path, settings: Settings) -> None:
    from distributed import get_worker
    from distributed.core import Status

    from horticulture import execution

    here = get_worker()
    send = reporter(run, partial(here.log_event, TOPIC))

    def report(share: float, note: str, rows: Sequence[live.Row]) -> None:
        if here.status == Status.closing:  # its signals do not reach the thread of a run
            interruption.interrupt_all()
        send(share, note, rows)

    execution.execute(run, outputs, settings.device, report, threads=settings.threads)
