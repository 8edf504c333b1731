"""Measured time of a forward pass, which parameters and MACs only hint at."""

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch

from horticulture import networks
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.networks import Network, formats

WARM_UP = 2  # turns that are discarded

PassesByThreads = dict[int, Sequence[Callable[[], float]]]  # by the number of threads, each network's pass


@torch.inference_mode()
def measure(
    architectures: Sequence[Architecture], batch: int, device: torch.device, *, seconds: float = 6.0
) -> list[float]:
    """Median milliseconds of one forward pass of `batch` images, float32, for each architecture.

    The networks take turns, so a change in the machine's speed affects all of them: as many turns as start
    within `seconds`, and at least five, after two that are discarded. Every turn has an order of its own, so
    that what interrupts at regular intervals, such as another process, does not always hit the same network.
    On a CPU each is timed with one thread and with all of them, and the faster way counts: a small batch
    would otherwise wait for threads to wake up, which takes several times as long as the network.
    """
    ready = [networks.build(architecture).to_device(device).eval() for architecture in architectures]
    inputs = [torch.randn(batch, *architecture.image, device=device) for architecture in architectures]
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    passes = [partial(forward_seconds, network, x) for network, x in zip(ready, inputs, strict=True)]
    threads = torch.get_num_threads()
    numbers = sorted({1, threads}) if device.type == "cpu" else [threads]
    return _fastest(dict.fromkeys(numbers, passes), seconds)


def measure_onnx(architectures: Sequence[Architecture], batch: int, *, seconds: float = 6.0) -> list[float]:
    """The same as `measure`, by ONNX Runtime on the CPU; NaN for a network that cannot be written as ONNX.

    Raises InputError if ONNX Runtime is not installed.
    """
    if not formats.has_onnx():
        raise InputError(formats.NO_ONNX)
    written = [_onnx(architecture) for architecture in architectures]
    inputs = [torch.randn(batch, *architecture.image) for architecture in architectures]
    passes_by_threads: PassesByThreads = {
        threads: [
            partial(forward_seconds, formats.from_onnx(content, threads), x)
            for content, x in zip(written, inputs, strict=True)
            if content
        ]
        for threads in sorted({1, torch.get_num_threads()})
    }
    times = iter(_fastest(passes_by_threads, seconds))
    return [next(times) if content else math.nan for content in written]


@lru_cache(maxsize=64)
def _onnx(architecture: Architecture) -> bytes:
    """A network as ONNX, written once for all batch sizes; empty if it cannot be written."""
    try:
        return formats.to_onnx(formats.to_program(networks.build(architecture), architecture.image))
    except InputError:
        return b""


def _fastest(passes_by_threads: PassesByThreads, seconds: float) -> list[float]:
    """Median milliseconds of each network, with the number of threads that is fastest for it."""
    times: dict[int, list[list[float]]] = {n: [[] for _ in passes] for n, passes in passes_by_threads.items()}
    before, end, turn = torch.get_num_threads(), time.perf_counter() + seconds, 0
    order = random.Random(0)
    try:
        while turn < WARM_UP + 5 or time.perf_counter() < end:
            for threads, passes in passes_by_threads.items():
                torch.set_num_threads(threads)
                for n in order.sample(range(len(passes)), len(passes)):
                    times[threads][n].append(passes[n]())
            turn += 1
    finally:
        torch.set_num_threads(before)
    medians = ([statistics.median(taken[WARM_UP:]) for taken in each] for each in times.values())
    return [1000 * min(by_threads) for by_threads in zip(*medians, strict=True)]


def forward_seconds(network: Network | formats.Function, x: torch.Tensor) -> float:
    """The seconds that one forward pass takes, including the wait for a GPU to finish."""
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    began = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began
