"""Measured time of a forward pass: what parameters and MACs only hint at."""

import statistics
import time
from collections.abc import Sequence

import torch

from horticulture import networks
from horticulture.architecture import Architecture
from horticulture.networks import Network


@torch.inference_mode()
def measure(
    shapes: Sequence[Architecture], batch: int, device: torch.device, *, repeats: int = 7, warm_up: int = 2
) -> list[float]:
    """Median milliseconds of one forward pass of `batch` images, float32, for each architecture.

    The networks take turns, so that a machine that slows down or speeds up does so for all of them.
    """
    ready = [networks.build(shape).on(device).eval() for shape in shapes]
    inputs = [torch.randn(batch, *shape.image, device=device) for shape in shapes]
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    times: list[list[float]] = [[] for _ in shapes]
    for repeat in range(warm_up + repeats):
        for network, x, taken in zip(ready, inputs, times, strict=True):
            seconds = _once(network, x)
            if repeat >= warm_up:
                taken.append(seconds)
    return [1000 * statistics.median(taken) for taken in times]


def _once(network: Network, x: torch.Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    began = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began
