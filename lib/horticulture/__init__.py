"""A study of pruning: is a pruned network worth its weights, or only its shape?"""

from importlib import import_module
from typing import Any

SHORT = {"families": "horticulture.architecture.families", "saliency": "horticulture.pruning.saliency"}


def __getattr__(name: str) -> Any:
    """`from horticulture import families, saliency` without importing torch before it is needed."""
    if name in SHORT:
        return import_module(SHORT[name])
    raise AttributeError(f"module 'horticulture' has no attribute {name!r}")
