"""What the benchmarks measure on: networks, images, and a stopwatch that takes turns."""

import statistics
import time
from collections.abc import Callable

import torch

from horticulture import architecture, data, networks, training
from horticulture.pruning import saliency, surgery
from horticulture.training import evaluation

BATCH, REPEATS = 128, 5
FRACTIONS = (0.25, 0.5, 0.75, 0.9)  # of the channels removed
WHOLE = architecture.named("wrn-40-2", image=(3, 32, 32), classes=10)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def alternate(work: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each, taking turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + 1):
        for name, do in work.items():
            began = time.perf_counter()
            do()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def noise(count: int) -> data.Images:
    """Images that look like CIFAR-10 to a stopwatch."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 32, 32), generator=draw, dtype=torch.uint8)
    return data.Images(pixels, torch.randint(10, (count,), generator=draw))


def dataset() -> data.Dataset:
    """Noise in the shape of CIFAR-10, on the device."""
    parts = noise(1024), noise(256), noise(512)
    return data.Dataset("noise", tuple("0123456789"), *parts, pad=4, flip=True).to(DEVICE)


def thinned(fraction: float, evenly: bool = True) -> networks.Network:
    """WRN-40-2 without a share of its channels: of every group, or at random from everywhere."""
    network = networks.build(WHOLE, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for group in network.groups:
        kept = list(range(round(group.width * (1 - fraction))))
        if not evenly:
            kept = (torch.rand(group.width, generator=draw) >= fraction).nonzero().flatten().tolist()
        surgery.keep_channels(group, kept)
    return network


class Tuning:
    """Fine-tuning steps on a network, with or without listening to it."""

    def __init__(
        self, network: networks.Network, images: data.Dataset, listening: bool, precision: str
    ) -> None:
        self.network = network.to_device(DEVICE).train()
        self.optimizer = training.sgd(self.network, 8e-4, 0.9, 5e-4)
        self.batches = data.Batches(images, BATCH, torch.Generator().manual_seed(0))
        self.dtype = evaluation.DTYPES[precision]
        self.probe = saliency.SaliencyProbe(self.network, "fisher", torch.Generator())
        if listening:
            self.probe.__enter__()

    def step(self) -> None:
        """One step."""
        training.step(self.network, self.optimizer, *next(self.batches), self.dtype)

    @torch.inference_mode()
    def forward(self, x: torch.Tensor) -> None:
        """A pass as in an evaluation."""
        self.network.eval()
        with evaluation.autocast(self.dtype, DEVICE):
            self.network(x)
        self.network.train()


def matrix_rate(dtype: torch.dtype) -> float:
    """Multiply-accumulates a second that a large matrix product reaches at its best, of twenty."""
    size = 8192 if DEVICE.type == "cuda" else 1536
    a = torch.randn(size, size, device=DEVICE, dtype=dtype)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        a @ a
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return size**3 / min(times)
