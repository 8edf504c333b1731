"""What the workers of a Dask cluster do for `remote`: the functions of its tasks, and what these return."""

import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from horticulture import runs
from horticulture.errors import first_line
from horticulture.execution import file_transfer, inspection
from horticulture.execution.board import reporter
from horticulture.execution.file_transfer import OwnFile
from horticulture.runs import Run

TOPIC = "horticulture"  # name of the workers' progress messages
SKIPPED = "a run that it starts from failed"  # the error of a run that is not tried


class UnfitWorkerError(Exception):
    """A worker that came later cannot do the work. Its arguments are the worker's address, and why."""


@dataclass(frozen=True)
class Call:
    """What all tasks of a call of `remote.execute` share. (Dask would walk through a dict for every task.)"""

    outputs: str
    marker: str  # a file in it that all workers see, or "" if one does not
    device: str
    threads: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Made:
    """A run that was made, or why it was not."""

    run: str  # its description as JSON
    packed: dict[str, bytes] = field(default_factory=dict)  # its files, where folders are not shared
    error: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Code:
    """Users' code, pickled."""

    pickled: bytes


@dataclass(frozen=True)
class Sent:
    """A file of the user's that this machine may lack."""

    file: OwnFile
    content: bytes


Parcel = Made | Code | Sent


def missing(needed: list[OwnFile]) -> list[OwnFile]:
    """Those that this machine lacks."""
    return [one for one in needed if not one.here]


def hold(parcel: Parcel) -> Parcel:
    """A task whose result others depend on; Dask repeats it if the worker that holds it dies."""
    return parcel


def work(description: str, call: Call, *before: Parcel) -> Made:
    """Execute the run that is described as JSON, with what other tasks made or hold.

    Errors are returned as text. Raises UnfitWorkerError, and `remote` has another worker do it.
    """
    from distributed import get_worker

    here = get_worker()
    wrong = inspection.differences(inspection.own_versions(), call.versions)
    if here.state.nthreads > 1:
        wrong = f"has {here.state.nthreads} threads for runs: start it with --nthreads 1"
    if not wrong and call.marker and not Path(call.marker).exists():
        wrong = f"does not see {call.outputs}"
    if wrong:
        raise UnfitWorkerError(here.address, wrong)
    if any(isinstance(one, Made) and one.error for one in before):
        return Made(description, {}, SKIPPED)
    place = Path(here.local_directory) / "horticulture"
    outputs = Path(call.outputs) if call.marker else place / "outputs"
    try:
        run = Run.from_json(json.loads(description))
        _unpack(before, place, outputs)
        _execute(run, outputs, call)
        return Made(description, {} if call.marker else file_transfer.pack(run, outputs))
    except Exception as error:  # a run's own fault, whatever it is
        return Made(description, {}, first_line(error), "".join(traceback.format_exception(error)))


def _unpack(before: Sequence[Parcel], place: Path, outputs: Path) -> None:
    """Put what other tasks made or hold where a run finds it."""
    for one in before:
        if isinstance(one, Code):
            file_transfer.unpack_code(one.pickled)
        elif isinstance(one, Sent):
            one.file.install(one.content, place)
        elif one.packed and runs.result(start := Run.from_json(json.loads(one.run)), outputs) is None:
            file_transfer.unpack(start, one.packed, outputs)


def _execute(run: Run, outputs: Path, call: Call) -> None:
    from distributed import get_worker

    from horticulture import execution

    report = reporter(run, partial(get_worker().log_event, TOPIC))
    execution.execute(run, outputs, call.device, report, threads=call.threads)
