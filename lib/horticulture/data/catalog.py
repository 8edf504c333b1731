"""The shapes of data sets, known without torch: enough to check a study."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from horticulture.data import folders
from horticulture.data.locations import data_folder
from horticulture.errors import InputError

FOLDER = "folder:"  # followed by a path: a user's image folder
SAVED = "kept:"  # followed by a digest: a user's data set, saved by content
# (channels, height, width), classes, training images without those held out
KNOWN: dict[str, tuple[tuple[int, int, int], int, int]] = {
    "clutter": ((1, 16, 16), 10, 8_192),
    "cifar10": ((3, 32, 32), 10, 45_000),
    "cifar100": ((3, 32, 32), 100, 45_000),
    "svhn": ((3, 32, 32), 10, 68_257),
    "letters": ((1, 16, 16), 26, 4_096),
}
# Exists in the data folder if the data set was downloaded.
DOWNLOADED = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python", "svhn": "train_32x32.mat"}


class Outline(NamedTuple):
    """What a study must know of a data set before it is loaded, to describe its networks and runs.

    image: (channels, height, width). images: of the training part.
    """

    image: tuple[int, int, int]
    classes: int
    images: int


def outline(name: str, images: int = 0, image_size: int = 0) -> Outline | None:
    """The outline of what `load` returns for the same arguments; None if that must be loaded to know.

    Raises InputError for an unreadable folder, or for more images than there are.
    """
    if name.startswith(FOLDER):
        here = (str(Path.cwd()), name.removeprefix(FOLDER))
        counts(name, images)  # refuses too many before they are decoded
        image, classes, available = _of_folder(*here, image_size)
    elif name in KNOWN:
        (channels, height, width), classes, available = KNOWN[name]
        fixed = name not in DOWNLOADED  # the images that come with the package have one size
        if image_size and (height % image_size or (fixed and image_size != height)):
            raise InputError(f"image_size={image_size}: {name} has images of {height} x {width} pixels")
        image = (channels, image_size or height, image_size or width)
    else:
        return None
    _check_count(name, images, available)
    return Outline(image, classes, images or available)


def counts(name: str, images: int = 0) -> tuple[int, int] | None:
    """Classes and training images of an `outline`, for which no image is decoded; None if it is unknown."""
    if name.startswith(FOLDER):
        classes, available = _listed(str(Path.cwd()), name.removeprefix(FOLDER))
    elif name in KNOWN:
        _, classes, available = KNOWN[name]
    else:
        return None
    _check_count(name, images, available)
    return classes, images or available


def _check_count(name: str, images: int, available: int) -> None:
    if images > available:
        raise InputError(
            f"images is {images:,}, but {name} has {available:,} training images: 0 means all of them"
        )


def check_downloaded(name: str) -> None:
    """Raise InputError, with the remedy, if a data set has not been downloaded. A quick check only."""
    if name in DOWNLOADED and not (data_folder() / DOWNLOADED[name]).exists():
        raise not_there(name)


def not_there(name: str) -> InputError:
    """The error for a data set that was not downloaded."""
    return InputError(
        f"data set {name!r} is missing from {data_folder()} or damaged: download it once with "
        f"`horticulture download {name}`, or use data=clutter, which needs no download"
    )


@lru_cache(maxsize=8)
def _listed(current: str, path: str) -> tuple[int, int]:
    """The numbers of classes and training images, from the listing alone. Arguments as for `_of_folder`."""
    listing = folders.list_images(path)
    return len(listing.classes), listing.counts[0]


@lru_cache(maxsize=8)
def _of_folder(current: str, path: str, image_size: int) -> Outline:
    """Read once per process. current: the current directory, for relative paths."""
    folder = folders.read(path, image_size)
    return Outline(folder.train.pixels.shape[1:], len(folder.classes), len(folder.train.labels))
