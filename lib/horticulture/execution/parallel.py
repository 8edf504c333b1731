"""Where runs are made: in this process, in several on this machine, or on a Dask cluster.

Results always go to disk, so nothing depends on the place: a finished run is skipped, and a run that a
dead worker held is made again. Worker processes are kept from one call to the next.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import InputError
from horticulture.execution import own_code, pool
from horticulture.execution.limits import processors
from horticulture.progress import Progress
from horticulture.runs import Run

# What needs torch is imported inside the functions: that takes seconds, and `start` is to come before it.

Submit = Callable[..., Future]
POLL = 0.5  # seconds between two looks at how far the workers are
SHOWN = 4  # runs under way of which a line of progress tells
TOPIC = "horticulture"  # under which the workers of a Dask cluster say how far they are
FIRST = 4  # processes that are started before it is known how many runs there will be
ALL = 50_000  # images, where a run takes all and nobody has counted them
GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # one of them is there if there may be a GPU


def start(workers: int = 0, device: str = "auto", address: str = "") -> None:
    """Begin to start the worker processes that `execute_all` will use, and return at once.

    Call it before torch is imported: the processes import it meanwhile. Nothing is started where that
    would not use processes either: with one worker, on a GPU unless `workers` shares it, on a cluster.
    """
    no_gpu = os.name != "nt" and not any(os.path.exists(gpu) for gpu in GPUS)
    on_cpu = device == "cpu" or (device == "auto" and no_gpu)
    allowed = workers or (processors() if on_cpu else 1)
    if allowed > 1 and not address:
        pool.start(allowed, min(allowed, FIRST))


def execute_all(
    wanted: Iterable[Run],
    outputs: Path,
    *,
    workers: int = 0,
    device: str = "auto",
    address: str = "",
    what: str = "runs",
) -> list[dict]:
    """Make all runs that are not made yet, each once; return every result in the order asked.

    workers: processes on this machine (0: one a processor, but on a GPU only this one; say more where small
    networks leave it idle, and they train side by side). A single run is made in this process, and so is one
    that needs a schedule or penalty written in this process. address: a Dask scheduler that shares the folder
    `outputs`.

    A run has as many threads as there are processors for each of the runs that were *asked for*, made or not:
    a run that is left over after a stop ends with the same bits as beside the others.
    Raises what the first failing run raised, after the runs then under way have finished; InputError if a run
    cannot be made on the cluster.
    """
    from horticulture.training import hardware

    wanted = list(wanted)
    where = hardware.resolve_device(device)
    layers = _layers({run.key: run for run in wanted}, outputs)
    own_code.check((run for todo, _ in layers for run in todo), cluster=bool(address))
    allowed = workers or (processors() if where.type == "cpu" else 1)
    for number, (todo, asked) in enumerate(layers, 1):
        last = number == len(layers)
        there = len(wanted) - len(todo) if last else 0
        with Progress(what if last else "what they start from", len(todo)) as progress:
            _execute_layer(todo, asked, outputs, device, address, allowed, progress)
            progress.update(len(todo), f"{there} of {len(wanted)} were there already" if there else "")
    if not layers:
        print(f"{what}: {len(wanted)} of {len(wanted)} were there already")
    return [runs.finished(run, outputs) for run in wanted]


def cost(run: Run) -> int:
    """About how many multiply-accumulates of training a run takes, to begin with the longest."""
    recipe = run.recipe
    images = recipe.get("epochs", 0) * (run.data.get("images") or ALL)
    images += recipe.get("rounds", 1) * recipe.get("steps", 0) * recipe.get("batch_size", 0)
    return run.architecture.macs * images


def _layers(
    asked: dict[str, Run], outputs: Path, needed: set[str] | None = None
) -> list[tuple[list[Run], int]]:
    """The unfinished runs in layers, starting points first, each layer with the number of runs asked for."""
    from horticulture import execution

    candidates = [run for key, run in asked.items() if needed is None or key in needed]
    todo = [run for run in candidates if execution.load_if_complete(run, outputs) is None]
    if not todo:
        return []
    starts = {run.start.key: run.start for run in asked.values() if run.start}
    before = _layers(starts, outputs, {run.start.key for run in todo if run.start})
    return [*before, (todo, len(asked))]


def _execute_layer(
    todo: list[Run],
    asked: int,
    outputs: Path,
    device: str,
    address: str,
    allowed: int,
    progress: Progress,
) -> None:
    """Make these runs, all different, of which so many were asked for: on the cluster, here, in workers."""
    board, longest_first = Board(progress, len(todo)), sorted(todo, key=cost, reverse=True)
    if address:
        with _dask(address) as submit:
            work = partial(_work, outputs=str(outputs), device=device, threads=None, send=_send_to_scheduler)
            _submit_and_wait(submit, work, longest_first, board)
        return
    threads = max(1, processors() // min(allowed, asked))
    away = [run for run in longest_first if not own_code.stays(run)]
    if min(allowed, len(away)) == 1:
        away = []
    keys = {run.key for run in away}
    for run in todo:
        if run.key not in keys:
            _execute_here(run, outputs, device, threads, board)
    if away:
        work = partial(_work, outputs=str(outputs), device=device, threads=threads, send=pool.send)
        try:
            _submit_and_wait(pool.start(allowed, min(allowed, len(away))), work, away, board)
        except (KeyboardInterrupt, SystemExit):  # nobody waits for what they are at
            pool.stop()
            raise


def _execute_here(run: Run, outputs: Path, device: str, threads: int, board: "Board") -> None:
    """Make a run in this process: with all processors if only this one has its code, for it is alone then."""
    from horticulture import execution

    own = own_code.stays(run)

    def report(share: float, note: str) -> None:
        board.update((run.key, share, f"in this process, which has its code: {note}" if own else note))

    execution.execute(run, outputs, device, report, threads=processors() if own else threads)
    board.finish(run)


Message = tuple[str, float, str]  # a run's key, the share of it that is done, and what is known now


class Board:
    """How far runs are, in one line of progress."""

    def __init__(self, progress: Progress, count: int) -> None:
        self.progress, self.count, self.finished = progress, count, 0
        self._share: dict[str, float] = {}
        self._found: dict[str, float] = {}  # the share at which each was taken up
        self._note: dict[str, str] = {}  # of those under way

    def update(self, message: Message) -> None:
        """A run says how far it is; first, when it is taken up."""
        key, self._share[message[0]], self._note[message[0]] = message
        self._found.setdefault(key, message[1])
        self.show()

    def finish(self, run: Run) -> None:
        """It is made."""
        self.finished += 1
        self._share[run.key] = 1.0
        self._note.pop(run.key, None)
        self.show()

    def show(self) -> None:
        """Say how far all of them are together, and what the first few know."""
        notes = list(self._note.values())
        more = [f"{len(notes) - SHOWN} more"] if len(notes) > SHOWN else []
        count = [f"{self.finished}/{self.count} finished"] if self.count > 1 else []
        notes = notes if self._share else ["starting workers"]  # which load torch first
        note = "; ".join([*count, *notes[:SHOWN], *more])
        self.progress.update(sum(self._share.values()), note, sum(self._found.values()))


def _submit_and_wait(submit: Submit, work: Callable[..., None], todo: list[Run], board: Board) -> None:
    """Have workers do the work of all these runs, show what they say of it, and raise the first error."""
    work = partial(work, own=own_code.Packed.here())
    futures = {submit(work, run.to_json()): run for run in todo}
    keys, waiting = {run.key for run in todo}, set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            while not pool.messages.empty():
                message = pool.messages.get()
                if message[0] in keys:  # and not of one that went on after an earlier call had failed
                    board.update(message)
            for future in done:
                future.result()
                board.finish(futures[future])
                keys.discard(futures[future].key)
            board.show()
    except Exception:
        wait([future for future in waiting if not future.cancel()])
        raise


def _work(
    description: dict,
    outputs: str,
    device: str,
    threads: int | None,
    send: Callable[[Message], None],
    own: own_code.Packed,
) -> None:
    """Make one run in a worker, and say now and then how far it is. own: code that is not the library's."""
    from horticulture import execution

    own.unpack()
    run, last = Run.from_json(description), -POLL

    def report(share: float, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= POLL:
            last = time.monotonic()
            send((run.key, share, note))

    execution.execute(run, Path(outputs), device, report, threads=threads)


# --- a cluster -------------------------------------------------------------------------------------------


def precision(wanted: str, device: str, address: str) -> str:
    """The precision of a study whose runs are made on a Dask cluster: what all of its workers have.

    Raises InputError where a worker would only imitate what is wanted, or no worker is there.
    """
    with _client(address) as client:
        found = set(client.run(_precision, wanted, device).values())
    for said in sorted(found):
        if said.startswith("no "):
            raise InputError(f"a worker of {address}: {said.removeprefix('no ')}")
    if not found:
        raise InputError(f"the Dask scheduler at {address!r} has no worker")
    return "float32" if "float32" in found else found.pop()


def _precision(wanted: str, device: str) -> str:
    from horticulture.training import hardware

    try:
        return hardware.precision(wanted, hardware.resolve_device(device))
    except InputError as error:
        return f"no {error}"


@contextmanager
def _dask(address: str) -> Iterator[Submit]:
    """A running Dask cluster to submit to."""
    with _client(address) as client, client.get_executor(pure=False) as executor:
        client.subscribe_topic(TOPIC, lambda event: pool.messages.put(event[1]))
        yield executor.submit


def _send_to_scheduler(message: Message) -> None:
    """In a worker of a Dask cluster: send a message to whoever follows."""
    from distributed import get_worker

    get_worker().log_event(TOPIC, message)


def _client(address: str) -> Any:
    """A client of a running Dask cluster. Raises InputError if it is not there, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("a cluster needs Dask: pip install 'horticulture[cluster]'") from error
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
