"""`clutter`: handwritten digits among pieces of others. It needs no download."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture.data.images import Dataset, Images

CLUTTER_IMAGE = 16  # pixels, height and width
CLUTTER_PARTS = {"train": (8192, 1), "validation": (256, 2), "test": (1024, 3)}  # images, seed


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
    """`count` images, each of one digit, two pieces of others, and noise."""
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(pictures), (count,), generator=draw)
    canvas = _placed(pictures[chosen], draw, scale=(1.1, 1.4), angle=15, margin=4.0)
    for _ in range(2):
        others = pictures[torch.randint(len(pictures), (count,), generator=draw)]
        corner = torch.randint(5, (count, 2), generator=draw)
        inside = [(torch.arange(8) - corner[:, i, None]).clamp(-1, 4) for i in (0, 1)]
        window = [((part >= 0) & (part < 4)).float() for part in inside]
        piece = others * (window[0][:, None, :, None] * window[1][:, None, None, :])
        piece = _placed(piece, draw, scale=(0.8, 1.2), angle=180, margin=1.0)
        canvas = torch.maximum(canvas, 0.7 * piece)
    canvas = canvas + 0.1 * torch.randn(canvas.shape, generator=draw)
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
