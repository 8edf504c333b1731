"""torchvision's data sets."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from horticulture.data.arrays import PAD, downscale, random_order
from horticulture.data.catalog import not_there
from horticulture.data.images import Dataset, Images
from horticulture.data.locations import data_folder
from horticulture.errors import check_choice

VALIDATION = 5000  # images held out of the training part
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}


def torchvision(name: str, *, flip: bool, image_size: int = 0) -> Dataset:
    """Load a downloaded data set of torchvision. Raises InputError, with the remedy, if it is missing.

    image_size: height and width, in pixels, to which images are reduced (0: unchanged).

    CIFAR's files are pickles: torchvision compares each with a known MD5 sum before it unpickles it.
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
            torch.from_numpy(np.ascontiguousarray(downscale(pixels, image_size))),
            torch.as_tensor(labels, dtype=torch.int64),
        )
        for pixels, labels in parts
    )
    order = torch.from_numpy(random_order(len(train), last=VALIDATION))
    used, held = (
        Images(train.pixels[part], train.labels[part])
        for part in order.split([len(train) - VALIDATION, VALIDATION])
    )
    pad = PAD * train.pixels.shape[2] // full
    return Dataset(name, classes, used, held, test, pad, flip)


def download(name: str) -> Path:
    """Download a data set of torchvision into `data_folder()`."""
    check_choice(name, TORCHVISION, "data set to download")
    folder = data_folder()
    folder.mkdir(
        parents=True, exist_ok=True
    )  # raises OSError, where torchvision would recurse into a long path
    _torchvision_parts(name, download=True)
    return folder


def _torchvision_parts(name: str, *, download: bool) -> list[Any]:
    """torchvision's training and test parts. Raises RuntimeError if they are missing."""
    from torchvision import datasets

    part, values = ("split", ("train", "test")) if name == "svhn" else ("train", (True, False))
    kind = getattr(datasets, TORCHVISION[name])
    return [kind(data_folder(), **{part: value}, download=download) for value in values]
