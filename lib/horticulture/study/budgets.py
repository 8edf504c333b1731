"""Budgets: what may be spent on retraining a pruned network. Each turns a pruned network into a run.

Compute is measured in forward multiply-accumulates, as everywhere here. Backward passes cost about twice as
much again in every network, so ratios are unaffected.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from horticulture import execution
from horticulture.architecture import profiles
from horticulture.errors import InputError, check_choice
from horticulture.runs import CurvePoint, Run
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import PrunedNetwork, PruningJob
from horticulture.system import progress
from horticulture.training import TrainingRecipe


def fine_tuned(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Further training of the kept weights, at the low rate of pruning."""
    return _retraining_run(pruned, config.finetuning_recipe(config.finetune_lr, "constant"), "kept")


def lr_rewound(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Further training of the kept weights, by the whole network's schedule from its start."""
    highest = config.move_lr if config.source_data else config.lr
    return _retraining_run(pruned, config.finetuning_recipe(highest, config.schedule), "kept")


def pruned_moving(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Like lr-rewound, but pruned while it moved to these data, instead of being trained on them first."""
    return lr_rewound(config, pruned)


def scratch_e(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch, for as many epochs as the whole network."""
    return _scratch(config, pruned, config.recipe)


def scratch_b(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch, for the epochs that the whole network's compute buys, up to `cap` (0: no limit)."""
    return _scratch(config, pruned, replace(config.recipe, epochs=_bought(config, pruned)))


def scratch_b_all(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Like scratch-b, plus the epochs of fine-tuning.

    Proposed by Wang et al. (2023): the pipeline costs K1 F1 + K2 F2, which pays for K1 F1 / F2 + K2 epochs,
    of which K2 are for fine-tuning. The definition of Scratch-B omits these.
    """
    epochs = _bought(config, pruned) + config.finetune_epochs
    return _scratch(config, pruned, replace(config.recipe, epochs=epochs))


def scratch_images(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch, for as many images as lr-rewound has seen before, during and after pruning."""
    job = pruned.job
    pruning = (pruned.round + 1) * job.recipe.steps * job.recipe.batch_size
    epochs = config.epochs + round(pruning / config.images_per_epoch) + config.finetune_epochs
    return _scratch(config, pruned, replace(config.recipe, epochs=epochs))


def scratch_moved(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch on `source_data`, then moved: trained like the whole network, on all the same images."""
    return config.moved(pruned.architecture, pruned.job.run.seed, pruned.selections)


def weights_rewound(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From the initial weights of what was kept, for as many epochs as the whole network."""
    return _retraining_run(pruned, config.recipe, "rewound")


def sliced(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch, but starting from a slice of an initialisation of the whole network."""
    return _retraining_run(pruned, config.recipe, "sliced")


def random_channels(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Like fine-tuned, but keeping channels drawn at random, as many in every group."""
    return _retraining_run(pruned, config.finetuning_recipe(config.finetune_lr, "constant"), "random")


def reselected(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Like pruned-scratch, but selecting channels spread evenly over each trunk.

    Raises NoAlternativeError if that equals `scratch_e`: no group selects channels, or all do so evenly.
    """
    run = _scratch(config, pruned._replace(selections=None), config.recipe)
    if run == scratch_e(config, pruned):
        raise profiles.NoAlternativeError("no group of this network selects channels other than evenly")
    return run


def shuffled(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """From scratch, with the same widths shuffled among the layers."""
    seed = pruned.job.run.seed
    architecture = profiles.shuffled(pruned.architecture, config.whole, seed)
    return execution.training_run(architecture, config.recipe, config.data_spec, seed)


def compressed(config: StudyConfig, pruned: PrunedNetwork) -> Run:
    """Fine-tuned, then with weights shared, trained further and Huffman-coded: Deep Compression."""
    recipe = config.finetuning_recipe(config.finetune_lr, "constant")
    return execution.compression_run(_retraining_run(pruned, recipe, "kept"), recipe, config.bits)


class Budget(NamedTuple):
    """How a pruned network is retrained, and which pruned networks that makes sense for."""

    train: Callable[[StudyConfig, PrunedNetwork], Run]
    for_channels: bool = True  # networks that lost channels
    for_weights: bool = True  # networks that lost single weights
    for_trained: bool = True  # of a whole network that was trained on these data only
    for_moved: bool = True  # of one that was moved from `source_data`
    while_moving: bool = False  # those pruned while they moved: this budget takes only them, others none
    needs_selections: bool = False  # with groups that select channels from a trunk
    follows_training: bool = False  # depends on the whole network's training: unknown if it is pretrained

    @property
    def about(self) -> str:
        """What the network gets, in a sentence."""
        return (self.train.__doc__ or "").splitlines()[0]

    @property
    def needs_source(self) -> bool:
        """Whether it needs a data set from which networks are moved."""
        return self.while_moving or not self.for_trained

    def applies(self, job: PruningJob) -> bool:
        """Whether it makes sense for the networks of this pruning run."""
        if self.while_moving or job.while_moving:
            return self.while_moving and job.while_moving
        if self.needs_selections and all(most is None for most in job.run.architecture.selects):
            return False
        moved = job.base.kind == "move"
        return (self.for_moved if moved else self.for_trained) and (
            self.for_weights if job.sparse else self.for_channels
        )


BUDGETS = {
    "fine-tuned": Budget(fine_tuned),
    "lr-rewound": Budget(lr_rewound),
    "pruned-moving": Budget(pruned_moving, while_moving=True),
    "pruned-scratch": Budget(scratch_e),  # Scratch-E of Liu et al. (2019)
    "scratch-b": Budget(scratch_b, follows_training=True),
    "scratch-b-all": Budget(scratch_b_all, follows_training=True),
    # Where networks moved, some of the images were of other data.
    "scratch-images": Budget(scratch_images, for_moved=False, follows_training=True),
    "scratch-moved": Budget(scratch_moved, for_weights=False, for_trained=False),
    "weights-rewound": Budget(weights_rewound, for_moved=False, follows_training=True),
    "sliced": Budget(sliced, for_weights=False),
    "random-channels": Budget(random_channels, for_weights=False),
    "shuffled": Budget(shuffled, for_weights=False),
    "reselected": Budget(reselected, for_weights=False, needs_selections=True),
    "compressed": Budget(compressed, for_channels=False),
}


def budget_points(
    config: StudyConfig, networks: Iterable[PrunedNetwork], remark: Callable[[str], object] = progress.remark
) -> list[CurvePoint]:
    """Each network with each budget that applies to it, at the training length of its base.

    If channels were removed one by one, the network of that round is also evaluated as it is, for comparison
    with the retrained one. remark: called with a line for each budget that is left out, and for each size
    that pruning did not reach.
    Raises InputError for an unknown budget.
    """
    points, networks = [], list(networks)
    for line in _unreached_sizes(config, networks):
        remark(line)
    for pruned in networks:
        longer_config = config.trained_longer(pruned.job.longer)
        if pruned.job.recipe.one_by_one and not pruned.job.while_moving:
            as_it_is = replace(longer_config.recipe, epochs=0)
            points.append(pruned.point("pruned-tuned", _retraining_run(pruned, as_it_is, "kept")))
        for budget in config.budgets:
            if not BUDGETS[check_choice(budget, BUDGETS, "budget")].applies(pruned.job):
                continue
            try:
                points.append(pruned.point(budget, BUDGETS[budget].train(longer_config, pruned)))
            except profiles.NoAlternativeError as error:
                remark(f"{budget} is left out for {pruned.job.label}, seed {pruned.job.run.seed}: {error}")
    return points


def _unreached_sizes(config: StudyConfig, networks: Iterable[PrunedNetwork]) -> Iterator[str]:
    """A line for every wanted size near which a pruning run left no network."""
    from horticulture.analysis.tables import cases, percent  # takes a second; refusing bad input does not

    by_run: dict[str, list[PrunedNetwork]] = {}
    for pruned in networks:
        if pruned.job.recipe.one_by_one:
            by_run.setdefault(pruned.job.run.key, []).append(pruned)
    for left in by_run.values():
        shares = [pruned.architecture.params / config.whole.params for pruned in left]
        for size in config.trained_longer(left[0].job.longer).sizes:
            nearest = min(shares, key=lambda share: abs(share - size))
            if abs(nearest / size - 1) > cases.NEAR:
                what = f"no network near {percent(size)}; the nearest has {percent(nearest)}"
                job = left[0].job
                moving = " while moving" if job.while_moving else ""
                yield f"{job.label}, seed {job.run.seed}: pruning{moving} left {what}"


def _retraining_run(pruned: PrunedNetwork, recipe: TrainingRecipe, weights: str) -> Run:
    return execution.finetuning_run(pruned.job.run, pruned.round, pruned.architecture, recipe, weights)


def _scratch(config: StudyConfig, pruned: PrunedNetwork, recipe: TrainingRecipe) -> Run:
    if pruned.job.sparse:
        return _retraining_run(pruned, recipe, "fresh")
    architecture, seed = pruned.architecture, pruned.job.run.seed
    return execution.training_run(architecture, recipe, config.data_spec, seed, pruned.selections)


def _bought(config: StudyConfig, pruned: PrunedNetwork) -> int:
    one_epoch = replace(config, epochs=1, source_data="").whole_macs
    epochs = config.whole_macs // one_epoch  # worth of all training
    return scratch_b_epochs(epochs, config.whole.macs, pruned.macs, cap=config.cap)


def scratch_b_epochs(epochs: int, whole_macs: int, pruned_macs: int, *, cap: float = 2.0) -> int:
    """Epochs of Scratch-B: as many as the whole network's training compute allows the pruned shape.

    `int(epochs * ratio)` with ratio = whole_macs / pruned_macs, at most `cap` (0: no cap). The published
    code caps it at 2 on ImageNet, and does not cap it on CIFAR.

    epochs: of the whole network; *_macs: of one image, forward. Raises InputError if a count is not positive.
    """
    if min(epochs, whole_macs, pruned_macs) < 1 or cap < 0:
        raise InputError(
            f"a budget needs epochs and MACs of 1 or more and a cap of 0 or more, not epochs={epochs}, "
            f"whole_macs={whole_macs}, pruned_macs={pruned_macs}, cap={cap}"
        )
    bought = epochs * whole_macs // pruned_macs  # in integers: 100 * 1.15 is 114.99999999999999
    return min(bought, int(epochs * cap + 1e-9)) if cap else bought
