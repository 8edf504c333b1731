"""Descriptions of runs as plain data. Does not import torch, so that a study can be refused quickly."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from horticulture import data
from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.pruning import PruningRecipe, check_feasible, criteria
from horticulture.runs import Run, code_digest
from horticulture.training import recipe as recipes
from horticulture.training.recipe import EVALUATION, Recipe, TrainingRecipe

IMAGES = 50_000  # assumed size of a data set, if a run uses all of it
OVERHEAD = 10_000_000  # MACs that take about as long as an image's share of what a step does besides
INITIAL_WEIGHTS = (
    "kept",  # the weights that pruning left: fine-tuning
    "rewound",  # the surviving channels' weights before any training
    "sliced",  # the surviving channels of another initialisation of the whole network
    "random",  # trained weights of randomly drawn channels, as many in each group
    "fresh",  # newly initialised for its own widths, or under its own mask
)


def describe_data(
    name: str, images: int = 0, image_size: int = 0, digest: str | None = None, **augmentation: int | bool
) -> dict:
    """The data part of a run's description: the data set, its digest, and how much of it is used.

    digest: of the full data set, if known; otherwise the data are read to compute it. augmentation: as for
    `dataset`; the data set's own is not described. A user's own data set is saved, because other processes do
    not have its code.
    """
    if digest is None:
        from horticulture.execution.loading import load_dataset

        full = load_dataset(name, image_size=image_size)
        digest = full.digest
        if data.is_own(name):
            name = data.save(full)
    return {"name": name, "images": images, "image_size": image_size, "digest": digest, **augmentation}


def training_run(
    architecture: Architecture,
    recipe: TrainingRecipe,
    data_spec: dict,
    seed: int,
    selections: Sequence[Sequence[int]] | None = None,
) -> Run:
    """The description of training from scratch. data_spec: from `describe_data`.

    selections: the trunk channels that each group selects, for networks that select any (see
    `networks.build`). A default selection is not recorded.
    """
    if recipe.epochs < 1:
        raise InputError(f"epochs must be positive, not {recipe.epochs}")
    if recipe.penalty == "blocks":
        architecture.check_blocks()
    architecture.check_norms(recipe.penalty)
    described = {**recipe.to_json(), **_code_field(recipe)}
    if selections is not None and list(map(list, selections)) != architecture.even_selections:
        described["selections"] = list(map(list, selections))
    return Run("train", architecture, described, data_spec, seed)


def pretrained_run(
    architecture: Architecture, file: str, recipe: TrainingRecipe, data_spec: dict, seed: int
) -> Run:
    """The description of evaluating a pretrained network, whose weights come from a file.

    recipe: how it is evaluated; its epochs are 0. Raises InputError if there is no such file.
    """
    from horticulture.execution.pretrained import digest

    measured = {name: getattr(recipe, name) for name in EVALUATION}
    described = TrainingRecipe(0, **measured).to_json()
    return Run(
        "given", architecture, {**described, "file": file, "file_digest": digest(file)}, data_spec, seed
    )


def moving_run(start: Run, architecture: Architecture, recipe: TrainingRecipe, data_spec: dict) -> Run:
    """The description of training the network of another run further on another data set.

    It keeps all weights but those of the classifier, which is drawn anew. architecture: that of the other
    run, for the new classes. With no epochs, the network is only measured.
    """
    if replace(architecture, classes=start.architecture.classes) != start.architecture:
        raise InputError(f"{start} has another architecture than the network that it should become")
    return Run(
        "move", architecture, {**recipe.to_json(), **_code_field(recipe)}, data_spec, start.seed, start
    )


def _code_field(recipe: TrainingRecipe) -> dict:
    schedule = code_digest.of_own(recipe.schedule, recipes.SCHEDULES, recipes.BUILT_IN_SCHEDULES)
    # Without this module there are no penalties but the built-in ones.
    penalties = sys.modules.get("horticulture.training.penalties")
    penalty = code_digest.of_own(recipe.penalty, penalties.PENALTIES, penalties.BUILT_IN) if penalties else {}
    digits = "".join(part["code"] for part in (schedule, penalty) if part)
    return {"code": digits} if digits else {}


def pruning_run(start: Run, recipe: PruningRecipe) -> Run:
    """The description of pruning the network of another run. Raises InputError if that is impossible."""
    check_feasible(recipe, start.architecture)
    needed = criteria.CRITERIA[recipe.criterion].penalty
    if start.recipe["penalty"] != needed and needed != "none":
        how = "; how the pretrained one was trained is unknown" if start.kind == "given" else ""
        raise InputError(f"{recipe.criterion} needs a network trained with the penalty {needed}{how}")
    described = {
        **recipe.to_json(),
        **code_digest.of_own(recipe.criterion, criteria.CRITERIA, criteria.BUILT_IN),
    }
    return Run("prune", start.architecture, described, start.data, start.seed, start)


def finetuning_run(
    pruned: Run, round_: int, architecture: Architecture, recipe: TrainingRecipe, weights: str = "kept"
) -> Run:
    """The description of training after a round of a pruning run, which left this architecture.

    weights: which weights to start from, a name in `INITIAL_WEIGHTS`.
    """
    check_choice(weights, INITIAL_WEIGHTS, "initial weights")
    described = {**recipe.to_json(), **_code_field(recipe), "round": round_, "weights": weights}
    return Run("tune", architecture, described, pruned.data, pruned.seed, pruned)


def compression_run(tuned: Run, recipe: TrainingRecipe, bits: int, index_bits: int = 5) -> Run:
    """The description of compressing a sparse network by shared, trained and Huffman-coded weights."""
    if not (1 <= bits <= 16 and 1 <= index_bits <= 16):
        raise InputError(f"bits and index_bits must be 1 to 16, not {bits!r} and {index_bits!r}")
    described = {**recipe.to_json(), **_code_field(recipe), "bits": bits, "index_bits": index_bits}
    return Run("compress", tuned.architecture, described, tuned.data, tuned.seed, tuned)


def estimated_cost(run: Run) -> int:
    """About how long a run takes, in multiply-accumulates.

    Small networks are not as fast as their MACs promise: of the training runs of three studies on two cores,
    the 90th percentile of seconds per MAC was three times the 10th. With the overhead it is 1.4 times.
    """
    recipe = run.recipe
    images = recipe.get("epochs", 0) * (run.data.get("images") or IMAGES)
    images += recipe.get("rounds", 1) * recipe.get("steps", 0) * recipe.get("batch_size", 0)
    return (run.architecture.macs + OVERHEAD) * images


@dataclass(frozen=True)
class OracleConfig(Recipe):
    """How criteria are compared with the truth: the rise in validation loss when a channel is removed."""

    criteria: tuple[str, ...]
    channels: int = 64  # sampled from all groups alike
    steps: int = 8  # training steps over which criteria accumulate gradients
    images: int = 0  # validation images on which the loss is measured (0: all)

    def __post_init__(self) -> None:
        for name in self.criteria:
            criterion = criteria.CRITERIA[check_choice(name, criteria.CRITERIA, "criterion")]
            if criterion.granularity != "channel" or criterion.precomputed:
                raise InputError(f"{name} does not score single channels")
        self.check_fields("channels", "steps")


def oracle_run(base: Run, config: OracleConfig) -> Run:
    """The description of comparing criteria with the truth, on the network of another run."""
    described = {**config.to_json(), "criteria": list(config.criteria)}
    codes = {name: code_digest.of_own(name, criteria.CRITERIA, criteria.BUILT_IN) for name in config.criteria}
    if added := {name: extra["code"] for name, extra in codes.items() if extra}:
        described["codes"] = added
    return Run("judge", base.architecture, described, base.data, base.seed, base)
