"""Measured time of a forward pass, which parameters and MACs only hint at."""

import statistics
import time
from collections.abc import Sequence

import torch

from horticulture import networks
from horticulture.architecture import Architecture
from horticulture.networks import Network

WARM_UP = 2  # turns that are discarded


@torch.inference_mode()
def measure(
    shapes: Sequence[Architecture], batch: int, device: torch.device, *, seconds: float = 6.0
) -> list[float]:
    """Median milliseconds of one forward pass of `batch` images, float32, for each architecture.

    The networks take turns, so a change in the machine's speed affects all of them: as many turns as start
    within `seconds`, and at least five, after two that are discarded. On a CPU each is timed with one thread
    and with all of them, and the faster way counts: a small batch would otherwise wait for threads to wake
    up, which takes several times as long as the network.
    """
    ready = [networks.build(shape).to_device(device).eval() for shape in shapes]
    inputs = [torch.randn(batch, *shape.image, device=device) for shape in shapes]
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    threads = torch.get_num_threads()
    ways = {1, threads} if device.type == "cpu" else {threads}
    times: dict[int, list[list[float]]] = {way: [[] for _ in shapes] for way in sorted(ways)}
    end = time.perf_counter() + seconds
    turn = 0
    try:
        while turn < WARM_UP + 5 or time.perf_counter() < end:
            for way, turns in times.items():
                torch.set_num_threads(way)
                for network, x, taken in zip(ready, inputs, turns, strict=True):
                    taken.append(forward_seconds(network, x))
            turn += 1
    finally:
        torch.set_num_threads(threads)
    medians = ([statistics.median(taken[WARM_UP:]) for taken in turns] for turns in times.values())
    return [1000 * min(of_one) for of_one in zip(*medians, strict=True)]


def forward_seconds(network: Network, x: torch.Tensor) -> float:
    """The seconds that one forward pass takes, including the wait for a GPU to finish."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    began = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began
