"""Operations on images before they become tensors: shuffling and reducing."""

import numpy as np

from horticulture.errors import InputError

PAD = 4  # most pixels by which an image is shifted; proportionally fewer if reduced
FAIR = 0.2  # tolerated relative deviation of a class's number of validation images from its share


def random_order(count: int, *, last: int) -> np.ndarray:
    """The indices of training images in a fixed random order, with the `last` ones held out for validation.

    The order is that of `torch.randperm` with the seed 0, from the same Mersenne Twister, but it needs no
    torch and does not depend on its version.
    """
    order = list(range(count))
    draws = np.random.RandomState(0).randint(2**32, size=max(0, count - 1), dtype=np.uint32)
    for i, step in enumerate((draws % np.arange(count, 1, -1)).tolist()):
        order[i], order[i + step] = order[i + step], order[i]
    return np.roll(np.array(order, dtype=np.int64), -last)


def hold_out(labels: np.ndarray, held: int) -> np.ndarray:
    """The indices of training images in a fixed random order, with the `held` validation images last.

    labels: (n,) from 0. The images are those of `random_order`, unless a class has too many or too few of
    them: its share is `held / n` of its images, with a tolerance of one image or `FAIR`. Then they are
    stratified.
    """
    order = random_order(len(labels), last=held)
    counts = np.bincount(labels)
    share = counts * held / len(labels)
    drawn = np.bincount(labels[order[len(order) - held :]], minlength=len(counts))
    if (np.abs(drawn - share) < np.maximum(1, FAIR * share)).all():
        return order
    quota = share.astype(np.int64)
    most_left = np.argsort(quota - share, kind="stable")
    quota[most_left[: held - quota.sum()]] += 1
    order = np.roll(order, held)  # the original order
    of_class = labels[order]
    by_class = np.argsort(of_class, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)  # each image's place among those of its class
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    held_out = rank < quota[of_class]
    return np.concatenate([order[~held_out], order[held_out]])


def hold_out_tenth(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the images to train on, and of a tenth (one at least) for validation: see `hold_out`."""
    held = max(1, len(labels) // 10)
    order = hold_out(labels, held)
    return order[:-held], order[-held:]


def downscale(pixels: np.ndarray, size: int) -> np.ndarray:
    """Reduce square images to `size` x `size` pixels, each the mean of the square that it replaces.

    pixels: (n, channels, height, width) uint8, and so is the result. Halves are rounded to even, so that
    images do not become brighter or darker. 0 leaves images unchanged. Raises InputError, with the possible
    sizes, if the squares do not fit.
    """
    count, channels, height, width = pixels.shape
    if size in (0, height) and (not size or height == width):
        return pixels
    if height != width:
        raise InputError(
            f"image_size {size}: only square images can be reduced, but these are {width} x {height}"
        )
    if size < 0 or height % size:
        sizes = ", ".join(str(n) for n in range(1, height + 1) if height % n == 0)
        raise InputError(
            f"image_size {size} for images of {height} x {height}: choose from {sizes}, or 0 (unchanged)"
        )
    side = height // size
    squares = pixels.reshape(count, channels, size, side, size, side)
    parts = []
    for start in range(0, count, 4096):  # sums need several times the memory of the pixels
        # Rows first, because they are contiguous.
        rows = squares[start : start + 4096].sum(axis=3, dtype=np.uint32)
        sums = rows.sum(axis=4, dtype=np.uint64)
        parts.append((sums.astype(np.float32) / np.float32(side**2)).round().astype(np.uint8))
    return np.concatenate(parts)
