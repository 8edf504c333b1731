"""Data sets as whole tensors: read once, kept on the device, augmented a batch at a time.

Every data set has a training, a validation and a test part. Decisions look at the validation part; the
test part is only reported. A new data set is a line in `DATASETS`: a function from the size that images shall
have, in pixels (0: as they are), to a `Dataset`. The names in `__init__.pyi` stand here too, each imported
when it is used: an `outline` needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
