"""Execute several runs: in this process, in worker processes on this machine, or on a Dask cluster.

Results always go to disk, so they do not depend on the place: a finished run is skipped, and the run of a
worker that died is resumed. Worker processes are reused by later calls.
"""

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from horticulture import runs
from horticulture.analysis.live import Row
from horticulture.errors import InputError
from horticulture.execution import file_transfer, pool, remote
from horticulture.execution.board import POLL, Board, reporter
from horticulture.execution.specs import estimated_cost
from horticulture.pruning import criteria
from horticulture.runs import Run
from horticulture.system.limits import may_have_gpu, processors
from horticulture.system.progress import Progress

# Modules that need torch are imported inside functions: that takes seconds, and `start` is called before it.

Submit = Callable[..., Future]
EARLY = 4  # at most this many processes are started before the number of runs is known


def start(workers: int = 0, device: str = "auto", address: str = "") -> None:
    """Start the worker processes that `execute_all` will use, without waiting for them.

    Call it before importing torch: the processes import it at the same time. Starts nothing if `execute_all`
    would not use workers: with `workers=1`, on a cluster, or on a GPU, unless `workers` is more than one.
    Prints a line if there will be fewer than `workers`.
    """
    if address:
        return
    allowed = processes(workers, on_cpu=device == "cpu" or (device == "auto" and not may_have_gpu()))
    if allowed < workers:
        print(f"workers={workers}: there will be {allowed}, one for each processor that may be used here")
    if allowed > 1:
        pool.start(allowed, min(allowed, EARLY))


def processes(workers: int, *, on_cpu: bool) -> int:
    """How many processes `workers` means here: 0 is one per processor, or one on a GPU.

    Never more than processors: a study from another machine could ask for more than fit into memory.
    """
    return min(workers or (processors() if on_cpu else 1), processors())


def execute_all(
    wanted: Iterable[Run],
    outputs: Path,
    *,
    workers: int = 0,
    device: str = "auto",
    address: str = "",
    then: Callable[[Run], Iterable[Run]] = lambda run: (),
    what: str = "runs",
    study: Path | None = None,
) -> list[dict]:
    """Execute all unfinished runs, each once, and return all results in the order of `wanted`.

    workers: processes on this machine, as `processes` counts them (several can share a GPU that small
    networks leave idle). A single run is executed in this process, and so is a run
    that needs a schedule or penalty defined in this process. address: a Dask scheduler, see `remote`.
    then: further runs to execute once one of them is finished; on a cluster only.
    study: the folder of the study, for `horticulture status`.

    The number of threads per run depends on all runs in `wanted`, finished or not, so that a run that is
    resumed alone has the same bits as one that was executed beside the others; on a cluster, on its workers.
    Raises the error of the first run that fails, after the runs in progress have finished (on a cluster, all
    that do not start from it); InputError if a run cannot be executed on the cluster. The message of a
    KeyboardInterrupt says how much work is kept.
    """
    from horticulture.training import hardware

    wanted = list(wanted)
    layers = _layers({run.key: run for run in wanted}, outputs)
    _check_code((run for todo, _ in layers for run in todo), address)
    # Workers of a cluster may have another device than this machine.
    allowed = 0 if address else processes(workers, on_cpu=hardware.resolve_device(device).type == "cpu")
    together = {run.key: run for todo, _ in layers for run in todo}
    follow = partial(_follow, then, together, outputs, address)
    if address and layers:  # each run begins as soon as the one that it starts from is finished
        for run in [run for run in wanted if run.key not in together]:
            follow(run)
        layers = [(list(together.values()), wanted)]
    for number, (todo, among) in enumerate(layers, 1):
        last = number == len(layers)
        already = len({run.key for run in wanted} - {run.key for run in todo}) if last else 0
        with Progress(what if last else f"{what}: starting points", len(todo)) as progress:
            starting = "handed to the workers" if address else "starting workers"
            with _closing(Board(progress, todo, study, among, starting)) as board:
                if address:
                    remote.execute(todo, follow, outputs, device, address, board)
                else:
                    _execute_layer(todo, len(among), outputs, device, allowed, board)
            note = f"{already} of {len(wanted)} were finished already" if already else ""
            progress.update(progress.total, note)
    if not layers:
        print(f"{what}: {len(wanted)} of {len(wanted)} were finished already")
    return [runs.require_result(run, outputs) for run in wanted]


@contextmanager
def _closing(board: Board) -> Iterator[Board]:
    """However the runs end, write their status; if they are stopped, say how much of the work is kept."""
    try:
        yield board
    except KeyboardInterrupt:
        board.stop()
        raise KeyboardInterrupt(f"{board.progress.what}: stopped, {board.kept()}") from None
    finally:
        board.write_status()


