"""The plain numbers of an architecture, its layers, and the interface of a type of network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from horticulture.architecture.table import Table
from horticulture.errors import InputError

ImageShape = tuple[int, int, int]  # channels, height, width
Widths = tuple[int, ...]
WidthLimits = tuple[int | None, ...]


class Stem(NamedTuple):
    """What reads the images: a convolution and, if it `pools`, a max pool of 3 x 3 pixels with stride 2."""

    kernel: int
    conv_stride: int
    pools: bool


# By `stem_stride`, the factor they reduce an image by: 1 for small images (ResNet on CIFAR), 4 for large
# ones (on ImageNet).
STEMS = {1: Stem(3, 1, False), 2: Stem(3, 2, False), 4: Stem(7, 2, True)}


@dataclass(frozen=True)
class ArchitectureFields:
    """The numbers that fix a network. `Architecture` checks them, and counts parameters and MACs.

    network_type: the name of the network type, as it is written to disk.
    """

    network_type: str
    depth: int
    classes: int
    image: ImageShape
    trunk: Widths
    widths: Widths
    table: Table | None = None  # of a user's own network
    stem_stride: int = 1  # one of STEMS

    @property
    def feature_map_size(self) -> tuple[int, int]:
        """Height and width of the feature maps after the stem."""
        _, height, width = self.image
        return -(-height // self.stem_stride), -(-width // self.stem_stride)

    def stem_layer(self, outputs: int, name: str = "stem") -> "Layer":
        """The convolution that reads the images."""
        kernel, stride, _ = STEMS[self.stem_stride]  # of the convolution alone
        channels, height, width = self.image
        return Layer(name, "conv", channels, outputs, kernel, -(-height // stride) * -(-width // stride))


class Layer(NamedTuple):
    """A layer with weights.

    positions: the number of output pixels, height times width, or of tokens; 0 if no image passes through the
    layer any more (its branch has vanished). A linear layer that every token passes is a convolution of 1 x 1
    pixels. Attention has no weights, but multiplies.
    """

    name: str
    kind: str  # "conv", "norm", "linear" or "attention"
    inputs: int
    outputs: int
    kernel: int = 1
    positions: int = 1

    @property
    def params(self) -> int:
        """Learned numbers: weights, and also biases for norms and linear layers."""
        if self.kind == "norm":
            return 2 * self.outputs
        if self.kind == "attention":
            return 0
        bias = self.outputs if self.kind == "linear" else 0
        return self.kernel**2 * self.inputs * self.outputs + bias

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        if self.kind == "norm":
            return 0
        if self.kind == "attention":  # each query with each key, and each weight with each value
            return 2 * self.inputs * self.positions**2
        return self.kernel**2 * self.inputs * self.outputs * self.positions


class ResidualBlock(NamedTuple):
    """A residual block in a trunk: channels in and out, stride, and pixels before and after it."""

    name: str
    inputs: int
    outputs: int
    stride: int
    before: int
    after: int


def residual_blocks(a: ArchitectureFields, length: int) -> Iterator[ResidualBlock]:
    """The blocks of a residual network in forward order, `length` in each of its three stages."""
    height, width = a.feature_map_size
    inputs = a.trunk[0]  # of the stem; in a ResNet it is as wide as the first stage
    for stage, outputs in enumerate(a.trunk[-3:], 1):
        for number in range(1, length + 1):
            before, stride = height * width, 2 if stage > 1 and number == 1 else 1
            if stride == 2:  # a padded 3 x 3 convolution, or a 1 x 1 one
                height, width = (height + 1) // 2, (width + 1) // 2
            yield ResidualBlock(f"{stage}.{number}", inputs, outputs, stride, before, height * width)
            inputs = outputs


class NetworkType:
    """A type of network, such as Wide ResNet. The defaults suit networks without shortcuts and selections.

    title: its readable name. trunk_size: the number of trunk widths. smallest_image: height and width, in
    pixels, that its pooling needs after the stem. stems: the strides that its stem may have. groups_in_block:
    how many groups a residual block has that can be removed as a whole (0: there is no such block).
    """

    title: str
    trunk_size: int
    smallest_image = 1
    stems: tuple[int, ...] = (1,)
    groups_in_block = 0

    def standard(self, depth: int, width: int) -> tuple[Widths, Widths]:
        """Trunk and group widths from the numbers in a network's name."""
        raise NotImplementedError

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        raise NotImplementedError

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """A name for each group: `stage.block` or `stage.block.what`. Raises InputError for a wrong depth."""
        raise NotImplementedError

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Depth and group widths of every member up to this one, shallowest first."""
        raise NotImplementedError

    def check_fields(self, a: ArchitectureFields) -> None:
        """Raise InputError if depth, image and number of widths are inconsistent."""
        groups = len(self.groups(a))
        if len(a.trunk) != self.trunk_size or len(a.widths) != groups:
            raise InputError(
                f"a {self.title} of depth {a.depth} has {self.trunk_size} trunk widths and {groups} groups, "
                f"not {len(a.trunk)} and {len(a.widths)}"
            )
        size = (self.smallest_image - 1) * a.stem_stride + 1
        _, height, width = a.image
        if min(height, width) < size:
            raise InputError(
                f"a {self.title} needs images of at least {size} x {size} pixels, not {height} x {width}"
            )

    def blocks(self, a: ArchitectureFields) -> tuple[tuple[int, ...], ...]:
        """For every residual block that can be removed as a whole, the indices of its groups."""
        count = self.groups_in_block
        starts = range(0, len(a.widths) - count + 1, count) if count else ()
        return tuple(tuple(range(start, start + count)) for start in starts)

    def normed(self, a: ArchitectureFields) -> tuple[bool, ...]:
        """For each group, whether it has a batch norm."""
        return (True,) * len(a.widths)

    def min_widths(self, a: ArchitectureFields) -> Widths:
        """The smallest width of every group: one channel, or none if its block can be removed."""
        removable = {group for block in self.blocks(a) for group in block}
        return tuple(0 if group in removable else 1 for group in range(len(a.widths)))

    def max_widths(self, a: ArchitectureFields) -> WidthLimits:
        """The largest width of every group: as many channels as it selects from."""
        return self.selects(a)

    def selects(self, a: ArchitectureFields) -> WidthLimits:
        """The number of channels each group selects from; None for one made by a layer, as all are here."""
        return (None,) * len(a.widths)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Trunk and group widths times a factor; a vanished group stays vanished."""
        return tuple(scale_width(n, factor) for n in a.trunk), tuple(scale_width(n, factor) for n in a.widths)


