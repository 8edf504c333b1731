"""Data sets as whole tensors: read once, kept on the device, augmented a batch at a time.

Every data set has a training, a validation and a test part. Decisions look at the validation part; the
test part is only reported. `clutter` needs no download.
"""

import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture.errors import BadInput, choose


@dataclass(frozen=True)
class Images:
    """pixels: (n, channels, height, width) uint8. labels: (n,) int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> "Images":
        """The first n, or all of them if n is 0."""
        return Images(self.pixels[:n], self.labels[:n]) if n else self

    def to(self, device: torch.device) -> "Images":
        """The same images on that device."""
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Three disjoint parts, and how a training image may be shifted (`pad` pixels) and mirrored."""

    name: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    pad: int
    flip: bool

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        return tuple(self.train.pixels.shape[1:])  # type: ignore[return-value]

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 -> floats with the mean 0 and spread 1 that the training part has, channels last."""
        mean, spread = self._statistics()
        x = (pixels.float() - mean) / spread
        return x.contiguous(memory_format=torch.channels_last)

    def to(self, device: torch.device) -> "Dataset":
        """The same data on that device."""
        parts = {part: getattr(self, part).to(device) for part in ("train", "validation", "test")}
        return replace(self, **parts)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        if "_cached" not in self.__dict__:  # the instance is frozen: its statistics never change
            pixels = self.train.pixels
            count = pixels.numel() / pixels.shape[1]
            mean = pixels.sum(dim=(0, 2, 3), dtype=torch.float64) / count
            square = pixels.to(torch.int32).square().sum(dim=(0, 2, 3), dtype=torch.float64) / count
            spread = (square - mean.square()).clamp(min=1).sqrt()
            shape = (1, -1, 1, 1)
            self.__dict__["_cached"] = mean.float().view(shape), spread.float().view(shape)
        return self.__dict__["_cached"]


class Batches:
    """Endless shuffled, shifted and mirrored training batches, from one generator.

    A whole epoch's draws are made at once, so that a step waits for nothing, and so that the state of
    the stream is small: the generator's state before the epoch and the place in it.
    """

    def __init__(self, dataset: Dataset, batch_size: int, generator: torch.Generator) -> None:
        if not 0 < batch_size <= len(dataset.train):
            raise BadInput(f"batch_size {batch_size} with {len(dataset.train)} training images")
        self.dataset, self.batch_size, self.generator = dataset, batch_size, generator
        self.steps_per_epoch = len(dataset.train) // batch_size
        pad = (dataset.pad,) * 4
        self._padded = F.pad(dataset.train.pixels.float(), pad, mode="reflect").to(torch.uint8)
        self._place = self.steps_per_epoch  # so that the first batch begins an epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """x: (batch, channels, height, width) floats, normalised; y: (batch,) labels."""
        if self._place >= self.steps_per_epoch:
            self._begin_epoch()
        here = slice(self._place * self.batch_size, (self._place + 1) * self.batch_size)
        self._place += 1
        order = self._order[here]
        pixels = crop(self._padded, order, self._shifts[here], self._flips[here], self.dataset.image)
        return self.dataset.normalise(pixels), self.dataset.train.labels[order]

    def _begin_epoch(self) -> None:
        count, device, draw = len(self.dataset.train), self._padded.device, self.generator
        self._epoch_began = draw.get_state()
        self._order = torch.randperm(count, generator=draw).to(device)
        self._shifts = torch.randint(2 * self.dataset.pad + 1, (count, 2), generator=draw).to(device)
        flips = torch.rand(count, generator=draw) < (0.5 if self.dataset.flip else 0.0)
        self._flips = flips.to(device)
        self._place = 0

    def state(self) -> dict[str, Any]:
        """Where the stream stands, for `restore`."""
        began = self.__dict__.get("_epoch_began", self.generator.get_state())
        return {"began": began, "place": self._place}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where another stream of the same data stood."""
        self.generator.set_state(state["began"])
        if state["place"] < self.steps_per_epoch:
            self._begin_epoch()
        self._place = state["place"]


