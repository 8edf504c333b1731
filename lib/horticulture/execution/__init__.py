"""Makes runs, each once and whole: the only room that knows both the files and the networks.

`specs` says what runs there are, `executor` makes one, `tasks` has the work of each kind, `loading` gives
back the networks and the data, `parallel` makes several at a time. Their names stand here too, and are
imported when they are used: worker processes are started before torch is loaded, which takes seconds.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "specs": ("OracleConfig", "compress", "compare_criteria", "prune", "source", "train", "finetune"),
    "loading": ("dataset", "evaluate", "load", "network_at", "pruning_recipe", "restore", "training_recipe"),
    "tasks": ("KINDS",),
    "executor": ("execute", "load_if_complete"),
}
__all__ = [name for names in _WHERE.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