class ThreeStages(NetworkType):
    """A network type with three stages of equal length. The defaults are for one group per block.

    layers_per_block: those that count for the depth; other_layers: the same outside blocks.
    """

    layers_per_block: int
    other_layers: int
    stems = tuple(STEMS)

    def depth(self, length: int) -> int:
        """The depth of a network with `length` blocks in each of the three stages."""
        return 3 * self.layers_per_block * length + self.other_layers

    def length(self, depth: int) -> int:
        """The number of blocks in each of the three stages. Raises InputError for an impossible depth."""
        layers, other = 3 * self.layers_per_block, self.other_layers
        n, over = divmod(depth - other, layers)
        if over or n < 1:
            some = ", ".join(str(self.depth(n)) for n in range(1, 7))
            raise InputError(f"a {self.title} has depth {layers}n + {other} ({some}, ...), not {depth}")
        return n

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """`stage.block`."""
        blocks = range(1, self.length(a.depth) + 1)
        return tuple(f"{stage}.{block}" for stage in (1, 2, 3) for block in blocks)

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Blocks are dropped from the end of every stage."""
        length = self.length(a.depth)
        for kept in range(1, length + 1):
            widths = tuple(n for i, n in enumerate(a.widths) if i % length < kept)
            yield self.depth(kept), widths


def scale_width(n: int, factor: float) -> int:
    """Scale a width, to at least 1; 0 stays 0."""
    return max(1, round(factor * n)) if n else 0


def scale_selections(widths: Widths, before: WidthLimits, after: WidthLimits, factor: float) -> Widths:
    """Scale widths by a factor; groups that select from `before` channels keep their fraction of `after`."""
    return tuple(
        scale_width(n, factor if old is None or new is None else new / old)
        for n, old, new in zip(widths, before, after, strict=True)
    )
