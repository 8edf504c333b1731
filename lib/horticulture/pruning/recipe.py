"""The recipe that fixes a pruning run, and a check that a network allows it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.pruning import ranking
from horticulture.pruning.criteria import BUILT_IN, CRITERIA
from horticulture.pruning.presets import PRESETS, preset_quotas
from horticulture.pruning.ranking import MEASURES, SCOPES, ZEROS, PruningTarget, ScoredChannel
from horticulture.training.recipe import OPTIMIZERS, Recipe

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PruningRecipe(Recipe):
    """Everything that fixes a pruning run, apart from the network, the data and the seed.

    The defaults are those of Crowley et al.: one channel a round, 100 steps at the last learning rate of the
    base training. With a `ratio`, all rounds together remove that fraction in equal parts; a single round is
    one-shot pruning.
    """

    rounds: int
    criterion: str = "fisher"  # a name in criteria.CRITERIA
    ratio: float = 0.0  # fraction removed by all rounds together; 0: one channel a round
    measure: str = "channels"  # `ratio` is a fraction of channels, params or macs; zeros: all that scores 0
    scope: str = ""  # global, layer or a preset's name; empty: the criterion's own
    floor: float = 0.0  # fraction of every group's channels that is always kept
    steps: int = 100  # of fine-tuning, in each round
    lr: float = 8e-4  # constant
    momentum: float = 0.9
    weight_decay: float = 5e-4
    evaluate_every: int = 1  # rounds; the last is always evaluated
    optimizer: str = "sgd"  # as in `training.TrainingRecipe`

    def __post_init__(self) -> None:
        criterion = CRITERIA[check_choice(self.criterion, CRITERIA, "criterion")]
        object.__setattr__(self, "scope", self.scope or criterion.scope)
        self.check_fields("rounds", "steps", "lr", "evaluate_every")
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        check_choice(self.measure, [*MEASURES, ZEROS], "measure")
        check_choice(self.scope, [*SCOPES, *PRESETS], "scope")
        for name in ("ratio", "floor"):
            fraction = getattr(self, name)
            if not (isinstance(fraction, int | float) and 0 <= fraction < 1):
                raise InputError(f"{name} must be at least 0 and below 1, not {fraction!r}")
        if self.granularity != "channel" and self.floor:
            raise InputError(f"{self.criterion} removes whole {self.granularity}s, so floor must be 0")
        if self.granularity == "weight" and not self.ratio:
            raise InputError(f"{self.criterion} removes single weights: set a ratio")
        if criterion.precomputed and self.rounds > 1:
            raise InputError(
                f"{self.criterion} is scored only once, in training: use one round, not {self.rounds}"
            )

    def __str__(self) -> str:
        what = "weights" if self.granularity == "weight" else self.measure
        ratio = f"{self.ratio:.0%} of {what}, " if self.ratio else ""
        scope = f"scope {self.scope}, " if self.scope != CRITERIA[self.criterion].scope else ""
        by = "" if self.optimizer == "sgd" else f", {self.optimizer}"
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'} a round"
        return f"{ratio}{scope}{steps}, constant {self.lr:g}, batch {self.batch_size}{by}"

    @property
    def granularity(self) -> str:
        """What is removed: a channel, a whole residual block, or a single weight."""
        return CRITERIA[self.criterion].granularity

    @property
    def one_by_one(self) -> bool:
        """Whether every round removes one channel."""
        return not (self.ratio or self.scope in PRESETS or self.measure == ZEROS)

    def target(self, round_: int) -> PruningTarget:
        """What should have been removed by the end of that round."""
        done = round_ / self.rounds
        if self.measure == ZEROS:
            return ranking.ALL_ZEROS
        if self.scope in PRESETS:
            return ranking.fraction_of_channels(done)  # of those in the preset
        if self.one_by_one:
            return ranking.ONE_CHANNEL
        if self.measure == "channels":
            return ranking.fraction_of_channels(self.ratio * done)
        return ranking.fraction_of_cost(self.ratio * done, self.measure)

    def select(
        self, scores: "list[Tensor]", architecture: Architecture, whole: Architecture, round_: int
    ) -> list[ScoredChannel]:
        """The channels that a round removes, lowest first, from a network that was once `whole`."""
        return ranking.channels_to_remove(
            scores,
            architecture,
            whole,
            self.target(round_),
            scope=self.scope,
            floor=self.floor,
            whole_blocks=self.granularity == "block",
            infinite=self.criterion not in BUILT_IN,
        )


def check_feasible(recipe: PruningRecipe, whole: Architecture) -> None:
    """Raise InputError for an impossible recipe: too few channels, no blocks, another network's preset."""
    blocks = recipe.granularity == "block"
    if blocks:
        whole.check_blocks()
    whole.check_norms(CRITERIA[recipe.criterion].penalty)
    minimal = ranking.minimal_architecture(whole, recipe.floor, blocks)
    removable = sum(whole.widths) - sum(minimal.widths)
    if recipe.granularity == "weight":
        check_choice(recipe.scope, SCOPES, "scope of single weights")
    elif recipe.one_by_one:
        if recipe.rounds > removable:
            floor = f" with floor={recipe.floor:g}" if recipe.floor else ""
            raise InputError(
                f"rounds={recipe.rounds}, but the network has {removable} channels to remove{floor}"
            )
    elif recipe.scope in PRESETS:
        preset_quotas(recipe.scope, whole)
    elif recipe.measure == "channels":
        wanted = round(recipe.ratio * sum(whole.widths))
        if wanted > removable and recipe.scope == "global":
            raise InputError(
                f"ratio={recipe.ratio:g} is {wanted} channels, but only {removable} can be removed"
            )
    elif recipe.measure in MEASURES:
        cost = MEASURES[recipe.measure]
        if cost(minimal) > (1 - recipe.ratio) * cost(whole):
            most = 1 - cost(minimal) / cost(whole)
            raise InputError(
                f"ratio={recipe.ratio:g} of the {recipe.measure}, but at most {most:.3g} can be removed"
            )
