"""A study of pruning: is a pruned network worth its weights, or only its shape?"""

import os

import lazy_loader

# Threads that wait are to sleep and not to spin, which on a busy machine makes a step several times as long.
# OpenMP reads this when torch is loaded; kernels and workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# `horticulture.explore`, and `from horticulture import families, saliency` without importing torch before it
# is needed.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "architecture": ["families"],
        "pruning": ["saliency"],
        "analysis.explorer": ["explore"],
        "execution.exported": ["load"],
    },
)
