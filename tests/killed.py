"""Kill a run with SIGKILL at random moments, start it again each time, and compare with one left alone.

    python -m tests.killed 25

A kill can fall into training, pruning or writing; checkpoints are written as often as possible here.
"""

import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = """
import sys
from pathlib import Path
from horticulture import architecture, execution
from horticulture.execution import checkpoints
from horticulture.execution import tasks
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe

checkpoints.EVERY, tasks.KEPT = 0.0, 2
shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
base = execution.train(shape, TrainingRecipe(epochs=3, batch_size=32), execution.source("clutter", 128), 0)
run = execution.prune(base, PruningRecipe(rounds=6, steps=3, batch_size=32, lr=0.01))
print("ready", flush=True)
execution.execute(run, Path(sys.argv[1]), "cpu")
"""


def start(outputs: Path) -> subprocess.Popen:
    """A process that makes the run; it has said that it is ready to begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(outputs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    return process


def results(outputs: Path) -> dict[str, bytes]:
    """The content of every file that a result vouches for, but for times."""
    found = {}
    for path in sorted(outputs.glob("runs/*/*")):
        if path.name == "weights.safetensors":
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
        if path.suffix == ".csv":
            header, *rows = [line.split(",") for line in path.read_text().splitlines()]
            timeless = [number for number, name in enumerate(header) if name != "seconds"]
            found[f"{path.parent.name}/{path.name}"] = repr(
                [[row[n] for n in timeless] for row in rows]
            ).encode()
    return found


def survive(kills: int, seed: int = 0) -> int:
    """Compare a run killed so many times with one left alone; returns how many kills hit it under way."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        _, errors = start(alone).communicate()
        expected = results(alone)
        assert len(expected) == 4, errors  # weights and a table, of the training and of the pruning
        hits = 0
        for number in range(kills):
            process = start(killed)
            try:
                process.wait(timeout=draw.uniform(0.01, 0.6))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                hits += 1
            process.communicate()
            there = results(killed)
            assert all(there[name] == expected[name] for name in there), f"after kill {number}"
        _, errors = start(killed).communicate()
        assert results(killed) == expected, errors
    return hits


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    print(f"killed {survive(wanted)} times under way; every result was the same, to the last bit")
