"""torchvision's data sets."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from horticulture.data.arrays import PAD, reduced, shuffled
from horticulture.data.catalog import not_there
from horticulture.data.images import Dataset, Images
from horticulture.data.place import data_folder
from horticulture.errors import check_choice

TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}


def torchvision(name: str, *, flip: bool, validation: int = 5000, image_size: int = 0) -> Dataset:
    """One of torchvision's data sets, already downloaded. Raises InputError, with the remedy, if it is not.

    image_size: pixels that the images are reduced to, high and wide, by `reduced` (0: as they are).

    CIFAR's files are pickles: torchvision compares each with the MD5 sum that it knows before it unpickles
    one.
    """
    try:
        train, test = _torchvision_parts(name, download=False)
    except RuntimeError as error:
        raise not_there(name) from error
    if name == "svhn":
        parts = [(d.data, d.labels) for d in (train, test)]
        classes = tuple("0123456789")
    else:
        parts = [(d.data.transpose(0, 3, 1, 2), d.targets) for d in (train, test)]
        classes = tuple(train.classes)
    full = parts[0][0].shape[2]
    train, test = (
        Images(
            torch.from_numpy(np.ascontiguousarray(reduced(pixels, image_size))),
            torch.as_tensor(labels, dtype=torch.int64),
        )
        for pixels, labels in parts
    )
    order = torch.from_numpy(shuffled(len(train), last=validation))
    rest, held = (
        Images(train.pixels[part], train.labels[part])
        for part in order.split([len(train) - validation, validation])
    )
    pad = PAD * train.pixels.shape[2] // full
    return Dataset(name, classes, rest, held, test, pad, flip)


def download(name: str) -> Path:
    """Fetch one of torchvision's data sets into `data_folder()`. Needs a network."""
    _torchvision_parts(check_choice(name, TORCHVISION, "data set to download"), download=True)
    return data_folder()


def _torchvision_parts(name: str, *, download: bool) -> list[Any]:
    """torchvision's own training and test part. Raises RuntimeError if they are not there."""
    from torchvision import datasets

    part, values = ("split", ("train", "test")) if name == "svhn" else ("train", (True, False))
    kind = getattr(datasets, TORCHVISION[name])
    return [kind(data_folder(), **{part: value}, download=download) for value in values]
