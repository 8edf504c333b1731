"""The runs of a study, each once, by purpose. Loads torch only if data must be read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from horticulture import runs
from horticulture.runs import Run
from horticulture.study import budgets, scaling
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import PrunedNetwork, PruningJob

# The positions of the notebooks that alone make runs of a purpose; all make the others, if they need them.
ONLY_BY = {"criteria compared": 1, "pruned shapes": 2, "families": 3}


def runs_by_purpose(
    config: StudyConfig,
    outputs: Path,
    stand_in_networks: Callable[[StudyConfig, PruningJob], list[PrunedNetwork]] = lambda config, job: [],
    stand_in_family: Callable[[StudyConfig, str], list[Run]] = lambda config, curve: [],
) -> dict[str, list[Run]]:
    """The runs that follow from the parameters and from finished pruning runs under `outputs`.

    stand_in_networks: for the networks of an unfinished pruning run (default: none). stand_in_family: for
    the runs of a curve derived from such runs.
    """
    own_jobs = [*config.pruning_jobs, *config.moving_jobs]
    jobs = [*own_jobs, *config.guide_jobs]
    pruned = [
        network
        for job in own_jobs
        for network in (
            config.networks_of(job, outputs) if _finished([job], outputs) else stand_in_networks(config, job)
        )
    ]

    def family(config: StudyConfig, curve: str) -> list[Run]:
        followed = config.guide_jobs if curve == "transferred" else config.pruning_jobs
        if curve in scaling.PRUNING_FREE or _finished(followed, outputs):
            return [point.run for point in scaling.family_points(replace(config, curves=[curve]), outputs)]
        if len(config.seeds) > 1:  # some may be finished
            return [run for seed in config.seeds for run in family(replace(config, seeds=[seed]), curve)]
        return stand_in_family(config, curve)

    retrained = budgets.budget_points(config, pruned, remark=lambda line: None)
    purposes = {
        "the whole network": [*(point.run for point in config.whole_points), *(job.base for job in jobs)],
        "criteria compared": config.oracle_runs,
        "pruning": [job.run for job in jobs],
        "pruned shapes": [point.run for point in retrained],
        "families": [run for curve in config.curves for run in family(config, curve)],
    }
    moved = [run for wanted in purposes.values() for run in wanted if run.kind == "move"]
    if moved:
        purposes = {"before they move": [run.start for run in moved if run.start], **purposes}
    return {purpose: list({run.key: run for run in wanted}.values()) for purpose, wanted in purposes.items()}


def of_notebooks(purposes: dict[str, list[Run]], first: int) -> dict[str, list[Run]]:
    """Those that the notebooks from position `first` on (0: all) make: earlier ones only as far as needed."""
    return {what: wanted for what, wanted in purposes.items() if ONLY_BY.get(what, first) >= first}


def _finished(jobs: list[PruningJob], outputs: Path) -> bool:
    return all(runs.result(job.run, outputs) is not None for job in jobs)
