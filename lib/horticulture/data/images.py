"""Whole data sets as tensors, and endless augmented batches from them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from horticulture.errors import InputError

PARTS = ("train", "validation", "test")
AT_A_TIME = 2**24  # values summed at a time, because their squares need four times the memory of the pixels


@dataclass(frozen=True)
class Images:
    """pixels: (n, channels, height, width) uint8. labels: (n,) int64.

    originals: (n,) int64, the index of the picture from which each image was drawn. Errors on images of one
    original are correlated, so a standard error counts originals, not images. By default every image is its
    own.
    """

    pixels: Tensor
    labels: Tensor
    originals: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.originals is None:
            indices = torch.arange(len(self.labels), device=self.labels.device)
            object.__setattr__(self, "originals", indices)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> "Images":
        """The first n, or all of them if n is 0. Raises InputError if n is negative."""
        if n < 0:
            raise InputError(f"images must be 0 (all) or more, not {n}")
        return Images(self.pixels[:n], self.labels[:n], self.originals[:n]) if n else self

    def to(self, device: torch.device) -> "Images":
        """The same images on that device."""
        return Images(self.pixels.to(device), self.labels.to(device), self.originals.to(device))


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

    def __post_init__(self) -> None:
        _, height, width = self.image
        if self.pad >= min(height, width):
            raise InputError(f"images of {width} x {height} pixels are too small to be shifted by {self.pad}")

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        return tuple(self.train.pixels.shape[1:])  # type: ignore[return-value]

    @property
    def counts(self) -> dict[str, list[int]]:
        """The number of images of each class, by part."""
        least = len(self.classes)
        return {part: torch.bincount(getattr(self, part).labels, minlength=least).tolist() for part in PARTS}

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits of every pixel and label, wherever the data is stored.

        Originals are not included: they affect how far results can be trusted, but no result.
        """
        content = hashlib.sha256(f"{self.pad} {self.flip}".encode())
        for part in (getattr(self, part) for part in PARTS):
            for tensor in (part.pixels, part.labels):
                content.update(f"{tuple(tensor.shape)}".encode())
                content.update(tensor.cpu().contiguous().numpy().data)
        return content.hexdigest()[:12]

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise uint8 by the training part's mean and standard deviation, to channels-last floats."""
        mean, std = self.mean_and_std
        x = (pixels.float() - mean) / std
        return x.contiguous(memory_format=torch.channels_last)

    def to(self, device: torch.device) -> "Dataset":
        """The same data on that device."""
        parts = {part: getattr(self, part).to(device) for part in PARTS}
        return replace(self, **parts)

    @cached_property
    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """The training part's mean and standard deviation, 0 to 255, by channel: (1, channels, 1, 1)."""
        pixels = self.train.pixels
        count = pixels.numel() / pixels.shape[1]
        total = square = torch.zeros(pixels.shape[1], dtype=torch.float64, device=pixels.device)
        for part in pixels.split(max(1, AT_A_TIME // pixels[0].numel())):
            total = total + part.sum(dim=(0, 2, 3), dtype=torch.float64)
            square = square + part.to(torch.int32).square().sum(dim=(0, 2, 3), dtype=torch.float64)
        mean, square = total / count, square / count
        std = (square - mean.square()).clamp(min=1).sqrt()
        shape = (1, -1, 1, 1)
        return mean.float().view(shape), std.float().view(shape)


class Batches:
    """Endless shuffled, shifted and mirrored training batches, from one generator.

    A whole epoch's random numbers are drawn at once, so that no step waits for them and the stream's state is
    small: the generator's state before the epoch and the position in it.
    """

    def __init__(self, dataset: Dataset, batch_size: int, generator: torch.Generator) -> None:
        if not 0 < batch_size <= len(dataset.train):
            raise InputError(
                f"batch_size must be 1 to {len(dataset.train)} (training images), not {batch_size}"
            )
        self.dataset, self.batch_size, self.generator = dataset, batch_size, generator
        self.steps_per_epoch = len(dataset.train) // batch_size
        self._place = self.steps_per_epoch  # so that the first batch starts an epoch
        self._epoch_began: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """x: (batch, channels, height, width) floats, normalised; y: (batch,) labels."""
        if self._place >= self.steps_per_epoch:
            self._begin_epoch()
        batch = slice(self._place * self.batch_size, (self._place + 1) * self.batch_size)
        self._place += 1
        order = self._order[batch]
        images = self.dataset.train
        pixels = crop(images.pixels, order, self._shifts[batch], self._flips[batch], self.dataset.pad)
        return self.dataset.normalise(pixels), images.labels[order]

    def _begin_epoch(self) -> None:
        count = len(self.dataset.train)
        device = self.dataset.train.pixels.device
        draw = self.generator
        self._epoch_began = draw.get_state()
        self._order = torch.randperm(count, generator=draw).to(device)
        self._shifts = torch.randint(2 * self.dataset.pad + 1, (count, 2), generator=draw).to(device)
        flips = torch.rand(count, generator=draw) < (0.5 if self.dataset.flip else 0.0)
        self._flips = flips.to(device)
        self._place = 0

    def state_dict(self) -> dict[str, Any]:
        """The position of the stream, for `load_state_dict`."""
        if self._epoch_began is None:
            return {"began": self.generator.get_state(), "place": None}
        return {"began": self._epoch_began, "place": self._place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from the position of another stream of the same data."""
        self.generator.set_state(state["began"])
        if state["place"] is not None:
            self._begin_epoch()
            self._place = state["place"]


def crop(pixels: Tensor, order: Tensor, shifts: Tensor, flips: Tensor, pad: int) -> Tensor:
    """Select images, shift each with reflection at the edges, and mirror those with `flips`.

    pixels: (n, channels, height, width). order: (batch,) which images. shifts: (batch, 2) from 0 to 2 pad,
    rows and columns; pad leaves an image where it is. flips: (batch,) bool. Returns
    (batch, channels, height, width).
    """
    _, channels, height, width = pixels.shape
    rows = _within(shifts[:, :1] - pad + torch.arange(height, device=pixels.device), height)
    columns = _within(shifts[:, 1:] - pad + torch.arange(width, device=pixels.device), width)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    return pixels[
        order[:, None, None, None],
        torch.arange(channels, device=pixels.device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _within(indices: Tensor, count: int) -> Tensor:
    """Reflect row or column indices beyond the first and the last."""
    return (count - 1) - ((count - 1) - indices.abs()).abs()
