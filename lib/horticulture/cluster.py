"""Where runs are made: in this process, in several on this machine, or on a Dask cluster.

Results always go to disk, so nothing depends on the place: a finished run is skipped, and a run that a
dead worker held is made again.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from horticulture import jobs, machine, runs
from horticulture.errors import BadInput
from horticulture.progress import Progress
from horticulture.runs import Run

Submit = Callable[..., Future]
POLL = 0.5  # seconds between two looks at how far the workers are


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

    workers: processes on this machine (0: one a core, but on a GPU only this one; say more where small
    networks leave it idle, and they train side by side). A single run is made in this process, with all
    its threads. address: a Dask scheduler that shares the folder `outputs`.
    Raises what the first failing run raised, after the runs then under way have finished.
    """
    wanted = list(wanted)
    todo = list({r.key: r for r in wanted if jobs.made(r, outputs) is None}.values())
    starts = [r.start for r in todo if r.start and jobs.made(r.start, outputs) is None]
    if starts:  # made first, or two workers would both make them
        map(starts, outputs, workers=workers, device=device, address=address, what="what they start from")
    where = machine.place(device)
    if not todo:
        print(f"{what}: {len(wanted)} of {len(wanted)} were there already")
        return [runs.result(run, outputs) or {} for run in wanted]
    by_itself = os.cpu_count() or 1 if where.type == "cpu" else 1
    workers = min(workers or by_itself, len(todo))
    with Progress(what, len(todo)) as progress:
        if address:
            with _dask(address) as submit:
                _elsewhere(submit, todo, outputs, device, progress)
        elif workers > 1:
            with _processes(workers) as submit:
                _elsewhere(submit, todo, outputs, device, progress)
        else:
            for number, run in enumerate(todo):
                jobs.execute(run, outputs, device, partial(_tell, progress, number))
        there = len(wanted) - len(todo)
        progress.update(len(todo), f"{there} of {len(wanted)} were there already" if there else "")
    return [runs.result(run, outputs) or {} for run in wanted]


def _tell(progress: Progress, before: int, share: float, note: str) -> None:
    progress.update(before + share, note)


def _elsewhere(submit: Submit, todo: list[Run], outputs: Path, device: str, progress: Progress) -> None:
    """Submit all, watch them by the shares that they write down, and raise the first error."""
    futures = {submit(_work, run.to_json(), str(outputs), device): run for run in todo}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            under_way = [_share(futures[future], outputs) for future in waiting]
            finished = len(todo) - len(waiting)
            progress.update(finished + sum(under_way), f"{finished}/{len(todo)} finished")
    except BrokenProcessPool as error:
        raise RuntimeError("a worker process died, perhaps for want of memory: run again to go on") from error
    finally:
        for future in waiting:
            future.cancel()


def _work(description: dict, outputs: str, device: str) -> None:
    """Make one run in a worker, and write down now and then how far it is."""
    run, last = Run.from_json(description), 0.0
    path = _share_file(run, Path(outputs))

    def report(share: float, _: str) -> None:
        nonlocal last
        if time.monotonic() - last > POLL:
            last = time.monotonic()
            runs.write_json(path, share)

    try:
        jobs.execute(run, Path(outputs), device, report)
    finally:
        path.unlink(missing_ok=True)


def _share_file(run: Run, outputs: Path) -> Path:
    return runs.folder(run, outputs) / "share.json"


def _share(run: Run, outputs: Path) -> float:
    try:
        return float(_share_file(run, outputs).read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


@contextmanager
def _processes(workers: int) -> Iterator[Submit]:
    """Processes of their own, each with its part of the threads; they do not outlive this one."""
    threads = max(1, torch.get_num_threads() // workers)
    spawn = multiprocessing.get_context("spawn")  # a forked torch can hang
    pool = ProcessPoolExecutor(workers, spawn, initializer=_settle, initargs=(threads, os.getpid()))
    try:
        yield pool.submit
    finally:
        pool.shutdown(cancel_futures=True)


def _settle(threads: int, parent: int) -> None:
    torch.set_num_threads(threads)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # the parent was killed: nobody waits for this

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _dask(address: str) -> Iterator[Submit]:
    """A running Dask cluster. Raises BadInput if it is not there, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput("a cluster needs Dask: pip install 'horticulture[cluster]'") from error
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client, client.get_executor(pure=False) as executor:
        yield executor.submit
