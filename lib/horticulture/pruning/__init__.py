"""Pruning a trained network: what ranks its channels, which are removed, how, and what is left.

Recipes need no torch; the names of `pruner`, which does, are imported when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from horticulture.pruning.recipe import PruningRecipe, check_feasible
from horticulture.pruning.selection import ScoredChannel, lowest_channel

if TYPE_CHECKING:
    from horticulture.pruning.pruner import Pruner, PruningRound

__all__ = ["Pruner", "PruningRecipe", "PruningRound", "ScoredChannel", "check_feasible", "lowest_channel"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.pruner"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
