"""A study of pruning: is a pruned network worth its weights, or only its shape?"""

import os

import lazy_loader

# Make waiting threads sleep: if they spin on a busy machine, a step takes several times as long.
# OpenMP reads this when torch is loaded; kernels and workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# ONNX Runtime reports its use to its makers unless told not to, before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Provides `horticulture.explore`, and `from horticulture import families, saliency` without loading torch
# early.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "architecture": ["families"],
        "pruning": ["saliency"],
        "analysis.explorer": ["explore"],
        "execution.exported": ["load"],
    },
)
