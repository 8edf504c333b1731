"""Train a network by a recipe, and evaluate it.

The names in `__init__.pyi` are imported from here on first use, because recipes need no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
