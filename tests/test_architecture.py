"""The arithmetic of architectures: published numbers, numbers worked by hand, and torch's own count."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from horticulture import architecture, networks
from horticulture.architecture import Architecture
from horticulture.errors import BadInput


def cifar(name: str) -> Architecture:
    return architecture.named(name, image=(3, 32, 32), classes=10)


@st.composite
def wide_resnets(draw) -> Architecture:
    depth = draw(st.sampled_from([10, 16]))
    size = st.integers(1, 11)
    return Architecture(
        "wide_resnet",
        depth,
        draw(st.integers(2, 5)),
        (draw(st.integers(1, 4)), draw(size), draw(size)),
        draw(st.tuples(*[st.integers(1, 7)] * 4)),
        draw(st.tuples(*[st.integers(0, 6)] * (3 * (depth - 4) // 6))),
    )


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("wrn-40-2", 2_243_546),
        ("wrn-40-1", 563_930),
        ("wrn-16-1", 175_066),
        ("wrn-16-2", 691_674),
        ("wrn-16-8", 10_961_370),
        ("wrn-28-10", 36_479_194),
    ],
)
def test_wide_resnets_have_their_published_parameters(name, params):
    assert cifar(name).params == params


def test_wrn_40_2_has_1344_prunable_channels_in_18_groups():
    a = cifar("wrn-40-2")
    assert a.widths == (32,) * 6 + (64,) * 6 + (128,) * 6
    assert sum(a.widths) == 1344  # 6 * (32 + 64 + 128)
    assert a.groups[0] == "1.1"
    assert a.groups[7] == "2.2"
    assert a.groups[-1] == "3.6"
    assert len(a.groups) == 18


def test_without_any_group_the_trunk_remains():
    assert cifar("wrn-40-2").with_widths((0,) * 18).params == 15_194


@pytest.mark.parametrize(
    ("group", "cost"),
    [
        (0, 434),  # 9 * 16 weights in, 9 * 32 out, gamma and beta
        (1, 578),  # 9 * 32 + 9 * 32 + 2
        (6, 866),  # 9 * 32 + 9 * 64 + 2
        (7, 1_154),
        (12, 1_730),
        (13, 2_306),
        (17, 2_306),
    ],
)
def test_one_channel_costs_what_its_stage_says(group, cost):
    a = cifar("wrn-40-2")
    smaller = a.without_channel(group)
    assert a.params - smaller.params == cost
    assert [i for i in range(18) if smaller.widths[i] != a.widths[i]] == [group]


def test_a_network_of_single_channels_by_hand():
    a = Architecture("wide_resnet", 10, 2, (1, 4, 4), (1, 1, 1, 1), (1, 1, 1))
    # 9 stem, 2 + 9 + 2 + 9 in the first block, with a shortcut of 1 in both others, 2 norm, 2 + 2 classifier
    assert a.params == 9 + 22 + 23 + 23 + 2 + 4
    # 16 pixels: stem and two convolutions; then 4 pixels, then 1, with their shortcuts; 2 logits
    assert a.macs == 16 * 27 + 4 * 19 + 1 * 19 + 2


@given(wide_resnets())
@example(Architecture("wide_resnet", 10, 2, (1, 1, 1), (1, 1, 1, 1), (0, 0, 0)))
def test_the_closed_form_is_what_torch_counts(a):
    network = networks.build(a).eval()
    assert a.params == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *a.image))
    assert a.macs == counter.get_total_flops() // 2


@given(wide_resnets())
def test_an_architecture_goes_through_json_unchanged(a):
    again = Architecture.from_json(json.loads(json.dumps(a.to_json())))
    assert again == a
    assert again.id == a.id
    assert hash(again) == hash(a)


def test_ids_are_frozen():
    """They stand in results.csv, removals.csv and in figures that are published: an id that changes
    makes every stored table point at nothing. Give a new field a default that is left out of `to_json`."""
    assert cifar("wrn-40-2").id == "50c76f15"
    assert cifar("wrn-16-1").without_channel(4).id == "b1afdf72"


def test_ids_tell_every_field_apart():
    a = architecture.named("wrn-16-2", image=(3, 32, 32), classes=10)
    others = [
        replace(a, classes=11),
        replace(a, image=(1, 32, 32)),
        replace(a, image=(3, 32, 31)),
        replace(a, trunk=(16, 32, 64, 127)),
        *(a.without_channel(group) for group in range(6)),
        architecture.named("wrn-22-2", image=(3, 32, 32), classes=10),
    ]
    assert len({a.id, *(other.id for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lenet-5", ["lenet-5", "wrn-DEPTH-WIDTH", "vgg-DEPTH[-WIDTH]"]),
        ("wrn-40", ["wrn-40", "wrn-40-2"]),
        ("wrn-40-2x", ["wrn-40-2x"]),
        ("", ["''"]),
        ("wrn-41-2", ["41", "40"]),
        ("wrn-4-1", ["6n + 4", "4"]),
        ("wrn-40-0", ["trunk"]),
    ],
)
def test_a_bad_name_is_refused_with_the_choices(name, said):
    with pytest.raises(BadInput) as refusal:
        cifar(name)
    assert all(word in str(refusal.value) for word in said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "wide_resnets"}, ["'wide_resnets'", "did you mean 'wide_resnet'"]),
        ({"depth": 11}, ["11", "6n + 4"]),
        ({"widths": (1, 2)}, ["3 groups", "not 4 and 2"]),
        ({"widths": (1, 2, 3, 4)}, ["3 groups", "4"]),
        ({"widths": ()}, ["3 groups", "0"]),
        ({"trunk": (16, 16, 32)}, ["4 trunk widths", "3"]),
        ({"trunk": ()}, ["4 trunk widths", "0"]),
        ({"widths": (1, -1, 3)}, ["(1, -1, 3)"]),
        ({"trunk": (0, 4, 5, 6)}, ["(0, 4, 5, 6)"]),
        ({"image": (8, 8)}, ["(8, 8)", "height"]),
        ({"image": (1, 0, 8)}, ["(1, 0, 8)"]),
        ({"classes": 1}, ["classes", "1"]),
    ],
)
def test_a_bad_shape_is_refused_by_its_name(tiny, change, said):
    with pytest.raises(BadInput) as refusal:
        replace(tiny, **change)
    assert all(word in str(refusal.value) for word in said)


def test_a_channel_too_many_cannot_go(tiny):
    with pytest.raises(BadInput, match="-1"):
        tiny.with_widths((0, 1, 1)).without_channel(0)
