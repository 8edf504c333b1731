"""What is done to images before they are tensors: made smaller, and put in an order."""

import numpy as np

from horticulture.errors import InputError

PAD = 4  # pixels that an image may be shifted; fewer in reduced ones, in proportion


def shuffled(count: int, *, last: int) -> np.ndarray:
    """The numbers of training images, those that are held out for validation last: the same ones always.

    They are `torch.randperm`'s with the seed 0, from the same Mersenne Twister: known without torch, and
    whatever later versions of it may do.
    """
    order = list(range(count))
    draws = np.random.RandomState(0).randint(2**32, size=max(0, count - 1), dtype=np.uint32)
    for place, step in enumerate((draws % np.arange(count, 1, -1)).tolist()):
        order[place], order[place + step] = order[place + step], order[place]
    return np.roll(np.array(order, dtype=np.int64), -last)


def reduced(pixels: np.ndarray, size: int) -> np.ndarray:
    """Square images made `size` pixels high and wide: every pixel is the mean of the square that it replaces.

    pixels: (n, channels, height, width) uint8, and so is what is returned. A mean halfway between two numbers
    becomes the even one, so that images grow neither brighter nor darker. 0 leaves them as they are.
    Raises InputError, with the sizes that can be had, if the squares do not fit.
    """
    count, channels, height, width = pixels.shape
    if size in (0, height) and (not size or height == width):
        return pixels
    if height != width:
        raise InputError(
            f"image_size {size}: only square images are reduced, and these are {width} x {height}"
        )
    if size < 0 or height % size:
        whole = ", ".join(str(n) for n in range(1, height + 1) if height % n == 0)
        raise InputError(
            f"image_size {size} of images of {height} x {height}: choose from {whole}, or 0 (as they are)"
        )
    side = height // size
    squares = pixels.reshape(count, channels, size, side, size, side)
    parts = []
    for start in range(0, count, 4096):  # sums take several times the room of the pixels
        rows = squares[start : start + 4096].sum(axis=3, dtype=np.uint32)  # first: they lie side by side
        sums = rows.sum(axis=4, dtype=np.uint64)
        parts.append((sums.astype(np.float32) / np.float32(side**2)).round().astype(np.uint8))
    return np.concatenate(parts)
