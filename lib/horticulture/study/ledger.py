"""What one may spend on a network: the budgets for what a pruning found, and the same at other sizes.

Every entry is a run and its place in a study, with what it cost to find its shape.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from horticulture import execution, runs
from horticulture.architecture import Architecture, families, profiles
from horticulture.errors import InputError, check_choice
from horticulture.runs import CurvePoint, Run
from horticulture.study import budgets
from horticulture.study.config import StudyConfig
from horticulture.study.pruned import PrunedNetwork, pruned_network
from horticulture.training import TrainingRecipe, hardware

# --- a network that a pruning found, trained on or anew -----------------------------------------------------


def fine_tuned(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """On with the weights that were left, at the low rate of the pruning."""
    return _on(what, asked.tuning(asked.finetune_lr, "constant"), "kept")


def lr_rewound(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """On with the weights that were left, by the schedule of the whole network from its highest rate."""
    return _on(what, asked.tuning(asked.lr, asked.schedule), "kept")


def scratch_e(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """From scratch, for as many epochs as the whole network."""
    return _scratch(asked, what, asked.recipe)


def scratch_b(asked: StudyConfig, what: PrunedNetwork, tuning_epochs: int = 0) -> Run:
    """From scratch, for the epochs that the whole network's compute buys, within `cap` (0: no limit)."""
    epochs = budgets.scratch_b(
        asked.epochs, asked.whole.macs, what.macs, cap=asked.cap, tuning_epochs=tuning_epochs
    )
    return _scratch(asked, what, replace(asked.recipe, epochs=epochs))


