"""The plain numbers of an architecture, its layers, and what a family of networks must say of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from horticulture.architecture.table import Table
from horticulture.errors import InputError

Widths = tuple[int, ...]
Limits = tuple[int | None, ...]


@dataclass(frozen=True)
class Shape:
    """The numbers that fix a network; `Architecture` is a shape that was checked and can be counted."""

    family: str
    depth: int
    classes: int
    image: tuple[int, int, int]  # channels, height, width
    trunk: Widths
    widths: Widths
    table: Table | None = None  # of a network that somebody brings


class Layer(NamedTuple):
    """A layer with weights. `positions` is the number of output pixels, height times width.

    No positions: the layer is there, but no image goes through it (its branch has vanished).
    """

    name: str
    kind: str  # "conv", "norm" or "linear"
    inputs: int
    outputs: int
    kernel: int = 1
    positions: int = 1

    @property
    def params(self) -> int:
        """Trainable numbers: weights, and for norms and linear layers the shifts too."""
        if self.kind == "norm":
            return 2 * self.outputs
        bias = self.outputs if self.kind == "linear" else 0
        return self.kernel**2 * self.inputs * self.outputs + bias

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        if self.kind == "norm":
            return 0
        return self.kernel**2 * self.inputs * self.outputs * self.positions


class ResidualBlock(NamedTuple):
    """A residual block's place in a trunk: channels in and out, stride, and pixels before and after it."""

    name: str
    inputs: int
    outputs: int
    stride: int
    before: int
    after: int


def residual_blocks(
    image: tuple[int, int, int], stem: int, stages: Sequence[int], length: int
) -> Iterator[ResidualBlock]:
    """The blocks of a residual network in forward order, `length` a stage; later ones begin with stride 2."""
    _, height, width = image
    inputs = stem
    for stage, outputs in enumerate(stages, 1):
        for place in range(1, length + 1):
            before, stride = height * width, 2 if stage > 1 and place == 1 else 1
            if stride == 2:  # a padded 3 x 3 convolution, or a 1 x 1 one
                height, width = (height + 1) // 2, (width + 1) // 2
            yield ResidualBlock(f"{stage}.{place}", inputs, outputs, stride, before, height * width)
            inputs = outputs


class Family:
    """A family of networks. The defaults hold where nothing leads past a group and no group selects channels.

    title: its name, for people. trunk_size: how many widths a trunk has. smallest_image: pixels, high and
    wide, that its pooling needs.
    """

    title: str
    trunk_size: int
    smallest_image = 1

    def standard(self, depth: int, width: int) -> tuple[Widths, Widths]:
        """From the numbers in a network's name to trunk and group widths."""
        raise NotImplementedError

    def layers(self, a: Shape) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        raise NotImplementedError

    def groups(self, a: Shape) -> tuple[str, ...]:
        """A name for each group: `stage.block` or `stage.block.what`. Raises InputError for a wrong depth."""
        raise NotImplementedError

    def shallower(self, a: Shape) -> Iterator[tuple[int, Widths]]:
        """Depth and group widths of every member up to this one, the shallowest first."""
        raise NotImplementedError

    def check_shape(self, a: Shape) -> None:
        """Raise InputError if depth, image and the numbers of widths do not fit each other."""
        groups = len(self.groups(a))
        if len(a.trunk) != self.trunk_size or len(a.widths) != groups:
            raise InputError(
                f"a {self.title} of depth {a.depth} has {self.trunk_size} trunk widths and {groups} groups, "
                f"not {len(a.trunk)} and {len(a.widths)}"
            )
        size, (_, height, width) = self.smallest_image, a.image
        if min(height, width) < size:
            raise InputError(
                f"a {self.title} needs images of at least {size} x {size} pixels, not {height} x {width}"
            )

    def blocks(self, a: Shape) -> tuple[Widths, ...]:
        """For every residual block that can be removed as a whole, the indices of its groups: none."""
        return ()

    def min_widths(self, a: Shape) -> Widths:
        """The smallest width of every group: one channel."""
        return (1,) * len(a.widths)

    def max_widths(self, a: Shape) -> Limits:
        """The largest width of every group: no limit."""
        return (None,) * len(a.widths)

    def selects(self, a: Shape) -> Limits:
        """How many channels each group selects from; None where a layer makes it."""
        return self.max_widths(a)

    def narrower(self, a: Shape, factor: float) -> tuple[Widths, Widths]:
        """Trunk and group widths times that factor; a group that vanished stays vanished."""
        return tuple(scale_width(n, factor) for n in a.trunk), tuple(scale_width(n, factor) for n in a.widths)


class ThreeStages(Family):
    """A family of three stages of equal length: a depth is `layers_per_block` times that length, and `rest`.

    The defaults hold where every block has one group.
    """

    layers_per_block: int
    rest: int

    def length(self, depth: int) -> int:
        """Blocks in each of the three stages. Raises InputError for a depth that there is not."""
        layers, rest = self.layers_per_block, self.rest
        n, over = divmod(depth - rest, layers)
        if over or n < 1:
            some = ", ".join(str(layers * n + rest) for n in range(1, 7))
            raise InputError(f"a {self.title} has depth {layers}n + {rest} ({some}, ...), not {depth}")
        return n

    def groups(self, a: Shape) -> tuple[str, ...]:
        """`stage.block`."""
        blocks = range(1, self.length(a.depth) + 1)
        return tuple(f"{stage}.{block}" for stage in (1, 2, 3) for block in blocks)

    def shallower(self, a: Shape) -> Iterator[tuple[int, Widths]]:
        """Blocks are dropped from the end of every stage."""
        length = self.length(a.depth)
        for kept in range(1, length + 1):
            widths = tuple(n for i, n in enumerate(a.widths) if i % length < kept)
            yield self.layers_per_block * kept + self.rest, widths


def scale_width(n: int, factor: float) -> int:
    """A width scaled, at least 1; 0 stays 0."""
    return max(1, round(factor * n)) if n else 0


def scale_selections(widths: Widths, before: Limits, after: Limits, factor: float) -> Widths:
    """Widths times the factor; but a group that selects from `before` channels keeps its share of `after`."""
    return tuple(
        scale_width(n, factor if was is None or there is None else there / was)
        for n, was, there in zip(widths, before, after, strict=True)
    )
