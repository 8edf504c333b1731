"""Taking a trained network apart: what ranks its channels, which go, how they go, and what is left."""

from horticulture.pruning.pruner import (
    Pruner,
    PruningRecipe,
    PruningRound,
    ScoredChannel,
    check,
    lowest_channel,
)

__all__ = ["Pruner", "PruningRecipe", "PruningRound", "ScoredChannel", "check", "lowest_channel"]
