"""One table: what every part of the work costs, on WRN-40-2, batch 128, 32 x 32.

    make bench

It is written to outputs/bench/bench.csv; the README shows a copy in outputs/reference/measured/.
Each ratio is measured side by side in one process: the things compared take turns, and medians count.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from horticulture import pruning, training
from horticulture.architecture import families
from horticulture.execution import checkpoints
from horticulture.networks import latency
from horticulture.pruning import surgery
from horticulture.system import files
from horticulture.training import evaluation, hardware
from horticulture.training.callbacks import NO_CALLBACK
from tests import browser
from tests.benchmarks import freed, moves, published, scale, watching
from tests.benchmarks.parts import (
    BATCH,
    DEVICE,
    FRACTIONS,
    REPEATS,
    WHOLE,
    Tuning,
    alternate,
    dataset,
    matrix_rate,
    thinned,
)

ROUNDS = 1300


class Table:
    """Rows that are shown as they come, and written at the end."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def row(self, what: str, value: float, unit: str = "ratio", note: str = "") -> None:
        """Add and show a row."""
        self.rows.append({"what": what, "value": round(value, 5), "unit": unit, "note": note})
        print(f"{what:<62} {value:10.4g} {unit:<9} {note}", flush=True)

    def write(self, path: Path) -> None:
        """Keep it, with the machine."""
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "machine": f"{hardware.device_name(DEVICE)}, {torch.get_num_threads()} threads",
            "torch": torch.__version__,
        }
        pd.DataFrame(self.rows).assign(**about).to_csv(path, index=False)
        print(f"{about['machine']}, torch {about['torch']}; written to {path}")


def main() -> None:
    """Measure and print."""
    table, images = Table(), dataset()
    chosen = hardware.resolve_precision("auto", DEVICE)
    for precision in dict.fromkeys(["float32", chosen]):
        _steps(table, images, precision)
    _removals(table, Tuning(thinned(0), images, True, chosen))
    _sweep(table, images, chosen)
    _latencies(table)
    _memory(table)
    _keeping(table)
    _explorer(table)
    _watching(table)
    _freed(table)
    scale.measure(table.row)
    table.write(Path("outputs/bench/bench.csv"))


def _steps(table: Table, images, precision: str) -> None:
    """Rows a, b and e: steps with and without listening, on ever thinner networks."""
    plain = Tuning(thinned(0), images, False, precision)
    whole = Tuning(thinned(0), images, True, precision)
    pair = alternate({"plain": plain.step, "whole": whole.step}, 2 * REPEATS)
    thin = {f"{f:.0%} removed": Tuning(thinned(f), images, True, precision) for f in FRACTIONS}
    thin["25% removed at random"] = Tuning(thinned(0.25, evenly=False), images, True, precision)
    taken = alternate({"whole": whole.step, **{name: one.step for name, one in thin.items()}})
    table.row(f"step, {precision}", 1000 * pair["plain"], "ms", f"median of {2 * REPEATS}")
    table.row(f"a. step with Fisher / plain step, {precision}", pair["whole"] / pair["plain"])
    for name, one in thin.items():
        macs = one.network.architecture.macs / WHOLE.macs
        ratio = taken[name] / taken["whole"]
        table.row(f"b. step at {name} / whole, {precision}", ratio, note=f"MACs {macs:.2f}")
    share = _beside_convolutions(plain)
    table.row(
        f"b. share of a step that is not convolution, {precision}", share, note="norms, relus, additions"
    )
    rate = matrix_rate(evaluation.DTYPES[precision])
    used = 3 * WHOLE.macs * BATCH / pair["plain"] / rate
    table.row(f"e. training, {precision}", BATCH / pair["plain"], "images/s", f"{used:.0%} of matrix rate")
    x = images.normalise(images.test.pixels[:256])
    passed = alternate({"pass": lambda: plain.forward(x)})["pass"]
    used = WHOLE.macs * 256 / passed / rate
    table.row(f"e. evaluation, {precision}", 256 / passed, "images/s", f"{used:.0%} of matrix rate")


