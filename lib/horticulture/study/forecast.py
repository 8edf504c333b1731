"""Estimate the runs, hours and disk space of a study before anything is trained."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from horticulture import execution, networks, runs, training
from horticulture.architecture import Architecture, profiles
from horticulture.errors import InputError
from horticulture.execution import limits, tasks
from horticulture.progress import clock
from horticulture.runs import Run
from horticulture.study import scaling
from horticulture.study.config import StudyConfig
from horticulture.study.inventory import runs_by_purpose
from horticulture.study.pruned import PrunedNetwork, PruningJob
from horticulture.training import hardware

TIMED = 6  # steps timed for each of two networks
FORWARD = 1 / 3  # of a step's time, for a forward pass


def describe(studies: dict[str, dict[str, Any]], outputs: Path) -> list[str]:
    """A readable report: the runs of each study by step, those already made, the hours and disk space.

    studies: parameters by name. A run that several studies share is counted in the first. Times a few
    training steps; uniformly narrower networks stand in for those of unfinished pruning runs. Writes nothing.
    """
    lines, counted = [], set[str]()
    total, size = 0.0, 0.0
    for name, parameters in studies.items():
        seconds, needed, table = _describe(parameters, outputs, counted)
        total, size = total + seconds, size + needed
        lines += [name, *table]
    if len(studies) > 1:
        lines.append(f"all {len(studies)}: about {clock(total)} of training and {size / 1e6:,.0f} MB")
    return lines


def _describe(parameters: dict[str, Any], outputs: Path, counted: set[str]) -> tuple[float, float, list[str]]:
    """The seconds, bytes and lines of one study. counted: keys of runs already counted for others."""
    device = hardware.resolve_device(parameters["device"])
    workers = parameters["workers"] or (limits.processors() if device.type == "cpu" else 1)
    config = StudyConfig.of({**parameters, "precision": hardware.precision(parameters["precision"], device)})
    pace = Pace.measured(config, str(device), max(1, limits.processors() // workers))
    lines, total, size = [f"{'':<20} {'runs':>5} {'made':>6} {'time':>8}"], 0.0, 0.0
    for what, wanted in runs_by_purpose(config, outputs, _stand_ins, _stand_in_family).items():
        missing = [run for run in wanted if runs.result(run, outputs) is None]
        todo = [run for run in missing if run.key not in counted]
        counted |= {run.key for run in todo}
        seconds = sum(pace.seconds(run, config) for run in todo) / min(workers, max(1, len(todo)))
        total, size = total + seconds, size + sum(_bytes(run) for run in todo)
        lines.append(f"{what:<20} {len(wanted):>5} {len(wanted) - len(missing):>6} {clock(seconds):>8}")
    step = f"a step of the whole network took {1000 * pace.step(config.whole):.0f} ms"
    processes = f"{workers} process{'' if workers == 1 else 'es'}"
    sums = f"about {clock(total)} of training with {processes} and {size / 1e6:,.0f} MB ({step})"
    return total, size, [*lines, f"{sums}; notebooks and figures are not included"]


def _stand_in_family(config: StudyConfig, curve: str) -> list[Run]:
    """Stand-ins for the runs of a curve derived from pruning, for a study of one seed."""
    first = 1 + len(config.criteria) * list(scaling.FROM_PRUNING).index(curve)
    # Other seeds, so that their runs are distinct.
    seeds = [config.seeds[0] + 1000 * (first + n) for n in range(len(config.criteria))]
    shapes = [_narrower(config.whole, size) for size in config.sizes]
    return [execution.train(a, config.recipe, config.source, seed) for a in shapes for seed in seeds]


def _stand_ins(config: StudyConfig, job: PruningJob) -> list[PrunedNetwork]:
    """Stand-ins for the networks that an unfinished pruning run will leave."""
    own, rounds = config.trained_longer(job.longer), job.run.recipe["rounds"]
    sizes = own.sizes if job.one_by_one else [1.0 if job.sparse else (1 - (job.ratio or 0.0)) ** 2]
    shapes = [_narrower(config.whole, size) for size in sizes]
    return [PrunedNetwork(job, max(0, rounds - n), a, a.macs, 0) for n, a in enumerate(shapes)]


def _narrower(whole: Architecture, size: float) -> Architecture:
    try:
        return profiles.uniform(whole, params=round(size * whole.params)) if size < 1 else whole
    except InputError:
        return whole


class Pace(NamedTuple):
    """A model of the seconds per training step: a fixed part, and a part per multiply-accumulate."""

    fixed: float
    per_mac: float

    @staticmethod
    def measured(config: StudyConfig, device: str, threads: int) -> "Pace":
        """Measure a few steps of the whole network and of one with a quarter of its parameters."""
        shapes = config.whole, _narrower(config.whole, 0.25)
        with hardware.threads(threads):
            large, small = (_step_seconds(config, shape, device) for shape in shapes)
        apart = shapes[0].macs - shapes[1].macs
        slope = (large - small) / apart if apart else 0.0
        if not 0 < slope * shapes[0].macs < large:
            return Pace(0.0, large / shapes[0].macs)
        return Pace(large - slope * shapes[0].macs, slope)

    def step(self, shape: Architecture, share: float = 1.0) -> float:
        """Seconds per step of a network with that shape, or with a share of its multiply-accumulates."""
        return self.fixed + self.per_mac * shape.macs * share

    def seconds(self, run: Run, config: StudyConfig) -> float:
        """Seconds for a run, including its evaluations."""
        images, batch = config.dataset, run.recipe["batch_size"]
        looked_at = (len(images.validation) + len(images.test)) / batch * FORWARD
        if run.kind == "judge":
            each = (run.recipe["images"] or len(images.validation)) + run.recipe["norm_images"]
            return self.step(run.architecture) * FORWARD * (run.recipe["channels"] + 1) * each / batch
        if run.kind != "prune":
            count = run.recipe["epochs"] * (len(images.train) // batch)
            return self.step(run.architecture) * (count + 2 * looked_at)
        rounds = run.recipe["rounds"]
        gone = run.recipe["ratio"] or rounds / sum(run.architecture.widths)
        between = (1 + max(0.0, 1 - gone) ** 2) / 2  # fraction of the whole network's compute, on average
        count = (rounds + 1) * run.recipe["steps"] + (rounds / run.recipe["evaluate_every"] + 1) * looked_at
        return self.step(run.architecture, between) * count


def _step_seconds(config: StudyConfig, shape: Architecture, device: str) -> float:
    images = execution.dataset(
        config.data, config.images, device, config.image_size, **config.augmentation
    )
    network = networks.build(shape).to_device(images.train.labels.device).train()
    under_way = training.Trainer(network, images, config.recipe, torch.Generator().manual_seed(0))
    taken = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        loss = training.step(network, under_way.optimizer, *next(under_way.batches), config.recipe.dtype)
        loss.item()  # wait for it
        taken.append(time.perf_counter() - begun)
    return min(taken)  # first steps are slower, as are those delayed by other processes


def _bytes(run: Run) -> float:
    """Approximate bytes that a run leaves on disk."""
    if run.kind == "judge":
        return 20_000
    states = min(tasks.KEPT + 1, run.recipe["rounds"] + 1) if run.kind == "prune" else 0
    return run.architecture.params * 4 * (1 + 2 * states) + 20_000
