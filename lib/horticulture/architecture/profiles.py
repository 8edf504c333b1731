"""Profiles: the shares of its channels that pruning left a network, and architectures made from them.

A *profile* has a share for every group, or the mean share of every stage (`by_stage`). Liu et al. (2019,
section 5) use them to ask whether the shape that pruning finds is worth anything, by comparing networks
*guided* by the profile of pruned ones with *uniform* and *shuffled* ones of the same size.
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
    """Nothing can be shuffled or reselected, because the outcome would always be the same."""


def kept_fractions(pruned: Architecture, whole: Architecture) -> tuple[float, ...]:
    """The fraction left of every group. Raises InputError if the two have different groups."""
    _same_groups([pruned], whole)
    return tuple(width / max(1, full) for width, full in zip(pruned.widths, whole.widths, strict=True))


def by_stage(architectures: Sequence[Architecture], whole: Architecture) -> tuple[float, ...]:
    """The mean fraction that several pruned networks have left of every stage: the profile for `guided`.

    This divides all channels left by all channels before, so wide groups count more than narrow ones. Raises
    InputError if no network is given, or one with groups that differ from the whole's.
    """
    _same_groups(architectures, whole)
    kept = np.mean([pruned.widths for pruned in architectures], axis=0)
    of_stages = [np.flatnonzero(np.array(_stages(whole)) == stage) for stage in _distinct(_stages(whole))]
    full = np.array(whole.widths)
    return tuple(float(kept[groups].sum() / max(1, full[groups].sum())) for groups in of_stages)


def guided(whole: Architecture, profile: Sequence[float], **size: Unpack[Size]) -> Architecture:
    """`whole` with the profile's share in all groups of each stage, scaled to the requested size.

    No group vanishes. `whole` may be deeper, wider or of another type than the networks that gave the
    profile (*transferred* guided pruning). Raises InputError if the number of stages differs.
    """
    stages = _stages(whole)
    order = _distinct(stages)
    if len(profile) != len(order):
        raise InputError(f"a profile of {len(profile)} stages does not fit a network of {len(order)}")
    proportions = [profile[order.index(stage)] * n for stage, n in zip(stages, whole.widths, strict=True)]
    return search_scale(
        lambda factor: clamp_widths(whole, (max(1, round(factor * n)) for n in proportions)),
        size,
        proportions,
    )


def shuffled(pruned: Architecture, whole: Architecture, seed: int) -> Architecture:
    """Shuffle widths among blocks of the same full widths, to test whether their position matters.

    A block moves as a unit, with all its groups `stage.block.*`; no group becomes wider than in `whole`. The
    result always differs from the input. Raises InputError if the two have different groups, and
    NoAlternativeError if no shuffling gives another network.
    """
    _same_groups([pruned], whole)
    blocks: dict[str, list[int]] = {}
    for group, name in enumerate(whole.groups):
        blocks.setdefault(".".join(name.split(".")[:2]), []).append(group)
    of_a_size: dict[tuple[int, ...], list[list[int]]] = {}
    for block in blocks.values():
        of_a_size.setdefault(tuple(whole.widths[group] for group in block), []).append(block)
    exchangeable = [np.array(same) for same in of_a_size.values()]  # (blocks, groups of a block) each
    before = np.array(pruned.widths)
    if all((before[same] == before[same[0]]).all() for same in exchangeable):
        raise NoAlternativeError(
            "blocks of equal full width all have equal widths left: no shuffling gives another network"
        )
    draw, after = np.random.default_rng(seed), before.copy()
    while (after == before).all():  # drawing again keeps all other outcomes equally likely
        for same in exchangeable:
            after[same] = before[same[draw.permutation(len(same))]]
    return pruned.with_widths(tuple(after))


def similarity(architectures: Sequence[Architecture], whole: Architecture) -> float:
    """How similar the results of several pruning runs of one network are, 0 to 1 (identical).

    This is 1 minus the mean difference in share, over pairs of networks and over groups weighted by their
    full width: 0.9 means that two networks differ in the width of a group by 10 % of its channels on average.
    If little was removed everything is similar; compare with the value for random removals. Raises InputError
    for fewer than two networks, or for groups that differ from the whole's.
    """
    _same_groups(architectures, whole)
    if len(architectures) < 2:
        raise InputError("similarity needs at least two architectures")
    pairs = combinations([np.array(pruned.widths) for pruned in architectures], 2)
    difference = np.mean([np.abs(a - b).sum() for a, b in pairs])
    return float(1 - difference / max(1, sum(whole.widths)))


def width_statistics(architectures: Sequence[Architecture], whole: Architecture) -> pd.DataFrame:
    """Mean and standard deviation (NaN for one network) of the width by group.

    Returns columns group, whole, mean, std, in the order of the groups.
    """
    import pandas as pd  # takes a second

    _same_groups(architectures, whole)
    widths = pd.DataFrame([pruned.widths for pruned in architectures])
    return pd.DataFrame(
        {"group": whole.groups, "whole": whole.widths, "mean": widths.mean(), "std": widths.std()}
    )


# --- parts ------------------------------------------------------------------------------------------------


def _stages(a: Architecture) -> list[str]:
    """The stage of every group: the part of its name before the first dot."""
    return [name.split(".")[0] for name in a.groups]


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _same_groups(architectures: Sequence[Architecture], whole: Architecture) -> None:
    if not architectures:
        raise InputError("no architecture was given")
    for pruned in architectures:
        if pruned.groups != whole.groups:
            raise InputError(
                f"a {pruned.type.title} of depth {pruned.depth} was not pruned from a {whole.type.title} of "
                f"depth {whole.depth}: {len(pruned.groups)} groups, not {len(whole.groups)}"
            )