def _beside_convolutions(tuning: Tuning) -> float:
    """What does not shrink with the middle of the blocks: the account of why time lags behind MACs."""
    kind = (
        torch.profiler.ProfilerActivity.CUDA if DEVICE.type == "cuda" else torch.profiler.ProfilerActivity.CPU
    )
    with torch.profiler.profile(activities=[kind]) as profile:
        tuning.step()
    times = {e.key: e.self_device_time_total or e.self_cpu_time_total for e in profile.key_averages()}
    convolutions = sum(taken for name, taken in times.items() if "conv" in name)
    return 1 - convolutions / sum(times.values())


def _removals(table: Table, tuning: Tuning) -> None:
    """Row c: removals, scores and optimizer included, at the whole width and at what is left in the end."""
    step = alternate({"step": tuning.step})["step"]
    for what in ("whole", "a tenth left"):
        if what != "whole":
            tuning = Tuning(thinned(0.9), dataset(), True, "auto")
            tuning.step()
        scores, times = tuning.probe.scores(), []
        for _ in range(50):
            began = time.perf_counter()
            gone = pruning.lowest_channel(scores)
            surgery.remove_channel(tuning.network, gone.group, gone.channel, tuning.optimizer)
            times.append(time.perf_counter() - began)
            here = scores[gone.group]
            scores[gone.group] = torch.cat([here[: gone.channel], here[gone.channel + 1 :]])
        taken = statistics.median(times)
        if what != "whole":
            step = alternate({"step": tuning.step})["step"]
        table.row(
            f"c. one removal / one fine-tuning step, {what}", taken / step, note=f"{1e3 * taken:.2f} ms"
        )
    _peer(table)


def _peer(table: Table) -> None:
    """One removal by Torch-Pruning's dependency graph, where it is installed, beside ours."""
    try:
        import torch_pruning
    except ImportError:
        print("(no peer: pip install torch-pruning adds a row)")
        return
    theirs, ours = thinned(0), thinned(0)
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, torch.randn(1, 3, 32, 32))
    optimizer = training.sgd(ours, 8e-4, 0.9, 5e-4)

    def one() -> None:
        producer = theirs.groups[3].producer
        graph.get_pruning_group(producer, torch_pruning.prune_conv_out_channels, [0]).prune()

    taken = alternate({"theirs": one, "ours": lambda: surgery.remove_channel(ours, 3, 0, optimizer)}, 15)
    note = f"{1e3 * taken['theirs']:.2f} ms; without the optimizer's state, which ours carries along"
    table.row("g. a removal by Torch-Pruning / ours", taken["theirs"] / taken["ours"], note=note)


def _sweep(table: Table, images, precision: str) -> None:
    """Row d: 1,300 rounds of 100 steps, each with an evaluation on 10,000 images, ours and the published way.

    Extrapolated from five widths. The published way keeps every channel, so its step is measured once.
    """
    theirs = published.Sweep(WHOLE, images.train.to(torch.device("cpu")), BATCH)
    points = [0.0, *FRACTIONS]
    ours = [Tuning(thinned(f), images, True, precision) for f in points]
    x = images.normalise(images.test.pixels[:256]).contiguous()
    work = {f"step {f}": one.step for f, one in zip(points, ours, strict=True)}
    work |= {f"pass {f}": lambda one=one: one.forward(x) for f, one in zip(points, ours, strict=True)}
    work |= {"theirs": theirs.step, "their pass": lambda: theirs.evaluate(x.cpu())}
    taken = alternate(work, 3)
    rate = matrix_rate(evaluation.DTYPES[precision])
    table.row("published step (masks, images one by one) / plain step", taken["theirs"] / taken["step 0.0"])

    def mean(values: list[float]) -> float:  # over the sweep, by trapezoids; the end is as the last point
        at, values = [*points, ROUNDS / 1344], [*values, values[-1]]
        pieces = zip(at, at[1:], values, values[1:], strict=False)
        return sum((b - a) * (v + w) / 2 for a, b, v, w in pieces) / at[-1]

    passes = 10_000 / 256
    one = 100 * mean([taken[f"step {f}"] for f in points]) + passes * mean(
        [taken[f"pass {f}"] for f in points]
    )
    other = 100 * taken["theirs"] + passes * taken["their pass"]
    macs = mean([tuning.network.architecture.macs for tuning in ours])
    floor = macs * (300 * BATCH + 10_000) / rate
    table.row(f"d. our sweep of {ROUNDS:,} rounds / the published one, {precision}", one / other)
    note = f"{one * ROUNDS / 3600:.1f} against {other * ROUNDS / 3600:.1f} hours"
    table.row("d. its floor: the MACs at the matrix rate / the published one", floor / other, note=note)
    table.row("d. our sweep / its floor", one / floor)


