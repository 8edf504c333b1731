"""How much faster training and pruning are when a process keeps the memory that it frees.

python -m tests.benchmarks.freed: the time of four epochs and of 40 rounds of the network of `quick`, with
memory kept / given back, as the C library does by default. Each is a process of its own, in turn; medians
count.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from horticulture import architecture, execution
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe, hardware

SHAPE = architecture.named("wrn-16-1", image=(1, 16, 16), classes=10)
IMAGES, BATCH, REPEATS = 2048, 64, 3
PARTS = ("training", "pruning")


def work() -> list[float]:
    """Seconds of four epochs, and of 40 rounds, in this process with one thread."""
    source = execution.describe_data("clutter", IMAGES)
    base = execution.training_run(SHAPE, TrainingRecipe(4, batch_size=BATCH, precision="float32"), source, 0)
    rounds = PruningRecipe(40, steps=4, batch_size=BATCH, precision="float32")
    took = []
    with tempfile.TemporaryDirectory() as outputs:
        for run in (base, execution.pruning_run(base, rounds)):
            began = time.perf_counter()
            execution.execute(run, Path(outputs), "cpu", threads=1)
            took.append(time.perf_counter() - began)
    return took


def measure() -> dict[str, float]:
    """The time with memory kept / given back, of each part."""
    took: dict[str, list[list[float]]] = {"kept": [], "given back": []}
    for _ in range(REPEATS):
        for way, times in took.items():
            command = [sys.executable, "-m", "tests.benchmarks.freed", way]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times.append([float(seconds) for seconds in done.stdout.split()])
    medians = {way: map(statistics.median, zip(*times, strict=True)) for way, times in took.items()}
    ratios = zip(PARTS, medians["kept"], medians["given back"], strict=True)
    return {part: kept / given for part, kept, given in ratios}


if __name__ == "__main__":
    if sys.argv[1:]:
        if sys.argv[1] == "given back":
            hardware.keep_memory = lambda: None
        print(*work())
    else:
        print(*(f"{part} {ratio:.3f}" for part, ratio in measure().items()))
