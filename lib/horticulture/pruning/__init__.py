"""Pruning a trained network: what ranks its channels, which are removed, how, and what is left."""

from horticulture.pruning.pruner import Pruner, PruningRound
from horticulture.pruning.recipe import PruningRecipe, check_feasible
from horticulture.pruning.selection import ScoredChannel, lowest_channel
