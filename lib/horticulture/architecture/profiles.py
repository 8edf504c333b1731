"""Profiles: what pruning made of each part of a network, and architectures made after one.

A *share* is the part of a group's channels that is left; a *profile* gives a share for every stage. Liu
et al. (2019, section 5) ask with these whether the shape that pruning finds is worth anything: networks
*guided* by the profile of pruned ones, against *uniform* and *shuffled* ones of the same size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Unpack

import numpy as np

from horticulture.architecture import Architecture
from horticulture.architecture.families import Size, clamp_widths, search_scale
from horticulture.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class NoAlternativeError(InputError):
    """Nothing can be shuffled or selected anew, for the outcome would always be the same."""


def kept_fractions(pruned: Architecture, whole: Architecture) -> tuple[float, ...]:
    """What is left of every group, 0 to 1. Raises InputError if the two have other groups."""
    _same_groups([pruned], whole)
    return tuple(left / max(1, full) for left, full in zip(pruned.widths, whole.widths, strict=True))


def by_stage(architectures: Sequence[Architecture], whole: Architecture) -> tuple[float, ...]:
    """What several pruned networks have left of every stage on average: the profile for `guided`.

    The channels left over the channels there were, so that a wide group counts for more than a narrow one.
    Raises InputError if there is no network, or one with other groups than the whole.
    """
    _same_groups(architectures, whole)
    left = np.mean([one.widths for one in architectures], axis=0)
    places = [np.flatnonzero(np.array(_stages(whole)) == stage) for stage in _distinct(_stages(whole))]
    full = np.array(whole.widths)
    return tuple(float(left[place].sum() / max(1, full[place].sum())) for place in places)


def guided(
    whole: Architecture,
    profile: Sequence[float],
    **size: Unpack[Size],
) -> Architecture:
    """`whole` with the same share in all groups of a stage: the profile's, scaled to the wanted size.

    No group vanishes. `whole` may be deeper, wider or of another family than the networks the profile
    was read off (*transferred* guided pruning), as long as it has as many stages; else InputError.
    """
    stages = _stages(whole)
    order = _distinct(stages)
    if len(profile) != len(order):
        raise InputError(f"a profile of {len(profile)} stages does not fit a network of {len(order)}")
    shape = [profile[order.index(stage)] * n for stage, n in zip(stages, whole.widths, strict=True)]
    return search_scale(
        lambda factor: clamp_widths(whole, (max(1, round(factor * n)) for n in shape)),
        size,
        shape,
    )


def uniform(whole: Architecture, **size: Unpack[Size]) -> Architecture:
    """`whole` with one share in all groups: what `guided` makes of a profile that says nothing."""
    return guided(whole, [1.0] * len(_distinct(_stages(whole))), **size)


def shuffled(pruned: Architecture, whole: Architecture, seed: int) -> Architecture:
    """The same widths dealt out anew among blocks of the same full widths: does the place matter?

    A block moves as one, with all its groups `stage.block.*`; no group becomes wider than it was in `whole`.
    The widths are never those that came in. Raises InputError if the two have other groups, and
    NoAlternativeError where no shuffling gives another network.
    """
    _same_groups([pruned], whole)
    blocks: dict[str, list[int]] = {}
    for group, name in enumerate(whole.groups):
        blocks.setdefault(".".join(name.split(".")[:2]), []).append(group)
    of_a_size: dict[tuple[int, ...], list[list[int]]] = {}
    for block in blocks.values():
        of_a_size.setdefault(tuple(whole.widths[group] for group in block), []).append(block)
    left = [{tuple(pruned.widths[group] for group in block) for block in same} for same in of_a_size.values()]
    if all(len(widths) == 1 for widths in left):
        raise NoAlternativeError(
            "blocks of one full width have one width left: no shuffling gives another network"
        )
    draw = np.random.default_rng(seed)
    widths = pruned.widths
    while widths == pruned.widths:  # drawing again leaves all other outcomes as likely as each other
        widths = _dealt(pruned.widths, list(of_a_size.values()), draw)
    return pruned.with_widths(widths)


def similarity(architectures: Sequence[Architecture], whole: Architecture) -> float:
    """How alike several pruning runs of one network came out, 0 to 1 (all the same).

    1 minus the mean, over pairs of networks and over groups weighted by their full width, of the
    difference in share: 0.9 means that two of them differ in the width of a group by 10 % of its channels.
    Where little was removed everything is alike; what random removals give is the number to compare with.
    Raises InputError for fewer than two networks, or for other groups than the whole's.
    """
    _same_groups(architectures, whole)
    if len(architectures) < 2:
        raise InputError("one architecture alone is like nothing: give two or more")
    pairs = combinations([np.array(one.widths) for one in architectures], 2)
    apart = np.mean([np.abs(a - b).sum() for a, b in pairs])
    return float(1 - apart / max(1, sum(whole.widths)))


def width_statistics(architectures: Sequence[Architecture], whole: Architecture) -> pd.DataFrame:
    """Mean and standard deviation (NaN for one network) of the width by group.

    Returns columns group, whole, mean, std, in the order of the groups.
    """
    import pandas as pd  # takes a second

    _same_groups(architectures, whole)
    widths = pd.DataFrame([one.widths for one in architectures])
    return pd.DataFrame(
        {"group": whole.groups, "whole": whole.widths, "mean": widths.mean(), "std": widths.std()}
    )


# --- parts ------------------------------------------------------------------------------------------------


def _dealt(
    widths: tuple[int, ...], exchangeable: list[list[list[int]]], draw: np.random.Generator
) -> tuple[int, ...]:
    """The widths of blocks, which are places of groups, dealt anew among those that are exchangeable."""
    dealt = list(widths)
    for blocks in exchangeable:
        for to, come in zip(blocks, draw.permutation(len(blocks)), strict=True):
            for group, source in zip(to, blocks[come], strict=True):
                dealt[group] = widths[source]
    return tuple(dealt)


def _stages(a: Architecture) -> list[str]:
    """The stage of every group: what stands before the first dot of its name."""
    return [name.split(".")[0] for name in a.groups]


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _same_groups(architectures: Sequence[Architecture], whole: Architecture) -> None:
    if not architectures:
        raise InputError("no architecture was given")
    for one in architectures:
        if one.groups != whole.groups:
            raise InputError(
                f"{one.family} of depth {one.depth} was not pruned from {whole.family} of depth "
                f"{whole.depth}: {len(one.groups)} groups, not {len(whole.groups)}"
            )
