"""Architectures read off pruned ones, with six groups and with published lists."""

import math
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from horticulture import architecture
from horticulture.architecture import Architecture, families, profiles
from horticulture.errors import InputError

SIX = Architecture("wide_resnet", 16, 2, (1, 8, 8), (4, 4, 4, 4), (10, 10, 20, 20, 40, 40))


def cifar(name: str) -> Architecture:
    return architecture.named(name, image=(3, 32, 32), classes=10)


def test_shares_by_hand():
    assert profiles.kept_fractions(SIX.with_widths((5, 0, 20, 1, 10, 4)), SIX) == (0.5, 0, 1, 0.05, 0.25, 0.1)


def test_a_stage_is_the_mean_over_its_groups_and_over_networks():
    first, two = SIX.with_widths((5, 0, 20, 10, 10, 4)), SIX.with_widths((10, 9, 20, 2, 10, 8))
    assert profiles.by_stage([first], SIX) == (5 / 20, 30 / 40, 14 / 80)
    assert profiles.by_stage([first, two], SIX) == ((5 + 19) / 40, (30 + 22) / 80, (14 + 18) / 160)


def test_groups_of_one_stage_weigh_as_many_channels_as_they_have():
    uneven = SIX.with_widths((10, 30, 20, 20, 40, 40))
    assert profiles.by_stage([uneven.with_widths((10, 0, 20, 20, 40, 40))], uneven)[0] == 0.25


def test_guided_gives_every_stage_its_share():
    guided = profiles.guided(SIX, (0.5, 0.25, 0.1), scale=1.0)
    assert guided.widths == (5, 5, 5, 5, 4, 4)
    assert guided.trunk == SIX.trunk
    assert profiles.guided(SIX, (0.5, 0.25, 0.1), scale=0.4).widths == (2, 2, 2, 2, 2, 2)  # 1.6 to 2
    assert profiles.guided(SIX, (0.5, 0.25, 0.001), scale=1.0).widths[-2:] == (1, 1)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
