"""Refusing, before anything runs, a study that would fail later."""

from typing import Any

from horticulture.architecture import profiles
from horticulture.errors import check_choice
from horticulture.study import budgets, scaling
from horticulture.study.config import StudyConfig
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
