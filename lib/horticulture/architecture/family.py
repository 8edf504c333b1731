"""The plain numbers of an architecture, and what a family of networks must say of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from horticulture.architecture.layer import Layer
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

    def check(self, a: Shape) -> None:
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
