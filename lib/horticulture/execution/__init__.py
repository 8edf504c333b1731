"""Executes each run once and completely: from its description to files on disk.

`specs` describes runs, `executor` executes one, `tasks` does the work of each kind, `loading` restores
networks and data, `parallel` executes several runs at a time. The names in `__init__.pyi` are imported on
first use, so that worker processes start before torch is loaded, which takes seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
