"""Data sets as whole tensors: read once, kept on the device, augmented a batch at a time.

Every data set has a training, a validation and a test part. Decisions use the validation part; the test part
is only reported. A new data set is a line in `DATASETS`: a function from the requested image size in pixels
(0: unchanged) to a `Dataset`. The names in `__init__.pyi` are imported from here on first use, because an
`outline` needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
