"""From the notebooks' parameters to the runs of a study.

A `StudyConfig` holds the parameters under the names that the notebooks use, and describes the runs that
follow from them. Nothing is computed here except architectures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Self

from horticulture import architecture, execution, runs
from horticulture.pruning import PruningRecipe, criteria, ranking
from horticulture.runs import CurvePoint, Run
from horticulture.study.pruned import PrunedNetwork, PruningJob, pruned_network
from horticulture.study.training_config import TrainingConfig
from horticulture.training.recipe import EVALUATION, TrainingRecipe

LENGTHS = ("epochs", "steps", "finetune_epochs", "source_epochs")  # scaled by `base_epoch_factors`


@dataclass(frozen=True, kw_only=True)
class StudyConfig(TrainingConfig):
    """All parameters of a study, and the runs that follow from them. Raises InputError if impossible."""

    base_epoch_factors: list[float]
    factor_sizes: list[float]
    criterion: str
    ratios: list[float]
    measure: str
    scope: str
    floor: float
    rounds: int
    steps: int
    evaluate_every: int
    finetune_lr: float
    oracle_criteria: list[str]
    oracle_channels: int
    oracle_images: int
    finetune_epochs: int
    sizes: list[float]
    budgets: list[str]
    cap: float
    bits: int
    curves: list[str]
    copycat_size: float
    guide_network: str
    guide_data: str

    @property
    def criteria(self) -> list[str]:
        """The criteria: `criterion` may name several, separated by commas."""
        return [name.strip() for name in self.criterion.split(",")]

    @property
    def whole_points(self) -> list[CurvePoint]:
        """All variants of the whole network: each training length, with and without a criterion's penalty."""
        penalties = {"": "none"}
        penalties |= {self.criterion_label(name): criteria.CRITERIA[name].penalty for name in self.criteria}
        points: dict[str, CurvePoint] = {}
        for longer in dict.fromkeys([1.0, *map(float, self.base_epoch_factors)]):
            config = self.trained_longer(longer)
            for criterion, penalty in penalties.items():
                for seed in self.seeds:  # a criterion without a penalty has the first of these points
                    base = config.baseline(seed, penalty)
                    point = CurvePoint("whole", base, criterion, longer=longer, whole_macs=config.whole_macs)
                    points.setdefault(base.key, point)
        return list(points.values())

    def trained_longer(self, longer: float) -> Self:
        """The same study with all training `longer` times as long: before, between and after removals."""
        if longer == 1:
            return self
        times = {name: max(1, round(longer * getattr(self, name))) for name in LENGTHS}
        return replace(self, **times, sizes=self.factor_sizes or self.sizes)

    def finetuning_recipe(self, lr: float, schedule: str) -> TrainingRecipe:
        """The recipe of training after pruning."""
        return self._recipe(self.finetune_epochs, lr, schedule)

    @property
    def oracle_runs(self) -> list[Run]:
        """The runs that compare criteria with the oracle, on the whole network of each seed; perhaps none."""
        oracle = execution.OracleConfig(
            tuple(self.oracle_criteria),
            channels=self.oracle_channels,
            images=self.oracle_images,
            **{name: getattr(self, name) for name in EVALUATION},
        )
        return [execution.oracle_run(base, oracle) for base in self.baselines if self.oracle_criteria]

    # --- pruning runs ------------------------------------------------------------------------------------

    def criterion_label(self, criterion: str) -> str:
        """The name of a criterion in the results, with its scope if that is not the criterion's own."""
        return criteria.criterion_label(criterion, self._scope(criterion))

    def _scope(self, criterion: str) -> str:
        """The study's scope if it applies to this criterion: presets are for channels, blocks have none."""
        scopes = {"weight": ranking.SCOPES, "block": ()}
        granularity = criteria.CRITERIA[criterion].granularity
        return self.scope if self.scope in scopes.get(granularity, [self.scope]) else ""

    def pruning_recipe(self, criterion: str, ratio: float = 0.0) -> PruningRecipe:
        """The recipe of pruning by a criterion."""
        granularity = criteria.CRITERIA[criterion].granularity
        return PruningRecipe(
            rounds=self.rounds,
            criterion=criterion,
            ratio=ratio,
            measure=self.measure,
            scope=self._scope(criterion),
            floor=self.floor if granularity == "channel" else 0.0,
            steps=self.steps,
            lr=self.finetune_lr,
            evaluate_every=self.evaluate_every,
            **self._common,
        )

    @property
    def pruning_jobs(self) -> list[PruningJob]:
        """A job for every criterion, length, ratio and seed; without ratios, one channel a round goes."""
        lengths = [(float(longer), self.trained_longer(longer)) for longer in self.base_epoch_factors]
        jobs = []
        combinations = product(self.criteria, lengths, self.ratios or [0.0], self.seeds)
        for name, (longer, config), ratio, seed in combinations:
            base = config.baseline(seed, criteria.CRITERIA[name].penalty)
            run = execution.pruning_run(base, config.pruning_recipe(name, ratio))
            jobs.append(PruningJob(self.criterion_label(name), base, run, longer, config.whole_macs))
        return jobs

    @property
    def moving_jobs(self) -> list[PruningJob]:
        """For the budget `pruned-moving`: each of these jobs on a network that is not trained here before."""
        jobs = []
        for job in self.pruning_jobs if "pruned-moving" in self.budgets else []:
            config = self.trained_longer(job.longer)
            base = config.moved(config.whole, job.run.seed, trained=False)
            steps = config.epochs * (config.outline.images // config.batch_size)  # of the training left out
            recipe = replace(job.recipe, steps=job.recipe.steps + round(steps / (config.rounds + 1)))
            jobs.append(job._replace(base=base, run=execution.pruning_run(base, recipe)))
        return jobs

    @property
    def pruning_points(self) -> list[CurvePoint]:
        """The pruning runs drawn round by round. Given `factor_sizes`, longer ones are drawn there only.

        Those by a ratio have no sizes, and are all drawn.
        """
        jobs = self.pruning_jobs
        return [job.point() for job in jobs if job.longer == 1 or not self.factor_sizes or job.recipe.ratio]

    def pruned_networks(self, outputs: Path) -> list[PrunedNetwork]:
        """The networks to retrain: those nearest to `sizes` if pruned one by one, otherwise the last."""
        return [n for job in (*self.pruning_jobs, *self.moving_jobs) for n in self.networks_of(job, outputs)]

    def networks_of(self, job: PruningJob, outputs: Path) -> list[PrunedNetwork]:
        """The networks of one pruning run to retrain. Raises InputError if it is not finished."""
        rounds = [self.rounds]
        if job.recipe.one_by_one:
            removed = runs.removals(job.run, outputs)
            sizes = self.trained_longer(job.longer).sizes
            near = [runs.nearest_round(removed, size * self.whole.params) for size in sizes]
            rounds = list(dict.fromkeys(near))  # each network once, even if two sizes are close
        return [pruned_network(job, round_, outputs) for round_ in rounds]

    # --- other sizes and other data ----------------------------------------------------------------------

    @property
    def guide(self) -> Self | None:
        """The same study for the network and data from which a profile is transferred."""
        if not self.guide_network:
            return None
        return replace(
            self,
            network=self.guide_network,
            data=self.guide_data or self.data,
            residual_sets=self.residual_sets and architecture.is_traced(self.guide_network),
            guide_network="",  # a guide has no guide, and is trained from scratch
            pretrained="",
            source_data="",
        )

    @property
    def guide_jobs(self) -> list[PruningJob]:
        """The pruning runs whose profiles are transferred to this network."""
        return self.guide.pruning_jobs if self.guide else []
