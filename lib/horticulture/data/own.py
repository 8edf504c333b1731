"""Users' own data sets: functions that return arrays. `saved` saves their content."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from horticulture.data.arrays import downscale, hold_out_tenth
from horticulture.data.datasets import BUILT_IN, DATASETS
from horticulture.data.images import PARTS, Dataset, Images
from horticulture.errors import InputError, first_line

CHANNELS = (1, 3, 4)  # those that most images have
SIDE = 16  # pixels: from here on, two sides look like height and width even if they differ


def dataset(
    function: Callable | None = None,
    *,
    name: str = "",
    classes: Sequence[str] = (),
    pad: int = 0,
    flip: bool = False,
) -> Any:
    """Decorator that registers a function returning images as a data set under its name.

    The function takes no arguments and returns (pixels, labels) for the training and test parts, or for
    training, validation and test; without a validation part a tenth of the training images is held out,
    always the same ones. Every part that it returns needs images of every class. pixels: (n, channels,
    height, width) uint8; labels: (n,) integers from 0; arrays or tensors. It may also return a `Dataset`.
    name: of the data set, if not the function's. classes: names, if not the numbers. pad, flip: how far
    training images are shifted, in pixels, and whether they are mirrored.
    Raises InputError for the name of a built-in data set.
    """
    if function is None:
        return lambda decorated: dataset(decorated, name=name, classes=classes, pad=pad, flip=flip)
    name = name or function.__name__
    if name in BUILT_IN:
        raise InputError(f"a data set {name!r} is built in: choose another name")
    made = function

    def load(image_size: int) -> Dataset:
        try:
            loaded = made()
        except InputError:
            raise
        except Exception as error:  # users' code may raise anything
            called = getattr(made, "__name__", "its function")
            raise InputError(f"data set {name}: {called} failed: {first_line(error)}") from error
        if not isinstance(loaded, Dataset):
            loaded = _of_parts(name, loaded, classes, pad, flip)
        if len(loaded.classes) < 2:
            raise InputError(f"data set {name}: at least two classes are needed, not {len(loaded.classes)}")
        parts = {part: getattr(loaded, part) for part in PARTS}
        if len(shapes := dict.fromkeys(tuple(images.pixels.shape[1:]) for images in parts.values())) > 1:
            listed = " and ".join(map(str, shapes))
            raise InputError(f"data set {name}: images of all parts need the same shape, not {listed}")
        small = {part: _reduced(images, image_size) for part, images in parts.items()}
        return Dataset(name, loaded.classes, **small, pad=loaded.pad, flip=loaded.flip)

    DATASETS[name] = load
    return function


def _reduced(images: Images, image_size: int) -> Images:
    pixels = np.ascontiguousarray(downscale(images.pixels.cpu().numpy(), image_size))
    return Images(torch.from_numpy(pixels), images.labels, images.originals)


def _of_parts(name: str, parts: Any, classes: Sequence[str], pad: int, flip: bool) -> Dataset:
    try:
        pairs = [(torch.as_tensor(pixels), torch.as_tensor(labels)) for pixels, labels in parts]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"data set {name}: return (pixels, labels) for train and test ({error})") from error
    if len(pairs) not in (2, 3):
        raise InputError(f"data set {name}: return train and test, or train, validation and test")
    for pixels, labels in pairs:
        if pixels.dtype != torch.uint8 or pixels.dim() != 4 or labels.shape != pixels.shape[:1]:
            shapes = f"{tuple(pixels.shape)} {pixels.dtype} and {tuple(labels.shape)}"
            raise InputError(
                f"data set {name}: pixels must be (n, channels, height, width) uint8, not {shapes}"
            )
        if len(labels) == 0:
            raise InputError(f"data set {name}: a part has no images")
        whole = not labels.is_complex() and (not labels.is_floating_point() or bool((labels % 1 == 0).all()))
        if not whole:
            raise InputError(f"data set {name}: labels must be whole numbers")
        _, first, second, last = pixels.shape
        images = first > last and (first == second or min(first, second) >= SIDE)
        if images and last in CHANNELS and first not in CHANNELS:
            raise InputError(
                f"data set {name}: channels come first, but pixels of {tuple(pixels.shape)} look as if they "
                "had them last: use pixels.transpose(0, 3, 1, 2), or return a Dataset if they are right"
            )
    pairs = [(pixels, labels.long()) for pixels, labels in pairs]
    count = len(classes) or 1 + max(int(labels.max()) for _, labels in pairs)
    outside = [int(n) for _, labels in pairs for n in labels.unique() if not 0 <= n < count]
    if outside:
        raise InputError(f"data set {name}: labels must be 0 to {count - 1}, not {outside[0]}")
    called = tuple(classes) or tuple(map(str, range(count)))
    for part, (_, labels) in zip(PARTS if pairs[2:] else ("train", "test"), pairs, strict=True):
        _check_classes(f"data set {name}: {part} has", labels, called)
    if len(pairs) == 2:
        (pixels, labels), test_pair = pairs
        used, held_out = map(torch.from_numpy, hold_out_tenth(labels.cpu().numpy()))
        pairs = [(pixels[used], labels[used]), (pixels[held_out], labels[held_out]), test_pair]
        _check_classes(f"data set {name}: with {len(held_out)} held out, train has", pairs[0][1], called)
    train, validation, test = (Images(*pair) for pair in pairs)
    return Dataset(name, called, train, validation, test, pad, flip)


def _check_classes(what: str, labels: torch.Tensor, classes: Sequence[str]) -> None:
    """Raise InputError if a part lacks a class, as `folders` does for one with other folders."""
    present = set(labels.tolist())
    if absent := [called for n, called in enumerate(classes) if n not in present]:
        raise InputError(f"{what} no image of {', '.join(map(repr, absent[:3]))}{' ...' * bool(absent[3:])}")
