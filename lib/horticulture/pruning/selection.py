"""Choosing what goes, from saliencies: in what order, and how many in a round. Cutting is `surgery`'s."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from torch import Tensor

from horticulture.architecture import Architecture, profiles
from horticulture.errors import InputError, check_choice

SCOPES = ("global", "layer")  # or the name of a preset: how channels of different groups are compared
MEASURES: dict[str, Callable[[Architecture], int]] = {
    "channels": lambda shape: sum(shape.widths),
    "params": lambda shape: shape.params,
    "macs": lambda shape: shape.macs,
}
ZEROS = "zeros"  # not a share of anything: what scores exactly 0 goes


class ScoredChannel(NamedTuple):
    """A channel to remove: `channel` counts among those still there."""

    group: int
    channel: int
    saliency: float


@dataclass(frozen=True)
class PruningTarget:
    """How much should be gone by the end of a round, and where.

    share: of the whole network's channels, parameters or MACs (`measure`); with the measure `zeros` it does
    not matter. progress: how much of a preset should be gone. floor: the share of a group that stays.
    """

    share: float
    progress: float = 1.0
    measure: str = "channels"
    scope: str = "global"
    floor: float = 0.0
    one: bool = False  # a single channel in a round, whatever the share
    whole_blocks: bool = False  # a residual block of which something goes, goes altogether


def lowest_channel(scores: list[Tensor], least: Sequence[int] | None = None) -> ScoredChannel:
    """The channel with the lowest saliency in the whole network, which `select_channels` would take first,
    too.

    least: how many channels each group must keep, none if it is not said.
    Raises InputError when no channel is left, FloatingPointError when a saliency is not a number.
    """
    queue = _queue(scores, least or [0] * len(scores), lambda choice, rank: choice.saliency)
    if not queue:
        raise InputError("no channel is left to remove")
    return queue[0]


def minimal_architecture(whole: Architecture, floor: float = 0.0, whole_blocks: bool = False) -> Architecture:
    """What remains when all has gone that can. whole_blocks: channels that are in no block cannot."""
    within = {group for groups in whole.blocks for group in groups}
    kept = enumerate(zip(_kept(whole, floor), whole.widths, strict=True))
    return whole.with_widths(
        tuple(full if whole_blocks and group not in within else least for group, (least, full) in kept)
    )


def preset_ratio(scope: str, whole: Architecture) -> float:
    """The share of the channels that a preset takes away; 0 for other scopes, which do not say."""
    return sum(_quotas(whole, scope) or []) / sum(whole.widths) if scope in profiles.PRESETS else 0.0


def select_channels(
    scores: list[Tensor], shape: Architecture, whole: Architecture, aim: PruningTarget
) -> list[ScoredChannel]:
    """The channels that go in a round, lowest first; equal ones are spread over the groups.

    scores: (channel,) for each group of `shape`, which was `whole` before anything was removed. Exactly
    `round(share * channels)` are gone afterwards, or the fewest that bring parameters or MACs down by
    the share. With the scope `layer` every group loses the same share; with a preset, that group's own.
    No group shrinks below what its network needs, nor below `floor` of its full width: in its place others
    go, or with these two scopes none. With one channel a round these two let the groups take turns.

    When only some of the channels with equal saliencies go, each group loses the same share of its own, to
    the channel; within a group the first go first. Blocks go whole, and of equal ones the first goes first.
    Raises InputError if the aim cannot be met so, FloatingPointError when a saliency is not a number.
    """
    quotas = _quotas(whole, aim.scope)
    gone = [full - left for full, left in zip(whole.widths, shape.widths, strict=True)]
    least = _kept(whole, aim.floor)
    if quotas is None:
        queue = _queue(scores, least, lambda choice, rank: choice.saliency, aim.whole_blocks)
    else:  # the n-th of a group's quota is due when n - 1/2 of it would be gone
        least = [max(kept, full - q) for kept, full, q in zip(least, whole.widths, quotas, strict=True)]
        queue = _queue(
            scores, least, lambda choice, rank: (gone[choice.group] + rank + 0.5) / quotas[choice.group]
        )
    count = 1 if aim.one else _count(queue, shape, whole, aim, quotas, least)
    if count > len(queue):
        said = f"{aim.share:.0%} of the {aim.measure}"
        raise InputError(f"{said} cannot go: only {len(queue)} channels more can (floor {aim.floor:g})")
    return queue[: _to_the_end_of_a_block(count, queue, shape) if aim.whole_blocks else count]


def _kept(whole: Architecture, floor: float) -> list[int]:
    """The smallest width of every group."""
    shares = [math.ceil(floor * w - 1e-9) for w in whole.widths]  # 0.55 * 100 is 55.00000000000001
    return [max(least, preset_ratio) for least, preset_ratio in zip(whole.least, shares, strict=True)]


def _quotas(whole: Architecture, scope: str) -> list[int] | None:
    """What each group would lose if all of it were done; None where groups are compared by saliency."""
    if scope == "global":
        return None
    if scope == "layer":
        return list(whole.widths)
    check_choice(scope, [*SCOPES, *profiles.PRESETS], "scope")
    shares = profiles.preset(scope, whole)
    return [w - int((1 - preset_ratio) * w) for w, preset_ratio in zip(whole.widths, shares, strict=True)]


def _queue(
    scores: list[Tensor],
    least: Sequence[int],
    key: Callable[[ScoredChannel, int], float],
    whole_blocks: bool = False,
) -> list[ScoredChannel]:
    """All channels that can go, in the order in which they go: the smallest key first.

    whole_blocks: infinite ones do not go, and the channels of a group stay together.
    """
    entries: list[tuple[float, float, ScoredChannel]] = []
    for group, (score, kept) in enumerate(zip(scores, least, strict=True)):
        values = score.double().numpy()
        if not (np.isfinite(values).all() or (whole_blocks and not np.isnan(values).any())):
            raise FloatingPointError("a saliency is not finite: lower the learning rate")
        order = np.argsort(values, kind="stable")[: max(0, len(values) - kept)]
        choices = [ScoredChannel(group, int(channel), float(values[channel])) for channel in order]
        keys = [key(choice, rank) for rank, choice in enumerate(choices)]
        places = [0.0] * len(keys) if whole_blocks else _among_equals(keys)
        entries += zip(keys, places, choices, strict=True)
    entries.sort(key=lambda entry: (*entry[:2], entry[2].group))  # stable: within a group the order stands
    return [choice for *_, choice in entries if math.isfinite(choice.saliency)]


def _among_equals(keys: list[float]) -> list[float]:
    """Where each stands among its equals, above 0 and below 1. keys: rising.

    Groups with n and m channels of one key come into step: after each n-th of the one an m-th of the other.
    """
    counts = [len(list(equals)) for _, equals in groupby(keys)]
    return [(place + 0.5) / count for count in counts for place in range(count)]


def _count(
    queue: list[ScoredChannel],
    shape: Architecture,
    whole: Architecture,
    aim: PruningTarget,
    quotas: list[int] | None,
    least: list[int],
) -> int:
    """How many of the queue must go."""
    if aim.measure == ZEROS:
        return sum(choice.saliency == 0 for choice in queue)
    gone = sum(whole.widths) - sum(shape.widths)
    if quotas is not None and (aim.measure == "channels" or aim.scope in profiles.PRESETS):
        part = aim.progress if aim.scope in profiles.PRESETS else aim.share
        can = [full - left for full, left in zip(whole.widths, least, strict=True)]
        due = [min(most, math.floor(part * quota + 0.5)) for most, quota in zip(can, quotas, strict=True)]
        return max(0, sum(due) - gone)
    if aim.measure == "channels":
        return max(0, round(aim.share * sum(whole.widths)) - gone)
    cost = MEASURES[aim.measure]
    wanted = (1 - aim.share) * cost(whole)
    if cost(_without(shape, queue)) > wanted:
        return len(queue) + 1
    fewest, enough = 0, len(queue)
    while fewest < enough:
        middle = (fewest + enough) // 2
        if cost(_without(shape, queue[:middle])) <= wanted:
            enough = middle
        else:
            fewest = middle + 1
    return enough


def _without(shape: Architecture, gone: list[ScoredChannel]) -> Architecture:
    widths = list(shape.widths)
    for choice in gone:
        widths[choice.group] -= 1
    return shape.with_widths(tuple(widths))


def _to_the_end_of_a_block(count: int, queue: list[ScoredChannel], shape: Architecture) -> int:
    """As many, or so many more that no block is left half."""
    block = {group: number for number, groups in enumerate(shape.blocks) for group in groups}
    while 0 < count < len(queue) and block[queue[count].group] == block[queue[count - 1].group]:
        count += 1
    return count
