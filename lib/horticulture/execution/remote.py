"""Execute runs on a Dask cluster: each is a task that depends on the run it starts from.

Nothing waits for what it does not need. Errors come back as text: Dask waits for ever for an exception
that it cannot unpickle. Where workers do not share the outputs folder, finished runs travel as bytes.
"""

import queue
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
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

TOPIC = "horticulture"  # name of the workers' progress messages
VISIBLE = 90.0  # seconds after which a network file system shows a new file everywhere
NOT_SHARED = "apart"  # a worker does not see our folder


def execute(
    todo: Sequence[Run], outputs: Path, device: str, address: str, cost: Callable[[Run], int], board: Board
) -> None:
    """Execute distinct runs, each after the one it starts from if that is among them; the costly ones first.

    A run that fails is reported with its traceback and does not stop those that do not start from it. Raises
    ClusterError in the end if any failed, and at once if the scheduler is lost; InputError as
    `cluster.connected`.
    """
    with cluster.connected(address) as client, _shared(client, outputs) as token:
        client.subscribe_topic(TOPIC, lambda event: pool.messages.put(event[1]))
        common = {
            "outputs": str(outputs),
            "token": token,
            "device": device,
            "threads": cluster.threads(client),
            "versions": cluster.own_versions(),
            "code": file_transfer.pack_code(),
        }
        try:
            tasks = _submit(client, todo, outputs, common, cost)
            _collect(client, todo, tasks, outputs, token, board)
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


def _submit(
    client: Any, todo: Sequence[Run], outputs: Path, common: dict[str, Any], cost: Callable[[Run], int]
) -> dict[str, Any]:
    """Submit all runs; return their futures by key. Dask starts each when what it depends on is finished."""
    call = uuid.uuid4().hex[:8]  # another command may have submitted the same runs
    workers = client.scheduler_info()["workers"].values()
    gpu = common["device"] != "cpu" and any("GPU" in worker["resources"] for worker in workers)
    how = {"resources": {"GPU": 1} if gpu else None, "pure": False}
    needed = file_transfer.own_files(todo)
    missing = (
        {one for reply in cluster.ask(client, _missing, needed).values() for one in reply} if needed else ()
    )
    sent = [
        client.submit(_hold, {"file": one, "content": one.content()}, key=f"file-{one.digest}-{call}")
        for one in needed
        if one in missing
    ]
    tasks: dict[str, Any] = {}
    given: dict[str, Any] = {}  # finished runs that others start from, where folders are not shared
    for run in todo:
        before = []
        for start in list(run.chain)[1:]:
            if start.key not in tasks and start.key not in given and not common["token"]:
                parcel = {"run": start.to_json(), "error": "", "packed": file_transfer.pack(start, outputs)}
                given[start.key] = client.submit(_hold, parcel, key=f"start-{start.key}-{call}")
            if future := tasks.get(start.key) or given.get(start.key):
                before.append(future)
        key = f"{run.kind}-{run.key}-{call}"
        arguments = (run.to_json(), common, *before, *sent)
        tasks[run.key] = client.submit(_work, *arguments, key=key, priority=float(cost(run)), **how)
    return tasks


def _collect(
    client: Any, todo: Sequence[Run], tasks: dict[str, Any], outputs: Path, token: str, board: Board
) -> None:
    """Wait for all tasks, take in what they made, and show their progress."""
    waiting = {tasks[run.key].key: run for run in todo}
    keys = {run.key for run in todo}
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for future in tasks.values():
        future.add_done_callback(done.put)
    while waiting:
        ended = {future.key: future for future in pool.drain(done, POLL)}
        for message in pool.drain(pool.messages):
            if message[0] in keys:  # not from a run that continued after an earlier call
                board.update(message)
        if any(future.status == "cancelled" for future in ended.values()):
            raise CancelledError
        replies = client.gather({k: f for k, f in ended.items() if f.status == "finished"})
        for key, future in ended.items():
            run = waiting.pop(key)
            reply = replies.get(key) or {"error": first_line(future.exception()), "trace": ""}
            if not reply["error"]:
                reply["error"] = _take_in(run, reply["packed"], outputs, token)
            if reply["error"]:
                print(f"{run} failed: {reply['error']}\n{reply['trace']}", file=sys.stderr)
            keys.discard(run.key)
            board.finish(run, reply["error"])
            del tasks[run.key]  # what it sent is needed no longer
        board.show()


def _take_in(run: Run, packed: dict[str, bytes], outputs: Path, token: str) -> str:
    """Write what a worker without our folder sent, or wait until we see what it wrote. Return an error."""
    from horticulture.execution import executor

    if packed:
        try:
            with files.locked(executor.lock_path(run, outputs)):
                if runs.result(run, outputs) is None:
                    file_transfer.unpack(run, packed, outputs)
        except InputError as error:
            return first_line(error)
    end = time.monotonic() + VISIBLE
    while runs.result(run, outputs) is None:
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


def _work(description: dict, common: dict[str, Any], *before: dict[str, Any]) -> dict[str, Any]:
    """Execute one run. before: what its starting points returned, and users' files.

    Returns its description, its files where folders are not shared, and its error as text.
    """
    reply: dict[str, Any] = {"run": description, "error": "", "trace": "", "packed": {}}
    try:
        reply["packed"] = _execute(Run.from_json(description), common, before)
    except Exception as error:  # a run's own fault, whatever it is
        reply |= {"error": first_line(error), "trace": "".join(traceback.format_exception(error))}
    return reply


def _execute(run: Run, common: dict[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    from distributed import get_worker

    from horticulture import execution

    worker = get_worker()
    if wrong := cluster.differences(common["versions"]):
        raise InputError(f"the worker {worker.address} has {wrong}")
    if any(one.get("error") for one in before):
        raise InputError("a run that it starts from failed")
    file_transfer.unpack_code(common["code"])
    place, outputs = Path(worker.local_directory) / "horticulture", Path(common["outputs"])
    if common["token"] and not Path(common["token"]).exists():
        raise InputError(f"the worker {worker.address} does not see {outputs}")
    if not common["token"]:
        outputs = place / "outputs"
    for one in before:
        if "file" in one:
            one["file"].install(one["content"], place)
        elif one["packed"] and runs.result(start := Run.from_json(one["run"]), outputs) is None:
            file_transfer.unpack(start, one["packed"], outputs)
    report = reporter(run, partial(worker.log_event, TOPIC))
    execution.execute(run, outputs, common["device"], report, threads=common["threads"])
    return {} if common["token"] else file_transfer.pack(run, outputs)