def scratch_b_all(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """From scratch, as scratch-b, and the epochs of the fine-tuning on top."""
    return scratch_b(asked, what, asked.finetune_epochs)


def weights_rewound(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """With the weights that the survivors had at first, for as many epochs as the whole network."""
    return _on(what, asked.recipe, "rewound")


def sliced(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """From scratch, but beginning with a slice of an initialisation of the whole network."""
    return _on(what, asked.recipe, "sliced")


def random_channels(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """Tuned as `fine_tuned`, but with channels drawn at random, as many in every group."""
    return _on(what, asked.tuning(asked.finetune_lr, "constant"), "random")


def reselected(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """From scratch for as many epochs, but selecting channels spread evenly over each trunk.

    Raises OnlyOneWay where no group selects any, or all select evenly already: that is `scratch_e`.
    """
    run = _scratch(asked, what._replace(selections=None), asked.recipe)
    if run == scratch_e(asked, what):
        raise profiles.OnlyOneWay("no group of this network selects channels, other than evenly")
    return run


def shuffled(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """From scratch, with the same widths dealt out anew among the layers."""
    seed = what.taken.run.seed
    return execution.train(profiles.shuffled(what.shape, asked.whole, seed), asked.recipe, asked.source, seed)


def compressed(asked: StudyConfig, what: PrunedNetwork) -> Run:
    """Fine-tuned, then its weights shared, trained so, and written short: Deep Compression."""
    return execution.compress(
        fine_tuned(asked, what), asked.tuning(asked.finetune_lr, "constant"), asked.bits
    )


BUDGETS: dict[str, Callable[[StudyConfig, PrunedNetwork], Run]] = {
    "fine-tuned": fine_tuned,
    "lr-rewound": lr_rewound,
    "pruned-scratch": scratch_e,
    "scratch-b": scratch_b,
    "scratch-b-all": scratch_b_all,
    "weights-rewound": weights_rewound,
    "sliced": sliced,
    "random-channels": random_channels,
    "shuffled": shuffled,
    "reselected": reselected,
    "compressed": compressed,
}
# What says nothing where single weights went, and what says nothing where channels went.
OF_CHANNELS, OF_WEIGHTS = ("sliced", "random-channels", "shuffled", "reselected"), ("compressed",)


def budget_points(asked: StudyConfig, networks: Iterable[PrunedNetwork]) -> list[CurvePoint]:
    """Each of the networks by each of the budgets that apply to it, for as long as its base was trained.

    Where channels went one by one the network of that round is measured as it is, too: what is trained anew
    is compared with that very network. Raises InputError for an unknown budget.
    """
    found = []
    for what in networks:
        own = asked.at(what.taken.longer)
        if what.taken.one_by_one:
            found.append(what.member("pruned-tuned", _on(what, replace(own.recipe, epochs=0), "kept")))
        for budget in asked.budgets:
            train = BUDGETS[check_choice(budget, BUDGETS, "budget")]
            if budget in (OF_CHANNELS if what.taken.sparse else OF_WEIGHTS):
                continue
            try:
                found.append(what.member(budget, train(own, what)))
            except profiles.OnlyOneWay as error:
                print(f"{budget} is left out for {what.taken.label}, seed {what.taken.run.seed}: {error}")
    return found


def _on(what: PrunedNetwork, recipe: TrainingRecipe, weights: str) -> Run:
    return execution.finetune(what.taken.run, what.round, what.shape, recipe, weights)


def _scratch(asked: StudyConfig, what: PrunedNetwork, recipe: TrainingRecipe) -> Run:
    if what.taken.sparse:
        return _on(what, recipe, "fresh")
    return execution.train(what.shape, recipe, asked.source, what.taken.run.seed, what.selections)


# --- other sizes: simple families, and families that follow what a pruning found ----------------------------


class Template(NamedTuple):
    """What a network is made after: what a pruning found with one seed, and with all of them."""

    mine: PrunedNetwork
    every: list[PrunedNetwork]
    whole: Architecture  # which was taken apart


def copycat(whole: Architecture, model: Template, params: int) -> tuple[Architecture, int]:
    """The shape that one pruning left, and the MACs that finding it took."""
    return families.copycat(model.mine.shape, params=params), model.mine.cost


def guided(whole: Architecture, model: Template, params: int) -> tuple[Architecture, int]:
    """The shares that all prunings left on average, by stage, carried to `whole`; and what they all took."""
    profile = profiles.by_stage([what.shape for what in model.every], model.whole)
    return profiles.guided(whole, profile, params=params), sum(what.cost for what in model.every)


PRUNING_FREE: dict[str, Callable[..., Architecture]] = {
    "width": families.width,
    "depth": families.depth,
    "bottleneck": families.bottleneck,
    "uniform": profiles.uniform,
}
FROM_PRUNING: dict[str, Callable[[Architecture, Template, int], tuple[Architecture, int]]] = {
    "copycat": copycat,
    "guided": guided,
    "transferred": guided,  # by what was found in another network
}


def templates(asked: StudyConfig, outputs: Path) -> dict[tuple[str, int], Template]:
    """For each criterion and seed the pruned network that others follow: the nearest to `copycat_size`."""
    wanted = asked.copycat_size * asked.whole.params
    best: dict[tuple[str, int], PrunedNetwork] = {}
    for taken in asked.prunings:
        if taken.sparse or taken.longer != 1:
            continue
        round_ = runs.round_nearest(runs.removals(taken.run, outputs), wanted)
        what, place = pruned_network(taken, round_, outputs), (taken.criterion, taken.run.seed)
        apart = abs(what.shape.params - wanted)
        if place not in best or apart < abs(best[place].shape.params - wanted):
            best[place] = what
    return {
        place: Template(what, [other for at, other in best.items() if at[0] == place[0]], asked.whole)
        for place, what in best.items()
    }


def family_points(asked: StudyConfig, outputs: Path) -> list[CurvePoint]:
    """Every curve at every size with every seed; those that follow a pruning once for each criterion."""
    return [
        member
        for curve in asked.curves
        for size in asked.sizes
        for member in _members(asked, outputs, curve, round(size * asked.whole.params))
    ]


def _members(asked: StudyConfig, outputs: Path, curve: str, params: int) -> Iterator[CurvePoint]:
    if check_choice(curve, [*PRUNING_FREE, *FROM_PRUNING], "curve") in PRUNING_FREE:
        shape = PRUNING_FREE[curve](asked.whole, params=params)
        for seed in asked.seeds:
            run = execution.train(shape, asked.recipe, asked.source, seed)
            yield CurvePoint(curve, run, whole_macs=asked.whole_macs)
        return
    followed = _guide(asked) if curve == "transferred" else asked
    for (criterion, seed), model in templates(followed, outputs).items():
        shape, cost = FROM_PRUNING[curve](asked.whole, model, params)
        run = execution.train(shape, asked.recipe, asked.source, seed)
        yield CurvePoint(curve, run, criterion, model.mine.round, cost, whole_macs=asked.whole_macs)


def _guide(asked: StudyConfig) -> StudyConfig:
    if asked.guide is None:
        raise InputError("the curve transferred needs guide_network: the network that the profile comes from")
    return asked.guide


def check(parameters: dict[str, Any]) -> None:
    """Refuse, before anything runs, a study whose parameters would fail later. Raises InputError."""
    if parameters.get("precision") == "auto":  # settled when the study begins; nothing else hangs on it
        parameters = {**parameters, "precision": "float32"}
    asked = StudyConfig.of(parameters)
    asked.check()
    for budget in asked.budgets:
        check_choice(budget, BUDGETS, "budget")
    for curve in asked.curves:
        check_choice(curve, [*PRUNING_FREE, *FROM_PRUNING], "curve")
        if curve in PRUNING_FREE:
            for size in asked.sizes:
                PRUNING_FREE[curve](asked.whole, params=round(size * asked.whole.params))
        elif curve == "transferred":
            guide = _guide(asked).whole
            profiles.guided(asked.whole, profiles.by_stage([guide], guide), scale=1.0)
    hardware.resolve_device(parameters["device"])
