"""A study of pruning: is a pruned network worth its weights, or only its shape?"""

import os
from pkgutil import resolve_name
from typing import Any

# Make waiting threads sleep: if they spin on a busy machine, a step takes several times as long.
# OpenMP reads this when torch is loaded; kernels and workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# ONNX Runtime reports its use to its makers unless told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# What can be taken from here besides the rooms. Loaded on first use, since torch takes seconds.
LAZY = {
    "families": "horticulture.architecture.families:",
    "saliency": "horticulture.pruning.saliency:",
    "explore": "horticulture.analysis.explorer:explore",
    "load": "horticulture.execution.exported:load",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(LAZY[name])


def __dir__() -> list[str]:
    return [*globals(), *LAZY]
