"""Simple families: they hit the size that is wanted, and change nothing else than they say."""

from contextlib import suppress
from dataclasses import replace

import pytest

from horticulture import architecture
from horticulture.architecture import Architecture, families, profiles
from horticulture.errors import InputError


def cifar(name: str) -> Architecture:
    return architecture.named(name, image=(3, 32, 32), classes=10)


# What pruning leaves: some groups hardly touched, some gone.
PRUNED = cifar("wrn-40-2").with_widths(
    (3, 0, 5, 9, 0, 14, 40, 13, 0, 22, 31, 50, 101, 60, 0, 44, 12, 7)  #
)
FAMILIES = {
    "width": families.width,
    "depth": families.depth,
    "bottleneck": families.bottleneck,
    "copycat": families.copycat,
}
SIZED = ("width", "bottleneck", "copycat")  # a depth has few members, and is given its nearest


@pytest.mark.parametrize("share", [0.1, 0.12, 0.15, 0.2, 0.33, 0.5, 0.75])
@pytest.mark.parametrize("family", ["bottleneck", "copycat", "uniform", "guided"])
@pytest.mark.parametrize("cost", ["params", "macs"])
def test_small_groups_come_within_one_percent_too(family, share, cost):
    """Two groups a stage: a channel of the last is 5 % of 21,000 parameters, one of the first is 1.4 %."""
    whole = architecture.named("wrn-16-1", image=(1, 16, 16), classes=10)
    makes = {
        **FAMILIES,
        "uniform": families.uniform,
        "guided": lambda whole, **wish: profiles.guided(whole, (0.3, 0.5, 0.4), **wish),
    }
    wanted = round(share * getattr(whole, cost))
    member = makes[family](whole, **{cost: wanted})
    assert getattr(member, cost) == pytest.approx(wanted, rel=0.01)
    assert member.trunk == whole.trunk
    profile = (0.3, 0.3, 0.5, 0.5, 0.4, 0.4) if family == "guided" else (1,) * 6
    pairs = [(m, of * n) for m, of, n in zip(member.widths, profile, whole.widths, strict=True)]
    # one factor gives every width, to the channel; at least one where the family keeps one
    assert max((m - 1) / n for m, n in pairs if m > 1) <= min((m + 1) / n for m, n in pairs) + 1e-9


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
    member = FAMILIES[family](whole, **{cost: wanted})
    off = abs(getattr(member, cost) - wanted)
    assert off <= max(0.01 * wanted, step(family, member, cost) / 2)


