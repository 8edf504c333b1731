"""What may happen to a cluster, with a scheduler and three workers on this machine, at random moments.

    python -m tests.faults 20               four times each
    python -m tests.faults 1 --seed 17      one of them again

The same command, given again if it did not end well, must end with the results of an undisturbed run, bit for
bit, with no run lost and none kept twice. Of ten trials, five lock the runs, and five lease them, as on a
network file system. Ends with a table.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import distributed
import psutil

from horticulture.execution import inspection
from horticulture.system import files, leases
from tests import killed

WORKERS, SECONDS = 3, 600  # a command that takes longer has been forgotten
MEMORY = 1_500_000_000  # bytes after which a worker is ended
# Leases are renewed often, and a checkpoint is written twice a second.
QUICK = """
from horticulture.system import leases
from horticulture.execution import checkpoints
leases.BEAT, leases.STALE, checkpoints.CHECKPOINT_SECONDS = 0.25, 3.0, 0.5
"""
STOPPED = 8.0  # seconds: longer than a lease lasts, and than the scheduler waits for a sign of life
SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s",  # no complaints about a busy machine
}
COMMAND = f"""
import sys
from pathlib import Path
{QUICK}
from horticulture import architecture, execution
from horticulture.execution import parallel
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe

def recipe(epochs):
    return TrainingRecipe(epochs, batch_size=32, precision="float32")

shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
source = execution.describe_data("clutter", 128)
bases = [execution.training_run(shape, recipe(3), source, seed) for seed in range(3)]
pruning = PruningRecipe(6, steps=2, batch_size=32, precision="float32")
pruned = [execution.pruning_run(base, pruning) for base in bases]
weights = ("kept", "fresh")
wanted = [execution.finetuning_run(one, 0, shape, recipe(2), which) for one in pruned for which in weights]
parallel.execute_all(wanted, Path(sys.argv[2]), device="cpu", address=sys.argv[1])
"""
RUNS = 12  # that this command makes


class Machines:
    """A scheduler and its workers; each is a process."""

    def __init__(self, place: Path) -> None:
        self.place, self.number = place, 0
        self.processes: list[subprocess.Popen] = []
        (place / "quick.py").write_text(QUICK)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start all of them, anew after `stop`."""
        self.number += 1
        where = self.place / f"scheduler-{self.number}.json"
        port = ["--port", self.address.rpartition(":")[2]] if self.number > 1 else ["--port", "0"]
        self._begin("dask_scheduler", *port, "--scheduler-file", where)
        while not where.exists():
            time.sleep(0.05)
        self.address: str = files.read_json(where)["address"]
        for _ in range(WORKERS):
            self._begin(
                *("dask_worker", self.address, "--nthreads", "1", "--memory-limit", str(MEMORY)),
                *("--preload", self.place / "quick.py", "--local-directory", self.place / "local"),
            )
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=SECONDS)

    def _begin(self, program: str, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--host", "127.0.0.1"]
        with (self.place / "log.txt").open("a") as log:
            process = subprocess.Popen(
                [*command, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
                env={**os.environ, **SETTINGS},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def stop(self) -> None:
        """Kill all of them, and what they have started."""
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()
        self.processes.clear()

    def worker(self, draw: random.Random) -> tuple[str, int]:
        """The address and the process number of one of the workers."""
        with distributed.Client(self.address, set_as_default=False) as client:
            return draw.choice(sorted(inspection.ask(client, os.getpid).items()))


# --- faults: what each does to the machines and to the command ---------------------------------------------

Fault = Callable[[Machines, subprocess.Popen, random.Random], None]


def kill_worker(machines: Machines, command: subprocess.Popen, draw: random.Random) -> None:
    """SIGKILL, as by a node that fails; its nanny starts another one."""
    os.kill(machines.worker(draw)[1], signal.SIGKILL)


def stop_worker(machines: Machines, command: subprocess.Popen, draw: random.Random) -> None:
    """SIGSTOP, for longer than a lease and the scheduler's patience last; then it goes on."""
    _, number = machines.worker(draw)
    os.kill(number, signal.SIGSTOP)
    time.sleep(STOPPED)
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGCONT)


def fill_memory(machines: Machines, command: subprocess.Popen, draw: random.Random) -> None:
    """A worker that takes more memory than it may is ended."""
    address, number = machines.worker(draw)
    worker = psutil.Process(number)
    code = f"import time; taken = b'x' * {MEMORY}; time.sleep(60)"
    # In a thread, or the answer would be waited for.
    beside = f"import threading; threading.Thread(target=exec, args=({code!r},), daemon=True).start()"
    with distributed.Client(machines.address, set_as_default=False) as client:
        with suppress(OSError):  # it may be ended before it answers
            client.run(exec, beside, workers=[address])
        _, alive = psutil.wait_procs([worker], timeout=60)
    assert not alive


def kill_scheduler(machines: Machines, command: subprocess.Popen, draw: random.Random) -> None:
    """The command says so and ends; then there is a new scheduler at the same address, with new workers."""
    machines.processes[0].kill()
    _, errors = command.communicate(timeout=SECONDS)
    said = f"the Dask scheduler at {machines.address} is gone; finished runs and checkpoints are kept"
    assert command.returncode, errors
    assert said in errors, errors
    machines.stop()
    machines.start()


def kill_command(machines: Machines, command: subprocess.Popen, draw: random.Random) -> None:
    """The notebook's kernel, say."""
    command.kill()
    command.communicate()


FAULTS: dict[str, Fault] = {
    "a worker is killed": kill_worker,
    "a worker is stopped for long": stop_worker,
    "a worker runs out of memory": fill_memory,
    "the scheduler is killed": kill_scheduler,
    "the command is killed": kill_command,
}


# --- trials ------------------------------------------------------------------------------------------------


def command(address: str, outputs: Path) -> subprocess.Popen:
    """A process that makes the runs on the cluster."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, address, outputs], stderr=subprocess.PIPE, text=True
    )


@cache
def undisturbed() -> dict[str, object]:
    """The results of a run on such a cluster that was left alone."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        machines = Machines(Path(place))
        stack.callback(machines.stop)
        process = command(machines.address, Path(place) / "outputs")
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
        found = killed.results(Path(place) / "outputs")
    assert len({name.partition("/")[0] for name in found}) == RUNS
    return found


def trial(seed: int) -> str:
    """Do what the seed says at a moment that it draws, and compare. Return how many commands it took."""
    draw, expected = random.Random(seed), undisturbed()
    fault = list(FAULTS.values())[seed % len(FAULTS)]
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        outputs = Path(place) / "outputs"
        if seed // len(FAULTS) % 2:
            files.make_folder(outputs / "runs" / ".locks")
            leases.require(outputs / "runs" / ".locks")
        machines = Machines(Path(place))
        stack.callback(machines.stop)
        process = command(machines.address, outputs)
        stack.callback(process.kill)
        finished = draw.randrange(
            RUNS // 2
        )  # runs, by when it happens: a moment of progress, and not of time
        while process.poll() is None and not (
            len([*outputs.glob("runs/*/run.json")]) >= finished and [*outputs.glob("runs/*/rows.jsonl")]
        ):
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 1))
        assert process.poll() is None, "it was over before anything happened"
        fault(machines, process, draw)
        given = 1
        errors = process.communicate(timeout=SECONDS)[1] if process.returncode is None else ""
        while process.returncode != 0:
            given += 1
            assert given <= 3, errors
            process = command(machines.address, outputs)
            stack.callback(process.kill)
            _, errors = process.communicate(timeout=SECONDS)
        there = killed.results(outputs)
        assert there.keys() == expected.keys(), there.keys() ^ expected.keys()
        assert there == expected, [name for name in there if there[name] != expected[name]]
    return f"{given} command" + "s" * (given > 1)


def main(arguments: list[str] | None = None) -> int:
    """Try it so many times and print a table; returns 1 if anything was lost, changed or never ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="?", type=int, default=len(FAULTS))
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    options = parser.parse_args(arguments)
    ends: dict[str, Counter] = {name: Counter() for name in FAULTS}
    for seed in range(options.seed, options.seed + options.trials):
        name, began = list(FAULTS)[seed % len(FAULTS)], time.monotonic()
        try:
            end = trial(seed)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            end = "failed"
            print(f"{error}\nagain: python -m tests.faults 1 --seed {seed}", file=sys.stderr)
        ends[name][end] += 1
        print(f"seed {seed}: {name}: {end}, {time.monotonic() - began:.0f} s", flush=True)
    columns = sorted({end for found in ends.values() for end in found})
    print(f"\n{'':<32}" + "".join(f"{one:>14}" for one in columns))
    for name, found in ends.items():
        print(f"{name:<32}" + "".join(f"{found[one]:>14}" for one in columns))
    return int(any(found["failed"] for found in ends.values()))


if __name__ == "__main__":
    sys.exit(main())
