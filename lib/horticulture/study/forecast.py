"""What a study will take: its rounds, its runs, hours and disk, said before anything is trained."""

import contextlib
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from horticulture import execution, networks, runs, training
from horticulture.architecture import Architecture, profiles
from horticulture.errors import InputError
from horticulture.execution import limits
from horticulture.progress import clock
from horticulture.runs import Run
from horticulture.study import budgets, scaling
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import PrunedNetwork, PruningJob
from horticulture.training import hardware

STEPS = 6  # that are timed, of each of two networks
KEPT = 17  # states of a pruning run that are kept, at most
FORWARD = 1 / 3  # what a forward pass takes of a step


def describe(settled: dict[str, Any], outputs: Path) -> list[str]:
    """Lines for a person: the runs of a study by step, those that are there, the hours and the disk.

    A few steps of training are timed for it. Shapes that a pruning run has still to find are taken to be
    uniformly narrower ones. Nothing is written.
    """
    device = hardware.resolve_device(settled["device"])
    workers = settled["workers"] or (limits.processors() if device.type == "cpu" else 1)
    precision = hardware.precision(settled["precision"], device)
    config = StudyConfig.of({**settled, "precision": precision})
    pace = Pace.measured(config, str(device), max(1, limits.processors() // workers))
    lines, total, size = [f"{'':<20} {'runs':>5} {'there':>6} {'time':>8}"], 0.0, 0.0
    for what, wanted in steps(config, outputs).items():
        todo = [run for run in wanted if runs.result(run, outputs) is None]
        seconds = sum(pace.seconds(run, config) for run in todo) / min(workers, max(1, len(todo)))
        total, size = total + seconds, size + sum(_bytes(run) for run in todo)
        lines.append(f"{what:<20} {len(wanted):>5} {len(wanted) - len(todo):>6} {clock(seconds):>8}")
    step = f"a step of the whole network took {1000 * pace.step(config.whole):.0f} ms"
    processes = f"{workers} process{'' if workers == 1 else 'es'}"
    needed = f"about {clock(total)} of training with {processes}, and {size / 1e6:,.0f} MB ({step})"
    return [*lines, f"{needed}; notebooks, figures and the comparison of criteria come on top"]


def steps(config: StudyConfig, outputs: Path) -> dict[str, list[Run]]:
    """The runs of a study, each once, by what they are for."""
    jobs = [*config.pruning_jobs, *config.guide_jobs]
    try:
        found = config.pruned_networks(outputs)
    except InputError:  # not all are pruned yet
        found = [stand_in for job in config.pruning_jobs for stand_in in _stand_ins(config, job)]
    with contextlib.redirect_stdout(io.StringIO()):  # which budgets are left out for which network
        entries = [member.run for member in budgets.budget_points(config, found)]
    wanted = {
        "the whole network": [*(m.run for m in config.whole_points), *(job.base for job in jobs)],
        "pruning": [job.run for job in jobs],
        "pruned shapes": entries,
        "families": _families(config, outputs),
    }
    return {what: list({run.key: run for run in asked}.values()) for what, asked in wanted.items()}


def _families(config: StudyConfig, outputs: Path) -> list[Run]:
    alone = [curve for curve in config.curves if curve in scaling.PRUNING_FREE]
    try:
        return [member.run for member in scaling.family_points(config, outputs)]
    except InputError:
        made = [member.run for member in scaling.family_points(replace(config, curves=alone), outputs)]
    shapes = [_narrower(config.whole, size) for size in config.sizes]
    following = (len(config.curves) - len(alone)) * len(config.criteria)
    seeds = [seed + 1000 * n for n in range(1, following + 1) for seed in config.seeds]  # runs of their own
    return made + [execution.train(a, config.recipe, config.source, seed) for a in shapes for seed in seeds]


def _stand_ins(config: StudyConfig, job: PruningJob) -> list[PrunedNetwork]:
    """Approximations of the networks that a pruning run has yet to find."""
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
    """How long a step of training takes: so many seconds, and so many more for each multiply-accumulate."""

    fixed: float
    per_mac: float

    @staticmethod
    def measured(config: StudyConfig, device: str, threads: int) -> "Pace":
        """From a few steps of the whole network and of one of a quarter of its parameters."""
        shapes = config.whole, _narrower(config.whole, 0.25)
        with hardware.threads(threads):
            large, small = (_step_seconds(config, shape, device) for shape in shapes)
        apart = shapes[0].macs - shapes[1].macs
        slope = (large - small) / apart if apart else 0.0
        if not 0 < slope * shapes[0].macs < large:
            return Pace(0.0, large / shapes[0].macs)
        return Pace(large - slope * shapes[0].macs, slope)

    def step(self, shape: Architecture, share: float = 1.0) -> float:
        """Of a network of that shape, or of one that has a share of its multiply-accumulates."""
        return self.fixed + self.per_mac * shape.macs * share

    def seconds(self, run: Run, config: StudyConfig) -> float:
        """A run, with its evaluations."""
        images, batch = config.dataset, run.recipe["batch_size"]
        looked_at = (len(images.validation) + len(images.test)) / batch * FORWARD
        if run.kind != "prune":
            count = run.recipe["epochs"] * (len(images.train) // batch)
            return self.step(run.architecture) * (count + 2 * looked_at)
        rounds = run.recipe["rounds"]
        gone = run.recipe["ratio"] or rounds / sum(run.architecture.widths)
        between = (1 + max(0.0, 1 - gone) ** 2) / 2  # what is left of the whole network's, on average
        count = (rounds + 1) * run.recipe["steps"] + (rounds / run.recipe["evaluate_every"] + 1) * looked_at
        return self.step(run.architecture, between) * count


def _step_seconds(config: StudyConfig, shape: Architecture, device: str) -> float:
    images = execution.dataset(config.data, config.images, device, config.image_size)
    network = networks.build(shape).to_device(images.train.labels.device).train()
    under_way = training.Trainer(network, images, config.recipe, torch.Generator().manual_seed(0))
    taken = []
    for _ in range(STEPS):
        begun = time.perf_counter()
        loss = training.step(network, under_way.optimizer, *next(under_way.batches), config.recipe.dtype)
        loss.item()  # wait for it
        taken.append(time.perf_counter() - begun)
    return min(taken)  # the first are slower, and so are those that something else held up


def _bytes(run: Run) -> float:
    """What a run leaves on disk, about."""
    states = min(KEPT, run.recipe["rounds"] + 1) if run.kind == "prune" else 0
    return run.architecture.params * 4 * (1 + 2 * states) + 20_000
