"""The plain numbers of an architecture, and what a family of networks must say of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from horticulture.architecture.layer import Layer
from horticulture.errors import InputError

Widths = tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """The numbers that fix a network; `Architecture` is a shape that was checked and can be counted."""

    family: str
    depth: int
    classes: int
    image: tuple[int, int, int]  # channels, height, width
    trunk: Widths
    widths: Widths


class Family(Protocol):
    """A family of networks is a module with these functions. They know no torch."""

    @property
    def standard(self) -> Callable[..., tuple[Widths, Widths]]:
        """From the numbers in a name, depth first, to trunk and group widths."""

    def check(self, a: Shape) -> None:
        """Raise InputError if depth, image and the numbers of widths do not fit each other."""

    def layers(self, a: Shape) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""

    def groups(self, a: Shape) -> tuple[str, ...]:
        """A name a group: `stage.block` or `stage.block.what`."""

    def blocks(self, a: Shape) -> tuple[tuple[int, ...], ...]:
        """For every residual block the places of its groups."""

    def least(self, a: Shape) -> Widths:
        """The smallest width that each group may have."""

    def most(self, a: Shape) -> tuple[int | None, ...]:
        """The largest width that each group may have, or None."""

    def narrower(self, a: Shape, factor: float) -> tuple[Widths, Widths]:
        """Trunk and group widths scaled by that factor; a group that vanished stays vanished."""

    def shallower(self, a: Shape) -> Iterator[tuple[int, Widths]]:
        """Depth and group widths of every member up to this one, the shallowest first."""


def stage_length(depth: int, layers: int, rest: int, kind: str) -> int:
    """Blocks in each of three stages: the n of a depth `layers * n + rest`, or InputError."""
    n, over = divmod(depth - rest, layers)
    if over or n < 1:
        some = ", ".join(str(layers * n + rest) for n in range(1, 7))
        raise InputError(f"a {kind} has depth {layers}n + {rest} ({some}, ...), not {depth}")
    return n


def counted(a: Shape, kind: str, trunk: int, groups: int) -> None:
    """Raise InputError unless the shape has so many trunk widths and groups."""
    if len(a.trunk) != trunk or len(a.widths) != groups:
        raise InputError(
            f"a {kind} of depth {a.depth} has {trunk} trunk widths and {groups} groups, "
            f"not {len(a.trunk)} and {len(a.widths)}"
        )


def seen(a: Shape, kind: str, size: int) -> None:
    """Raise InputError if the images are too small to be pooled as often as that network does."""
    if min(a.image[1:]) < size:
        raise InputError(
            f"a {kind} needs images of at least {size} x {size} pixels, not {a.image[1]} x {a.image[2]}"
        )


def in_stages(places: Iterable[object]) -> tuple[str, ...]:
    """The names of those places in each of three stages: `stage.place`."""
    names = [str(place) for place in places]
    return tuple(f"{stage}.{name}" for stage in (1, 2, 3) for name in names)


def scaled(n: int, factor: float) -> int:
    """A width scaled, at least 1; none stays none."""
    return max(1, round(factor * n)) if n else 0


def cut_short(widths: Widths, length: int, kept: int) -> Widths:
    """The first `kept` of every `length` widths: stages that lose blocks from their ends."""
    return tuple(n for i, n in enumerate(widths) if i % length < kept)


def shares(
    selected: Widths, of: tuple[int | None, ...], now: tuple[int | None, ...], factor: float
) -> Widths:
    """Widths scaled by the factor; but a selection, `of` so many, keeps its share of what is there `now`."""
    return tuple(
        scaled(n, factor if was is None or there is None else there / was)
        for n, was, there in zip(selected, of, now, strict=True)
    )
