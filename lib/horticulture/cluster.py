"""Where runs are made: in this process, in several on this machine, or on a Dask cluster.

Results always go to disk, so nothing depends on the place: a finished run is skipped, and a run that a
dead worker held is made again. Worker processes are kept from one call to the next.
"""

import atexit
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from horticulture import machine, runs, store
from horticulture.errors import BadInput
from horticulture.progress import Progress
from horticulture.runs import Run

# What needs torch is imported inside the functions: that takes seconds, and `start` is to come before it.

Submit = Callable[..., Future]
POLL = 0.5  # seconds between two looks at how far the workers are
FIRST = 4  # processes that are started before it is known how many runs there will be
ALL = 50_000  # images, where a run takes all and nobody has counted them
GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # one of them is there if there may be a GPU


def start(workers: int = 0, device: str = "auto", address: str = "") -> None:
    """Begin to start the worker processes that `map` will use, and return at once.

    Call it before torch is imported: the processes import it meanwhile. Nothing is started where `map`
    would not use processes either: with one worker, on a GPU that was not told to be shared, on a cluster.
    """
    on_cpu = device == "cpu" or (
        device == "auto" and os.name != "nt" and not any(os.path.exists(gpu) for gpu in GPUS)
    )
    allowed = workers or (processors() if on_cpu else 1)
    if allowed > 1 and not address:
        _processes(allowed, min(allowed, FIRST))