def crop(padded: Tensor, order: Tensor, shifts: Tensor, flips: Tensor, image: tuple[int, int, int]) -> Tensor:
    """One window of `image` size out of each chosen padded image, mirrored where asked.

    padded: (n, channels, height + 2 pad, width + 2 pad). order: (batch,) which images. shifts: (batch, 2)
    rows and columns left out above and to the left. flips: (batch,) bool. Returns (batch, *image).
    """
    channels, height, width = image
    rows = shifts[:, :1] + torch.arange(height, device=padded.device)
    columns = shifts[:, 1:] + torch.arange(width, device=padded.device)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    return padded[
        order[:, None, None, None],
        torch.arange(channels, device=padded.device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


# --- clutter: handwritten digits among pieces of others --------------------------------------------------

CLUTTER_IMAGE = 16  # pixels, height and width
CLUTTER_PARTS = {"train": (8192, 1), "validation": (512, 2), "test": (1536, 3)}  # images, seed


def clutter() -> Dataset:
    """scikit-learn's bundled 8 x 8 digits, at random place, size and angle, among pieces of other digits.

    The three parts are drawn from disjoint sets of the 1,797 handwritten digits, with fixed seeds.
    """
    pictures, labels = _digits()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    sources = dict(zip(CLUTTER_PARTS, order.split([1097, 300, 400]), strict=True))
    parts = {
        part: _cluttered(pictures[sources[part]], labels[sources[part]], count, seed)
        for part, (count, seed) in CLUTTER_PARTS.items()
    }
    return Dataset("clutter", tuple("0123456789"), **parts, pad=2, flip=False)


def _digits() -> tuple[Tensor, Tensor]:
    """(1797, 1, 8, 8) floats from 0 to 1, and labels: what `sklearn.datasets.load_digits` reads.

    Only the file is read: importing scikit-learn takes two seconds, in every process.
    """
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    return table[:, :-1].reshape(-1, 1, 8, 8) / 16, table[:, -1].long()


def _cluttered(pictures: Tensor, labels: Tensor, count: int, seed: int) -> Images:
    """`count` images, each of one digit, three pieces of others, and noise."""
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(pictures), (count,), generator=draw)
    canvas = _placed(pictures[chosen], draw, scale=(1.0, 1.5), angle=25, margin=3.0)
    for _ in range(3):
        others = pictures[torch.randint(len(pictures), (count,), generator=draw)]
        corner = torch.randint(5, (count, 2), generator=draw)
        inside = [(torch.arange(8) - corner[:, i, None]).clamp(-1, 4) for i in (0, 1)]
        window = [((part >= 0) & (part < 4)).float() for part in inside]
        piece = others * (window[0][:, None, :, None] * window[1][:, None, None, :])
        piece = _placed(piece, draw, scale=(0.8, 1.2), angle=180, margin=1.0)
        canvas = torch.maximum(canvas, 0.8 * piece)
    canvas = canvas + 0.12 * torch.randn(canvas.shape, generator=draw)
    return Images((canvas.clamp(0, 1) * 255).round().to(torch.uint8), labels[chosen])


def _placed(
    pictures: Tensor, draw: torch.Generator, scale: tuple[float, float], angle: float, margin: float
) -> Tensor:
    """8 x 8 pictures drawn into larger images, each with its own size, angle (degrees) and place."""
    count, size = len(pictures), CLUTTER_IMAGE

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=draw)

    zoom = size / (8 * uniform(*scale))
    turn = uniform(-angle, angle) * math.pi / 180
    reach = 1 - 2 * (margin + 1) / size  # centres stay this far inside, in units of half the image
    x, y = uniform(-reach, reach), uniform(-reach, reach)
    cos, sin = turn.cos() * zoom, turn.sin() * zoom
    matrix = torch.stack([cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y], dim=1)
    grid = F.affine_grid(matrix.view(count, 2, 3), [count, 1, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


# --- torchvision's data sets, and folders of images ------------------------------------------------------


def _torchvision(name: str, kind: str, flip: bool, validation: int = 5000) -> Dataset:
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
    return Path(os.environ.get("HORTICULTURE_DATA") or Path(__file__).parents[2] / "data")


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
    from PIL import Image
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
        pixels = [np.asarray(Image.open(file).convert("RGB")) for file, _ in listing.samples]
        sizes = {p.shape for p in pixels}
        if len(sizes) > 1:
            raise BadInput(f"data folder:{path}: images of different sizes {sorted(sizes)[:3]}")
        stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
        parts.append((listing.classes, Images(stacked, torch.tensor(listing.targets))))
    (classes, train), (others, test) = parts
    if classes != others:
        raise BadInput(f"data folder:{path}: train has classes {classes}, test has {others}")
    held = max(1, len(train) // 10)
    return _with_validation(
        f"folder:{root.name}", tuple(classes), train, test, validation=held, pad=4, flip=True
    )


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


DATASETS: dict[str, Callable[[], Dataset]] = {
    "clutter": clutter,
    "cifar10": lambda: _torchvision("cifar10", "CIFAR10", flip=True),
    "cifar100": lambda: _torchvision("cifar100", "CIFAR100", flip=True),
    "svhn": lambda: _torchvision("svhn", "SVHN", flip=False),
}


def load(name: str, *, images: int = 0, device: torch.device | str = "cpu") -> Dataset:
    """The data set of that name, or `folder:PATH`, with its first `images` training images (0: all).

    Raises BadInput for an unknown name, a data set that is not there, or a folder that holds no images.
    """
    if images < 0:
        raise BadInput(f"images must be 0 (all) or more, not {images}")
    if str(name).startswith("folder:"):
        dataset = folder(name.removeprefix("folder:"))
    else:
        dataset = DATASETS[choose(name, [*DATASETS, "folder:PATH"], "data set")]()
    return replace(dataset, train=dataset.train.first(images)).to(torch.device(device))
