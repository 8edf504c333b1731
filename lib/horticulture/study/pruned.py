"""The pruning runs of a study, and the networks they leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from horticulture import runs
from horticulture.architecture import Architecture
from horticulture.pruning import PruningRecipe, presets
from horticulture.runs import CurvePoint, Run

if TYPE_CHECKING:
    import pandas as pd


class PruningJob(NamedTuple):
    """A pruning run of a study, with its criterion (`StudyConfig.criterion_label`) and its base.

    `longer`: the factor on the study's epochs and steps, in the base and in pruning. `whole_macs`: the
    forward multiply-accumulates of the base's training.
    """

    criterion: str
    base: Run
    run: Run  # the pruning run
    longer: float
    whole_macs: int

    def point(self, curve: str = "pruned-tuned", run: Run | None = None, **more: Any) -> CurvePoint:
        """The curve point of the pruning run (a network a round), or of a run that follows it."""
        common: dict[str, Any] = {"ratio": self.ratio, "longer": self.longer, "whole_macs": self.whole_macs}
        return CurvePoint(curve, run or self.run, self.criterion, **common, **more)

    @property
    def label(self) -> str:
        """A readable label: the criterion, the fraction removed, and how much longer it was trained."""
        went = f" −{100 * self.ratio:.0f} %" if self.ratio else ""
        return self.criterion + went + (f", trained × {self.longer:g}" if self.longer != 1 else "")

    @property
    def recipe(self) -> PruningRecipe:
        """How the network is pruned."""
        return PruningRecipe.from_json(self.run.recipe)

    @property
    def ratio(self) -> float | None:
        """The fraction removed: None for one channel a round, 0 if the scores decide how many (`zeros`)."""
        recipe = self.recipe
        if recipe.one_by_one:
            return None
        return recipe.ratio or presets.preset_ratio(recipe.scope, self.run.architecture)

    @property
    def sparse(self) -> bool:
        """Whether single weights are pruned, so that the shape remains that of the whole network."""
        return self.recipe.granularity == "weight"

    @property
    def while_moving(self) -> bool:
        """Whether it prunes a network as it moves: one that has learnt only other data."""
        return self.base.kind == "move" and not self.base.recipe["epochs"]


class PrunedNetwork(NamedTuple):
    """A network that a pruning run left: its shape, and how it was found.

    `search_macs`: the MACs of training its base and of pruning. `selections`: the trunk channels that each
    group has kept, if its groups select any.
    """

    job: PruningJob
    round: int
    architecture: Architecture
    macs: int  # of one image; if single weights were pruned, those of the remaining weights
    search_macs: int
    selections: list[list[int]] | None = None

    def point(self, curve: str, run: Run) -> CurvePoint:
        """The curve point of a run that trains this shape, or starts from these weights."""
        name = f"sparse-{curve}" if self.job.sparse else curve
        return self.job.point(name, run, round=self.round, search_macs=self.search_macs)


def pruned_network(job: PruningJob, round_: int, outputs: Path) -> PrunedNetwork:
    """The network of a finished pruning run after a round."""
    removed = runs.removals(job.run, outputs)
    search_macs = int(removed.loc[removed["round"] == round_, "train_macs"].iloc[-1])
    architecture = runs.architecture_at(job.run, removed, round_)
    metrics = runs.metrics(job.run, outputs)
    kept = _selections(job.run, removed, round_) if not job.sparse else None
    return PrunedNetwork(
        job, round_, architecture, metrics.get("nonzero_macs", architecture.macs), search_macs, kept
    )


def _selections(run: Run, removed: pd.DataFrame, round_: int) -> list[list[int]] | None:
    """The trunk channels that each selecting group kept; None if no group selects."""
    whole = run.architecture
    if all(most is None for most in whole.selects):
        return None
    remaining = runs.remaining_channels(run, removed, round_)
    return [
        [selected[channel] for channel in kept] if selected else []
        for kept, selected in zip(remaining, whole.even_selections, strict=True)
    ]
