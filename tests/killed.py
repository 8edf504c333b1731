"""Kill a run with SIGKILL at random moments, start it again each time, and compare with one left alone.

    python -m tests.killed 3               three runs, each killed twice
    python -m tests.killed 1 --seed 17     one of them again

A kill can fall into training, pruning, comparing criteria or writing; checkpoints are written as often as
possible here.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

WORKER = """
import sys
from pathlib import Path
from horticulture import execution, networks
from horticulture.execution import checkpoints
from horticulture.execution import tasks
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe

checkpoints.CHECKPOINT_SECONDS, tasks.ROUND_CHECKPOINTS = 0.0, 2
shape = networks.named(sys.argv[2], image=(1, 16, 16), classes=10)
source = execution.describe_data("clutter", 128)
base = execution.training_run(shape, TrainingRecipe(epochs=3, batch_size=32), source, 0)
run = execution.pruning_run(base, PruningRecipe(rounds=6, steps=3, batch_size=32, lr=0.01))
print("ready", flush=True)
execution.execute(run, Path(sys.argv[1]), "cpu")
oracle = execution.OracleConfig(("fisher", "l1"), channels=24, steps=2, batch_size=32)
execution.execute(execution.oracle_run(base, oracle), Path(sys.argv[1]), "cpu")
"""


def start(outputs: Path, network: str = "wrn-10-1", before: str = "") -> subprocess.Popen:
    """A process that makes the run; it has said that it is ready to begin. before: code to run first."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + WORKER, str(outputs), network],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    return process


def results(outputs: Path) -> dict[str, object]:
    """What is in every file that a result vouches for, and what the result says, but for times."""
    found: dict[str, object] = {}
    for path in sorted(outputs.glob("runs/*/*")):
        if ".damaged-" in path.parent.name:  # set aside
            continue
        name = f"{path.parent.name}/{path.name}"
        if path.name == "weights.safetensors":
            found[name] = path.read_bytes()
        if path.name == "run.json":
            metrics = json.loads(path.read_bytes())["metrics"]
            found[name] = {key: value for key, value in metrics.items() if key != "seconds"}
        if path.suffix == ".csv":
            found[name] = timeless(path)
    return found


def timeless(table: Path) -> list[list[str]]:
    """The cells of a table, without the columns that say how long something took."""
    header, *rows = csv.reader(table.read_text().splitlines())
    kept = [n for n, name in enumerate(header) if name != "seconds" and not name.startswith("latency")]
    return [[row[n] for n in kept] for row in (header, *rows)]


@cache
def undisturbed(network: str = "wrn-10-1") -> dict[str, object]:
    """The results of the run that was left alone."""
    with tempfile.TemporaryDirectory() as alone:
        _, errors = start(Path(alone), network).communicate()
        actual = results(Path(alone))
    assert len(actual) == 8, errors  # weights of the training and the pruning; of all a table and a result
    return actual


def trial(seed: int, kills: int = 2, network: str = "wrn-10-1") -> str:
    """Kill a run so many times, let it end, and compare: every bit that is there must be the same."""
    draw, expected = random.Random(seed), undisturbed(network)
    with tempfile.TemporaryDirectory() as place:
        outputs = Path(place)
        for number in range(kills):
            process = start(outputs, network)
            try:
                process.wait(timeout=draw.uniform(0.01, 0.6))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            made = results(outputs)
            assert all(made[name] == expected[name] for name in made), f"after kill {number}"
        _, errors = start(outputs, network).communicate()
        assert results(outputs) == expected, errors
    return "survived"


def main(arguments: list[str] | None = None) -> int:
    """Try it so many times and say how each ended; raises AssertionError if anything was lost or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="?", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first (default: the time)")
    options = parser.parse_args(arguments)
    for seed in range(options.seed, options.seed + options.trials):
        print(f"seed {seed}: ", end="", flush=True)
        print(trial(seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
