"""What one may spend on a network: the budgets for what a pruning found, and the same at other sizes.

Every entry is a run and its place in a study, with what it cost to find its shape.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from horticulture import execution, runs
from horticulture.architecture import Architecture, families, profiles
from horticulture.errors import BadInput, choose
from horticulture.runs import Member, Run
from horticulture.study import budgets
from horticulture.study.config import Protocol
from horticulture.study.pruned import Found, found
from horticulture.training import Recipe, hardware

# --- a network that a pruning found, trained on or anew -----------------------------------------------------


def fine_tuned(asked: Protocol, what: Found) -> Run:
    """On with the weights that were left, at the low rate of the pruning."""
    return _on(what, asked.tuning(asked.tune_lr, "constant"), "kept")


def lr_rewound(asked: Protocol, what: Found) -> Run:
    """On with the weights that were left, by the schedule of the whole network from its highest rate."""
    return _on(what, asked.tuning(asked.lr, asked.schedule), "kept")


def scratch_e(asked: Protocol, what: Found) -> Run:
    """From scratch, for as many epochs as the whole network."""
    return _scratch(asked, what, asked.recipe)


def scratch_b(asked: Protocol, what: Found, tuning_epochs: int = 0) -> Run:
    """From scratch, for the epochs that the whole network's compute buys, within `cap` (0: no limit)."""
    epochs = budgets.scratch_b(
        asked.epochs, asked.whole.macs, what.macs, cap=asked.cap, tuning_epochs=tuning_epochs
    )
    return _scratch(asked, what, replace(asked.recipe, epochs=epochs))


def scratch_b_all(asked: Protocol, what: Found) -> Run:
    """From scratch, as scratch-b, and the epochs of the fine-tuning on top."""
    return scratch_b(asked, what, asked.tune_epochs)


def weights_rewound(asked: Protocol, what: Found) -> Run:
    """With the weights that the survivors had at first, for as many epochs as the whole network."""
    return _on(what, asked.recipe, "rewound")


def sliced(asked: Protocol, what: Found) -> Run:
    """From scratch, but beginning with a slice of an initialisation of the whole network."""
    return _on(what, asked.recipe, "sliced")


def random_channels(asked: Protocol, what: Found) -> Run:
    """Tuned as `fine_tuned`, but with channels drawn at random, as many in every group."""
    return _on(what, asked.tuning(asked.tune_lr, "constant"), "random")


def reselected(asked: Protocol, what: Found) -> Run:
    """From scratch for as many epochs, but selecting channels spread evenly over each trunk.

    Raises OnlyOneWay where no group selects any, or all select evenly already: that is `scratch_e`.
    """
    run = _scratch(asked, what._replace(selections=None), asked.recipe)
    if run == scratch_e(asked, what):
        raise profiles.OnlyOneWay("no group of this network selects channels, other than evenly")
    return run


def shuffled(asked: Protocol, what: Found) -> Run:
    """From scratch, with the same widths dealt out anew among the layers."""
    seed = what.taken.run.seed
    return execution.train(profiles.shuffled(what.shape, asked.whole, seed), asked.recipe, asked.source, seed)


def compressed(asked: Protocol, what: Found) -> Run:
    """Fine-tuned, then its weights shared, trained so, and written short: Deep Compression."""
    return execution.compress(fine_tuned(asked, what), asked.tuning(asked.tune_lr, "constant"), asked.bits)


