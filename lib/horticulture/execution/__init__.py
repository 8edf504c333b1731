"""Makes runs, each once and whole: the only room that knows both the files and the networks.

`specs` says what runs there are, `executor` makes one, `tasks` has the work of each kind, `loading` gives
back the networks and the data, `parallel` makes several at a time. The names in `__init__.pyi` stand here
too, each imported when it is used: worker processes are started before torch is loaded, which takes seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
