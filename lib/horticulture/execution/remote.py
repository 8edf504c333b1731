"""Execute runs on a Dask cluster: each is a task that depends on the run it starts from.

Nothing waits for what it does not need. Errors come back as text: Dask waits for ever for an exception
that it cannot unpickle. Where workers do not share the outputs folder, finished runs travel as bytes.
"""

import json
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from horticulture import files, leases, runs
from horticulture.errors import ClusterError, InputError, first_line
from horticulture.execution import cluster, file_transfer, pool
from horticulture.execution.board import POLL, Board, reporter
from horticulture.execution.file_transfer import OwnFile
from horticulture.runs import Run
from horticulture.runs.run import RESULT

TOPIC = "horticulture"  # name of the workers' progress messages
VISIBLE = 90.0  # seconds after which a network file system shows a new file everywhere
NOT_SHARED = "apart"  # a worker does not see our folder
WRITTEN: dict[str, Any] = {"error": "", "trace": "", "packed": {}}  # the reply for a result that we see


@dataclass(frozen=True)
class Call:
    """What all tasks of one call of `execute` share. (Dask would walk through a dict for every task.)"""

    outputs: str
    token: str  # from `_shared`
    device: str
    threads: int
    versions: dict[str, str]
    code: bytes


def execute(
    todo: Sequence[Run],
    then: Callable[[Run], Sequence[Run]],
    outputs: Path,
    device: str,
    address: str,
    cost: Callable[[Run], int],
    board: Board,
) -> None:
    """Execute distinct runs, each after the one it starts from if that is among them; the costly ones first.

    then: gives the runs to execute besides as soon as that one is finished.

    A run that fails is reported with its traceback and does not stop those that do not start from it. Raises
    ClusterError in the end if any failed, and at once if the scheduler is lost; InputError as
    `cluster.connected`.
    """
    with cluster.connected(address) as client, _shared(client, outputs) as token:
        client.subscribe_topic(TOPIC, lambda event: pool.messages.put(event[1]))
        threads, versions = cluster.threads(client), cluster.own_versions()
        call = Call(str(outputs), token, device, threads, versions, file_transfer.pack_code())
        try:
            _submit_and_collect(client, todo, then, call, cost, board)
        except (CancelledError, OSError) as error:
            from distributed.comm import CommClosedError

            lost = isinstance(error, (CancelledError, CommClosedError))  # the client may notice it later
            if client.status == "running" and not lost:
                raise  # of our own disk
            raise ClusterError(
                f"the Dask scheduler at {address} is gone; finished runs and checkpoints are kept: start it "
                "again, then run the same command"
            ) from error
    if board.failed:
        name, what = next(iter(board.failed.items()))
        raise ClusterError(f"{len(board.failed)} of {board.count} runs failed, such as {name}: {what}")


@contextmanager
def _shared(client: Any, outputs: Path) -> Iterator[str]:
    """The name of a file that all workers see in our outputs folder, or "" if one does not.

    Where they see it but not our lock on it, leases are used instead of locks from then on.
    """
    folder = outputs / "runs" / ".locks"
    files.make_folder(folder)
    token = folder / f"shared-{uuid.uuid4().hex}"
    with FileLock(token) as lock:
        try:
            replies = cluster.ask(client, _sees, str(token)).values()
            if False in replies and not leases.needed(folder):
                leases.require(folder)
            yield "" if NOT_SHARED in replies else str(token)
        finally:
            lock.release()
            token.unlink(missing_ok=True)


def _sees(token: str) -> bool | str:
    """In a worker: whether it sees the lock on a file, or NOT_SHARED if it does not see the file."""
    if not Path(token).exists():
        return NOT_SHARED
    lock = FileLock(token)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:  # no locks there
        return False
    lock.release()
    return False


def _submit_and_collect(
    client: Any,
    todo: Sequence[Run],
    then: Callable[[Run], Sequence[Run]],
    call: Call,
    cost: Callable[[Run], int],
    board: Board,
) -> None:
    """Submit all runs, take in what they made, submit what follows from each, and show their progress."""
    outputs = Path(call.outputs)
    tasks: dict[str, Any] = {}  # futures of the runs that have not ended, by key
    waiting: dict[str, Run] = {}  # these runs, by key
    while todo or waiting:
        tasks |= _submit(client, todo, call, cost, tasks) if todo else {}
        waiting |= {run.key: run for run in todo}
        ended = _ended(tasks)
        for message in pool.drain(pool.messages):
            if message[0] in tasks:  # not from a run that continued after an earlier call
                board.update(message)
        if any(future.status == "cancelled" for future in ended.values()):
            raise CancelledError
        replies = {key: WRITTEN for key in ended if call.token and _written(waiting[key], outputs)}
        finished = {key: f for key, f in ended.items() if f.status == "finished" and key not in replies}
        replies |= client.gather(finished) if finished else {}  # the slow way
        todo = []
        for key, future in ended.items():
            run = waiting.pop(key)
            reply = replies.get(key) or {"error": first_line(future.exception()), "trace": ""}
            if error := reply["error"] or _take_in(run, reply["packed"], outputs):
                print(f"{run} failed: {error}\n{reply['trace']}", file=sys.stderr)
            board.finish(run, error)
            del tasks[key]  # what it sent is needed no longer
            todo += [] if error else then(run)
        board.add(todo)
        board.show()