BUDGETS: dict[str, Callable[[Protocol, Found], Run]] = {
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


def entries(asked: Protocol, networks: Iterable[Found]) -> list[Member]:
    """Each of the networks by each of the budgets that apply to it, for as long as its base was trained.

    Where channels went one by one the network of that round is measured as it is, too: what is trained anew
    is compared with that very network. Raises BadInput for an unknown budget.
    """
    found = []
    for what in networks:
        own = asked.at(what.taken.longer)
        if what.taken.one_by_one:
            found.append(what.member("pruned-tuned", _on(what, replace(own.recipe, epochs=0), "kept")))
        for budget in asked.budgets:
            train = BUDGETS[choose(budget, BUDGETS, "budget")]
            if budget in (OF_CHANNELS if what.taken.sparse else OF_WEIGHTS):
                continue
            try:
                found.append(what.member(budget, train(own, what)))
            except profiles.OnlyOneWay as error:
                print(f"{budget} is left out for {what.taken.label}, seed {what.taken.run.seed}: {error}")
    return found


def _on(what: Found, recipe: Recipe, weights: str) -> Run:
    return execution.tune(what.taken.run, what.round, what.shape, recipe, weights)


def _scratch(asked: Protocol, what: Found, recipe: Recipe) -> Run:
    if what.taken.sparse:
        return _on(what, recipe, "fresh")
    return execution.train(what.shape, recipe, asked.source, what.taken.run.seed, what.selections)


# --- other sizes: simple families, and families that follow what a pruning found ----------------------------


class Model(NamedTuple):
    """What a network is made after: what a pruning found with one seed, and with all of them."""

    mine: Found
    every: list[Found]
    whole: Architecture  # which was taken apart


def copycat(whole: Architecture, model: Model, params: int) -> tuple[Architecture, int]:
    """The shape that one pruning left, and the MACs that finding it took."""
    return families.copycat(model.mine.shape, params=params), model.mine.cost


def guided(whole: Architecture, model: Model, params: int) -> tuple[Architecture, int]:
    """The shares that all prunings left on average, by stage, carried to `whole`; and what they all took."""
    profile = profiles.by_stage([what.shape for what in model.every], model.whole)
    return profiles.guided(whole, profile, params=params), sum(what.cost for what in model.every)


ALONE: dict[str, Callable[..., Architecture]] = {
    "width": families.width,
    "depth": families.depth,
    "bottleneck": families.bottleneck,
    "uniform": profiles.uniform,
}
FOLLOWING: dict[str, Callable[[Architecture, Model, int], tuple[Architecture, int]]] = {
    "copycat": copycat,
    "guided": guided,
    "transferred": guided,  # by what was found in another network
}


def models(asked: Protocol, outputs: Path) -> dict[tuple[str, int], Model]:
    """For each criterion and seed the pruned network that others follow: the nearest in size to `copied`."""
    wanted = asked.copied * asked.whole.params
    best: dict[tuple[str, int], Found] = {}
    for taken in asked.prunings:
        if taken.sparse or taken.longer != 1:
            continue
        round_ = runs.round_nearest(runs.removals(taken.run, outputs), wanted)
        what, place = found(taken, round_, outputs), (taken.criterion, taken.run.seed)
        apart = abs(what.shape.params - wanted)
        if place not in best or apart < abs(best[place].shape.params - wanted):
            best[place] = what
    return {
        place: Model(what, [other for at, other in best.items() if at[0] == place[0]], asked.whole)
        for place, what in best.items()
    }


def scaled(asked: Protocol, outputs: Path) -> list[Member]:
    """Every curve at every size with every seed; those that follow a pruning once for each criterion."""
    return [
        member
        for curve in asked.curves
        for size in asked.sizes
        for member in _members(asked, outputs, curve, round(size * asked.whole.params))
    ]


def _members(asked: Protocol, outputs: Path, curve: str, params: int) -> Iterator[Member]:
    if choose(curve, [*ALONE, *FOLLOWING], "curve") in ALONE:
        shape = ALONE[curve](asked.whole, params=params)
        for seed in asked.seeds:
            run = execution.train(shape, asked.recipe, asked.source, seed)
            yield Member(curve, run, whole_macs=asked.whole_macs)
        return
    followed = _guide(asked) if curve == "transferred" else asked
    for (criterion, seed), model in models(followed, outputs).items():
        shape, cost = FOLLOWING[curve](asked.whole, model, params)
        run = execution.train(shape, asked.recipe, asked.source, seed)
        yield Member(curve, run, criterion, model.mine.round, cost, whole_macs=asked.whole_macs)


def _guide(asked: Protocol) -> Protocol:
    if asked.guide is None:
        raise BadInput("the curve transferred needs guide_network: the network that the profile comes from")
    return asked.guide


def check(parameters: dict[str, Any]) -> None:
    """Refuse, before anything runs, a study whose parameters would fail later. Raises BadInput."""
    if parameters.get("precision") == "auto":  # settled when the study begins; nothing else hangs on it
        parameters = {**parameters, "precision": "float32"}
    asked = Protocol.of(parameters)
    asked.check()
    for budget in asked.budgets:
        choose(budget, BUDGETS, "budget")
    for curve in asked.curves:
        choose(curve, [*ALONE, *FOLLOWING], "curve")
        if curve in ALONE:
            for size in asked.sizes:
                ALONE[curve](asked.whole, params=round(size * asked.whole.params))
        elif curve == "transferred":
            guide = _guide(asked).whole
            profiles.guided(asked.whole, profiles.by_stage([guide], guide), scale=1.0)
    hardware.place(parameters["device"])
