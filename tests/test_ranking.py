"""What goes in a round: with few channels by hand, with any numbers against one channel after the other."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, strategies as st

from horticulture import architecture, pruning
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.pruning import PruningRecipe, ranking
from horticulture.pruning.presets import PRESETS
from horticulture.pruning.ranking import (
    ALL_ZEROS,
    ONE_CHANNEL,
    ScoredChannel,
    channels_to_remove,
    fraction_of_channels,
    fraction_of_cost,
)
from tests.conftest import SMALL, small

TWO = Architecture("wide_resnet", 10, 3, (2, 8, 8), (3, 4, 5, 6), (4, 6, 0))  # the third group is gone
FIRST, SECOND = (2.0, 1.0, 4.0, 3.0), (7.0, 2.0, 0.5, 6.0, 8.0, 5.0)


def scores(*groups) -> list[torch.Tensor]:
    return [torch.tensor(group) for group in groups]


def places(channels: list[ScoredChannel]) -> list[tuple[int, int]]:
    return [(scored.group, scored.channel) for scored in channels]


def cut(shape: Architecture, channels: list[ScoredChannel]) -> Architecture:
    widths = list(shape.widths)
    for scored in channels:
        widths[scored.group] -= 1
    return shape.with_widths(tuple(widths))


# --- by hand ---------------------------------------------------------------------------------------------


def test_a_share_of_all_channels_goes_the_lowest_first():
    actual = channels_to_remove(scores(FIRST, SECOND, ()), TWO, TWO, fraction_of_channels(0.4))
    assert actual == [
        ScoredChannel(1, 2, 0.5),
        ScoredChannel(0, 1, 1.0),
        ScoredChannel(0, 0, 2.0),
        ScoredChannel(1, 1, 2.0),
    ]


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.14, 1), (0.16, 2), (0.3, 3), (0.96, 10)])
def test_it_is_exactly_the_share_rounded(share, count):
    assert len(channels_to_remove(scores(FIRST, SECOND, ()), TWO, TWO, fraction_of_channels(share))) == count


def test_equals_go_from_all_groups_in_proportion():
    """Four and six equals stand at 1/8, 3/8, 5/8, 7/8 and at 1/12, 3/12 and so on to 11/12."""
    order = [(1, 0), (0, 0), (1, 1), (0, 1), (1, 2), (1, 3), (0, 2), (1, 4), (0, 3), (1, 5)]
    for count in range(11):
        actual = channels_to_remove(
            scores([1.0] * 4, [1.0] * 6, ()), TWO, TWO, fraction_of_channels(count / 10)
        )
        assert places(actual) == order[:count]


def test_equals_are_counted_by_saliency():
    """Two and one of 0, then two and five of 1, which stand at 1/4, 3/4 and at 1/10, 3/10 and so on."""
    low = scores([1.0, 0.0, 1.0, 0.0], [0.0] + [1.0] * 5, ())
    order = [(0, 1), (1, 0), (0, 3), (1, 1), (0, 0), (1, 2), (1, 3), (1, 4), (0, 2), (1, 5)]
    for count in range(11):
        assert places(channels_to_remove(low, TWO, TWO, fraction_of_channels(count / 10))) == order[:count]


def test_the_lowest_is_what_goes_first():
    low = scores([1.0] * 4, [1.0] * 6, ())
    assert (
        ranking.lowest_channel(low)
        == channels_to_remove(low, TWO, TWO, ONE_CHANNEL)[0]
        == ScoredChannel(1, 0, 1.0)
    )


def test_one_channel_a_round_by_layer_lets_the_groups_take_turns():
    """The same share of each: of 6 channels three go while two of 4 do, whatever they score."""
    plan = PruningRecipe(rounds=10, criterion="l1")
    shape, order = TWO, []
    for round_ in range(1, 11):
        low = [torch.arange(width) + 100.0 * group for group, width in enumerate(shape.widths)]
        (scored,) = plan.select(low, shape, TWO, round_)
        assert scored.channel == 0
        order.append(scored.group)
        shape = cut(shape, [scored])
        for width, full in zip(shape.widths[:2], TWO.widths, strict=False):
            assert abs((full - width) - round_ / 10 * full) < 1
    assert order == [1, 0, 1, 0, 1, 1, 0, 1, 0, 1]


def test_what_is_gone_already_counts():
    remaining = TWO.with_widths((2, 5, 0))  # three channels of ten are gone
    actual = channels_to_remove(
        scores([2.0, 3.0], [1.0, 9.0, 9.0, 0.5, 9.0], ()), remaining, TWO, fraction_of_channels(0.5)
    )
    assert places(actual) == [(1, 3), (1, 0)]
    assert (
        channels_to_remove(scores([2.0, 3.0], [1.0] * 5, ()), remaining, TWO, fraction_of_channels(0.3)) == []
    )
    assert (
        channels_to_remove(scores([2.0, 3.0], [1.0] * 5, ()), remaining, TWO, fraction_of_channels(0.1)) == []
    )


def test_one_channel_a_round_whatever_the_share():
    assert places(channels_to_remove(scores(FIRST, SECOND, ()), TWO, TWO, ONE_CHANNEL)) == [(1, 2)]
    with pytest.raises(InputError, match="only 0 more channels can be"):
        channels_to_remove(scores((), (), ()), TWO.with_widths((0, 0, 0)), TWO, ONE_CHANNEL)


def test_in_place_of_what_the_floor_holds_others_go():
    low = scores((0.0, 0.1, 0.2, 0.3), (5.0, 6.0, 7.0, 8.0, 9.0, 4.0), ())
    assert places(channels_to_remove(low, TWO, TWO, fraction_of_channels(0.4))) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
    ]
    held = channels_to_remove(
        low, TWO, TWO, fraction_of_channels(0.4), floor=0.3
    )  # 1.2 and 1.8 channels: two of each group stay
    assert places(held) == [(0, 0), (0, 1), (1, 5), (1, 0)]
    assert len(channels_to_remove(low, TWO, TWO, fraction_of_channels(0.6), floor=0.3)) == 6
    with pytest.raises(
        InputError, match=r"cannot remove 70% of the channels: only 6 more channels.*floor 0.3"
    ):
        channels_to_remove(low, TWO, TWO, fraction_of_channels(0.7), floor=0.3)


def test_the_floor_is_of_the_full_width():
    remaining = TWO.with_widths((2, 6, 0))
    actual = channels_to_remove(
        scores((0.0, 0.0), SECOND, ()), remaining, TWO, fraction_of_channels(0.4), floor=0.5
    )
    assert places(actual) == [(1, 2), (1, 1)]  # of the first group half is gone


def test_a_network_keeps_what_it_needs():
    vgg = small("vgg").with_widths((2, 1, 2, 1, 1))
    low = scores((3.0, 4.0), (0.0,), (1.0, 2.0), (0.0,), (0.0,))
    assert ranking.minimal_architecture(vgg).widths == (1,) * 5
    assert places(channels_to_remove(low, vgg, vgg, fraction_of_channels(2 / 7))) == [(2, 0), (0, 0)]
    with pytest.raises(InputError, match="only 2 more channels can"):
        channels_to_remove(low, vgg, vgg, fraction_of_channels(3 / 7))
    assert ranking.minimal_architecture(TWO).widths == (0, 0, 0)
    assert ranking.minimal_architecture(TWO, 0.3).widths == (2, 2, 0)
    assert ranking.minimal_architecture(TWO, 0.5).widths == (2, 3, 0)
    assert ranking.minimal_architecture(TWO.with_widths((100, 7, 0)), 0.55).widths == (55, 4, 0)
    preresnet = small("preresnet")
    assert (
        ranking.minimal_architecture(preresnet, whole_blocks=True).widths == (0,) * 9 + preresnet.widths[-1:]
    )


def test_all_that_scores_nothing_goes():
    target = ALL_ZEROS
    actual = channels_to_remove(
        scores((0.0, 1e-30, 0.0, 1.0), (2.0, 0.0, 1.0, 1.0, -0.0, 1.0), ()), TWO, TWO, target
    )
    assert sorted(places(actual)) == [(0, 0), (0, 2), (1, 1), (1, 4)]
    assert channels_to_remove(scores(FIRST, SECOND, ()), TWO, TWO, target) == []
    assert places(channels_to_remove(scores([0.0] * 4, SECOND, ()), TWO, TWO, target, floor=0.5)) == [
        (0, 0),
        (0, 1),
    ]


# --- a share of the cost ---------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["params", "macs"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("network_type", SMALL)
def test_the_fewest_channels_that_bring_the_cost_down(network_type, measure, share, scope):
    whole = small(network_type)
    draw = torch.Generator().manual_seed(1)
    low = [torch.rand(width, generator=draw) for width in whole.widths]
    actual = channels_to_remove(low, whole, whole, fraction_of_cost(share, measure), scope=scope)
    costs = [getattr(cut(whole, actual[:count]), measure) for count in range(len(actual) + 1)]
    wanted = (1 - share) * getattr(whole, measure)
    assert [cost <= wanted for cost in costs] == [False] * len(actual) + [True]
    if scope == "global":  # what goes first for a share of the channels
        longer = channels_to_remove(low, whole, whole, fraction_of_channels(0.85))
        assert longer[: len(actual)] == actual


@pytest.mark.parametrize("measure", ["params", "macs"])
def test_a_cost_that_cannot_be_reached_is_refused(measure):
    least = getattr(TWO.with_widths((0, 0, 0)), measure) / getattr(TWO, measure)
    assert (
        len(
            channels_to_remove(
                scores(FIRST, SECOND, ()), TWO, TWO, fraction_of_cost(1 - least - 1e-09, measure)
            )
        )
        == 10
    )
    with pytest.raises(InputError, match=f"cannot remove .* of the {measure}"):
        channels_to_remove(scores(FIRST, SECOND, ()), TWO, TWO, fraction_of_cost(1 - least + 0.01, measure))


# --- the same share of every group, and the shares that were published -----------------------------------


def test_every_group_loses_its_share():
    """Half of 4 is 2, of 6 is 3; a quarter is 1 and 1.5, which is 2."""
    low = scores(FIRST, SECOND, ())
    for share, first, second in (
        (0.5, {0, 1}, {1, 2, 5}),
        (0.25, {1}, {1, 2}),
        (0.1, set(), {2}),
        (0.05, set(), set()),
    ):
        actual = places(channels_to_remove(low, TWO, TWO, fraction_of_channels(share), scope="layer"))
        assert {channel for group, channel in actual if group == 0} == first
        assert {channel for group, channel in actual if group == 1} == second


def test_nothing_goes_in_place_of_what_stays_by_force():
    """A group of one channel would lose it, half rounded up, but must keep it: no other loses more."""
    vgg = small("vgg").with_widths((1, 4, 4, 4, 4))
    low = [torch.arange(width).float() for width in vgg.widths]
    actual = channels_to_remove(low, vgg, vgg, fraction_of_channels(0.5), scope="layer")
    assert cut(vgg, actual).widths == (1, 2, 2, 2, 2)
    resnet = architecture.named("resnet-56", image=(3, 32, 32), classes=10)
    low = [torch.arange(width).float() for width in resnet.widths]
    actual = channels_to_remove(
        low, resnet, resnet, fraction_of_channels(0.5), scope="resnet-56-b", floor=0.9
    )
    kept = [math.ceil(0.9 * width) for width in resnet.widths]
    goal = [
        width - min(math.floor((width - int((1 - share) * width)) / 2 + 0.5), width - least)
        for width, share, least in zip(resnet.widths, PRESETS["resnet-56-b"], kept, strict=True)
    ]
    assert cut(resnet, actual).widths == tuple(goal)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("rounds", [1, 2, 3, 7])
def test_several_rounds_add_up_to_one(scope, rounds):
    whole = small("preresnet")
    draw = torch.Generator().manual_seed(2)
    low = [torch.rand(width, generator=draw) for width in whole.widths]
    plan = PruningRecipe(rounds=rounds, ratio=0.6, scope=scope, criterion="l1")
    shape, numbers, gone = whole, [list(range(width)) for width in whole.widths], set()
    for round_ in range(1, rounds + 1):
        remaining = [score[number] for score, number in zip(low, numbers, strict=True)]
        actual = plan.select(remaining, shape, whole, round_)
        shape = cut(shape, actual)
        went = [(scored.group, numbers[scored.group][scored.channel]) for scored in actual]
        for group, channel in went:
            numbers[group].remove(channel)
        gone |= set(went)
        if scope == "global":
            assert len(gone) == round(0.6 * round_ / rounds * sum(whole.widths))
    assert gone == set(places(channels_to_remove(low, whole, whole, fraction_of_channels(0.6), scope=scope)))
    if scope == "layer":
        due = [
            min(math.floor(0.6 * n + 0.5), n - k) for n, k in zip(whole.widths, whole.min_widths, strict=True)
        ]
        assert [len([place for place in gone if place[0] == group]) for group in range(len(due))] == due


PUBLISHED = {
    "vgg-16-a": ("vgg-16", (32, 64, 128, 128, 256, 256, 256, *[256] * 6)),
    # int(0.9 * 16) = 14, int(0.9 * 32) = 28, int(0.9 * 64) = 57; layers 16, 20, 38 and 54 stay
    "resnet-56-a": (
        "resnet-56",
        (*[14] * 7, 16, 14, 32, *[28] * 8, 64, *[57] * 7, 64),
    ),
    # int(0.4 * 16) = 6, int(0.7 * 32) = 22, int(0.9 * 64) = 57; 16, 18, 20, 34, 38 and 54 stay
    "resnet-56-b": (
        "resnet-56",
        (*[6] * 7, 16, 16, 32, *[22] * 6, 32, 22, 64, *[57] * 7, 64),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("rounds", [1, 3])
def test_the_published_networks_come_out(name, rounds):
    network, widths = PUBLISHED[name]
    whole = architecture.named(network, image=(3, 32, 32), classes=10)
    plan = PruningRecipe(rounds=rounds, criterion="l1", scope=name)
    pruning.check_feasible(plan, whole)
    shape = whole
    for round_ in range(1, rounds + 1):
        low = [torch.arange(width).flip(0).float() for width in shape.widths]
        actual = plan.select(low, shape, whole, round_)
        for group, width in enumerate(shape.widths):  # the lowest of a group stand last
            last = sorted(channel for at, channel in places(actual) if at == group)
            assert last == list(range(width - len(last), width))
        shape = cut(shape, actual)
    assert shape.widths == widths


# --- whole blocks ----------------------------------------------------------------------------------------


def of_blocks(whole: Architecture, factors: list[float]) -> list[torch.Tensor]:
    """What factors of blocks say of channels; of those in no block, that they never go."""
    actual = [torch.full((width,), math.inf) for width in whole.widths]
    for factor, groups in zip(factors, whole.blocks, strict=True):
        for group in groups:
            actual[group].fill_(factor)
    return actual


def test_a_block_goes_as_a_whole_or_not_at_all():
    whole = small("preresnet")  # three blocks of three groups, and the last selection
    low = of_blocks(whole, [0.5, 0.0, 0.25])
    sizes = [sum(whole.widths[group] for group in block) for block in whole.blocks]
    for count, gone in ((1, [1]), (sizes[1], [1]), (sizes[1] + 1, [1, 2]), (sizes[1] + sizes[2], [1, 2])):
        actual = channels_to_remove(
            low, whole, whole, fraction_of_channels(count / sum(whole.widths)), whole_blocks=True
        )
        widths = list(whole.widths)
        for block in gone:
            for group in whole.blocks[block]:
                widths[group] = 0
        assert cut(whole, actual).widths == tuple(widths)
    assert channels_to_remove(low, whole, whole, fraction_of_channels(0.0), whole_blocks=True) == []
    zeros = channels_to_remove(low, whole, whole, ALL_ZEROS, whole_blocks=True)
    assert {scored.group for scored in zeros} == set(whole.blocks[1])
    first = channels_to_remove(low, whole, whole, ONE_CHANNEL, whole_blocks=True)
    assert first == zeros


def test_of_equal_blocks_the_first_goes_alone():
    whole = small("preresnet")
    actual = channels_to_remove(
        of_blocks(whole, [0.0, 0.0, 0.0]), whole, whole, fraction_of_channels(0.01), whole_blocks=True
    )
    assert {scored.group for scored in actual} == set(whole.blocks[0])
    assert len(actual) == sum(whole.widths[group] for group in whole.blocks[0])


def test_what_is_infinite_never_goes_with_blocks_and_is_refused_otherwise():
    whole = small("preresnet")
    low = of_blocks(whole, [1.0, 2.0, 3.0])
    everything = sum(whole.widths) - whole.widths[-1]
    actual = channels_to_remove(
        low, whole, whole, fraction_of_channels(everything / sum(whole.widths)), whole_blocks=True
    )
    assert cut(whole, actual).widths == (0,) * 9 + whole.widths[-1:]
    with pytest.raises(InputError, match=f"only {everything} more channels can"):
        channels_to_remove(
            low, whole, whole, fraction_of_channels((everything + 1) / sum(whole.widths)), whole_blocks=True
        )
    with pytest.raises(FloatingPointError, match="not finite"):
        channels_to_remove(low, whole, whole, fraction_of_channels(0.1))


@pytest.mark.parametrize("whole_blocks", [False, True])
def test_what_is_not_a_number_is_refused(whole_blocks):
    low = scores((1.0, math.nan, 1.0, 1.0), SECOND, ())
    with pytest.raises(FloatingPointError, match="not finite"):
        channels_to_remove(low, TWO, TWO, fraction_of_channels(0.1), whole_blocks=whole_blocks)


# --- refused before anything ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "plan", "said"),
    [
        ("wrn-10-1", {"rounds": 113}, "rounds=113.*112 channels"),
        ("wrn-10-1", {"rounds": 60, "floor": 0.5}, "rounds=60.*56 channels"),
        ("wrn-10-1", {"ratio": 0.6, "floor": 0.5}, "ratio=0.6 is 67 channels, but only 56 can be removed"),
        ("vgg-8-8", {"ratio": 0.99}, "ratio=0.99 is 182 channels, but only 179 can be removed"),
        ("vgg-8-8", {"ratio": 0.99999, "measure": "params"}, "ratio=0.99999 of the params, but at most 0.99"),
        ("wrn-10-1", {"ratio": 0.98, "measure": "macs"}, "ratio=0.98 of the macs"),
        ("wrn-10-1", {"ratio": 0.98, "measure": "params", "scope": "layer"}, "ratio=0.98 of the params"),
        ("wrn-10-1", {"ratio": 0.5, "measure": "macs", "floor": 0.8}, "ratio=0.5 of the macs, but at most"),
        ("wrn-10-1", {"scope": "resnet-56-a"}, "27 groups.*has 3"),
        ("wrn-10-1", {"criterion": "magnitude", "ratio": 0.5, "scope": "resnet-56-a"}, "scope of single"),
        ("vgg-8-8", {"criterion": "blocks", "ratio": 0.5}, "a VGG has no blocks"),
        (
            "preresnet-11-4",
            {"criterion": "blocks", "ratio": 0.95},
            "ratio=0.95 is .* channels, but only .* can be removed",
        ),
    ],
)
def test_an_aim_that_cannot_be_met_is_refused_before_anything(network, plan, said):
    whole = architecture.named(network, image=(1, 16, 16), classes=10)
    with pytest.raises(InputError, match=said):
        pruning.check_feasible(PruningRecipe(**{"rounds": 1, **plan}), whole)


@pytest.mark.parametrize(
    ("network", "plan"),
    [
        ("wrn-10-1", {"rounds": 112}),
        ("wrn-10-1", {"ratio": 0.5, "floor": 0.5}),
        ("wrn-10-1", {"ratio": 0.9, "floor": 0.5, "scope": "layer"}),  # each loses what it can
        ("vgg-8-8", {"measure": "zeros"}),
        ("preresnet-11-4", {"criterion": "blocks", "measure": "zeros"}),
        ("preresnet-11-4", {"criterion": "blocks"}),
    ],
)
def test_an_aim_that_can_be_met_is_not_refused(network, plan):
    pruning.check_feasible(
        PruningRecipe(**{"rounds": 1, **plan}), architecture.named(network, image=(1, 16, 16), classes=10)
    )


NAMES = ("wrn-40-2", "vgg-16", "vgg-19", "resnet-56", "resnet-110", "preresnet-110", "preresnet-164")
NAMES += ("densenet-40-12", "densenet-bc-100-12")


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_the_papers_can_lose_half(name):
    whole = architecture.named(name, image=(3, 32, 32), classes=10)
    for scope in ranking.SCOPES:
        for measure in ranking.MEASURES:
            pruning.check_feasible(PruningRecipe(rounds=1, ratio=0.5, measure=measure, scope=scope), whole)
    if whole.blocks:
        pruning.check_feasible(PruningRecipe(rounds=1, criterion="blocks", ratio=0.5), whole)


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("vgg-19", 0.7),
        ("preresnet-164", 0.4),
        ("preresnet-164", 0.6),
        ("densenet-40-12", 0.4),
        ("densenet-40-12", 0.6),
    ],
)
@pytest.mark.parametrize("floor", [0.0, 0.1, 0.25])
def test_the_published_ratios_can_be_reached(name, ratio, floor):
    """Network slimming (Liu et al., 2017), with random scales in place of trained ones."""
    whole = architecture.named(name, image=(3, 32, 32), classes=10)
    plan = PruningRecipe(rounds=1, criterion="slimming", ratio=ratio, floor=floor)
    pruning.check_feasible(plan, whole)
    draw = torch.Generator().manual_seed(0)
    low = [torch.rand(1, generator=draw) * torch.rand(n, generator=draw) for n in whole.widths]
    pruned = cut(whole, plan.select(low, whole, whole, 1))
    assert sum(pruned.widths) == sum(whole.widths) - round(ratio * sum(whole.widths))
    for width, full, least in zip(pruned.widths, whole.widths, whole.min_widths, strict=True):
        assert width >= max(least, floor * full)


# --- any numbers -----------------------------------------------------------------------------------------


@st.composite
def rounds(draw) -> tuple[Architecture, Architecture, list[torch.Tensor]]:
    """A network, what is left of it, and scores among which there are equals."""
    whole = small(draw(st.sampled_from(sorted(SMALL))))
    remaining = [draw(st.integers(least, n)) for least, n in zip(whole.min_widths, whole.widths, strict=True)]
    seed = draw(st.integers(0, 1000))
    generator = torch.Generator().manual_seed(seed)
    low = [torch.randint(10, (width,), generator=generator).float() for width in remaining]
    return whole.with_widths(tuple(remaining)), whole, low


@given(rounds(), st.integers(0, 99), st.integers(0, 9))
def test_one_after_the_other_the_lowest_that_may_go(found, percent, tenths):
    shape, whole, low = found
    share, floor = percent / 100, tenths / 10
    kept = [
        max(least, math.ceil(Fraction(tenths, 10) * n))
        for least, n in zip(whole.min_widths, whole.widths, strict=True)
    ]
    gone = sum(whole.widths) - sum(shape.widths)
    count = max(0, round(share * sum(whole.widths)) - gone)
    widths, expected = list(shape.widths), []
    everything = []
    for group, row in enumerate(low):
        can = sorted((value, place) for place, value in enumerate(row.tolist()))
        can = can[: max(0, len(can) - kept[group])]
        for value, place in can:
            equal = [at for other, at in can if other == value]
            stands = Fraction(2 * equal.index(place) + 1, 2 * len(equal))
            everything.append((value, stands, group, place))
    for value, _, group, place in sorted(everything):
        if len(expected) < count and widths[group] > kept[group]:
            widths[group] -= 1
            expected.append((group, place, value))
    if len(expected) < count:
        with pytest.raises(InputError, match=f"only {len(expected)} more channels can"):
            channels_to_remove(low, shape, whole, fraction_of_channels(share), floor=floor)
    else:
        assert channels_to_remove(low, shape, whole, fraction_of_channels(share), floor=floor) == expected


@given(rounds(), st.integers(0, 99), st.integers(0, 9))
def test_by_layer_no_group_loses_more_than_its_share(found, percent, tenths):
    _, whole, _ = found
    share = Fraction(percent, 100)
    low = [torch.arange(width).float() for width in whole.widths]
    found = channels_to_remove(
        low, whole, whole, fraction_of_channels(float(share)), scope="layer", floor=tenths / 10
    )
    remaining = cut(whole, found).widths
    for width, full, least in zip(remaining, whole.widths, whole.min_widths, strict=True):
        due = math.floor(share * full + Fraction(1, 2))
        assert width == max(least, math.ceil(Fraction(tenths, 10) * full), full - due)
