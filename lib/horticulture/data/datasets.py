"""The data sets there are, by name."""

from collections.abc import Callable
from dataclasses import replace

import torch

from horticulture.data.digits import clutter
from horticulture.data.downloads import torchvision
from horticulture.data.folders import folder
from horticulture.data.images import Dataset
from horticulture.data.kept import KEPT, kept
from horticulture.errors import check_choice

DATASETS: dict[str, Callable[[int], Dataset]] = {
    "clutter": clutter,
    "cifar10": lambda size: torchvision("cifar10", flip=True, image_size=size),
    "cifar100": lambda size: torchvision("cifar100", flip=True, image_size=size),
    "svhn": lambda size: torchvision("svhn", flip=False, image_size=size),
}
OURS = dict(DATASETS)


def load(name: str, *, images: int = 0, image_size: int = 0, device: torch.device | str = "cpu") -> Dataset:
    """The data set of that name, or `folder:PATH`, with its first `images` training images (0: all).

    `kept:DIGEST` is one of somebody's own, as `keep` has kept it.
    image_size: pixels that the images are made high and wide (0: as they are): by area means, in folders
    also by resizing the shorter side and cutting out the centre. Raises InputError for an unknown name, a
    data set that is not there, images that cannot be used, or a size that cannot be had.
    """
    if str(name).startswith("folder:"):
        dataset = folder(name.removeprefix("folder:"), image_size)
    elif str(name).startswith(KEPT):
        dataset = kept(name.removeprefix(KEPT))
    else:
        dataset = DATASETS[check_choice(name, [*DATASETS, "folder:PATH"], "data set")](image_size)
    return replace(dataset, train=dataset.train.first(images)).to(torch.device(device))
