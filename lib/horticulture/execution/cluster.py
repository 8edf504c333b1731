"""Where runs are made: in this process, in several on this machine, or on a Dask cluster.

Results always go to disk, so nothing depends on the place: a finished run is skipped, and a run that a
dead worker held is made again. Worker processes are kept from one call to the next.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import BadInput
from horticulture.execution import pool
from horticulture.execution.limits import processors
from horticulture.progress import Progress
from horticulture.runs import Run, files

# What needs torch is imported inside the functions: that takes seconds, and `start` is to come before it.

__all__ = ["cost", "map", "start", "stop"]

Submit = Callable[..., Future]
stop = pool.stop
POLL = 0.5  # seconds between two looks at how far the workers are
FIRST = 4  # processes that are started before it is known how many runs there will be
ALL = 50_000  # images, where a run takes all and nobody has counted them
GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # one of them is there if there may be a GPU


def start(workers: int = 0, device: str = "auto", address: str = "") -> None:
    """Begin to start the worker processes that `map` will use, and return at once.

    Call it before torch is imported: the processes import it meanwhile. Nothing is started where `map`
    would not use processes either: with one worker, on a GPU that was not told to be shared, on a cluster.
    """
    no_gpu = os.name != "nt" and not any(os.path.exists(gpu) for gpu in GPUS)
    on_cpu = device == "cpu" or (device == "auto" and no_gpu)
    allowed = workers or (processors() if on_cpu else 1)
    if allowed > 1 and not address:
        pool.ready(allowed, min(allowed, FIRST))


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
    from horticulture.training import hardware

    wanted = list(wanted)
    where = hardware.place(device)
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
    from horticulture import execution

    candidates = [run for key, run in asked.items() if needed is None or key in needed]
    todo = [run for run in candidates if execution.made(run, outputs) is None]
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
    from horticulture import execution

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

        execution.execute(run, outputs, device, tell, threads=processors() if alone else threads)
    if others:
        submit = pool.ready(allowed, min(allowed, len(others)))
        try:
            _elsewhere(submit, others, outputs, device, threads, progress, len(here))
        except (KeyboardInterrupt, SystemExit):  # nobody waits for what they are at
            pool.stop()
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
    from horticulture import execution

    run, last = Run.from_json(description), 0.0
    path = _share_file(run, Path(outputs))

    def report(share: float, _: str) -> None:
        nonlocal last
        if time.monotonic() - last > POLL:
            last = time.monotonic()
            files.write_json(path, share)

    try:
        execution.execute(run, Path(outputs), device, report, threads=threads)
    finally:
        path.unlink(missing_ok=True)


def _share_file(run: Run, outputs: Path) -> Path:
    return runs.folder(run, outputs) / "share.json"


def _share(run: Run, outputs: Path) -> float:
    try:
        return float(_share_file(run, outputs).read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


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
    from horticulture.training import hardware

    try:
        return hardware.precision(wanted, hardware.place(device))
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
