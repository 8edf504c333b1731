"""Descriptions of runs: what fixes each, as plain data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from horticulture import pruning, training
from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.execution import initialization
from horticulture.execution.loading import dataset
from horticulture.pruning import PruningRecipe, saliency
from horticulture.runs import Run, code
from horticulture.training import TrainingRecipe, penalties, positive
from horticulture.training.evaluation import check_measurement


def source(name: str, images: int = 0, image_size: int = 0) -> dict:
    """What a run's description says of its data: where it is, what it is, and how much of it is used."""
    digest = dataset(name, image_size=image_size).digest
    return {"name": name, "images": images, "image_size": image_size, "digest": digest}


def train(
    shape: Architecture,
    recipe: TrainingRecipe,
    source: dict,
    seed: int,
    selections: Sequence[Sequence[int]] | None = None,
) -> Run:
    """The description of a training from scratch. source: from `source`.

    selections: which channels of its trunk each group selects, where groups do (see `networks.build`). Those
    that it would select anyway are not described.
    """
    if recipe.epochs < 1:
        raise InputError(f"epochs must be positive, not {recipe.epochs}")
    if recipe.penalty == "blocks" and not shape.blocks:
        raise InputError(f"a network of the family {shape.family} has no blocks to penalise: use groups")
    told = {**recipe.to_json(), **_code(recipe)}
    if selections is not None and (given := [list(channels) for channels in selections]) != _even(shape):
        told["selections"] = given
    return Run("train", shape, told, source, seed)


def _even(shape: Architecture) -> list[list[int]]:
    """What each group selects without being told: see `networks.layers.ChannelSelection`."""
    groups = zip(shape.widths, shape.most, strict=True)
    return [[c * most // width for c in range(width)] if most is not None else [] for width, most in groups]


def _code(recipe: TrainingRecipe) -> dict:
    schedule = code.extra(recipe.schedule, training.SCHEDULES, training.OUR_SCHEDULES)
    penalty = code.extra(recipe.penalty, penalties.PENALTIES, penalties.OURS)
    found = "".join(part["code"] for part in (schedule, penalty) if part)
    return {"code": found} if found else {}


def prune(start: Run, plan: PruningRecipe) -> Run:
    """The description of a pruning of what another run trained. Raises InputError if it cannot be done."""
    pruning.check(plan, start.architecture)
    needed = saliency.CRITERIA[plan.criterion].penalty
    if start.recipe["penalty"] != needed and needed != "none":
        raise InputError(f"{plan.criterion} needs a network trained with the penalty {needed}")
    told = {**plan.to_json(), **code.extra(plan.criterion, saliency.CRITERIA, saliency.OURS)}
    return Run("prune", start.architecture, told, start.data, start.seed, start)


def finetune(
    pruned: Run, round_: int, shape: Architecture, recipe: TrainingRecipe, weights: str = "kept"
) -> Run:
    """The description of training on after a round of a pruning, which left the architecture `shape`.

    weights: what it begins with, a name in `initialization.WEIGHTS`.
    """
    check_choice(weights, initialization.WEIGHTS, "weights to begin with")
    told = {**recipe.to_json(), **_code(recipe), "round": round_, "weights": weights}
    return Run("tune", shape, told, pruned.data, pruned.seed, pruned)


def compress(tuned: Run, recipe: TrainingRecipe, bits: int, index_bits: int = 5) -> Run:
    """The description of sharing, training and writing short the weights of a sparse network."""
    if not (1 <= bits <= 16 and 1 <= index_bits <= 16):
        raise InputError(f"bits must be 1 to 16, not {bits!r} and {index_bits!r}")
    told = {**recipe.to_json(), **_code(recipe), "bits": bits, "index_bits": index_bits}
    return Run("compress", tuned.architecture, told, tuned.data, tuned.seed, tuned)


@dataclass(frozen=True)
class OracleConfig:
    """How criteria are judged: by what the absence of channels does to the loss on validation images."""

    criteria: tuple[str, ...]
    channels: int = 64  # sampled, from all groups alike
    steps: int = 8  # of listening, by those criteria that listen
    batch_size: int = 128
    images: int = 0  # on which the loss is measured, held out from training (0: all that there are)
    precision: str = "float32"
    norms: str = "estimated"  # as in a `training.TrainingRecipe`
    norm_images: int = 512

    def __post_init__(self) -> None:
        for name in self.criteria:
            found = saliency.CRITERIA[check_choice(name, saliency.CRITERIA, "criterion")]
            if found.granularity != "channel" or found.precomputed:
                raise InputError(f"{name} cannot be judged channel by channel")
        check_measurement(self)
        positive(self, "channels", "steps", "batch_size")


def compare_criteria(base: Run, judging: OracleConfig) -> Run:
    """The description of judging criteria on what another run trained."""
    told = {**asdict(judging), "criteria": list(judging.criteria)}
    codes = {name: code.extra(name, saliency.CRITERIA, saliency.OURS) for name in judging.criteria}
    if not_ours := {name: extra["code"] for name, extra in codes.items() if extra}:
        told["codes"] = not_ours
    return Run("judge", base.architecture, told, base.data, base.seed, base)
