"""A study of pruning: is a pruned network worth its weights, or only its shape?"""

import os
from importlib import import_module
from typing import Any

# Threads that wait are to sleep and not to spin, which on a busy machine makes a step several times as long.
# OpenMP reads this when torch is loaded; kernels and workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHORT = {"families": "horticulture.architecture.families", "saliency": "horticulture.pruning.saliency"}


def __getattr__(name: str) -> Any:
    """`from horticulture import families, saliency` without importing torch before it is needed."""
    if name in SHORT:
        return import_module(SHORT[name])
    raise AttributeError(f"module 'horticulture' has no attribute {name!r}")
