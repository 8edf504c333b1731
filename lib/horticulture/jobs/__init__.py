"""From a run's description to its result: the one room that knows both the store and the engine.

`describing` says what runs there are, `making` makes them, `kinds` has the work of each kind, and `having`
gives back the networks and the data.
"""

from horticulture.jobs.describing import Judging, compress, judge, prune, source, train, tune
from horticulture.jobs.having import dataset, evaluate, load, network_at, plan, recipe, restore
from horticulture.jobs.kinds import KINDS
from horticulture.jobs.making import execute, made

__all__ = [
    "KINDS",
    "Judging",
    "compress",
    "dataset",
    "evaluate",
    "execute",
    "judge",
    "load",
    "made",
    "network_at",
    "plan",
    "prune",
    "recipe",
    "restore",
    "source",
    "train",
    "tune",
]
