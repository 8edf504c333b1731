"""Data sets that lie in files: torchvision's, and folders of images."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from horticulture.data.images import Dataset, Images
from horticulture.errors import BadInput, choose


def torchvision(name: str, kind: str, *, flip: bool, validation: int = 5000) -> Dataset:
    """One of torchvision's data sets, already downloaded. Raises BadInput, with the remedy, if it is not."""
    from torchvision import datasets

    root = data_folder()
    splits = ("train", "test") if kind == "SVHN" else (True, False)
    keyword = "split" if kind == "SVHN" else "train"
    try:
        train, test = (getattr(datasets, kind)(root, **{keyword: split}) for split in splits)
    except RuntimeError as error:
        raise BadInput(
            f"data set {name!r} is not in {root}: download it once with "
            f"`horticulture download {name}`, or use data=clutter, which needs no download"
        ) from error
    if kind == "SVHN":
        parts = [Images(torch.from_numpy(d.data), torch.from_numpy(d.labels).long()) for d in (train, test)]
        classes = tuple("0123456789")
    else:
        parts = [
            Images(torch.from_numpy(d.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(d.targets))
            for d in (train, test)
        ]
        classes = tuple(train.classes)
    return _with_validation(name, classes, *parts, validation=validation, pad=4, flip=flip)


def data_folder() -> Path:
    """Where downloaded data sets lie: `HORTICULTURE_DATA`, or `data/` beside the library's checkout."""
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[3] / "data")


def download(name: str) -> Path:
    """Fetch one of torchvision's data sets into `data_folder()`. Needs a network."""
    from torchvision import datasets

    kind = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}[
        choose(name, ("cifar10", "cifar100", "svhn"), "data set to download")
    ]
    for split in ("train", "test") if kind == "SVHN" else (True, False):
        keyword = "split" if kind == "SVHN" else "train"
        getattr(datasets, kind)(data_folder(), **{keyword: split}, download=True)
    return data_folder()


def folder(path: str) -> Dataset:
    """Any folder in ImageFolder layout: `train/<class>/*` and `test/<class>/*`, all of one size."""
    from torchvision.datasets import ImageFolder

    root = Path(path).expanduser()
    parts = []
    for part in ("train", "test"):
        try:
            listing = ImageFolder(str(root / part))
        except (FileNotFoundError, OSError) as error:
            raise BadInput(
                f"data folder:{path} is not an image folder: it needs {part}/<class>/<image> "
                f"({str(error).splitlines()[0]})"
            ) from error
        stacked = _decoded_once([file for file, _ in listing.samples])
        parts.append((listing.classes, Images(stacked, torch.tensor(listing.targets))))
    (classes, train), (others, test) = parts
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        sizes = [tuple(part.pixels.shape[2:]) for part in (train, test)]
        raise BadInput(
            f"data folder:{path}: images of different sizes, {sizes[0]} in train, {sizes[1]} in test"
        )
    if classes != others:
        raise BadInput(f"data folder:{path}: train has classes {classes}, test has {others}")
    held = max(1, len(train) // 10)
    return _with_validation(
        f"folder:{root.name}", tuple(classes), train, test, validation=held, pad=4, flip=True
    )


def _decoded_once(paths: list[str]) -> Tensor:
    """`_decoded`, kept in a cache that knows the files by their names, sizes and times."""
    known = hashlib.sha256()
    for path in paths:
        about = os.stat(path)
        known.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    cache = data_folder() / "cache" / f"{known.hexdigest()[:16]}.safetensors"
    with contextlib.suppress(FileNotFoundError, SafetensorError):  # not there, or cut short: decode again
        return load_file(cache)["pixels"]
    pixels = _decoded(paths)
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}.tmp")
    save_file({"pixels": pixels}, temporary)
    os.replace(temporary, cache)
    return pixels


def _decoded(paths: list[str]) -> Tensor:
    """(n, 3, height, width) uint8. Raises BadInput naming the first file that does not fit."""
    pixels = np.empty((0, 0, 0, 3), np.uint8)
    for number, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"))
        except OSError as error:
            raise BadInput(f"{path} is not an image, or damaged: mend or delete it") from error
        if number == 0:
            pixels = np.empty((len(paths), *picture.shape), np.uint8)
        if picture.shape != pixels.shape[1:]:
            sizes = " and ".join(f"{w} x {h}" for h, w, _ in (pixels.shape[1:], picture.shape))
            raise BadInput(f"images of different sizes: {sizes} in {path}; resize them first")
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
