"""ResNet for small images (He et al., 2016): post-activation, two 3 x 3 convolutions a block.

The trunk is the three stages; the stem is as wide as the first. Where the width grows, the shortcut takes
every second pixel and pads with channels of zeros (the paper's option A), so that it has no weights. A group
is what lies between the two convolutions of a block; without it the block is its shortcut.
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
from horticulture.architecture.wide_resnet import blocks, least, most
from horticulture.errors import InputError

__all__ = ["blocks", "check", "groups", "layers", "least", "most", "narrower", "shallower", "standard"]


def length(depth: int) -> int:
    """Blocks in each of the three stages. Raises InputError if the depth is not 6n + 2."""
    return stage_length(depth, 6, 2, "ResNet")


def standard(depth: int, width: int = 16) -> tuple[Widths, Widths]:
    """ResNet-depth: three stages of `1, 2, 4 x width` channels."""
    stages = (width, 2 * width, 4 * width)
    return stages, tuple(stage for stage in stages for _ in range(length(depth)))


def check(a: Shape) -> None:
    """Raise InputError unless there are 3 trunk widths that do not shrink, and a group a block."""
    counted(a, "ResNet", 3, 3 * length(a.depth))
    if list(a.trunk) != sorted(a.trunk):
        raise InputError(f"the trunk of a ResNet can only be padded, it may not shrink: {a.trunk}")


def layers(a: Shape) -> Iterator[Layer]:
    """Every layer with weights, in forward order."""
    channels, height, width = a.image
    inner = iter(a.widths)
    inputs = a.trunk[0]
    yield Layer("stem", "conv", channels, inputs, 3, height * width)
    yield Layer("norm", "norm", inputs, inputs)
    for stage, outputs in enumerate(a.trunk):
        for block in range(length(a.depth)):
            if stage > 0 and block == 0:
                height, width = halved(height), halved(width)
            name, middle, positions = f"{stage + 1}.{block + 1}", next(inner), height * width
            yield Layer(f"{name}.conv1", "conv", inputs, middle, 3, positions)
            yield Layer(f"{name}.norm1", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, outputs, 3, positions)
            yield Layer(f"{name}.norm2", "norm", outputs, outputs)
            inputs = outputs
    yield Layer("classifier", "linear", inputs, a.classes)


def groups(a: Shape) -> tuple[str, ...]:
    """`stage.block`."""
    return in_stages(range(1, length(a.depth) + 1))


def narrower(a: Shape, factor: float) -> tuple[Widths, Widths]:
    """Everywhere: the stem is part of the first stage."""
    return tuple(scaled(n, factor) for n in a.trunk), tuple(scaled(n, factor) for n in a.widths)


def shallower(a: Shape) -> Iterator[tuple[int, Widths]]:
    """Blocks are dropped from the end of every stage."""
    whole = length(a.depth)
    for kept in range(1, whole + 1):
        yield 6 * kept + 2, cut_short(a.widths, whole, kept)