@pytest.mark.parametrize("cost", ["params", "macs"])
def test_guided_has_the_size_that_is_wanted_and_the_proportions_of_the_profile(cost, share):
    whole, profile = cifar("wrn-40-2"), (0.2, 0.3, 0.1)
    wanted = round(share * getattr(whole, cost))
    guided = profiles.guided(whole, profile, **{cost: wanted})
    assert getattr(guided, cost) == pytest.approx(wanted, rel=0.01)
    shape = [profile[group // 6] * n for group, n in enumerate(whole.widths)]
    pairs = list(zip(guided.widths, shape, strict=True))
    assert max((m - 1) / n for m, n in pairs) <= min((m + 1) / n for m, n in pairs)  # to the channel


def test_a_profile_goes_over_to_another_network_with_as_many_stages():
    profile = profiles.by_stage([SIX.with_widths((10, 10, 5, 15, 10, 10))], SIX)
    over = profiles.guided(cifar("wrn-22-1"), profile, scale=1.0)
    assert over.widths == (16, 16, 16, 16, 16, 16, 16, 16, 16)
    with pytest.raises(InputError, match="2 stages does not fit a network of 3"):
        profiles.guided(SIX, profile[:2], scale=1.0)


def test_uniform_is_one_share_everywhere():
    assert families.uniform(SIX, scale=0.5).widths == (5, 5, 10, 10, 20, 20)
    assert families.uniform(SIX, scale=0.001).widths == (1,) * 6
    assert families.uniform(SIX, params=5000) == profiles.guided(SIX, [1.0] * 3, params=5000)
    member = families.uniform(cifar("wrn-40-2"), params=1_000_000)
    assert member.params == pytest.approx(1_000_000, rel=0.01)
    # the bottleneck takes the whole part where this rounds: never further apart than a channel
    bottleneck = families.bottleneck(cifar("wrn-40-2"), params=1_000_000)
    assert max(abs(a - b) for a, b in zip(member.widths, bottleneck.widths, strict=True)) <= 1


def test_shuffling_keeps_the_widths_where_they_fit():
    whole = cifar("wrn-40-2")
    pruned = whole.with_widths((3, 0, 5, 9, 1, 14, 40, 13, 2, 22, 31, 50, 101, 60, 4, 44, 12, 7))
    actual = {profiles.shuffled(pruned, whole, seed) for seed in range(20)}
    assert len(actual) > 15
    for shape in actual:
        for stage in (slice(0, 6), slice(6, 12), slice(12, 18)):
            assert Counter(shape.widths[stage]) == Counter(pruned.widths[stage])
        assert shape.trunk == pruned.trunk
    assert profiles.shuffled(pruned, whole, 3) == profiles.shuffled(pruned, whole, 3)


def test_shuffling_deals_every_width_to_every_place_alike():
    """Two groups a stage: of the eight ways seven are others, each as likely as any."""
    pruned = SIX.with_widths((1, 2, 3, 4, 5, 6))
    actual = Counter(profiles.shuffled(pruned, SIX, seed).widths for seed in range(700))
    assert len(actual) == 7
    assert all(100 - 4 * 9.3 < count < 100 + 4 * 9.3 for count in actual.values())  # standard deviations


@given(
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
    st.sampled_from([(10, 10, 20, 20, 40, 40), (10,) * 6, (10, 20, 30, 40, 50, 60)]),
    st.integers(0, 50),
)
def test_shuffled_is_never_what_it_was(left, full, seed):
    """Wherever two groups of one full width have other widths; else there is nothing to shuffle."""
    whole = SIX.with_widths(full)
    pruned = whole.with_widths(tuple(left))
    same = [[n for n, of in zip(left, full, strict=True) if of == size] for size in set(full)]
    if any(len(set(widths)) > 1 for widths in same):
        actual = profiles.shuffled(pruned, whole, seed)
        assert actual != pruned
        for size, widths in zip(set(full), same, strict=True):
            dealt = [n for n, of in zip(actual.widths, full, strict=True) if of == size]
            assert Counter(dealt) == Counter(widths)
    else:
        with pytest.raises(InputError, match="no shuffling gives another network"):
            profiles.shuffled(pruned, whole, seed)


def test_groups_of_one_block_stay_together(monkeypatch):
    names = ("1.1.in", "1.1.out", "1.2.in", "1.2.out", "2.1.in", "2.1.out")
    monkeypatch.setattr(Architecture, "groups", property(lambda a: names))
    whole = SIX.with_widths((10, 20, 10, 20, 10, 30))
    pruned = whole.with_widths((0, 0, 7, 13, 5, 21))
    actual = {profiles.shuffled(pruned, whole, seed).widths for seed in range(20)}
    assert actual == {(7, 13, 0, 0, 5, 21)}


def test_alike_by_hand():
    a, b = SIX.with_widths((5, 0, 20, 10, 10, 4)), SIX.with_widths((10, 0, 18, 10, 10, 11))
    # 5 + 2 + 7 channels of 140 are in one and not in the other
    assert profiles.similarity([a, b], SIX) == pytest.approx(1 - 14 / 140)
    assert profiles.similarity([a, a, b], SIX) == pytest.approx(1 - (0 + 14 + 14) / 3 / 140)
    assert profiles.similarity([a, a], SIX) == 1
    assert profiles.similarity([SIX, SIX.with_widths((0,) * 6)], SIX) == 0
    with pytest.raises(InputError, match="at least two"):
        profiles.similarity([a], SIX)


def test_spread_by_hand():
    actual = profiles.width_statistics([SIX, SIX.with_widths((6, 10, 0, 20, 40, 40))], SIX)
    assert list(actual["group"]) == list(SIX.groups)
    assert list(actual["whole"]) == list(SIX.widths)
    assert list(actual["mean"]) == [8, 10, 10, 20, 40, 40]
    assert list(actual["std"]) == pytest.approx([math.sqrt(8), 0, math.sqrt(200), 0, 0, 0])


@pytest.mark.parametrize("of", [profiles.by_stage, profiles.similarity, profiles.width_statistics])
def test_other_networks_than_the_whole_are_refused(of):
    with pytest.raises(InputError, match="9 groups, not 6"):
        of([SIX, cifar("wrn-22-2")], SIX)
    with pytest.raises(InputError, match="no architecture"):
        of([], SIX)
