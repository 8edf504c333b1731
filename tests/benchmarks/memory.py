"""Peak memory of a few fine-tuning steps, in a process of its own: python -m tests.benchmarks.memory ours."""

import sys
from pathlib import Path

import torch

from tests.benchmarks import published
from tests.benchmarks.parts import BATCH, DEVICE, WHOLE, Tuning, dataset, thinned


def main(way: str) -> None:
    """Print the peak above what was there before the network, in MB."""
    images = dataset()
    network = thinned(float(way)) if way != "published" else None
    before = _megabytes("VmRSS")
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if network is None:
        work = published.Sweep(WHOLE, images.train.to(torch.device("cpu")), BATCH)
    else:
        work = Tuning(network, images, listening=True, precision="float32")
    for _ in range(4):
        work.step()
    if DEVICE.type == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e6)
    else:
        print(_megabytes("VmHWM") - before)


def _megabytes(what: str) -> float:
    """VmRSS: now; VmHWM: the most so far (getrusage would count the process that started this one)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(what)) / 1e3


if __name__ == "__main__":
    main(sys.argv[1])
