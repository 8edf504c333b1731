"""What is known of the library's own data sets before they are read: enough to check a study against."""

from typing import NamedTuple

# (channels, height, width), classes, training images beside those held out
KNOWN: dict[str, tuple[tuple[int, int, int], int, int]] = {
    "clutter": ((1, 16, 16), 10, 8_192),
    "cifar10": ((3, 32, 32), 10, 45_000),
    "cifar100": ((3, 32, 32), 100, 45_000),
    "svhn": ((3, 32, 32), 10, 68_257),
}


class Outline(NamedTuple):
    """image: (channels, height, width). images: of the training part."""

    image: tuple[int, int, int]
    classes: int
    images: int


def outline(name: str, images: int = 0, image_size: int = 0) -> Outline | None:
    """The outline of what `load` gives for the same arguments; None where the data must be read for it."""
    if name not in KNOWN:
        return None
    (channels, height, width), classes, there = KNOWN[name]
    height, width = (image_size or height), (image_size or width)
    return Outline((channels, height, width), classes, min(images or there, there))
