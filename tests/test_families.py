"""Simple families: they hit the size that is wanted, and change nothing else than they say."""

from dataclasses import replace

import pytest

from horticulture import architecture, families
from horticulture.architecture import Architecture
from horticulture.errors import BadInput


def cifar(name: str) -> Architecture:
    return architecture.named(name, image=(3, 32, 32), classes=10)


# What pruning leaves: some groups hardly touched, some gone.
PRUNED = cifar("wrn-40-2").with_widths(
    (3, 0, 5, 9, 0, 14, 40, 13, 0, 22, 31, 50, 101, 60, 0, 44, 12, 7)  #
)
SIZED = ("width", "bottleneck", "copycat")  # a depth has few members, and is given its nearest


def step(family: str, a: Architecture, cost: str) -> int:
    """What one channel costs where it costs the most: no family can promise to come nearer than half."""
    wider = [a.with_widths((*a.widths[:i], n + 1, *a.widths[i + 1 :])) for i, n in enumerate(a.widths)]
    if family == "width":
        wider += [replace(a, trunk=(*a.trunk[:i], a.trunk[i] + 1, *a.trunk[i + 1 :])) for i in (1, 2, 3)]
    return max(getattr(w, cost) - getattr(a, cost) for w in wider)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5, 0.77, 1.0, 1.5])
@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("name", ["wrn-40-2", "wrn-16-1"])
@pytest.mark.parametrize("family", SIZED)
def test_a_member_has_the_size_that_is_wanted(family, name, cost, share):
    whole = cifar(name)
    wanted = round(share * getattr(whole, cost))
    member = families.FAMILIES[family](whole, **{cost: wanted})
    off = abs(getattr(member, cost) - wanted)
    assert off <= max(0.01 * wanted, step(family, member, cost) / 2)


@pytest.mark.parametrize("params", [100_000, 250_000, 500_000, 1_000_000, 2_000_000])
@pytest.mark.parametrize("family", SIZED)
def test_a_member_of_wrn_40_2_is_within_one_percent(family, params):
    member = families.FAMILIES[family](cifar("wrn-40-2"), params=params)
    assert member.params == pytest.approx(params, rel=0.01)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_whole_network_is_its_own_member(family):
    whole = cifar("wrn-22-2")
    assert families.FAMILIES[family](whole, scale=1.0) == whole
    assert families.FAMILIES[family](whole, params=whole.params) == whole
    assert families.FAMILIES[family](whole, macs=whole.macs) == whole


def test_half_the_width_of_wrn_40_2_is_wrn_40_1():
    member = families.width(cifar("wrn-40-2"), scale=0.5)
    assert member == cifar("wrn-40-1")
    assert member.params == 563_930


def test_half_the_bottleneck_of_wrn_40_2_has_the_published_parameters_and_the_same_trunk():
    whole = cifar("wrn-40-2")
    member = families.bottleneck(whole, scale=0.5)
    assert member.params == 1_129_370
    assert member.trunk == whole.trunk
    assert member.depth == whole.depth


def test_a_bottleneck_takes_the_whole_part_of_a_scaled_width():
    whole = Architecture("wide_resnet", 10, 2, (1, 8, 8), (4, 4, 4, 4), (100, 10, 3))
    # 29 (though 0.29 * 100 is 28.999999999999996 to a computer), 2.9 and 0.87 without their fractions
    assert families.bottleneck(whole, scale=0.29).widths == (29, 2, 0)


def test_a_width_keeps_the_stem_and_lets_no_group_vanish():
    member = families.width(cifar("wrn-16-1"), scale=0.001)
    assert member.trunk == (16, 1, 1, 1)
    assert set(member.widths) == {1}


@pytest.mark.parametrize("params", [60_000, 200_000, 400_000, 1_000_000])
def test_a_copycat_keeps_the_profile(params):
    member = families.copycat(PRUNED, params=params)
    assert member.params == pytest.approx(params, rel=0.01)
    assert member.trunk == PRUNED.trunk
    pairs = [(small, n) for small, n in zip(member.widths, PRUNED.widths, strict=True) if n]
    assert all(m == 0 for m, n in zip(member.widths, PRUNED.widths, strict=True) if n == 0)
    # linear: one factor gives every width, to the channel
    assert max((m - 1) / n for m, n in pairs) <= min((m + 1) / n for m, n in pairs)


def test_a_copycat_at_a_scale_by_hand():
    a = Architecture("wide_resnet", 10, 2, (1, 8, 8), (4, 4, 4, 4), (10, 0, 3))
    assert families.copycat(a, scale=1.4).widths == (14, 0, 4)  # 3 * 1.4 = 4.2


@pytest.mark.parametrize(
    ("name", "params"),
    [("wrn-34-2", 1_855_578), ("wrn-28-2", 1_467_610), ("wrn-22-2", 1_079_642), ("wrn-16-2", 691_674)],
)
def test_depths_are_the_published_networks(name, params):
    member = families.depth(cifar("wrn-40-2"), params=params + 1_000)  # the nearest, not the next below
    assert member == cifar(name)
    assert member.params == params


def test_a_depth_drops_whole_blocks_from_the_end_of_each_stage():
    whole = Architecture("wide_resnet", 22, 2, (1, 8, 8), (4, 4, 4, 4), (1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert families.depth(whole, scale=0.6).widths == (1, 2, 4, 5, 7, 8)
    assert families.depth(whole, scale=0.1).widths == (1, 4, 7)
    assert families.depth(whole, scale=0.6).trunk == whole.trunk


@pytest.mark.parametrize(
    "wishes",
    [{}, {"params": 9, "macs": 9}, {"params": 9, "scale": 0.5}, {"params": 9, "macs": 9, "scale": 0.5}],
    ids=lambda wishes: "+".join(wishes) or "none",
)
@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_family_takes_exactly_one_wish(family, wishes):
    with pytest.raises(BadInput, match="exactly one of params, macs and scale"):
        families.FAMILIES[family](cifar("wrn-16-1"), **wishes)


@pytest.mark.parametrize("scale", [0, -1.0])
@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_scale_is_positive(family, scale):
    with pytest.raises(BadInput, match="scale must be positive"):
        families.FAMILIES[family](cifar("wrn-16-1"), scale=scale)


def test_a_size_that_no_member_has_is_refused():
    with pytest.raises(BadInput, match="15,194"):  # all groups gone, and still larger than that
        families.bottleneck(cifar("wrn-40-2"), params=15_000)
    with pytest.raises(BadInput, match="as large as 20,000"):
        families.copycat(cifar("wrn-40-2").with_widths((0,) * 18), params=20_000)
