"""What a run costs beside its work, on a Dask cluster on this machine: `python -m tests.benchmarks.scale`.

Empty runs, by their number, with writing that survives a power cut and without; collecting their results in
one frame; and how much faster two workers of one core each train than one.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from horticulture import architecture, execution, files, runs
from horticulture.execution import cluster, parallel, tasks
from horticulture.runs import Run
from horticulture.training import TrainingRecipe
from tests.benchmarks.parts import alternate

COUNTS = (1_000, 3_000, 10_000)
WORKERS, BATCH, REPEATS = 2, 8, 3
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
RECIPE = TrainingRecipe(6, batch_size=32, precision="float32")
MEASURED = {"recipe": "", "train_macs": 0, "val_error": 0.0, "test_error": 0.0}

flush = os.fsync


def prepare(*, durable: bool) -> None:
    """Let this process make runs that do nothing, and flush files to disk or not.

    Run as a script, this is sent to workers by value, with copies of the names it uses: so no `KINDS`.
    """
    tasks.KINDS["empty"] = lambda context: dict(MEASURED)
    os.fsync = flush if durable else lambda number: None


@contextmanager
def empty_runs(count: int, address: str, *, durable: bool) -> Iterator[list[Run]]:
    """Runs that do nothing, which all processes of the cluster can make for the duration of a `with`."""
    with mock.patch.dict(tasks.KINDS), mock.patch("os.fsync"), cluster.connected(address) as client:
        prepare(durable=durable)
        client.run(prepare, durable=durable)
        yield [Run("empty", SHAPE, RECIPE.to_json(), {"name": "none"}, seed) for seed in range(count)]


def overhead(count: int, address: str, outputs: Path, *, durable: bool) -> float:
    """Seconds a run, of so many that do nothing; the last cell of a study records them all."""
    with empty_runs(count, address, durable=durable) as wanted:
        began = time.perf_counter()
        parallel.execute_all(wanted, outputs, device="cpu", address=address)
        took = time.perf_counter() - began
    points = [runs.CurvePoint("width", run, whole_macs=SHAPE.macs) for run in wanted]
    runs.record_curves(outputs / "study", points)
    return took / count


def train(address: str) -> None:
    """A batch of small training runs, into an empty folder."""
    source = execution.data_spec("clutter", 128)
    wanted = [execution.train(SHAPE, RECIPE, source, seed) for seed in range(BATCH)]
    with tempfile.TemporaryDirectory() as outputs:
        parallel.execute_all(wanted, Path(outputs), device="cpu", address=address)


def speedup() -> float:
    """How much faster two workers of one core each make a batch of small training runs than one."""
    with ExitStack() as stack:
        work = {}
        for workers in (1, WORKERS):
            with mock.patch.object(cluster, "processors", lambda count=workers: count):
                work[str(workers)] = partial(train, stack.enter_context(cluster.opened(f"local:{workers}")))
        took = alternate(work, REPEATS)
    return took["1"] / took[str(WORKERS)]


def measure(row: Callable[..., None]) -> None:
    """Call `row` with a name, a value and a unit for everything that is measured here."""
    with tempfile.TemporaryDirectory() as folder:
        write = partial(files.write, Path(folder) / "file", b"x" * 2000)
        row("k. a file written, flushed to disk and renamed", 1000 * alternate({"": write}, 100)[""], "ms")
    with cluster.opened(f"local:{WORKERS}") as address:
        for durable in (False, True):
            how = "flushed to disk" if durable else "not flushed"
            for count in (10, *COUNTS):  # the first are for loading
                with tempfile.TemporaryDirectory() as folder:
                    took = overhead(count, address, Path(folder), durable=durable)
                    if count in COUNTS:
                        row(f"k. overhead of a run among {count:,} empty ones, {how}", 1000 * took, "ms")
                    if count == COUNTS[-1] and not durable:
                        began = time.perf_counter()
                        found = runs.collect(Path(folder) / "study")
                        row(f"k. collecting {len(found):,} results", time.perf_counter() - began, "s")
    row(f"k. a batch of small runs, one worker / {WORKERS}, of one core each", speedup())


def show(what: str, value: float, unit: str = "ratio") -> None:
    """Print a row, and how busy the machine is."""
    print(f"{what:<70} {value:10.4g} {unit:<6} load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    measure(show)
