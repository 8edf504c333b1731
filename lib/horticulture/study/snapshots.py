"""The architectures of a study's pruning runs, at the end and along the way."""

from pathlib import Path

from horticulture import runs
from horticulture.architecture import Architecture
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import pruned_network

MAX_SNAPSHOTS = 24  # shown of a pruning run that removes one channel a round


def final_architectures(config: StudyConfig, outputs: Path) -> dict[str, list[Architecture]]:
    """The final architectures of each way of pruning channels: one per seed, by label."""
    architectures: dict[str, list[Architecture]] = {}
    for job in config.pruning_jobs:
        if not job.sparse:
            architecture = pruned_network(job, job.run.recipe["rounds"], outputs).architecture
            architectures.setdefault(job.label, []).append(architecture)
    return architectures


def snapshots(config: StudyConfig, outputs: Path) -> dict[str, Architecture]:
    """The first seed's networks as they shrink, by label: some rounds of each pruning run, and the last."""
    shown = {"whole": config.whole}
    for job in config.pruning_jobs:
        if job.run.seed == config.seeds[0] and not job.sparse:
            removed, rounds = runs.removals(job.run, outputs), job.run.recipe["rounds"]
            for round_ in dict.fromkeys([*range(0, rounds, max(1, rounds // MAX_SNAPSHOTS)), rounds][1:]):
                label = f"{job.label}, round {round_}" if rounds > 1 else job.label
                shown[label] = runs.architecture_at(job.run, removed, round_)
    return shown
