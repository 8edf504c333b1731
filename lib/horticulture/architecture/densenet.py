"""DenseNet (Huang et al., 2017) of basic layers: norm, relu, a 3 x 3 convolution whose maps join the others.

Three dense stages; between them a 1 x 1 convolution that keeps the number of maps, and a mean pool. The trunk
is the stem and the growth rate. As in network slimming (Liu et al., 2017) the groups are selections: of the
maps that each layer reads, and at the end of each stage (`stage.end`) of those that the transition or the
classifier reads. Each keeps a channel: a layer that reads nothing would still add maps.
"""

from collections.abc import Iterator

from horticulture.architecture.family import (
    Shape,
    Widths,
    counted,
    in_stages,
    scaled,
    seen,
    shares,
    stage_length,
)
from horticulture.architecture.layer import Layer

LEAST_SIZE = 4  # pixels: two mean pools


def length(depth: int) -> int:
    """Layers in each of the three stages. Raises InputError if the depth is not 3n + 4."""
    return stage_length(depth, 3, 4, "DenseNet")


def maps(stem: int, growth: int, depth: int) -> Widths:
    """How many maps there are in front of every selection."""
    per_stage = length(depth)
    starts = (stem + stage * per_stage * growth for stage in range(3))
    return tuple(start + layer * growth for start in starts for layer in range(per_stage + 1))


def standard(depth: int, growth: int) -> tuple[Widths, Widths]:
    """DenseNet-depth-growth: a stem of twice the growth rate, and everything selected."""
    return (2 * growth, growth), maps(2 * growth, growth, depth)


def check(a: Shape) -> None:
    """Raise InputError unless there are 2 trunk widths and a group a layer and stage, and images of 4 x 4."""
    counted(a, "DenseNet", 2, 3 * length(a.depth) + 3)
    seen(a, "DenseNet", LEAST_SIZE)


def layers(a: Shape) -> Iterator[Layer]:
    """Every layer with weights, in forward order."""
    channels, height, width = a.image
    stem, growth = a.trunk
    inner = iter(zip(a.widths, maps(stem, growth, a.depth), strict=True))
    yield Layer("stem", "conv", channels, stem, 3, height * width)
    for stage in (1, 2, 3):
        for place in range(1, length(a.depth) + 1):
            selected, _ = next(inner)
            yield Layer(f"{stage}.{place}.norm", "norm", selected, selected)
            yield Layer(f"{stage}.{place}.conv", "conv", selected, growth, 3, height * width)
        selected, there = next(inner)
        yield Layer(f"{stage}.end.norm", "norm", selected, selected)
        if stage < 3:
            yield Layer(f"{stage}.end.conv", "conv", selected, there, 1, height * width)
            height, width = height // 2, width // 2
    yield Layer("classifier", "linear", selected, a.classes)


def groups(a: Shape) -> tuple[str, ...]:
    """`stage.layer`, and `stage.end`."""
    return in_stages((*range(1, length(a.depth) + 1), "end"))


def blocks(a: Shape) -> tuple[tuple[int, ...], ...]:
    """There are none: nothing is added to a trunk."""
    return ()


def least(a: Shape) -> Widths:
    """Everything reads something."""
    return (1,) * len(a.widths)


def most(a: Shape) -> Widths:
    """A selection cannot exceed the maps that there are."""
    stem, growth = a.trunk
    return maps(stem, growth, a.depth)


def narrower(a: Shape, factor: float) -> tuple[Widths, Widths]:
    """Another growth rate and a stem with it; a selection keeps its share of what there is.

    A growth rate is a small whole number, so that few members are there to choose from.
    """
    stem, growth = (scaled(n, factor) for n in a.trunk)
    return (stem, growth), shares(a.widths, most(a), maps(stem, growth, a.depth), factor)


def shallower(a: Shape) -> Iterator[tuple[int, Widths]]:
    """Layers are dropped from the end of every stage; a selection keeps its share of what there is."""
    whole, there = length(a.depth), most(a)
    stem, growth = a.trunk
    for kept in range(1, whole + 1):
        depth = 3 * kept + 4
        places = [i for i in range(len(a.widths)) if i % (whole + 1) < kept or i % (whole + 1) == whole]
        widths, limits = (tuple(numbers[i] for i in places) for numbers in (a.widths, there))
        yield depth, shares(widths, limits, maps(stem, growth, depth), 1)
