"""Data sets as whole tensors: read once, kept on the device, augmented a batch at a time.

Every data set has a training, a validation and a test part. Decisions look at the validation part; the
test part is only reported. A new data set is a function to `Dataset` and a line in `DATASETS`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from horticulture.data.digits import clutter
from horticulture.data.files import data_folder, download, folder, torchvision
from horticulture.data.images import Batches, Dataset, Images, crop
from horticulture.errors import BadInput, choose

__all__ = ["DATASETS", "Batches", "Dataset", "Images", "crop", "data_folder", "download", "load"]

DATASETS: dict[str, Callable[[], Dataset]] = {
    "clutter": clutter,
    "cifar10": lambda: torchvision("cifar10", "CIFAR10", flip=True),
    "cifar100": lambda: torchvision("cifar100", "CIFAR100", flip=True),
    "svhn": lambda: torchvision("svhn", "SVHN", flip=False),
}


def load(name: str, *, images: int = 0, device: torch.device | str = "cpu") -> Dataset:
    """The data set of that name, or `folder:PATH`, with its first `images` training images (0: all).

    Raises BadInput for an unknown name, a data set that is not there, or a folder that holds no images.
    """
    if images < 0:
        raise BadInput(f"images must be 0 (all) or more, not {images}")
    if str(name).startswith("folder:"):
        dataset = folder(name.removeprefix("folder:"))
    else:
        dataset = DATASETS[choose(name, [*DATASETS, "folder:PATH"], "data set")]()
    return replace(dataset, train=dataset.train.first(images)).to(torch.device(device))
