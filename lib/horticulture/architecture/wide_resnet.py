"""Wide ResNet (Zagoruyko and Komodakis, 2016): pre-activation, two 3 x 3 convolutions a block.

The trunk is the stem and the three stages. A group is what lies between the two convolutions of a block;
without it the block is its shortcut.
"""

from collections.abc import Iterator

from horticulture.architecture.family import (
    Shape,
    Widths,
    counted,
    cut_short,
    in_stages,
    scaled,
    stage_length,
)
from horticulture.architecture.layer import Layer, halved


def length(depth: int) -> int:
    """Blocks in each of the three stages. Raises InputError if the depth is not 6n + 4."""
    return stage_length(depth, 6, 4, "Wide ResNet")


def standard(depth: int, width: int) -> tuple[Widths, Widths]:
    """WRN-depth-width: a stem of 16, three stages of `16, 32, 64 x width` channels."""
    stages = (16 * width, 32 * width, 64 * width)
    return (16, *stages), tuple(stage for stage in stages for _ in range(length(depth)))


def check(a: Shape) -> None:
    """Raise InputError unless there are 4 trunk widths and a group a block."""
    counted(a, "Wide ResNet", 4, 3 * length(a.depth))


def layers(a: Shape) -> Iterator[Layer]:
    """Every layer with weights, in forward order."""
    channels, height, width = a.image
    stem, *stages = a.trunk
    inner = iter(a.widths)
    yield Layer("stem", "conv", channels, stem, 3, height * width)
    inputs = stem
    for stage, outputs in enumerate(stages):
        for block in range(length(a.depth)):
            enters = stage > 0 and block == 0
            if enters:
                height, width = halved(height), halved(width)
            name, middle, positions = f"{stage + 1}.{block + 1}", next(inner), height * width
            yield Layer(f"{name}.norm1", "norm", inputs, inputs)
            yield Layer(f"{name}.conv1", "conv", inputs, middle, 3, positions)
            yield Layer(f"{name}.norm2", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, outputs, 3, positions)
            if enters or inputs != outputs:
                yield Layer(f"{name}.shortcut", "conv", inputs, outputs, 1, positions)
            inputs = outputs
    yield Layer("norm", "norm", inputs, inputs)
    yield Layer("classifier", "linear", inputs, a.classes)


def groups(a: Shape) -> tuple[str, ...]:
    """`stage.block`."""
    return in_stages(range(1, length(a.depth) + 1))


def blocks(a: Shape) -> tuple[tuple[int, ...], ...]:
    """Every group is a block of its own."""
    return tuple((group,) for group in range(len(a.widths)))


def least(a: Shape) -> Widths:
    """Any group may vanish."""
    return (0,) * len(a.widths)


def most(a: Shape) -> tuple[int | None, ...]:
    """There is no limit."""
    return (None,) * len(a.widths)


def narrower(a: Shape, factor: float) -> tuple[Widths, Widths]:
    """Everywhere but in the stem."""
    stem, *stages = a.trunk
    return (stem, *(scaled(n, factor) for n in stages)), tuple(scaled(n, factor) for n in a.widths)


def shallower(a: Shape) -> Iterator[tuple[int, Widths]]:
    """Blocks are dropped from the end of every stage."""
    whole = length(a.depth)
    for kept in range(1, whole + 1):
        yield 6 * kept + 4, cut_short(a.widths, whole, kept)