def _follow(
    then: Callable[[Run], Iterable[Run]], known: dict[str, Run], outputs: Path, address: str, run: Run
) -> list[Run]:
    """The unfinished runs after a finished one, and what they start from; they are added to `known`."""
    after = {next_run.key: next_run for next_run in then(run)}
    layers = _layers(after, outputs)
    new = {todo.key: todo for unfinished, _ in layers for todo in unfinished if todo.key not in known}
    _check_code(new.values(), address)
    known |= new
    finished = [next_run for key, next_run in after.items() if key not in known]
    return [*new.values(), *chain(*(_follow(then, known, outputs, address, before) for before in finished))]


def _layers(
    wanted: dict[str, Run], outputs: Path, needed: set[str] | None = None
) -> list[tuple[list[Run], list[Run]]]:
    """The unfinished runs in layers, starting points first, each with all of its runs, finished or not."""
    from horticulture import execution

    candidates = [run for key, run in wanted.items() if needed is None or key in needed]
    todo = [run for run in candidates if execution.complete_result(run, outputs) is None]
    if not todo:
        return []
    starts = {run.start.key: run.start for run in wanted.values() if run.start}
    before = _layers(starts, outputs, {run.start.key for run in todo if run.start})
    return [*before, (todo, list(wanted.values()))]


def _execute_layer(
    todo: list[Run], total: int, outputs: Path, device: str, allowed: int, board: Board
) -> None:
    """Execute distinct runs here or in workers. total: their number with the finished ones."""
    longest_first = sorted(todo, key=estimated_cost, reverse=True)
    threads = max(1, processors() // min(allowed, total))
    away = [run for run in longest_first if not _stays(run)]
    if min(allowed, len(away)) == 1:
        away = []
    keys = {run.key for run in away}
    for run in todo:
        if run.key not in keys:
            _execute_here(run, outputs, device, threads, board)
    if away:
        work = partial(_work, outputs=str(outputs), device=device, threads=threads)
        try:
            _submit_and_wait(pool.start(allowed, min(allowed, len(away))), work, away, board)
        except (KeyboardInterrupt, SystemExit):  # nobody waits for their results any more
            pool.stop()
            raise


def _execute_here(run: Run, outputs: Path, device: str, threads: int, board: Board) -> None:
    """Execute a run in this process. A run whose code only this process has runs alone, on all processors."""
    from horticulture import execution

    own = _stays(run)

    def report(share: float, note: str, rows: Sequence[Row]) -> None:
        note = f"in this process, which has its code: {note}" if own else note
        board.update((run.key, share, note, rows))

    execution.execute(run, outputs, device, report, threads=processors() if own else threads)
    board.finish(run)


def _submit_and_wait(submit: Submit, work: Callable[..., None], todo: list[Run], board: Board) -> None:
    """Execute runs in workers, show their progress, and raise the first error."""
    pool.drain(pool.messages)  # left by an earlier call that was stopped
    work = partial(work, packed=file_transfer.pack_code())
    futures = {submit(work, run.to_json()): run for run in todo}
    keys, done = {run.key for run in todo}, queue.SimpleQueue[Future]()
    for future in futures:
        future.add_done_callback(done.put)
    try:
        while keys:
            ended = pool.drain(done, POLL)
            for message in pool.drain(pool.messages):
                if message[0] in keys:  # not from a run that continued after an earlier call failed
                    board.update(message)
            for future in ended:
                future.result()
                board.finish(futures[future])
                keys.discard(futures[future].key)
            board.show()
    except Exception:
        wait([future for future in futures if not future.cancel()])
        raise


def _work(description: dict, outputs: str, device: str, threads: int, packed: bytes) -> None:
    """Execute one run in a worker and report its progress. packed: from `file_transfer.pack_code`."""
    from horticulture import execution

    file_transfer.unpack_code(packed)
    run = Run.from_json(description)
    execution.execute(run, Path(outputs), device, reporter(run, pool.send), threads=threads)


# --- users' own code ---------------------------------------------------------------------------------------


def _stays(run: Run) -> bool:
    """Whether a run, or one it starts from, needs a schedule or penalty that only this process has.

    Users' own criteria do not count, because they are sent to the workers.
    """
    return any("code" in link.recipe and link.kind != "prune" for link in run.chain)


def _check_code(todo: Iterable[Run], address: str) -> None:
    """Raise InputError for runs whose code is missing here or cannot be sent to the cluster."""
    for run in todo:
        for name in [run.recipe.get("criterion", ""), *run.recipe.get("criteria", [])]:
            absent = criteria.CRITERIA.get(name)
            if isinstance(absent, criteria.AbsentCriterion):
                raise InputError(absent.missing)
        if address and _stays(run):
            raise InputError(f"{run} needs code that only this process has: leave the cluster empty")
