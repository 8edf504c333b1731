"""One table: what every part of the work costs, on WRN-40-2, batch 128, 32 x 32.

    make bench

Each ratio is measured side by side in one process: the things compared take turns, and medians count.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from horticulture import (
    architecture,
    data,
    families,
    latency,
    machine,
    networks,
    pruning,
    saliency,
    surgery,
    training,
)
from tests.benchmarks import published

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


def thinned(fraction: float) -> networks.Network:
    """WRN-40-2 without a share of its channels, taken at random from everywhere."""
    network = networks.build(WHOLE, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for group in network.groups:
        kept = (torch.rand(group.width, generator=draw) >= fraction).nonzero().flatten().tolist()
        surgery.keep(group, kept)
    return network


class Tuning:
    """Fine-tuning steps on a network, with or without listening to it."""

    def __init__(
        self, network: networks.Network, images: data.Dataset, listening: bool, precision: str
    ) -> None:
        self.network = network.on(DEVICE).train()
        self.optimizer = training.sgd(self.network, 8e-4, 0.9, 5e-4)
        self.batches = data.Batches(images, BATCH, torch.Generator().manual_seed(0))
        self.dtype = training.precision(precision, DEVICE)
        self.probe = saliency.Probe(self.network, "fisher", torch.Generator())
        if listening:
            self.probe.__enter__()

    def step(self) -> None:
        """One step."""
        training.step(self.network, self.optimizer, *next(self.batches), self.dtype)


def matrix_rate(dtype: torch.dtype) -> float:
    """Multiply-accumulates a second that a large matrix product reaches."""
    size = 8192 if DEVICE.type == "cuda" else 1536
    a = torch.randn(size, size, device=DEVICE, dtype=dtype)
    return size**3 / alternate({"product": lambda: a @ a})["product"]


def main() -> None:
    """Measure and print."""
    parts = noise(1024), noise(256), noise(512)
    images = data.Dataset("noise", tuple("0123456789"), *parts, pad=4, flip=True).to(DEVICE)
    rows: list[dict] = []

    def row(what: str, value: float, unit: str = "ratio", note: str = "") -> None:
        rows.append({"what": what, "value": round(value, 4), "unit": unit, "note": note})
        print(f"{what:<58} {value:10.4g} {unit:<9} {note}", flush=True)

    chosen = "bfloat16" if training.precision("auto", DEVICE) == torch.bfloat16 else "float32"
    for precision in dict.fromkeys(["float32", chosen]):
        plain = Tuning(thinned(0), images, False, precision)
        fisher = Tuning(thinned(0), images, True, precision)
        thin = {fraction: Tuning(thinned(fraction), images, True, precision) for fraction in FRACTIONS}
        taken = alternate(
            {
                "plain": plain.step,
                "fisher": fisher.step,
                **{str(f): tuning.step for f, tuning in thin.items()},
            }
        )
        row(f"step, {precision}", 1000 * taken["plain"], "ms", f"median of {REPEATS}")
        row(f"a. step with Fisher / plain step, {precision}", taken["fisher"] / taken["plain"])
        for fraction, tuning in thin.items():
            macs = tuning.network.architecture.macs / WHOLE.macs
            ratio = taken[str(fraction)] / taken["fisher"]
            row(f"b. step at {fraction:.0%} removed / whole, {precision}", ratio, note=f"MACs {macs:.2f}")
        rate = matrix_rate(training.precision(precision, DEVICE))
        macs = 3 * WHOLE.macs * BATCH / taken["plain"]
        row(
            f"e. training, {precision}",
            BATCH / taken["plain"],
            "images/s",
            f"{macs / rate:.0%} of matrix rate",
        )
        x = images.normalise(images.test.pixels[:256])
        evaluated = alternate({"pass": lambda net=plain.network, x=x: _forward(net, x)})["pass"]
        row(
            f"e. evaluation, {precision}",
            256 / evaluated,
            "images/s",
            f"{WHOLE.macs * 256 / evaluated / rate:.0%} of matrix rate",
        )

    _removals(fisher, taken["fisher"], row)
    _sweep(images, taken, evaluated, chosen, row)
    _latencies(row)
    folder = Path("outputs/bench")
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows).assign(machine=machine.device_name(DEVICE), torch=torch.__version__)
    frame.to_csv(folder / "bench.csv", index=False)
    print(f"{machine.device_name(DEVICE)}, torch {torch.__version__}; written to {folder / 'bench.csv'}")


@torch.inference_mode()
def _forward(network: networks.Network, x: torch.Tensor) -> None:
    network.eval()
    network(x)
    network.train()


def _removals(tuning: Tuning, step: float, row: Callable[..., None]) -> None:
    """Fifty removals, scores and optimizer included, at the whole width and at what is left in the end."""
    scores = tuning.probe.scores()
    times = []
    for _ in range(50):
        began = time.perf_counter()
        gone = pruning.lowest(scores)
        surgery.remove(tuning.network, gone.group, gone.channel, tuning.optimizer)
        times.append(time.perf_counter() - began)
        scores[gone.group] = torch.cat(
            [scores[gone.group][: gone.channel], scores[gone.group][gone.channel + 1 :]]
        )
    row(
        "c. one removal / one fine-tuning step",
        statistics.median(times) / step,
        note=f"{1e3 * statistics.median(times):.2f} ms",
    )


def _sweep(
    images: data.Dataset,
    ours: dict[str, float],
    ours_evaluated: float,
    precision: str,
    row: Callable[..., None],
) -> None:
    """1,300 rounds of 100 steps with an evaluation on 10,000 images each, ours and the published way."""
    theirs = published.Sweep(WHOLE, images.train.to(torch.device("cpu")), BATCH)
    x = images.normalise(images.test.pixels[:256]).contiguous().cpu()
    taken = alternate({"step": theirs.step, "evaluation": lambda: theirs.evaluate(x)}, 3)
    points = [0, *FRACTIONS]
    steps = [ours["fisher"], *(ours[str(fraction)] for fraction in FRACTIONS)]
    points, steps = [*points, 1300 / 1344], [*steps, steps[-1]]
    area = sum(
        (b - a) * (s + t) / 2 for a, b, s, t in zip(points, points[1:], steps, steps[1:], strict=False)
    )
    shrinking = area / points[-1]  # the mean step over the sweep
    one = 100 * shrinking + 10_000 / 256 * ours_evaluated * shrinking / steps[0]
    other = 100 * taken["step"] + 10_000 / 256 * taken["evaluation"]
    row("published step (masks, images one by one) / plain step", taken["step"] / ours["plain"])
    row(
        f"d. our sweep of 1,300 rounds / the published one, {precision}",
        one / other,
        note="extrapolated from five points",
    )


def _latencies(row: Callable[..., None]) -> None:
    """Networks of equal MACs, pruned and of simple families, against the whole one."""
    half = thinned(0.5).architecture
    shapes = {
        "half its channels, at random": half,
        "narrower": families.width(WHOLE, macs=half.macs),
        "bottlenecks": families.bottleneck(WHOLE, macs=half.macs),
        "shallower": families.depth(WHOLE, macs=half.macs),
    }
    for batch in (1, 256):
        whole, *others = latency.measure([WHOLE, *shapes.values()], batch, DEVICE)
        row(f"f. latency of the whole network, batch {batch}", whole, "ms")
        for (name, shape), milliseconds in zip(shapes.items(), others, strict=True):
            note = f"MACs {shape.macs / WHOLE.macs:.2f}"
            row(f"f. {name} / whole, batch {batch}", milliseconds / whole, note=note)


if __name__ == "__main__":
    main()
