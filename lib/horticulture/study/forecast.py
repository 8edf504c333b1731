"""Estimate the runs, hours and disk space of a study before anything is trained."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from horticulture import architecture, execution, networks, runs, training
from horticulture.architecture import Architecture, families
from horticulture.errors import InputError
from horticulture.execution import cluster, parallel, tasks
from horticulture.runs import Run
from horticulture.study import bounds, scaling
from horticulture.study.config import StudyConfig
from horticulture.study.inventory import of_notebooks, runs_by_purpose
from horticulture.study.pruned import PrunedNetwork, PruningJob
from horticulture.system import limits
from horticulture.system.progress import Progress, clock
from horticulture.training import hardware

MAX_TIMED_STEPS = 6  # at most this many steps are timed for each of two networks
MAX_TIMING_SECONDS = 5.0  # seconds after which no further step is timed
FORWARD = 1 / 3  # of a step's time, for a forward pass
MAX_UNWARNED_SECONDS = 4 * 3600.0  # more seconds of training than this get a warning
SLOW = 4e9  # multiply-accumulates of training per second and process that nearly every machine exceeds
MAX_CLASSES_LISTED = 12  # up to this many classes are listed


class PendingRuns(NamedTuple):
    """The runs that a study has yet to make, by purpose, without those counted for another study."""

    config: StudyConfig
    runs: dict[str, list[Run]]
    device: str
    workers: int

    @staticmethod
    def of(config: StudyConfig, runs: dict[str, list[Run]], device: str, workers: int) -> "PendingRuns":
        """Resolve on what these runs will be made here: device, number of processes, precision.

        workers: as for `parallel.execute_all`.
        """
        resolved = hardware.resolve_device(device)
        workers = parallel.processes(workers, on_cpu=resolved.type == "cpu")
        precision = hardware.resolve_precision(config.precision, resolved)
        return PendingRuns(replace(config, precision=precision), runs, str(resolved), workers)

    def pace(self) -> "Pace":
        """Measured here, with the threads that a worker has."""
        return Pace.measured(self.config, self.device, max(1, limits.processors() // self.workers))

    def seconds(self, pace: "Pace") -> dict[str, float]:
        """Seconds of training by purpose."""
        return {
            what: sum(pace.seconds(run, self.config) for run in todo) / min(self.workers, max(1, len(todo)))
            for what, todo in self.runs.items()
        }


def describe(studies: dict[str, dict[str, Any]], outputs: Path, first: int = 0) -> list[str]:
    """A readable report: the data, the runs of each study by step, those already made, hours and disk space.

    studies: parameters by name. first: the position of the first notebook to be executed. A run that several
    studies share is counted in the first. Times a few training steps; uniformly narrower networks stand in
    for those of unfinished pruning runs. Writes nothing.
    """
    lines, counted, data = list[str](), set[str](), list[str]()
    total, size = 0.0, 0.0
    for name, parameters in studies.items():
        pending, counts = _pending(parameters, outputs, counted, first)
        if (known := _classes(pending.config)) != data:
            lines, data = [*lines, *known], known
        with Progress("timing training steps", 1) as progress:  # of a large network: for twenty seconds
            pace = pending.pace()
            progress.update(1)
        seconds = pending.seconds(pace)
        needed = sum(_bytes(run) for todo in pending.runs.values() for run in todo)
        total, size = total + sum(seconds.values()), size + needed
        lines += [name, f"{'':<20} {'runs':>5} {'done':>6} {'time':>8}"]
        for what, (wanted, finished) in counts.items():
            lines.append(f"{what:<20} {wanted:>5} {finished:>6} {clock(seconds[what]):>8}")
        step = f"a step of the whole network took {1000 * pace.step(pending.config.whole):.0f} ms"
        processes = f"{pending.workers} process{'' if pending.workers == 1 else 'es'}"
        sums = f"about {clock(sum(seconds.values()))} of training with {processes} and {needed / 1e6:,.0f} MB"
        lines.append(f"{sums} ({step}{_smaller(pending)}); notebooks and figures are not included")
        if not bounds.made_here(parameters):
            lines.append("this is the time on this machine; the workers of the cluster share the runs")
    if len(studies) > 1:
        lines.append(f"all {len(studies)}: about {clock(total)} of training and {size / 1e6:,.0f} MB")
    return lines


def warn_about_studies(studies: Iterable[dict[str, Any]], outputs: Path, first: int = 0) -> str:
    """A warning if the studies have yet to train for longer than `MAX_UNWARNED_SECONDS`, otherwise "".

    studies: their parameters. first: the position of the first notebook to be executed. Those on a cluster
    are ignored, because its speed is unknown.
    """
    counted = set[str]()
    try:
        pending = [_pending(study, outputs, counted, first)[0] for study in studies if not study["cluster"]]
    except InputError:  # a damaged run, which the study will execute again
        return ""
    return warn_about_pending(pending)


def warn_about_pending(pending: list[PendingRuns]) -> str:
    """As `warn_about_studies`. Steps are timed only if the multiply-accumulates left may take so long."""

    def total(paces: Iterable[Pace]) -> float:
        pairs = zip(pending, paces, strict=True)
        return sum(seconds for part, pace in pairs for seconds in part.seconds(pace).values())

    if total(map(Pace.slow, pending)) < MAX_UNWARNED_SECONDS:
        return ""
    paces = [part.pace() for part in pending]
    if (needed := total(paces)) < MAX_UNWARNED_SECONDS:
        return ""
    steps = [pace.step(part.config.whole) for part, pace in zip(pending, paces, strict=True)]
    slowest = pending[steps.index(max(steps))]
    because = f"a step of {slowest.config.network} takes {1000 * max(steps):,.0f} ms"
    return f"about {needed / 3600:,.0f} hours of training on this machine: {because}{_smaller(slowest)}"


def _smaller(pending: PendingRuns) -> str:
    """What another stem would save, if the network has a stem for small images and these are large."""
    whole = pending.config.whole
    stride = architecture.suited_stem(pending.config.whole.image)
    if whole.stem_stride > 1 or stride not in whole.type.stems:
        return ""
    share = replace(whole, stem_stride=stride).macs / whole.macs
    saved = f"{pending.config.network}-stem{stride} has {100 * share:.0f} % of the multiply-accumulates"
    return f"; network={saved}" if stride > 1 else ""


def _pending(
    parameters: dict[str, Any], outputs: Path, counted: set[str], first: int
) -> tuple[PendingRuns, dict[str, tuple[int, int]]]:
    """The pending runs of one study, and by purpose how many runs it has and how many of them are finished.

    counted: keys of runs already counted for others, to which these are added.
    """
    config = StudyConfig.of(parameters)
    device = parameters["device"] if bounds.made_here(parameters) else "auto"
    local = str(parameters["cluster"]).startswith(cluster.LOCAL)
    workers = int(parameters["cluster"].removeprefix(cluster.LOCAL)) if local else parameters["workers"]
    pending = PendingRuns.of(config, {}, device, workers)
    counts = {}
    purposes = runs_by_purpose(pending.config, outputs, _stand_ins, _stand_in_family)
    for what, wanted in of_notebooks(purposes, first).items():
        missing = [run for run in wanted if runs.result(run, outputs) is None]
        counts[what] = len(wanted), len(wanted) - len(missing)
        pending.runs[what] = [run for run in missing if run.key not in counted]
        counted |= {run.key for run in missing}
    return pending, counts


def _classes(config: StudyConfig) -> list[str]:
    """A description of the data set: its images, and their number by class and part."""
    images = config.dataset
    channels, height, width = images.image
    counts = pd.DataFrame(images.counts, index=images.classes)
    summary = f"{len(counts):,} classes, images of {width} x {height} pixels, channels: {channels}"
    counted = pd.concat([counts, counts.sum().to_frame("all").T]).to_string(max_rows=MAX_CLASSES_LISTED)
    return [f"{images.name}: {summary}", *counted.splitlines()]


def _stand_in_family(config: StudyConfig, curve: str) -> list[Run]:
    """Stand-ins for the runs of a curve derived from pruning, for a study of one seed."""
    first = 1 + len(config.criteria) * list(scaling.FROM_PRUNING).index(curve)
    # Other seeds, so that their runs are distinct.
    seeds = [config.seeds[0] + 1000 * (first + n) for n in range(len(config.criteria))]
    shapes = [_narrower(config.whole, size) for size in config.sizes]
    return [
        execution.training_run(a, config.recipe, config.data_spec, seed) for a in shapes for seed in seeds
    ]


def _stand_ins(config: StudyConfig, job: PruningJob) -> list[PrunedNetwork]:
    """Stand-ins for the networks that an unfinished pruning run will leave."""
    rounds = job.run.recipe["rounds"]
    if job.recipe.one_by_one:
        sizes = config.trained_longer(job.longer).sizes
    else:
        sizes = [1.0 if job.sparse else (1 - (job.ratio or 0.0)) ** 2]
    narrower = [_narrower(config.whole, size) for size in sizes]
    return [PrunedNetwork(job, max(0, rounds - n), a, a.macs, 0) for n, a in enumerate(narrower)]


def _narrower(whole: Architecture, size: float) -> Architecture:
    try:
        return families.uniform(whole, params=round(size * whole.params)) if size < 1 else whole
    except InputError:
        return whole


class Pace(NamedTuple):
    """A model of the seconds per training step: a fixed part, and a part per multiply-accumulate."""

    fixed: float
    per_mac: float

    @staticmethod
    def measured(config: StudyConfig, device: str, threads: int) -> "Pace":
        """Measure a few steps of the whole network and of one with a quarter of its parameters."""
        architectures = config.whole, _narrower(config.whole, 0.25)
        with hardware.threads(threads):
            large, small = (_step_seconds(config, architecture, device) for architecture in architectures)
        difference = architectures[0].macs - architectures[1].macs
        slope = (large - small) / difference if difference else 0.0
        if not 0 < slope * architectures[0].macs < large:
            return Pace(0.0, large / architectures[0].macs)
        return Pace(large - slope * architectures[0].macs, slope)

    @staticmethod
    def slow(pending: PendingRuns) -> "Pace":
        """A pace that nearly every machine exceeds."""
        return Pace(0.0, 3 * pending.config.batch_size / SLOW)

    def step(self, architecture: Architecture, share: float = 1.0) -> float:
        """Seconds per step of a network, or of one with a share of its multiply-accumulates."""
        return self.fixed + self.per_mac * architecture.macs * share

    def seconds(self, run: Run, config: StudyConfig) -> float:
        """Seconds for a run, including its evaluations."""
        name, batch = run.data["name"], run.recipe["batch_size"]
        if name == config.data_spec["name"]:
            images = config.dataset
        else:  # where a network moves from, or where its guide is pruned
            images = execution.load_dataset(name, image_size=run.data.get("image_size", 0))
        looked_at = (len(images.validation) + len(images.test)) / batch * FORWARD
        if run.kind == "judge":
            every = len(images.validation)
            for_norms = min(run.recipe["norm_images"], len(images.train))
            measured = min(run.recipe["images"] or every, every) + for_norms  # more are not there
            channels = min(run.recipe["channels"], sum(run.architecture.widths))
            return self.step(run.architecture) * FORWARD * (channels + 1) * measured / batch
        if run.kind != "prune":
            trained = run.data.get("images") or len(images.train)
            count = run.recipe["epochs"] * (trained // batch)
            return self.step(run.architecture) * (count + 2 * looked_at)
        rounds = run.recipe["rounds"]
        removed = run.recipe["ratio"] or rounds / sum(run.architecture.widths)
        between = (1 + max(0.0, 1 - removed) ** 2) / 2  # fraction of the whole network's compute, on average
        count = (rounds + 1) * run.recipe["steps"] + (rounds / run.recipe["evaluate_every"] + 1) * looked_at
        return self.step(run.architecture, between) * count


def _step_seconds(config: StudyConfig, architecture: Architecture, device: str) -> float:
    images = execution.load_dataset(
        config.data, config.images, device, config.image_size, **config.augmentation
    )
    network = networks.build(architecture).to_device(images.train.labels.device).train()
    trainer = training.Trainer(network, images, config.recipe, torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(MAX_TIMED_STEPS):
        begun = time.perf_counter()
        loss = training.step(network, trainer.optimizer, *next(trainer.batches), config.recipe.dtype)
        loss.item()  # wait for it
        seconds.append(time.perf_counter() - begun)
        if sum(seconds) > MAX_TIMING_SECONDS:
            break
    return min(seconds)  # first steps are slower, as are those delayed by other processes


def _bytes(run: Run) -> float:
    """Approximate bytes that a run leaves on disk."""
    if run.kind == "judge":
        return 20_000
    states = min(tasks.ROUND_CHECKPOINTS + 1, run.recipe["rounds"] + 1) if run.kind == "prune" else 0
    return run.architecture.params * 4 * (1 + 2 * states) + 20_000
