"""Descriptions of runs: what fixes each, as plain data."""

from dataclasses import asdict, dataclass

from horticulture import pruning, saliency
from horticulture.architecture import Architecture
from horticulture.errors import BadInput, choose
from horticulture.jobs import beginnings
from horticulture.jobs.having import dataset
from horticulture.pruning import Plan
from horticulture.runs import Run
from horticulture.training import Recipe, positive


def source(name: str, images: int = 0) -> dict:
    """What a run's description says of its data: where it is, what it is, and how much of it is used."""
    return {"name": name, "images": images, "digest": dataset(name).digest}


def train(shape: Architecture, recipe: Recipe, source: dict, seed: int) -> Run:
    """The description of a training from scratch. source: from `source`."""
    if recipe.penalty == "blocks" and not shape.blocks:
        raise BadInput(f"a network of the family {shape.family} has no blocks to penalise: use groups")
    return Run("train", shape, recipe.to_json(), source, seed)


def prune(start: Run, plan: Plan) -> Run:
    """The description of a pruning of what another run trained. Raises BadInput if it cannot be done."""
    pruning.check(plan, start.architecture)
    needed = saliency.CRITERIA[plan.criterion].penalty
    if start.recipe["penalty"] != needed and needed != "none":
        raise BadInput(f"{plan.criterion} needs a network trained with the penalty {needed}")
    return Run("prune", start.architecture, plan.to_json(), start.data, start.seed, start)


def tune(pruned: Run, round_: int, shape: Architecture, recipe: Recipe, weights: str = "kept") -> Run:
    """The description of training on after a round of a pruning, which left the architecture `shape`.

    weights: what it begins with, a name in `beginnings.WEIGHTS`.
    """
    choose(weights, beginnings.WEIGHTS, "weights to begin with")
    told = {**recipe.to_json(), "round": round_, "weights": weights}
    return Run("tune", shape, told, pruned.data, pruned.seed, pruned)


def compress(tuned: Run, recipe: Recipe, bits: int, index_bits: int = 5) -> Run:
    """The description of sharing, training and writing short the weights of a sparse network."""
    if not (1 <= bits <= 16 and 1 <= index_bits <= 16):
        raise BadInput(f"bits must be 1 to 16, not {bits!r} and {index_bits!r}")
    told = {**recipe.to_json(), "bits": bits, "index_bits": index_bits}
    return Run("compress", tuned.architecture, told, tuned.data, tuned.seed, tuned)


@dataclass(frozen=True)
class Judging:
    """How criteria are judged: by what the absence of channels does to the loss on validation images."""

    criteria: tuple[str, ...]
    channels: int = 64  # sampled, from all groups alike
    steps: int = 8  # of listening, by those criteria that listen
    batch_size: int = 128
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in self.criteria:
            found = saliency.CRITERIA[choose(name, saliency.CRITERIA, "criterion")]
            if found.unit != "channel" or found.told:
                raise BadInput(f"{name} cannot be judged channel by channel")
        positive(self, "channels", "steps", "batch_size")


def judge(base: Run, judging: Judging) -> Run:
    """The description of judging criteria on what another run trained."""
    told = {**asdict(judging), "criteria": list(judging.criteria)}
    return Run("judge", base.architecture, told, base.data, base.seed, base)