@pytest.mark.parametrize("params", [100_000, 250_000, 500_000, 1_000_000, 2_000_000])
@pytest.mark.parametrize("family", SIZED)
def test_a_member_of_wrn_40_2_is_within_one_percent(family, params):
    member = FAMILIES[family](cifar("wrn-40-2"), params=params)
    assert member.params == pytest.approx(params, rel=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_network_is_its_own_member(family):
    whole = cifar("wrn-22-2")
    assert FAMILIES[family](whole, scale=1.0) == whole
    assert FAMILIES[family](whole, params=whole.params) == whole
    assert FAMILIES[family](whole, macs=whole.macs) == whole


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


# --- every family of networks ------------------------------------------------------------------------------

OTHERS = ("vgg-16-16", "resnet-32-8", "preresnet-29-4", "densenet-22-6", "densenet-bc-40-6", "vit-6-64")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", OTHERS)
def test_a_whole_network_of_any_family_is_its_own_member(name, family):
    whole = cifar(name)
    assert FAMILIES[family](whole, scale=1.0) == whole
    assert FAMILIES[family](whole, params=whole.params) == whole
    assert FAMILIES[family](whole, macs=whole.macs) == whole


@pytest.mark.parametrize(
    ("whole", "half"),
    [
        ("vgg-16-16", "vgg-16-8"),
        ("resnet-32-8", "resnet-32-4"),
        ("densenet-22-6", "densenet-22-3"),
        ("densenet-bc-40-6", "densenet-bc-40-3"),
        ("vit-6-64", "vit-6-32"),
    ],
)
def test_half_the_width_is_the_network_of_that_name(whole, half):
    assert families.width(cifar(whole), scale=0.5) == cifar(half)


def test_half_the_width_of_a_preresnet_keeps_the_stem_and_selects_everything():
    member = families.width(cifar("preresnet-11-4"), scale=0.5)
    assert member.trunk == (4, 8, 16, 32)
    assert member.widths == (4, 2, 2, 8, 4, 4, 16, 8, 8, 32)


def test_a_narrower_selection_keeps_its_share():
    whole = cifar("preresnet-11-4")
    pruned = whole.with_widths((2, 4, 4, 8, 0, 8, 16, 16, 16, 16))
    assert families.width(pruned, scale=0.5).widths == (2, 2, 2, 4, 0, 4, 8, 8, 8, 8)
    whole = cifar("densenet-13-4")
    pruned = whole.with_widths(tuple(n // 2 for n in whole.widths))
    member = families.width(pruned, scale=0.5)
    assert member.trunk == (4, 2)
    assert member.widths == (2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11)  # of 4, 6, 8, 10 and so on


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("family", SIZED)
@pytest.mark.parametrize("name", OTHERS)
def test_a_member_of_any_family_comes_near_the_size_that_is_wanted(name, family, share):
    whole = cifar(name)
    wanted = round(share * whole.params)
    least = FAMILIES[family](whole, scale=1e-9).params
    if least > wanted:
        with pytest.raises(InputError, match=f"as small as {wanted:,}: the smallest has {least:,}"):
            FAMILIES[family](whole, params=wanted)
    else:
        few = {"densenet": 0.1, "vit": 0.02}  # growth rates, and widths of a token
        near = few.get(name.split("-")[0], 0.01) if family == "width" else 0.01
        assert FAMILIES[family](whole, params=wanted).params == pytest.approx(wanted, rel=near)


def all_between(below, above, cost, wanted):
    """Every member between two, however many there are."""
    for trunk in range(len(below.trunk) + 1):
        yield replace(below, trunk=above.trunk[:trunk] + below.trunk[trunk:])
    for row in range(len(below.widths) + 1):
        yield replace(below, trunk=above.trunk, widths=above.widths[:row] + below.widths[row:])


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize(
    "name",
    [
        *("vgg-13-4", "resnet-32-4", "preresnet-11-2", "densenet-13-4", "densenet-bc-22-4", "vit-3-16"),
        *("wrn-16-1", "preresnet-20-2"),
    ],
)
def test_bisection_finds_the_member_that_trying_all_of_them_finds(monkeypatch, name, cost):
    whole = cifar(name)
    shares = [share / 37 for share in range(3, 37, 5)]

    def members():
        for family in SIZED:
            for share in shares:
                with suppress(InputError):
                    yield FAMILIES[family](whole, **{cost: round(share * getattr(whole, cost))})

    found = list(members())
    assert len(found) > len(shares)
    tried = []
    monkeypatch.setattr(families, "_between", lambda *given: tried.append(given) or all_between(*given))
    assert list(members()) == found
    assert tried


@pytest.mark.parametrize("name", ["preresnet-1001", "wrn-1000-1", "resnet-998"])
def test_a_member_of_a_very_deep_network_is_found_by_few_comparisons(monkeypatch, name):
    whole, counted = cifar(name), []
    params = Architecture.params.func

    def counting(self):
        counted.append(self)
        return params(self)

    wanted = round(0.3 * whole.params)
    monkeypatch.setattr(Architecture, "params", property(counting))
    member = families.bottleneck(whole, params=wanted)
    assert member.params == pytest.approx(wanted, rel=0.01)
    assert len(counted) < 200  # not one for each of its groups


@pytest.mark.parametrize(
    ("whole", "depths"),
    [
        ("vgg-19-16", (8, 11, 13, 16, 19)),
        ("vgg-13-16", (8, 11, 13)),
        ("resnet-20-8", (8, 14, 20)),
        ("preresnet-29-4", (11, 20, 29)),
        ("densenet-13-6", (7, 10, 13)),
        ("densenet-bc-22-6", (10, 16, 22)),
        ("vit-3-16", (1, 2, 3)),
    ],
)
def test_every_smaller_depth_is_the_network_of_that_name(whole, depths):
    kind, _, width = whole.rsplit("-", 2)
    for place, depth in enumerate(depths, 1):
        smaller = cifar(f"{kind}-{depth}-{width}")
        assert families.depth(cifar(whole), params=smaller.params) == smaller
        assert families.depth(cifar(whole), macs=smaller.macs) == smaller
        assert families.depth(cifar(whole), scale=place / len(depths)) == smaller


def test_a_depth_that_there_is_not_is_refused():
    for least in ("vgg-8-8", "wrn-10-1", "densenet-7-4"):
        for wish in ({"params": 100}, {"scale": 0.5}):
            with pytest.raises(InputError, match="shallower than"):
                families.depth(cifar(least), **wish)
    with pytest.raises(InputError, match="at most 1, not 2"):
        families.depth(cifar("vgg-11-8"), scale=2.0)


@pytest.mark.parametrize("name", OTHERS)
def test_no_member_has_more_or_less_in_a_group_than_it_can(name):
    whole = cifar(name)
    assert families.bottleneck(whole, scale=1e-9).widths == whole.min_widths
    assert families.copycat(whole, scale=1e-9).widths == whole.min_widths
    for n, wider, most in zip(
        whole.widths, families.copycat(whole, scale=3.0).widths, whole.max_widths, strict=True
    ):
        assert wider == (3 * n if most is None else most)


@pytest.mark.parametrize(
    "wishes",
    [{}, {"params": 9, "macs": 9}, {"params": 9, "scale": 0.5}, {"params": 9, "macs": 9, "scale": 0.5}],
    ids=lambda wishes: "+".join(wishes) or "none",
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_takes_exactly_one_wish(family, wishes):
    with pytest.raises(InputError, match="exactly one of params, macs and scale"):
        FAMILIES[family](cifar("wrn-16-1"), **wishes)


@pytest.mark.parametrize("scale", [0, -1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_scale_is_positive(family, scale):
    with pytest.raises(InputError, match="scale must be positive"):
        FAMILIES[family](cifar("wrn-16-1"), scale=scale)


def test_a_size_that_no_member_has_is_refused():
    with pytest.raises(InputError, match="15,194"):  # all groups gone, and still larger than that
        families.bottleneck(cifar("wrn-40-2"), params=15_000)
    with pytest.raises(InputError, match="as large as 20,000"):
        families.copycat(cifar("wrn-40-2").with_widths((0,) * 18), params=20_000)
