"""Simple families of smaller networks: functions from an architecture to an architecture.

Each makes the member that comes nearest to a wanted number of parameters (or MACs), or the member at
a given scale. Crowley et al. (2018) train these from scratch and compare them with pruned networks.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from horticulture.architecture import Architecture, wide_resnet_blocks
from horticulture.errors import BadInput

CLOSE = 0.01  # a member this near to the wanted size is taken as it is


def width(
    whole: Architecture,
    *,
    params: int | None = None,
    macs: int | None = None,
    scale: float | None = None,
) -> Architecture:
    """Narrower or wider everywhere but in the stem: WRN-d-k with a fractional k."""

    def member(factor: float) -> Architecture:
        stem, *stages = whole.trunk
        return replace(
            whole,
            trunk=(stem, *(max(1, round(factor * n)) for n in stages)),
            widths=tuple(max(1, round(factor * n)) if n else 0 for n in whole.widths),
        )

    return sized(member, params, macs, scale)


def bottleneck(
    whole: Architecture,
    *,
    params: int | None = None,
    macs: int | None = None,
    scale: float | None = None,
) -> Architecture:
    """The same trunk with `int(scale * width)` channels in the middle of every block.

    Both convolutions stay 3 x 3, as in the published code; it is not a 1-3-1 block.
    """
    return sized(
        lambda factor: whole.with_widths(tuple(int(factor * n + 1e-9) for n in whole.widths)),
        params,
        macs,
        scale,
    )


def copycat(
    pruned: Architecture,
    *,
    params: int | None = None,
    macs: int | None = None,
    scale: float | None = None,
) -> Architecture:
    """A pruned profile scaled linearly to another size; a group that vanished stays vanished."""
    return sized(
        lambda factor: pruned.with_widths(tuple(round(factor * n) for n in pruned.widths)),
        params,
        macs,
        scale,
    )


def depth(
    whole: Architecture,
    *,
    params: int | None = None,
    macs: int | None = None,
    scale: float | None = None,
) -> Architecture:
    """Fewer blocks, dropped from the end of every stage. Depths are few: the nearest one is given."""
    most = wide_resnet_blocks(whole.depth)

    def member(blocks: int) -> Architecture:
        stages = [whole.widths[i : i + most] for i in range(0, len(whole.widths), most)]
        kept = tuple(n for stage in stages for n in stage[:blocks])
        return replace(whole, depth=6 * blocks + 4, widths=kept)

    if scale is not None:
        _one_wish(params, macs, scale)
        return member(max(1, round(scale * most)))
    cost, wanted = _one_wish(params, macs, scale)
    return min(map(member, range(1, most + 1)), key=lambda a: abs(cost(a) - wanted))


FAMILIES: dict[str, Callable[..., Architecture]] = {
    "width": width,
    "depth": depth,
    "bottleneck": bottleneck,
    "copycat": copycat,
}


def sized(
    member: Callable[[float], Architecture],
    params: int | None,
    macs: int | None,
    scale: float | None,
) -> Architecture:
    """The member at `scale`, or the one whose cost is nearest to what is wanted, by bisection."""
    cost, wanted = _one_wish(params, macs, scale)
    if scale is not None:
        return member(scale)
    least, most = 0.0, 1.0
    if cost(member(least)) > wanted:
        raise BadInput(
            f"no member of the family is as small as {wanted:,}: the least has {cost(member(least)):,}"
        )
    while cost(member(most)) < wanted:
        most *= 2
        if most > 2**20:
            raise BadInput(f"no member of the family is as large as {wanted:,}")
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
    return best


def _between(below: Architecture, above: Architecture) -> Iterator[Architecture]:
    """From one member to the next, one width at a time: some groups are a channel wider than others."""
    trunks = [above.trunk[:i] + below.trunk[i:] for i in range(len(below.trunk) + 1)]
    widths = [above.widths[:i] + below.widths[i:] for i in range(len(below.widths) + 1)]
    for trunk in trunks:
        yield replace(below, trunk=trunk)
    for row in widths:
        yield replace(below, trunk=above.trunk, widths=row)


def _one_wish(
    params: int | None, macs: int | None, scale: float | None
) -> tuple[Callable[[Architecture], int], int]:
    if sum(wish is not None for wish in (params, macs, scale)) != 1:
        raise BadInput("say exactly one of params, macs and scale")
    if scale is not None and scale <= 0:
        raise BadInput(f"scale must be positive, not {scale}")
    if macs is not None:
        return (lambda a: a.macs), macs
    return (lambda a: a.params), params or 0
