"""Measured time of a forward pass: what parameters and MACs only hint at."""

import statistics
import time
from collections.abc import Sequence

import torch

from horticulture import networks
from horticulture.architecture import Architecture
from horticulture.networks import Network

WARM_UP = 2  # turns that do not count


@torch.inference_mode()
def measure(
    shapes: Sequence[Architecture], batch: int, device: torch.device, *, seconds: float = 6.0
) -> list[float]:
    """Median milliseconds of one forward pass of `batch` images, float32, for each architecture.

    The networks take turns, so that a machine that slows down or speeds up does so for all of them: as many
    turns as begin within `seconds`, and at least five, after two that do not count.
    """
    ready = [networks.build(shape).to_device(device).eval() for shape in shapes]
    inputs = [torch.randn(batch, *shape.image, device=device) for shape in shapes]
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    times: list[list[float]] = [[] for _ in shapes]
    end = time.perf_counter() + seconds
    turn = 0
    while turn < WARM_UP + 5 or time.perf_counter() < end:
        for network, x, taken in zip(ready, inputs, times, strict=True):
            taken.append(_once(network, x))
        turn += 1
    return [1000 * statistics.median(taken[WARM_UP:]) for taken in times]


def _once(network: Network, x: torch.Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    began = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began
