"""Before anything runs: refusing a study that would fail later, and counting the rounds of `all`."""

from typing import Any

from horticulture.architecture import profiles
from horticulture.errors import InputError, check_choice
from horticulture.pruning import saliency, selection
from horticulture.study import budgets, scaling
from horticulture.study.config import StudyConfig
from horticulture.study.parameters import ALL
from horticulture.training import hardware


def check(parameters: dict[str, Any]) -> None:
    """Refuse, before anything runs, a study whose parameters would fail later. Raises InputError."""
    if parameters.get("precision") == "auto":  # settled when the study begins; nothing else hangs on it
        parameters = {**parameters, "precision": "float32"}
    config = StudyConfig.of(parameters)
    config.check()
    for budget in config.budgets:
        check_choice(budget, budgets.BUDGETS, "budget")
    for curve in config.curves:
        check_choice(curve, [*scaling.PRUNING_FREE, *scaling.FROM_PRUNING], "curve")
        if curve in scaling.PRUNING_FREE:
            for size in config.sizes:
                scaling.PRUNING_FREE[curve](config.whole, params=round(size * config.whole.params))
        elif curve == "transferred":
            guide = scaling.guide(config).whole
            profiles.guided(config.whole, profiles.by_stage([guide], guide), scale=1.0)
    hardware.resolve_device(parameters["device"])


def count_rounds(settled: dict[str, Any]) -> None:
    """Put a number in the place of `rounds: all`: as many as there are channels that can be removed.

    Raises InputError where a round is not one channel.
    """
    if settled.get("rounds") != ALL:
        return
    config = StudyConfig.of({**settled, "rounds": 1, "precision": "float32"})
    counts = []
    for criterion in config.criteria:
        plan = config.pruning_recipe(criterion)
        if config.ratios or not plan.one_at_a_time():
            raise InputError(
                "rounds=all means one channel a round: leave ratios and scope empty, or say a number"
            )
        blocks = saliency.CRITERIA[criterion].granularity == "block"
        least = selection.minimal_architecture(config.whole, plan.floor, blocks)
        counts.append(sum(config.whole.widths) - sum(least.widths))
    settled["rounds"] = min(counts)