def _ended(tasks: dict[str, Any]) -> dict[str, Any]:
    """Wait a little; return those of these futures whose task has ended.

    Looking at all of them takes a few per cent of the time, however many they are. Callbacks, which Dask
    makes in a thread one by one, would take more.
    """
    time.sleep(max(POLL / 10, 20e-6 * len(tasks)))
    return {key: future for key, future in tasks.items() if future.done()}


def _submit(
    client: Any, todo: Sequence[Run], call: Call, cost: Callable[[Run], int], before: dict[str, Any]
) -> dict[str, Any]:
    """Submit runs; return their futures by key. Dask starts each when what it depends on is finished.

    before: the futures of runs that have not ended, by key.
    """
    name = uuid.uuid4().hex[:8]  # another command may have submitted the same runs
    workers = client.scheduler_info()["workers"].values()
    gpu = call.device != "cpu" and any("GPU" in worker["resources"] for worker in workers)
    how = {"resources": {"GPU": 1} if gpu else None, "pure": False}
    needed = file_transfer.own_files(todo)
    missing = (
        {one for reply in cluster.ask(client, _missing, needed).values() for one in reply} if needed else ()
    )
    sent = [
        client.submit(_hold, {"file": one, "content": one.content()}, key=f"file-{one.digest}-{name}")
        for one in needed
        if one in missing
    ]
    tasks: dict[str, Any] = {}
    given: dict[str, Any] = {}  # finished runs that others start from, where folders are not shared
    for run in todo:
        starts = []
        for start in list(run.chain)[1:]:
            future = tasks.get(start.key) or before.get(start.key) or given.get(start.key)
            if not future and not call.token:
                packed = file_transfer.pack(start, Path(call.outputs))
                parcel = {"run": _text(start), "error": "", "packed": packed}
                key = f"start-{start.key}-{name}"
                future = given[start.key] = client.submit(_hold, parcel, key=key)
            starts += [future] if future else []
        key = f"{run.kind}-{run.key}-{name}"
        arguments = (_text(run), call, *starts, *sent)
        tasks[run.key] = client.submit(_work, *arguments, key=key, priority=float(cost(run)), **how)
    return tasks


def _text(run: Run) -> str:
    return json.dumps(run.to_json())


def _written(run: Run, outputs: Path) -> bool:
    """Whether we see the result of a run. It is read when all runs are finished."""
    return (runs.folder(run, outputs) / RESULT).exists()


def _take_in(run: Run, packed: dict[str, bytes], outputs: Path) -> str:
    """Write what a worker without our folder sent, or wait until we see what it wrote. Return an error."""
    from horticulture.execution import executor

    if packed:
        try:
            with files.locked(executor.lock_path(run, outputs)):
                if not _written(run, outputs):
                    file_transfer.unpack(run, packed, outputs)
        except InputError as error:
            return first_line(error)
    end = time.monotonic() + VISIBLE
    while not _written(run, outputs):
        if time.monotonic() > end:
            return f"a worker finished it, but {runs.folder(run, outputs)} has no result"
        with suppress(OSError):  # reading the names makes a network file system look again
            list(runs.folder(run, outputs).parent.iterdir())
        time.sleep(POLL)
    return ""


# --- in a worker -------------------------------------------------------------------------------------------


def _missing(needed: list[OwnFile]) -> list[OwnFile]:
    """Those that this machine lacks."""
    return [one for one in needed if not one.here]


def _hold(parcel: dict[str, Any]) -> dict[str, Any]:
    """A task whose result others depend on; Dask repeats it if the worker that holds it dies."""
    return parcel


def _work(text: str, call: Call, *before: dict[str, Any]) -> dict[str, Any]:
    """Execute the run that is described as JSON. before: what its starting points returned, users' files.

    Returns its description, its files where folders are not shared, and its error as text.
    """
    reply: dict[str, Any] = {"run": text, "error": "", "trace": "", "packed": {}}
    try:
        reply["packed"] = _execute(Run.from_json(json.loads(text)), call, before)
    except Exception as error:  # a run's own fault, whatever it is
        reply |= {"error": first_line(error), "trace": "".join(traceback.format_exception(error))}
    return reply


def _execute(run: Run, call: Call, before: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    from distributed import get_worker

    from horticulture import execution

    worker = get_worker()
    if wrong := cluster.differences(call.versions):
        raise InputError(f"the worker {worker.address} has {wrong}")
    if any(one.get("error") for one in before):
        raise InputError("a run that it starts from failed")
    file_transfer.unpack_code(call.code)
    place, outputs = Path(worker.local_directory) / "horticulture", Path(call.outputs)
    if call.token and not Path(call.token).exists():
        raise InputError(f"the worker {worker.address} does not see {outputs}")
    if not call.token:
        outputs = place / "outputs"
    for one in before:
        if "file" in one:
            one["file"].install(one["content"], place)
        elif one["packed"] and runs.result(start := Run.from_json(json.loads(one["run"])), outputs) is None:
            file_transfer.unpack(start, one["packed"], outputs)
    report = reporter(run, partial(worker.log_event, TOPIC))
    execution.execute(run, outputs, call.device, report, threads=call.threads)
    return {} if call.token else file_transfer.pack(run, outputs)
