"""Rank the channels, and say how many of them a round removes. `surgery` cuts them out.

channels_to_remove(scores, architecture, whole, fraction_of_channels(0.3), scope="layer", floor=0.1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.pruning.presets import PRESETS, preset_quotas

if TYPE_CHECKING:
    from torch import Tensor

SCOPES = ("global", "layer")  # or a preset: how channels of different groups are compared
MEASURES: dict[str, Callable[[Architecture], int]] = {
    "channels": lambda architecture: sum(architecture.widths),
    "params": lambda architecture: architecture.params,
    "macs": lambda architecture: architecture.macs,
}
ZEROS = "zeros"  # not a fraction: everything that scores exactly 0 is removed


class ScoredChannel(NamedTuple):
    """A channel to remove; `channel` is its position among the remaining ones."""

    group: int
    channel: int
    saliency: float


@dataclass(frozen=True)
class Candidates:
    """The channels that can be removed, in order of removal, and what a target needs to count them.

    architecture: of the network now. whole: before any pruning. quotas: the channels that each group of the
    whole network would lose at 100 %; None if groups are compared by saliency. minimum: the width that each
    group keeps.
    """

    queue: list[ScoredChannel]
    architecture: Architecture
    whole: Architecture
    quotas: list[int] | None
    minimum: list[int]

    def architecture_without(self, count: int) -> Architecture:
        """The architecture after the first `count` removals."""
        widths = list(self.architecture.widths)
        for scored in self.queue[:count]:
            widths[scored.group] -= 1
        return self.architecture.with_widths(tuple(widths))


# --- targets: how many of the candidates are removed -----------------------------------------------------


class PruningTarget(NamedTuple):
    """How much should have been removed by the end of a round. All of them are below."""

    name: str
    count: Callable[[Candidates], int]


# One channel a round. In the scope `layer` the groups take turns.
ONE_CHANNEL = PruningTarget("one channel", lambda candidates: 1)
# Every channel whose saliency is exactly 0.
ALL_ZEROS = PruningTarget("every zero", lambda candidates: sum(c.saliency == 0 for c in candidates.queue))


def fraction_of_channels(fraction: float) -> PruningTarget:
    """Exactly `round(fraction * channels)` of the whole network or, if groups have quotas, of each."""

    def count(candidates: Candidates) -> int:
        full = candidates.whole.widths
        removed = sum(full) - sum(candidates.architecture.widths)
        if candidates.quotas is None:
            return max(0, round(fraction * sum(full)) - removed)
        groups = zip(full, candidates.minimum, candidates.quotas, strict=True)
        due = [min(width - kept, math.floor(fraction * quota + 0.5)) for width, kept, quota in groups]
        return max(0, sum(due) - removed)

    return PruningTarget(f"{fraction:.0%} of the channels", count)


def fraction_of_cost(fraction: float, measure: str) -> PruningTarget:
    """The fewest channels whose removal reduces `measure` (params or macs) by that fraction of the whole."""
    cost = MEASURES[measure]

    def count(candidates: Candidates) -> int:
        wanted = (1 - fraction) * cost(candidates.whole)
        fewest, enough = 0, len(candidates.queue)
        if cost(candidates.architecture_without(enough)) > wanted:
            return enough + 1
        while fewest < enough:
            middle = (fewest + enough) // 2
            if cost(candidates.architecture_without(middle)) <= wanted:
                enough = middle
            else:
                fewest = middle + 1
        return enough

    return PruningTarget(f"{fraction:.0%} of the {measure}", count)


# --- ranking ---------------------------------------------------------------------------------------------


def lowest_channel(scores: list[Tensor], minimum: Sequence[int] | None = None) -> ScoredChannel:
    """The channel with the lowest saliency in the whole network: the one that `ONE_CHANNEL` removes.

    minimum: how many channels each group must keep (default: none).
    Raises InputError if no channel is left, FloatingPointError if a saliency is NaN.
    """
    queue = _sorted_channels(scores, minimum or [0] * len(scores), lambda scored, rank: scored.saliency)
    if not queue:
        raise InputError("no channel is left to remove")
    return queue[0]


def minimal_architecture(whole: Architecture, floor: float = 0.0, whole_blocks: bool = False) -> Architecture:
    """What remains if everything possible is removed; with whole_blocks, only channels in blocks."""
    within = {group for groups in whole.blocks for group in groups}
    kept = enumerate(zip(_minimum_widths(whole, floor), whole.widths, strict=True))
    return whole.with_widths(
        tuple(full if whole_blocks and group not in within else least for group, (least, full) in kept)
    )


def channels_to_remove(
    scores: list[Tensor],
    architecture: Architecture,
    whole: Architecture,
    target: PruningTarget,
    *,
    scope: str = "global",
    floor: float = 0.0,
    whole_blocks: bool = False,
    infinite: bool = False,
) -> list[ScoredChannel]:
    """The channels that a round removes, lowest first; ties are spread over the groups.

    architecture, whole: of the network now, and before any removal. With the scope `layer` every group loses
    the same fraction; with a preset, the fraction given for that group. No group shrinks below the minimum of
    its network, or below `floor` of its full width: others are removed instead or, with these two scopes,
    none.

    If only some of the channels that tie are removed, each group loses the same fraction of its own, to the
    channel; within a group the first are removed first. `whole_blocks`: a residual block is removed as a
    whole or not at all, and of tied blocks the first is removed first. `infinite`, or whole blocks: a channel
    that scores inf is kept, as if the minimum called for it. Raises InputError if the target cannot be met,
    FloatingPointError if a saliency is NaN, or another one infinite.
    """
    quotas = _quotas(whole, scope)
    minimum = _minimum_widths(whole, floor)
    infinite = infinite or whole_blocks
    if infinite:
        minimum = [max(kept, int(s.isposinf().sum())) for kept, s in zip(minimum, scores, strict=True)]
    if quotas is None:
        queue = _sorted_channels(
            scores, minimum, lambda scored, rank: scored.saliency, whole_blocks, infinite
        )
    else:  # the n-th of a group's quota is due once n - 1/2 should be removed
        removed = [full - width for full, width in zip(whole.widths, architecture.widths, strict=True)]
        minimum = [max(kept, n - quota) for kept, n, quota in zip(minimum, whole.widths, quotas, strict=True)]
        queue = _sorted_channels(
            scores,
            minimum,
            lambda scored, rank: (removed[scored.group] + rank + 0.5) / quotas[scored.group],
            infinite=infinite,
        )
    count = target.count(Candidates(queue, architecture, whole, quotas, minimum))
    if count > len(queue):
        raise InputError(
            f"cannot remove {target.name}: only {len(queue)} more channels can be (floor {floor:g})"
        )
    return queue[: _complete_block(count, queue, architecture) if whole_blocks else count]


def _minimum_widths(whole: Architecture, floor: float) -> list[int]:
    floors = [math.ceil(floor * width - 1e-9) for width in whole.widths]  # 0.55 * 100 is 55.00000000000001
    return [max(pair) for pair in zip(whole.min_widths, floors, strict=True)]


def _quotas(whole: Architecture, scope: str) -> list[int] | None:
    """The channels each group would lose at 100 %; None if groups are compared by saliency."""
    if scope == "global":
        return None
    if scope == "layer":
        return list(whole.widths)
    check_choice(scope, [*SCOPES, *PRESETS], "scope")
    return preset_quotas(scope, whole)


def _sorted_channels(
    scores: list[Tensor],
    minimum: Sequence[int],
    key: Callable[[ScoredChannel, int], float],
    whole_blocks: bool = False,
    infinite: bool = False,
) -> list[ScoredChannel]:
    """All channels that can be removed, smallest key first.

    whole_blocks: those of a group stay together. infinite: scores may be.
    """
    entries: list[tuple[float, float, ScoredChannel]] = []
    for group, (score, kept) in enumerate(zip(scores, minimum, strict=True)):
        values = score.double().numpy()
        if not (np.isfinite(values).all() or (infinite and not np.isnan(values).any())):
            raise FloatingPointError("a saliency is not finite: lower the learning rate")
        order = np.argsort(values, kind="stable")[: max(0, len(values) - kept)]
        channels = [ScoredChannel(group, int(channel), float(values[channel])) for channel in order]
        keys = [key(scored, rank) for rank, scored in enumerate(channels)]
        ranks = [0.0] * len(keys) if whole_blocks else _ranks_among_equals(keys)
        entries += zip(keys, ranks, channels, strict=True)
    entries.sort(key=lambda entry: (*entry[:2], entry[2].group))  # stable: keeps the order within a group
    return [scored for *_, scored in entries]


def _ranks_among_equals(keys: list[float]) -> list[float]:
    """The position of each key among equal ones, between 0 and 1. keys: in increasing order.

    This interleaves the groups in proportion: of n and m tied channels, each loses the same fraction.
    """
    counts = [len(list(equals)) for _, equals in groupby(keys)]
    return [(number + 0.5) / count for count in counts for number in range(count)]


def _complete_block(count: int, queue: list[ScoredChannel], architecture: Architecture) -> int:
    """Round up so that no residual block is removed only in part."""
    block = {group: number for number, groups in enumerate(architecture.blocks) for group in groups}
    while 0 < count < len(queue) and block[queue[count].group] == block[queue[count - 1].group]:
        count += 1
    return count
