"""Simple families of smaller networks: functions from an architecture to an architecture.

Each makes the member that comes nearest to a wanted number of parameters (or MACs), or the member at
a given scale. Crowley et al. (2018) train these from scratch and compare them with pruned networks.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypedDict, Unpack

from horticulture.architecture import Architecture
from horticulture.errors import InputError

CLOSE = 0.01  # a member this near to the wanted size is taken as it is


class Size(TypedDict, total=False):
    """What a member's size is given by: exactly one of these."""

    params: int | None
    macs: int | None
    scale: float | None


def width(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """Narrower or wider everywhere but in a residual network's stem: WRN-d-k with a fractional k.

    What that means for a family of networks is said by its `narrower`. For a DenseNet it is the growth rate,
    a small whole number: a member may be several percent off the wanted size, since no other rate is nearer.
    """

    def member(factor: float) -> Architecture:
        trunk, widths = whole.kind.narrower(whole, factor)
        return replace(whole, trunk=trunk, widths=widths)

    return search_scale(member, size)


def bottleneck(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """The same trunk with `int(scale * width)` channels in every group: in the middle of every block.

    Both convolutions stay 3 x 3, as in the published code; it is not a 1-3-1 block.
    """
    return search_scale(
        lambda factor: clamp_widths(whole, (int(factor * n + 1e-9) for n in whole.widths)), size, whole.widths
    )


def copycat(pruned: Architecture, **size: Unpack[Size]) -> Architecture:
    """A pruned profile scaled linearly to another size; a group that vanished stays vanished."""
    return search_scale(
        lambda factor: clamp_widths(pruned, (round(factor * n) for n in pruned.widths)), size, pruned.widths
    )


def depth(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """Fewer blocks, dropped from the end of every stage. Depths are few: the nearest one is given.

    scale: the fraction of the depths that there are, up to the whole one; for blocks, the fraction of blocks.
    Raises InputError where a smaller or a deeper network is wanted, and there is none.
    """
    shapes = whole.kind.shallower(whole)
    members = [replace(whole, depth=depth, widths=widths) for depth, widths in shapes]
    cost, wanted, scale = _parse(size)
    if len(members) == 1 and (scale < 1 if scale is not None else wanted < cost(whole)):
        raise InputError(f"there is no {whole.family} shallower than {whole.depth}")
    if scale is not None:
        place = max(1, round(scale * len(members)))
        if place > len(members):
            raise InputError(f"a depth has a scale of at most 1, not {scale}")
        return members[place - 1]
    return min(members, key=lambda a: abs(cost(a) - wanted))


def clamp_widths(whole: Architecture, widths: Iterable[int]) -> Architecture:
    """The architecture with these widths, each kept within what its group can have."""
    limits = zip(widths, whole.min_widths, whole.max_widths, strict=True)
    return whole.with_widths(
        tuple(max(least, n if most is None else min(most, n)) for n, least, most in limits)
    )


def search_scale(
    member: Callable[[float], Architecture], size: Size, shape: Sequence[float] | None = None
) -> Architecture:
    """The member at a scale, or the one whose cost is nearest to what is wanted, by bisection.

    Where a member misses by more than `CLOSE`, some groups take a step more than others; and where it still
    does, and the groups are multiples of a `shape`, each may be rounded either way: none is further than one
    channel from the exact multiple. Raises InputError if there is no member of that size.
    """
    cost, wanted, scale = _parse(size)
    if scale is not None:
        return member(scale)
    least, most = 0.0, 1.0
    if cost(member(least)) > wanted:
        raise InputError(
            f"no member of the family is as small as {wanted:,}: the least has {cost(member(least)):,}"
        )
    while cost(member(most)) < wanted:
        most *= 2
        if most > 2**20:
            raise InputError(f"no member of the family is as large as {wanted:,}")
    for _ in range(50):  # widths are whole numbers: 50 halvings leave nothing between the two
        middle = (least + most) / 2
        if cost(member(middle)) < wanted:
            least = middle
        else:
            most = middle
    below, above = member(least), member(most)
    best = min(below, above, key=lambda a: abs(cost(a) - wanted))
    if abs(cost(best) - wanted) > CLOSE * wanted:
        best = min(_between(below, above), key=lambda a: abs(cost(a) - wanted))
    if shape is not None:
        best = _rounded(best, [most * n for n in shape], lambda a: abs(cost(a) - wanted), CLOSE * wanted)
    return best


def _between(below: Architecture, above: Architecture) -> Iterator[Architecture]:
    """From one member to the next, one width at a time: some groups are a channel wider than others."""
    trunks = [above.trunk[:i] + below.trunk[i:] for i in range(len(below.trunk) + 1)]
    widths = [above.widths[:i] + below.widths[i:] for i in range(len(below.widths) + 1)]
    for trunk in trunks:
        yield replace(below, trunk=trunk)
    for row in widths:
        yield replace(below, trunk=above.trunk, widths=row)


def _rounded(
    best: Architecture, exact: Sequence[float], off: Callable[[Architecture], float], enough: float
) -> Architecture:
    """The widths rounded so that the cost is nearest: of one or two groups at a time what helps most.

    off: how far from what is wanted. A group that has channels keeps one, and one without a share gets none.
    """
    near = [
        [n for n in range(math.ceil(x) - 1, math.floor(x) + 2) if n > 0 or not now] if x else [0]
        for x, now in zip(exact, best.widths, strict=True)
    ]
    while off(best) > enough:
        one = [(group, n) for group, widths in enumerate(near) for n in widths if n != best.widths[group]]
        pairs = [pair for pair in combinations(one, 2) if pair[0][0] != pair[1][0]]
        steps = [dict([step]) for step in one] + [dict(pair) for pair in pairs]
        others = [
            clamp_widths(best, (step.get(group, n) for group, n in enumerate(best.widths))) for step in steps
        ]
        nearer = min(others, key=off, default=best)
        if off(nearer) >= off(best):
            break
        best = nearer
    return best


def _parse(size: Size) -> tuple[Callable[[Architecture], int], int, float | None]:
    """How to count the cost of an architecture, the cost that is wanted, and the scale if that is given."""
    given = {name: value for name, value in size.items() if value is not None}
    if len(given) != 1 or not given.keys() <= {"params", "macs", "scale"}:
        raise InputError("say exactly one of params, macs and scale")
    scale = size.get("scale")
    if scale is not None and scale <= 0:
        raise InputError(f"scale must be positive, not {scale}")
    if "macs" in given:
        return (lambda a: a.macs), size["macs"] or 0, None
    return (lambda a: a.params), size.get("params") or 0, scale
