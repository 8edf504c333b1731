"""Taking a trained network apart: what ranks its channels, which go, how they go, and what is left."""

from horticulture.pruning.pruner import Choice, Plan, Pruning, Removal, check, lowest

__all__ = ["Choice", "Plan", "Pruning", "Removal", "check", "lowest"]
