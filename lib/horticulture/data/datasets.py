"""The data sets by name. Names need no torch; loading a data set does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from horticulture.data.catalog import FOLDER, SAVED
from horticulture.errors import check_choice

if TYPE_CHECKING:  # takes seconds to load
    import torch

    from horticulture.data.images import Dataset


def _clutter(image_size: int) -> Dataset:
    from horticulture.data.digits import clutter

    return clutter(image_size)


def _letters(image_size: int) -> Dataset:
    from horticulture.data.letters import letters

    return letters(image_size)


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
    "letters": _letters,
}
BUILT_IN = dict(DATASETS)


def is_own(name: str) -> bool:
    """Whether a data set is a user's own function."""
    return name in DATASETS and DATASETS[name] is not BUILT_IN.get(name)


def check_name(name: str) -> None:
    """Raise InputError for an unknown data set. Whether a folder exists is checked later."""
    if not name.startswith((FOLDER, SAVED)) or name == FOLDER:
        check_choice(name, [*DATASETS, f"{FOLDER}PATH"], "data set")


def load(name: str, *, images: int = 0, image_size: int = 0, device: torch.device | str = "cpu") -> Dataset:
    """Load the data set of that name, or `folder:PATH`, with its first `images` training images (0: all).

    `kept:DIGEST` is a user's own data set that `save` has saved. image_size: height and width, in pixels, to
    which images are reduced (0: unchanged): by area means or, in folders, also by resizing the shorter side
    and cropping the centre. Raises InputError for an unknown name, a missing data set, unusable images, or an
    impossible size.
    """
    import torch

    check_name(name)
    if name in DATASETS:
        dataset = DATASETS[name](image_size)
    else:
        dataset = _saved(name) if name.startswith(SAVED) else _folder(name, image_size)
    return replace(dataset, train=dataset.train.first(images)).to(torch.device(device))


def _saved(name: str) -> Dataset:
    from horticulture.data.saved import load_saved

    return load_saved(name.removeprefix(SAVED))


def _folder(name: str, image_size: int) -> Dataset:
    """The memory-mapped pixels of a folder as tensors, without a copy."""
    import torch

    from horticulture.data.folders import read
    from horticulture.data.images import PARTS, Dataset, Images

    folder = read(name.removeprefix(FOLDER), image_size)
    parts = {part: Images(*map(torch.from_numpy, getattr(folder, part))) for part in PARTS}
    return Dataset(folder.name, folder.classes, **parts, pad=folder.pad, flip=True)
