"""DenseNet-BC (Huang et al., 2017): a 1 x 1 bottleneck in front of every 3 x 3, transitions that halve.

The trunk is the stem and the growth rate. As Crowley et al. (2018) prune it, a group is the bottleneck of a
layer, 4 times the growth rate. Each keeps a channel, so that a layer always has something to add.
"""

from collections.abc import Iterator

from horticulture.architecture.densenet import LEAST_SIZE
from horticulture.architecture.family import (
    Shape,
    Widths,
    counted,
    cut_short,
    in_stages,
    scaled,
    seen,
    stage_length,
)
from horticulture.architecture.layer import Layer
from horticulture.architecture.vgg import blocks, least, most

__all__ = ["blocks", "check", "groups", "layers", "least", "most", "narrower", "shallower", "standard"]

BOTTLENECK = 4  # channels for every map that a layer adds


def length(depth: int) -> int:
    """Layers in each of the three stages. Raises InputError if the depth is not 6n + 4."""
    return stage_length(depth, 6, 4, "DenseNet-BC")


def standard(depth: int, growth: int) -> tuple[Widths, Widths]:
    """DenseNet-BC-depth-growth: a stem of twice the growth rate."""
    return (2 * growth, growth), (BOTTLENECK * growth,) * (3 * length(depth))


def check(a: Shape) -> None:
    """Raise InputError unless there are 2 trunk widths and a group a layer, and images of 4 x 4."""
    counted(a, "DenseNet-BC", 2, 3 * length(a.depth))
    seen(a, "DenseNet-BC", LEAST_SIZE)


def layers(a: Shape) -> Iterator[Layer]:
    """Every layer with weights, in forward order."""
    channels, height, width = a.image
    maps, growth = a.trunk
    inner = iter(a.widths)
    yield Layer("stem", "conv", channels, maps, 3, height * width)
    for stage in (1, 2, 3):
        for place in range(1, length(a.depth) + 1):
            name, middle, positions = f"{stage}.{place}", next(inner), height * width
            yield Layer(f"{name}.norm1", "norm", maps, maps)
            yield Layer(f"{name}.conv1", "conv", maps, middle, 1, positions)
            yield Layer(f"{name}.norm2", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, growth, 3, positions)
            maps += growth
        yield Layer(f"{stage}.end.norm", "norm", maps, maps)
        if stage < 3:
            yield Layer(f"{stage}.end.conv", "conv", maps, maps // 2, 1, height * width)
            maps, height, width = maps // 2, height // 2, width // 2
    yield Layer("classifier", "linear", maps, a.classes)


def groups(a: Shape) -> tuple[str, ...]:
    """`stage.layer`."""
    return in_stages(range(1, length(a.depth) + 1))


def narrower(a: Shape, factor: float) -> tuple[Widths, Widths]:
    """Another growth rate, and everything with it."""
    return tuple(scaled(n, factor) for n in a.trunk), tuple(scaled(n, factor) for n in a.widths)


def shallower(a: Shape) -> Iterator[tuple[int, Widths]]:
    """Layers are dropped from the end of every stage."""
    whole = length(a.depth)
    for kept in range(1, whole + 1):
        yield 6 * kept + 4, cut_short(a.widths, whole, kept)
