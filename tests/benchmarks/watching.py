"""What it takes of a kernel's time to show six runs in progress: hearing, drawing, sending, in all threads.

python -m tests.benchmarks.watching: the share with a person watching, who has a picture, and without.
"""

import re

from jupyter_client.manager import start_new_kernel

RUNS, ROUNDS, SECONDS = 6, 1300, 10
# A kernel that hears how far six pruning runs with long curves are, as often as they report it; less what
# waiting takes.
CELL = f"""
import time
from horticulture import architecture, execution
from horticulture.execution.board import POLL, Board
from horticulture.system.progress import Progress
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe

shape = architecture.named("wrn-40-2", image=(3, 32, 32), classes=10)
source = {{"name": "cifar10", "digest": "0"}}
bases = [execution.training_run(shape, TrainingRecipe(1), source, seed) for seed in range({RUNS})]
runs = [execution.pruning_run(base, PruningRecipe(rounds={ROUNDS})) for base in bases]
rows = [
    {{"round": n, "loss": n % 7 / 10, "val_error": n % 5, "params": shape.params - 1000 * n}}
    for n in range({ROUNDS})
]


def share(step):
    began, used, n = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < {SECONDS}:
        time.sleep(POLL / {RUNS})
        step(n := n + 1)
    return (time.process_time() - used) / (time.perf_counter() - began)


def hear(n):
    note = f"round {{n}}/{ROUNDS}, 1,234,567 parameters, error 5.3 %"
    board.update((runs[n % {RUNS}].key, n / 1e6, note, []))


with Progress("pruning", {RUNS}) as progress:
    board = Board(progress, runs)
    for run in runs:
        board.update((run.key, 0.0, "round 0", rows))
    heard = share(hear)
print("share", heard - share(lambda n: None))
"""


def measure(*, watched: bool) -> float:
    """The share of one processor's time. watched: a person runs the cell."""
    manager, client = start_new_kernel()
    said: list[str] = []
    try:
        client.execute_interactive(
            CELL,
            allow_stdin=watched,
            timeout=120,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return float(re.findall(r"share (\S+)", "".join(said))[0])


if __name__ == "__main__":
    print(f"{measure(watched=True):.2%} with the picture, {measure(watched=False):.2%} without")
