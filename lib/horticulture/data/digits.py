"""`clutter`: handwritten digits among fragments of others. It needs no download."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture.data.images import Dataset, Images
from horticulture.data.locations import package_folder
from horticulture.errors import InputError

CLUTTER_IMAGE = 16  # pixels, height and width
# Images, handwritten digits from which they are drawn (1,797 in all), seed.
CLUTTER_PARTS = {"train": (8192, 800, 1), "validation": (1024, 297, 2), "test": (4096, 700, 3)}
CHUNK = 1024  # images drawn at a time


def clutter(image_size: int = 0) -> Dataset:
    """scikit-learn's bundled 8 x 8 digits at random positions, sizes and angles, among fragments of others.

    The three parts are drawn from disjoint sets of the 1,797 handwritten digits, with fixed seeds; a larger
    part starts with the same images. An image's original is the index of its digit. Raises InputError for an
    image_size other than 16 or 0 (which means 16).
    """
    check_size("clutter", image_size)
    pictures, labels = read_digits()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    digits = order.split([count for _, count, _ in CLUTTER_PARTS.values()])
    parts = {}
    for of_part, (part, (count, _, seed)) in zip(digits, CLUTTER_PARTS.items(), strict=True):
        pixels, chosen = cluttered(pictures[of_part], count, seed)
        parts[part] = Images(pixels, labels[of_part][chosen], of_part[chosen])
    return Dataset("clutter", tuple("0123456789"), **parts, pad=2, flip=False)


def check_size(name: str, image_size: int) -> None:
    """Raise InputError for any image_size but 16 or 0, which means 16."""
    if image_size not in (0, CLUTTER_IMAGE):
        raise InputError(
            f"{name} has images of {CLUTTER_IMAGE} pixels: image_size must be 0 or 16, not {image_size}"
        )


def read_digits() -> tuple[Tensor, Tensor]:
    """(1797, 1, 8, 8) floats from 0 to 1, and labels, as in `sklearn.datasets.load_digits`."""
    file = package_folder("sklearn") / "datasets" / "data" / "digits.csv.gz"
    rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    return rows[:, :-1].reshape(-1, 1, 8, 8) / 16, rows[:, -1].long()


def cluttered(pictures: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `count` images of 8 x 8 pictures, every picture about equally often, among fragments of others.

    pictures: (n, 1, 8, 8) floats from 0 to 1. Returns the images, (count, 1, 16, 16) uint8, and the index of
    the picture in each. More images start with the same ones: each chunk has a generator of its own.
    """
    chunks = [
        _chunk(pictures, torch.Generator().manual_seed(10_000 * seed + number))
        for number in range(-(-count // CHUNK))
    ]
    pixels, chosen = (torch.cat(each)[:count] for each in zip(*chunks, strict=True))
    return pixels, chosen


def _chunk(pictures: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """`CHUNK` images, each of a picture, two fragments of others and noise; and the pictures' indices."""
    rounds = [torch.randperm(len(pictures), generator=draw) for _ in range(-(-CHUNK // len(pictures)))]
    chosen = torch.cat(rounds)[:CHUNK]
    canvas = _place(pictures[chosen], draw, scale=(1.1, 1.4), angle=15, margin=4.0)
    for _ in range(2):
        others = pictures[torch.randint(len(pictures), (CHUNK,), generator=draw)]
        corner = torch.randint(5, (CHUNK, 2), generator=draw)
        inside = [(torch.arange(8) - corner[:, i, None]).clamp(-1, 4) for i in (0, 1)]
        window = [((part >= 0) & (part < 4)).float() for part in inside]
        piece = others * (window[0][:, None, :, None] * window[1][:, None, None, :])
        piece = _place(piece, draw, scale=(0.8, 1.2), angle=180, margin=1.0)
        canvas = torch.maximum(canvas, 0.7 * piece)
    canvas = canvas + 0.1 * torch.randn(canvas.shape, generator=draw)
    return (canvas.clamp(0, 1) * 255).round().to(torch.uint8), chosen


def _place(
    pictures: Tensor, draw: torch.Generator, scale: tuple[float, float], angle: float, margin: float
) -> Tensor:
    """Draw 8 x 8 pictures into larger images, each at its own size, angle (in degrees) and position."""
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
