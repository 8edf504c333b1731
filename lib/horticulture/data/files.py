"""Data sets that lie in files: torchvision's, and folders of images."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from horticulture.data.images import Dataset, Images, reduced
from horticulture.errors import InputError, check_choice

PAD = 4  # pixels that an image may be shifted; fewer in reduced ones, in proportion


TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}


def torchvision(name: str, *, flip: bool, validation: int = 5000, image_size: int = 0) -> Dataset:
    """One of torchvision's data sets, already downloaded. Raises InputError, with the remedy, if it is not.

    image_size: pixels, as in `folder`.
    """
    try:
        train, test = _torchvision_parts(name, download=False)
    except RuntimeError as error:
        raise InputError(
            f"data set {name!r} is not in {data_folder()}: download it once with "
            f"`horticulture download {name}`, or use data=clutter, which needs no download"
        ) from error
    if name == "svhn":
        parts = [Images(torch.from_numpy(d.data), torch.from_numpy(d.labels).long()) for d in (train, test)]
        classes = tuple("0123456789")
    else:
        parts = [
            Images(torch.from_numpy(d.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(d.targets))
            for d in (train, test)
        ]
        classes = tuple(train.classes)
    full = parts[0].pixels.shape[2]
    train, test = (Images(reduced(part.pixels, image_size), part.labels) for part in parts)
    return _with_validation(
        name, classes, train, test, validation=validation, pad=_pad(train, full), flip=flip
    )


def data_folder() -> Path:
    """Where downloaded data sets lie: `HORTICULTURE_DATA`, or `data/` beside the library's checkout."""
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[3] / "data")


def download(name: str) -> Path:
    """Fetch one of torchvision's data sets into `data_folder()`. Needs a network."""
    _torchvision_parts(check_choice(name, TORCHVISION, "data set to download"), download=True)
    return data_folder()


def _torchvision_parts(name: str, *, download: bool) -> list[Any]:
    """torchvision's own training and test part. Raises RuntimeError if they are not there."""
    from torchvision import datasets

    part, values = ("split", ("train", "test")) if name == "svhn" else ("train", (True, False))
    kind = getattr(datasets, TORCHVISION[name])
    return [kind(data_folder(), **{part: value}, download=download) for value in values]


def folder(path: str, image_size: int = 0) -> Dataset:
    """Any folder in ImageFolder layout: `train/<class>/*` and `test/<class>/*`, all of one size.

    image_size: pixels that the images are reduced to, high and wide, by `reduced` (0: as they are).
    """
    from torchvision.datasets import ImageFolder

    root = Path(path).expanduser()
    parts, sizes = [], []
    for part in ("train", "test"):
        try:
            listing = ImageFolder(str(root / part))
        except (FileNotFoundError, OSError) as error:
            raise InputError(
                f"data folder:{path} is not an image folder: it needs {part}/<class>/<image> "
                f"({str(error).splitlines()[0]})"
            ) from error
        stacked, size = _decoded_once([file for file, _ in listing.samples], image_size)
        parts.append((listing.classes, Images(stacked, torch.tensor(listing.targets))))
        sizes.append(size)
    (classes, train), (others, test) = parts
    if sizes[0] != sizes[1]:
        raise InputError(
            f"data folder:{path}: images of different sizes, {sizes[0]} in train, {sizes[1]} in test"
        )
    if classes != others:
        raise InputError(f"data folder:{path}: train has classes {classes}, test has {others}")
    held = max(1, len(train) // 10)
    return _with_validation(
        f"folder:{root.name}",
        tuple(classes),
        train,
        test,
        validation=held,
        pad=_pad(train, sizes[0][0]),
        flip=True,
    )


def _pad(images: Images, full: int) -> int:
    """How far images may be shifted that were `full` pixels high before they were reduced."""
    return PAD * images.pixels.shape[2] // full


def _decoded_once(paths: list[str], size: int) -> tuple[Tensor, tuple[int, int]]:
    """`_decoded`, reduced to `size`, and how high and wide the images were before.

    Kept in a cache that knows the files by their names, sizes and times.
    """
    known = hashlib.sha256()
    for path in paths:
        about = os.stat(path)
        known.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    name = known.hexdigest()[:16] + (f"-{size}" if size else "")
    cache = data_folder() / "cache" / f"{name}.safetensors"
    found: dict[str, Tensor] = {}
    with contextlib.suppress(FileNotFoundError, SafetensorError):  # missing, or cut short
        found = load_file(cache)
    if "full" not in found:  # an older library kept the pixels alone
        pixels = _decoded(paths)
        found = {"pixels": reduced(pixels, size), "full": torch.tensor(pixels.shape[2:])}
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}.tmp")
        save_file(found, temporary)
        os.replace(temporary, cache)
    height, width = found["full"].tolist()
    return found["pixels"], (height, width)


def _decoded(paths: list[str]) -> Tensor:
    """(n, 3, height, width) uint8. Raises InputError naming the first file that does not fit."""
    pixels = np.empty((0, 0, 0, 3), np.uint8)
    for number, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"))
        except OSError as error:
            raise InputError(f"{path} is not an image, or damaged: mend or delete it") from error
        if number == 0:
            pixels = np.empty((len(paths), *picture.shape), np.uint8)
        if picture.shape != pixels.shape[1:]:
            sizes = " and ".join(f"{w} x {h}" for h, w, _ in (pixels.shape[1:], picture.shape))
            raise InputError(f"images of different sizes: {sizes} in {path}; resize them first")
        pixels[number] = picture
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _with_validation(
    name: str, classes: tuple[str, ...], train: Images, test: Images, *, validation: int, pad: int, flip: bool
) -> Dataset:
    """Hold out some training images, the same ones always."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    held, rest = order[:validation], order[validation:]
    return Dataset(
        name,
        classes,
        Images(train.pixels[rest], train.labels[rest]),
        Images(train.pixels[held], train.labels[held]),
        test,
        pad,
        flip,
    )