def map(
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
    whose code was written in this process. address: a Dask scheduler that shares the folder `outputs`.

    A run has as many threads as there are processors for each of the runs that were *asked for*, made or not:
    a run that is left over after a stop ends with the same bits as beside the others.
    Raises what the first failing run raised, after the runs then under way have finished; BadInput if a run
    cannot be made on the cluster.
    """
    from horticulture import machine

    wanted = list(wanted)
    where = machine.place(device)
    layers = _layers({run.key: run for run in wanted}, outputs)
    if address:
        _refuse_own_code([run for todo, _ in layers for run in todo])
    allowed = workers or (processors() if where.type == "cpu" else 1)
    for number, (todo, asked) in enumerate(layers, 1):
        last = number == len(layers)
        there = len(wanted) - len(todo) if last else 0
        with Progress(what if last else "what they start from", len(todo)) as progress:
            _make(todo, asked, outputs, device, address, allowed, progress)
            progress.update(len(todo), f"{there} of {len(wanted)} were there already" if there else "")
    if not layers:
        print(f"{what}: {len(wanted)} of {len(wanted)} were there already")
    return [runs.result(run, outputs) or {} for run in wanted]


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cost(run: Run) -> int:
    """About how many multiply-accumulates of training a run takes, to begin with the longest."""
    recipe = run.recipe
    images = recipe.get("epochs", 0) * (run.data.get("images") or ALL)
    images += recipe.get("rounds", 1) * recipe.get("steps", 0) * recipe.get("batch_size", 0)
    return run.architecture.macs * images


def _layers(
    asked: dict[str, Run], outputs: Path, needed: set[str] | None = None
) -> list[tuple[list[Run], int]]:
    """What is to be made, and of how many; before it what that starts from, or two would both make it."""
    from horticulture import jobs

    candidates = [run for key, run in asked.items() if needed is None or key in needed]
    todo = [run for run in candidates if jobs.made(run, outputs) is None]
    if not todo:
        return []
    starts = {run.start.key: run.start for run in asked.values() if run.start}
    before = _layers(starts, outputs, {run.start.key for run in todo if run.start})
    return [*before, (todo, len(asked))]


def _own_code(run: Run) -> bool:
    """Whether a run, or one before it, needs a function that only this process has."""
    return "code" in run.recipe or (run.start is not None and _own_code(run.start))


def _refuse_own_code(todo: list[Run]) -> None:
    for run in todo:
        if _own_code(run):
            raise BadInput(
                f"{run} needs code of this process, which a cluster has not: leave the cluster empty"
            )


def _make(
    todo: list[Run],
    asked: int,
    outputs: Path,
    device: str,
    address: str,
    allowed: int,
    progress: Progress,
) -> None:
    """Make these runs, all different, of which so many were asked for."""
    from horticulture import jobs

    longest_first = sorted(todo, key=cost, reverse=True)
    if address:
        with _dask(address) as submit:
            _elsewhere(submit, longest_first, outputs, device, None, progress, 0)
        return
    threads = max(1, processors() // min(allowed, asked))
    others = [run for run in longest_first if not _own_code(run)]
    others = others if min(allowed, len(others)) > 1 else []
    away = {run.key for run in others}
    here = [run for run in todo if run.key not in away]
    for number, run in enumerate(here):
        alone = _own_code(run)  # beside nothing else, however many were asked for

        def tell(share: float, note: str, before: int = number, alone: bool = alone) -> None:
            progress.update(before + share, f"in this process, which has its code: {note}" if alone else note)

        jobs.execute(run, outputs, device, tell, threads=processors() if alone else threads)
    if others:
        submit = _processes(allowed, min(allowed, len(others)))
        try:
            _elsewhere(submit, others, outputs, device, threads, progress, len(here))
        except (KeyboardInterrupt, SystemExit):  # nobody waits for what they are at
            stop()
            raise


def _elsewhere(
    submit: Submit,
    todo: list[Run],
    outputs: Path,
    device: str,
    threads: int | None,
    progress: Progress,
    before: int,
) -> None:
    """Submit all, watch them by the shares that they write down, and raise the first error."""
    futures = {submit(_work, run.to_json(), str(outputs), device, threads): run for run in todo}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            under_way = [_share(futures[future], outputs) for future in waiting]
            finished = len(todo) - len(waiting)
            progress.update(before + finished + sum(under_way), f"{finished}/{len(todo)} finished")
    except Exception:
        wait([future for future in waiting if not future.cancel()])
        raise


def _work(description: dict, outputs: str, device: str, threads: int | None) -> None:
    """Make one run in a worker, and write down now and then how far it is."""
    from horticulture import jobs

    run, last = Run.from_json(description), 0.0
    path = _share_file(run, Path(outputs))

    def report(share: float, _: str) -> None:
        nonlocal last
        if time.monotonic() - last > POLL:
            last = time.monotonic()
            store.write_json(path, share)

    try:
        jobs.execute(run, Path(outputs), device, report, threads=threads)
    finally:
        path.unlink(missing_ok=True)


def _share_file(run: Run, outputs: Path) -> Path:
    return runs.folder(run, outputs) / "share.json"


def _share(run: Run, outputs: Path) -> float:
    try:
        return float(_share_file(run, outputs).read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


# --- processes on this machine ---------------------------------------------------------------------------


class _Workers:
    """Processes that wait for work, each with a thread here that hands it one piece after another."""

    def __init__(self) -> None:
        self.processes: list[BaseProcess] = []
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()

    def grow(self, count: int) -> None:
        """Have at least so many processes; they get ready by themselves."""
        spawn = multiprocessing.get_context("spawn")  # a forked torch can hang
        while len(self.processes) < count:
            here, there = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            self.processes.append(process)
            threading.Thread(target=self._hand_over, args=(here,), daemon=True).start()

    def submit(self, work: Callable, *arguments: Any) -> Future:
        """Have `work(*arguments)` done by the next process that is free."""
        future: Future = Future()
        self._tasks.put((future, work, arguments))
        return future

    def whole(self) -> bool:
        """Whether every process is there."""
        return all(process.is_alive() for process in self.processes)

    def stop(self) -> None:
        """End the processes, whatever they are at."""
        for process in self.processes:
            process.terminate()
            self._tasks.put(None)
        for process in self.processes:
            process.join(timeout=3)
            process.kill()

    def _hand_over(self, pipe: Connection) -> None:
        while (task := self._tasks.get()) is not None:
            future, work, arguments = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                pipe.send((work, arguments))
                error = pipe.recv()
            except (EOFError, OSError):
                told = "a worker process died, perhaps for want of memory: run again to go on"
                future.set_exception(RuntimeError(told))
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


_kept: _Workers | None = None


def _processes(allowed: int, count: int) -> Submit:
    """At least `count` processes, at most `allowed`: those that are there, if none of them died."""
    global _kept
    if _kept and (not _kept.whole() or len(_kept.processes) > allowed):
        stop()
    _kept = _kept or _Workers()
    _kept.grow(count)
    return _kept.submit


def stop() -> None:
    """End the worker processes, if there are any. `map` starts new ones when it needs them."""
    global _kept
    if _kept:
        _kept.stop()
    _kept = None


atexit.register(stop)


def _serve(pipe: Connection) -> None:
    """What a worker does: get ready, then one piece of work after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted ends us, or wants us again
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    import horticulture.jobs  # noqa: F401  the seconds that nobody shall wait for

    torch.set_num_threads(1)
    while True:
        try:
            work, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            work(*arguments)
            error = None
        except Exception as raised:
            error = _portable(raised)
        pipe.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    wait_for([parent.sentinel])
    os._exit(1)  # it was killed, perhaps: nobody waits for this


def _portable(error: Exception) -> Exception:
    """An error as it can be sent to another process, with where it was raised."""
    error.add_note(f"in a worker process:\n{''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


# --- a cluster -------------------------------------------------------------------------------------------


def precision(wanted: str, device: str, address: str) -> str:
    """The precision of a study whose runs are made on a Dask cluster: what all of its workers have.

    Raises BadInput where a worker would only imitate what is wanted, or no worker is there.
    """
    with _client(address) as client:
        found = set(client.run(_precision, wanted, device).values())
    for said in sorted(found):
        if said.startswith("no "):
            raise BadInput(f"a worker of {address}: {said.removeprefix('no ')}")
    if not found:
        raise BadInput(f"the Dask scheduler at {address!r} has no worker")
    return "float32" if "float32" in found else found.pop()


def _precision(wanted: str, device: str) -> str:
    try:
        return machine.precision(wanted, machine.place(device))
    except BadInput as error:
        return f"no {error}"


@contextmanager
def _dask(address: str) -> Iterator[Submit]:
    """A running Dask cluster to submit to."""
    with _client(address) as client, client.get_executor(pure=False) as executor:
        yield executor.submit


def _client(address: str) -> Any:
    """A client of a running Dask cluster. Raises BadInput if it is not there, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput("a cluster needs Dask: pip install 'horticulture[cluster]'") from error
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"no Dask scheduler answers at {address!r}: {error}") from error
