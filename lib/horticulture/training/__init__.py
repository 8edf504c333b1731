"""Training a network by a recipe, and measuring it.

The names in `__init__.pyi` stand here too, each imported when it is used: recipes need no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
