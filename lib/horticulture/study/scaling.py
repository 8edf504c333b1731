"""Networks of other sizes: families that need no pruning, and families derived from a pruning run."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from horticulture import execution, runs
from horticulture.architecture import Architecture, families, profiles
from horticulture.errors import InputError, check_choice
from horticulture.runs import CurvePoint
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import PrunedNetwork, PruningJob, pruned_network


class Template(NamedTuple):
    """The pruned networks that another is modelled on: the one with its seed, and those of all seeds."""

    pruned: PrunedNetwork
    of_all_seeds: list[PrunedNetwork]
    whole: Architecture  # before pruning


def copycat(whole: Architecture, template: Template, params: int) -> tuple[Architecture, int]:
    """The shape that one pruning run left, scaled, and the MACs spent to find it."""
    return families.copycat(template.pruned.architecture, params=params), template.pruned.search_macs


def guided(whole: Architecture, template: Template, params: int) -> tuple[Architecture, int]:
    """`whole` scaled by the mean fraction that all pruning runs left of each stage; MACs spent by all."""
    every_seed = template.of_all_seeds
    profile = profiles.by_stage([pruned.architecture for pruned in every_seed], template.whole)
    return profiles.guided(whole, profile, params=params), sum(pruned.search_macs for pruned in every_seed)


PRUNING_FREE: dict[str, Callable[..., Architecture]] = {
    "width": families.width,
    "depth": families.depth,
    "bottleneck": families.bottleneck,
    "uniform": families.uniform,
    "uniform-moved": families.uniform,
}
MOVED = ("uniform-moved",)  # trained on `source_data` first
FROM_PRUNING: dict[str, Callable[[Architecture, Template, int], tuple[Architecture, int]]] = {
    "copycat": copycat,
    "guided": guided,
    "transferred": guided,  # from the pruning runs of another network
}


def can_be_followed(job: PruningJob) -> bool:
    """Whether other networks are modelled on those of this pruning run."""
    return not job.sparse and job.longer == 1


def templates(config: StudyConfig, outputs: Path) -> dict[tuple[str, int], Template]:
    """The pruned network nearest to `copycat_size`, as a template, for each criterion and seed."""
    wanted = config.copycat_size * config.whole.params
    best: dict[tuple[str, int], PrunedNetwork] = {}
    for job in config.pruning_jobs:
        if not can_be_followed(job):
            continue
        round_ = runs.nearest_round(runs.removals(job.run, outputs), wanted)
        pruned, key = pruned_network(job, round_, outputs), (job.criterion, job.run.seed)
        distance = abs(pruned.architecture.params - wanted)
        if key not in best or distance < abs(best[key].architecture.params - wanted):
            best[key] = pruned
    of_criterion: dict[str, list[PrunedNetwork]] = {}
    for (criterion, _), pruned in best.items():
        of_criterion.setdefault(criterion, []).append(pruned)
    return {key: Template(pruned, of_criterion[key[0]], config.whole) for key, pruned in best.items()}


def family_points(config: StudyConfig, outputs: Path) -> list[CurvePoint]:
    """Every curve at every size with every seed; curves from pruning once per criterion."""
    return [
        point
        for curve in config.curves
        for size in config.sizes
        for point in _points(config, outputs, curve, round(size * config.whole.params))
    ]


def members(config: StudyConfig, outputs: Path, params: int) -> dict[str, Architecture]:
    """A network of every curve with about `params` parameters; curves from pruning use the first seed.

    A curve without a network of that size is left out.
    """
    architectures: dict[str, Architecture] = {}
    for curve in config.curves:
        with suppress(InputError):
            architectures[curve] = next(_points(config, outputs, curve, params)).run.architecture
    return architectures


def _points(config: StudyConfig, outputs: Path, curve: str, params: int) -> Iterator[CurvePoint]:
    if check_choice(curve, [*PRUNING_FREE, *FROM_PRUNING], "curve") in PRUNING_FREE:
        architecture = PRUNING_FREE[curve](config.whole, params=params)
        for seed in config.seeds:
            if curve in MOVED:
                run = config.moved(architecture, seed)
            else:
                run = execution.training_run(architecture, config.recipe, config.data_spec, seed)
            yield CurvePoint(curve, run, whole_macs=config.whole_macs)
        return
    followed = require_guide(config) if curve == "transferred" else config
    for (criterion, seed), template in templates(followed, outputs).items():
        architecture, cost = FROM_PRUNING[curve](config.whole, template, params)
        run = execution.training_run(architecture, config.recipe, config.data_spec, seed)
        yield CurvePoint(curve, run, criterion, template.pruned.round, cost, whole_macs=config.whole_macs)


def require_guide(config: StudyConfig) -> StudyConfig:
    """The study of the network from which a profile is transferred. Raises InputError if none is set."""
    if config.guide is None:
        raise InputError("the curve transferred needs guide_network: the network that the profile comes from")
    return config.guide
