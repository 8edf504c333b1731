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

import distributed

from horticulture import architecture, execution, runs
from horticulture.execution import cluster, parallel, tasks
from horticulture.runs import Run
from horticulture.system import files
from horticulture.training import TrainingRecipe
from tests.benchmarks.parts import alternate

COUNTS = (1_000, 3_000, 10_000)
WORKERS, BATCH, REPEATS = 2, 16, 3  # 8 take 3 seconds, a tenth of it to get to the cluster
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


def dask_alone(count: int, address: str) -> float:
    """Seconds a task, of so many that do nothing, whose results nobody asks for: what Dask itself takes."""
    names = [f"nothing-{number:012x}" for number in range(count)]  # one group, as the names of runs are
    with cluster.connected(address) as client, client.as_current():
        began = time.perf_counter()
        distributed.wait([client.submit(int, key=name, pure=False) for name in names])
        return (time.perf_counter() - began) / count


def train(workers: int, address: str = "") -> None:
    """A batch of small training runs, into an empty folder; without a cluster in processes of this one."""
    source = execution.describe_data("clutter", 128)
    wanted = [execution.training_run(SHAPE, RECIPE, source, seed) for seed in range(BATCH)]
    one_core_each = mock.patch.object(parallel, "processors", return_value=workers)
    with tempfile.TemporaryDirectory() as outputs, one_core_each:
        parallel.execute_all(wanted, Path(outputs), workers=workers, device="cpu", address=address)


def speedups() -> dict[str, float]:
    """How much faster two workers of one core each make a batch of small training runs than one."""
    with ExitStack() as stack:
        work = {}
        for workers in (1, WORKERS):
            with mock.patch.object(cluster, "processors", lambda count=workers: count):
                address = stack.enter_context(cluster.opened(f"local:{workers}"))
            work |= {f"on a cluster {workers}": partial(train, workers, address)}
            work |= {f"without one {workers}": partial(train, workers)}
        took = alternate(work, REPEATS)
    return {how: took[f"{how} 1"] / took[f"{how} {WORKERS}"] for how in ("on a cluster", "without one")}


def measure(row: Callable[..., None]) -> None:
    """Call `row` with a name, a value and a unit for everything that is measured here."""
    with tempfile.TemporaryDirectory() as folder:
        write = partial(files.write, Path(folder) / "file", b"x" * 2000)
        row("k. a file written, flushed to disk and renamed", 1000 * alternate({"": write}, 100)[""], "ms")
    with cluster.opened(f"local:{WORKERS}") as address:
        took = dask_alone(COUNTS[-1], address)
        row(f"k. of which Dask's own, among {COUNTS[-1]:,} tasks that do nothing", 1000 * took, "ms")
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
    for how, ratio in speedups().items():
        row(f"k. a batch of small runs, one worker / {WORKERS}, of one core each, {how}", ratio)


def show(what: str, value: float, unit: str = "ratio") -> None:
    """Print a row, and how busy the machine is."""
    print(f"{what:<70} {value:10.4g} {unit:<6} load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    measure(show)