def _latencies(table: Table) -> None:
    """Row f: networks of equal MACs, pruned and of simple families, against the whole one."""
    half = thinned(0.5, evenly=False).architecture
    shapes = {
        "half its channels, at random": half,
        "narrower": families.width(WHOLE, macs=half.macs),
        "bottlenecks": families.bottleneck(WHOLE, macs=half.macs),
        "shallower": families.depth(WHOLE, macs=half.macs),
    }
    for batch in (1, 256):
        whole, *others = latency.measure([WHOLE, *shapes.values()], batch, DEVICE)
        table.row(f"f. latency of the whole network, batch {batch}", whole, "ms")
        for (name, shape), milliseconds in zip(shapes.items(), others, strict=True):
            note = f"MACs {shape.macs / WHOLE.macs:.2f}"
            table.row(f"f. {name} / whole, batch {batch}", milliseconds / whole, note=note)


def _memory(table: Table) -> None:
    """Row g: peak memory of fine-tuning, each in a process of its own."""
    for way, what in (
        ("published", "the published way"),
        ("0", "ours, whole"),
        ("0.75", "ours, 75% removed"),
    ):
        command = [sys.executable, "-m", "tests.benchmarks.memory", way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        table.row(f"g. peak memory of fine-tuning, {what}", float(done.stdout), "MB")


def _keeping(table: Table) -> None:
    """Row h: what a run of 1,300 rounds leaves on disk, and whether late rounds cost more than early ones."""
    row = {"run": "0" * 12, "round": 0, "saliency": 1e-5, "params": 2_000_000, "val_error": 5.0}
    with tempfile.TemporaryDirectory() as folder:
        rows, times = files.JsonlTable(Path(folder) / "rows.jsonl"), []
        for _ in range(20 * ROUNDS):
            began = time.perf_counter()
            rows.append(row)
            times.append(time.perf_counter() - began)
        late, early = statistics.median(times[-ROUNDS:]), statistics.median(times[:ROUNDS])
        table.row(
            "h. keeping a round after 26,000 / at the beginning", late / early, note=f"{1e6 * late:.0f} µs"
        )
        bytes_ = rows.path.stat().st_size / 20
        for done in range(0, ROUNDS + 1, 100):
            tuning = Tuning(thinned(done / 1344), dataset(), False, "auto")
            tuning.step()
            state = training.Checkpoint(
                training.collect_tensors(tuning.network, tuning.optimizer, NO_CALLBACK), {}
            )
            bytes_ += checkpoints.write(Path(folder), "round", state).stat().st_size
    table.row("h. a run of 1,300 rounds on disk, a state every 100", bytes_ / 1e6, "MB")


def _explorer(table: Table) -> None:
    """Row i: from a move of the explorer's slider to the painted picture, where there is a browser."""
    if why := browser.missing():
        print(f"(no row i: {why})")
        return
    with browser.chromium() as found:
        took = moves.measure(found)
    what = f"i. a move of the explorer, {moves.ROUNDS:,} rounds, {len(moves.WHOLE.widths)} groups"
    table.row(what, statistics.median(took), "ms", note=f"slowest of {moves.MOVES}: {max(took):.0f} ms")


def _watching(table: Table) -> None:
    """Row j: what a person's notebook takes of the time to show runs in progress."""
    what = f"j. showing {watching.RUNS} runs in progress, {watching.ROUNDS:,} rounds / the time"
    note = f"without a picture {watching.measure(watched=False):.4f}"
    table.row(what, watching.measure(watched=True), note=note)


def _freed(table: Table) -> None:
    """Row l: what it saves to keep freed memory."""
    for part, ratio in freed.measure().items():
        table.row(f"l. {part} with freed memory kept / given back", ratio)


if __name__ == "__main__":
    main()
