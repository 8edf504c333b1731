"""Simple families of smaller networks: functions from an architecture to an architecture.

Each returns the member nearest to a requested number of parameters (or MACs), or the member at a given scale.
Crowley et al. (2018) train these from scratch and compare them with pruned networks.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import TypedDict, Unpack

from horticulture.architecture import Architecture
from horticulture.errors import InputError

CLOSE = 0.01  # relative error at which a member is accepted


class Size(TypedDict, total=False):
    """The requested size of a member: exactly one of these."""

    params: int | None
    macs: int | None
    scale: float | None


def width(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """Narrower or wider everywhere except in a residual network's stem: WRN-d-k with a fractional k.

    The network type's `narrower` defines what that means. For a DenseNet it is the growth rate, a small
    integer, so a member may miss the requested size by several percent.
    """

    def member(factor: float) -> Architecture:
        trunk, widths = whole.type.narrower(whole, factor)
        return replace(whole, trunk=trunk, widths=widths)

    return search_scale(member, size)


def bottleneck(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """The same trunk with `int(scale * width)` channels in every group: in the middle of every block.

    Both convolutions stay 3 x 3, as in the published code; it is not a 1-3-1 block.
    """
    return search_scale(
        lambda factor: clamp_widths(whole, (int(factor * n + 1e-9) for n in whole.widths)), size, whole.widths
    )


def uniform(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """The same trunk with one share of the channels in every group, rounded, and at least one channel.

    Liu et al. (2019, section 5) compare it with networks guided by a pruned profile.
    """

    def member(factor: float) -> Architecture:
        return clamp_widths(whole, (max(1, round(factor * n)) for n in whole.widths))

    return search_scale(member, size, whole.widths)


def copycat(pruned: Architecture, **size: Unpack[Size]) -> Architecture:
    """A pruned profile scaled linearly to another size; a vanished group stays vanished."""
    return search_scale(
        lambda factor: clamp_widths(pruned, (round(factor * n) for n in pruned.widths)), size, pruned.widths
    )


def depth(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """Fewer blocks, dropped from the end of every stage. There are few depths, so the nearest is returned.

    scale: the fraction of possible depths up to the whole one; with blocks, the fraction of blocks.
    Raises InputError if a shallower or deeper network is requested and does not exist.
    """
    members = [replace(whole, depth=depth, widths=widths) for depth, widths in whole.type.shallower(whole)]
    cost, target, scale = _parse(size)
    if len(members) == 1 and (scale < 1 if scale is not None else target < cost(whole)):
        raise InputError(f"there is no {whole.type.title} shallower than {whole.depth}")
    if scale is not None:
        number = max(1, round(scale * len(members)))
        if number > len(members):
            raise InputError(f"the scale of a depth must be at most 1, not {scale}")
        return members[number - 1]
    return min(members, key=lambda a: abs(cost(a) - target))


def clamp_widths(whole: Architecture, widths: Iterable[int]) -> Architecture:
    """The architecture with these widths, each clamped to its group's limits."""
    limits = zip(widths, whole.min_widths, whole.max_widths, strict=True)
    clamped = (max(least, n if most is None else min(most, n)) for n, least, most in limits)
    return whole.with_widths(tuple(clamped))


def search_scale(
    member: Callable[[float], Architecture], size: Size, proportions: Sequence[float] | None = None
) -> Architecture:
    """The member at a scale or, by bisection, the one whose cost is nearest to the requested one.

    If that misses by more than `CLOSE`, some groups are made a step wider than others. If it still misses and
    the groups are multiples of `proportions`, each may be rounded either way, by at most one channel from the
    exact multiple. Raises InputError if there is no member of that size.
    """
    cost, target, scale = _parse(size)
    if scale is not None:
        return member(scale)
    cost = cache(cost)  # many factors give the same member
    least, most = 0.0, 1.0
    if cost(member(least)) > target:
        raise InputError(
            f"no member of the family is as small as {target:,}: the smallest has {cost(member(least)):,}"
        )
    while cost(member(most)) < target:
        most *= 2
        if most > 2**20:
            raise InputError(f"no member of the family is as large as {target:,}")
    for _ in range(50):  # widths are integers: 50 halvings leave nothing between the two
        middle = (least + most) / 2
        if cost(member(middle)) < target:
            least = middle
        else:
            most = middle
    below, above = member(least), member(most)
    best = min(below, above, key=lambda a: abs(cost(a) - target))
    if abs(cost(best) - target) > CLOSE * target:
        best = min(_between(below, above, cost, target), key=lambda a: abs(cost(a) - target))
    if proportions is not None:
        best = _rounded(
            best, [most * n for n in proportions], lambda a: abs(cost(a) - target), CLOSE * target
        )
    return best


def _between(
    below: Architecture, above: Architecture, cost: Callable[[Architecture], int], target: int
) -> Iterator[Architecture]:
    """Members between two, the nearest to a cost among them: some groups are a channel wider than others.

    One width after the other takes the step. Those of groups only add to the cost, so the two members around
    the target are found by bisection: deep networks have thousands.
    """
    for i in range(len(below.trunk) + 1):
        yield replace(below, trunk=above.trunk[:i] + below.trunk[i:])
    full, narrow = above.widths, below.widths

    def member(i: int) -> Architecture:
        return replace(below, trunk=above.trunk, widths=full[:i] + narrow[i:])

    def first(least: int) -> int:
        return bisect_left(range(len(full)), least, key=lambda i: cost(member(i)))

    reached = first(target)
    if reached:
        yield member(first(cost(member(reached - 1))))
    yield member(reached)


def _rounded(
    best: Architecture, exact: Sequence[float], off: Callable[[Architecture], float], enough: float
) -> Architecture:
    """Round widths to bring the cost nearest, greedily changing one or two groups at a time.

    off: the distance from the requested cost. Groups with channels keep at least one; empty ones stay empty.
    """
    near = [
        [n for n in range(math.ceil(x) - 1, math.floor(x) + 2) if n > 0 or not now] if x else [0]
        for x, now in zip(exact, best.widths, strict=True)
    ]
    while off(best) > enough:
        single = [(group, n) for group, widths in enumerate(near) for n in widths if n != best.widths[group]]
        pairs = [pair for pair in combinations(single, 2) if pair[0][0] != pair[1][0]]
        steps = [dict([step]) for step in single] + [dict(pair) for pair in pairs]
        others = [
            clamp_widths(best, (step.get(group, n) for group, n in enumerate(best.widths))) for step in steps
        ]
        nearer = min(others, key=off, default=best)
        if off(nearer) >= off(best):
            break
        best = nearer
    return best


def _parse(size: Size) -> tuple[Callable[[Architecture], int], int, float | None]:
    """The cost function of an architecture, the requested cost, and the scale, if given."""
    given = {name: value for name, value in size.items() if value is not None}
    if len(given) != 1 or not given.keys() <= {"params", "macs", "scale"}:
        raise InputError("give exactly one of params, macs and scale")
    scale = size.get("scale")
    if scale is not None and scale <= 0:
        raise InputError(f"scale must be positive, not {scale}")
    if "macs" in given:
        return (lambda a: a.macs), size["macs"] or 0, None
    return (lambda a: a.params), size.get("params") or 0, scale
