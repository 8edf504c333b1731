"""The pruning runs of a study, and the networks that they leave."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture import runs
from horticulture.architecture import Architecture
from horticulture.pruning import PruningRecipe, presets
from horticulture.runs import CurvePoint, Run


class PruningJob(NamedTuple):
    """A pruning run of a study: by which criterion (`StudyConfig.criterion_label`), and from which base.

    `longer`: the factor on the study's epochs and steps, for the base and in the pruning. `whole_macs`: the
    forward multiply-accumulates of the base's training.
    """

    criterion: str
    base: Run
    run: Run  # the pruning
    longer: float
    whole_macs: int

    def point(self, curve: str = "pruned-tuned", run: Run | None = None, **more: Any) -> CurvePoint:
        """The place in the study of the pruning run, a network a round, or of a run that follows it."""
        about: dict[str, Any] = {"ratio": self.ratio, "longer": self.longer, "whole_macs": self.whole_macs}
        return CurvePoint(curve, run or self.run, self.criterion, **about, **more)

    @property
    def label(self) -> str:
        """For people: the criterion, the share that goes, and how much longer it was trained."""
        went = f" −{100 * self.ratio:.0f} %" if self.ratio else ""
        return self.criterion + went + (f", trained × {self.longer:g}" if self.longer != 1 else "")

    @property
    def recipe(self) -> PruningRecipe:
        """How the network is pruned."""
        return PruningRecipe.from_json(self.run.recipe)

    @property
    def one_by_one(self) -> bool:
        """Whether a round takes one channel."""
        return self.recipe.one_at_a_time()

    @property
    def ratio(self) -> float | None:
        """The fraction removed: None if channels go one by one, 0 if the scores decide how many (`zeros`)."""
        if self.one_by_one:
            return None
        return self.recipe.ratio or presets.preset_ratio(self.recipe.scope, self.run.architecture)

    @property
    def sparse(self) -> bool:
        """Whether single weights went, so that the shape is that of the whole network."""
        return self.recipe.granularity == "weight"


class PrunedNetwork(NamedTuple):
    """A network that a pruning run left: its shape, and what pruning to there and its base cost in MACs.

    `selections`: where its groups select channels of a trunk, which ones each has kept.
    """

    job: PruningJob
    round: int
    architecture: Architecture
    macs: int  # of one image; with single weights gone, those of the weights that are left
    cost: int
    selections: list[list[int]] | None = None

    def point(self, curve: str, run: Run) -> CurvePoint:
        """A run's place in the study: trained for this shape, or from these weights."""
        name = f"sparse-{curve}" if self.job.sparse else curve
        return self.job.point(name, run, round=self.round, before=self.cost)


def pruned_network(job: PruningJob, round_: int, outputs: Path) -> PrunedNetwork:
    """What a finished pruning had after a round."""
    removed = runs.removals(job.run, outputs)
    cost = int(removed.loc[removed["round"] == round_, "train_macs"].iloc[-1])
    shape = runs.architecture_at(job.run, removed, round_)
    metrics = runs.metrics(job.run, outputs)
    kept = _selections(job.run, removed, round_) if not job.sparse else None
    return PrunedNetwork(job, round_, shape, metrics.get("nonzero_macs", shape.macs), cost, kept)


def _selections(run: Run, removed: pd.DataFrame, round_: int) -> list[list[int]] | None:
    """Where in its trunk the channels stand that each selecting group kept; None if no group selects."""
    whole = run.architecture
    if all(most is None for most in whole.selects):
        return None
    remaining = runs.remaining_channels(run, removed, round_)
    return [
        [places[channel] for channel in kept] if places else []
        for kept, places in zip(remaining, whole.even_selections, strict=True)
    ]
