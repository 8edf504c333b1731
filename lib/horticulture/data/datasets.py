"""The data sets there are, by name. Their names need no torch; reading one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from horticulture.data.catalog import FOLDER, KEPT
from horticulture.errors import check_choice

if TYPE_CHECKING:  # takes seconds to load
    import torch

    from horticulture.data.images import Dataset


def _clutter(image_size: int) -> Dataset:
    from horticulture.data.digits import clutter

    return clutter(image_size)


def _torchvision(name: str, *, flip: bool) -> Callable[[int], Dataset]:
    def read(image_size: int) -> Dataset:
        from horticulture.data.downloads import torchvision

        return torchvision(name, flip=flip, image_size=image_size)

    return read


DATASETS: dict[str, Callable[[int], Dataset]] = {
    "clutter": _clutter,
    "cifar10": _torchvision("cifar10", flip=True),
    "cifar100": _torchvision("cifar100", flip=True),
    "svhn": _torchvision("svhn", flip=False),
}
BUILT_IN = dict(DATASETS)


def is_own(name: str) -> bool:
    """Whether a data set is not built in, but of a function that somebody brought."""
    return name in DATASETS and DATASETS[name] is not BUILT_IN.get(name)


def check_name(name: str) -> None:
    """Raise InputError if there is no data set of that name; whether a folder is there is seen later."""
    if not name.startswith((FOLDER, KEPT)) or name == FOLDER:
        check_choice(name, [*DATASETS, f"{FOLDER}PATH"], "data set")


def load(name: str, *, images: int = 0, image_size: int = 0, device: torch.device | str = "cpu") -> Dataset:
    """The data set of that name, or `folder:PATH`, with its first `images` training images (0: all).

    `kept:DIGEST` is one of somebody's own, as `keep` has kept it.
    image_size: pixels that the images are made high and wide (0: as they are): by area means, in folders
    also by resizing the shorter side and cutting out the centre. Raises InputError for an unknown name, a
    data set that is not there, images that cannot be used, or a size that cannot be had.
    """
    import torch

    check_name(name)
    if name in DATASETS:
        dataset = DATASETS[name](image_size)
    else:
        dataset = _kept(name) if name.startswith(KEPT) else _folder(name, image_size)
    return replace(dataset, train=dataset.train.first(images)).to(torch.device(device))


def _kept(name: str) -> Dataset:
    from horticulture.data.kept import kept

    return kept(name.removeprefix(KEPT))


def _folder(name: str, image_size: int) -> Dataset:
    """The mapped pixels of a folder as tensors, without a copy."""
    import torch

    from horticulture.data.folders import read
    from horticulture.data.images import Dataset, Images

    found = read(name.removeprefix(FOLDER), image_size)
    parts = {
        part: Images(*map(torch.from_numpy, getattr(found, part))) for part in ("train", "validation", "test")
    }
    return Dataset(found.name, found.classes, **parts, pad=found.pad, flip=True)
