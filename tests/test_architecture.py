"""The arithmetic of architectures: published numbers, numbers worked by hand, and torch's own count."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from horticulture import architecture, networks
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from tests.conftest import cut_at_random, small, without_channel


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


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("vgg-16", 14_724_042),
        ("vgg-19", 20_035_018),
        ("resnet-20", 269_722),
        ("resnet-56", 853_018),
        ("resnet-110", 1_727_962),
        ("preresnet-164", 1_703_258),
        ("densenet-40-12", 1_059_298),
        ("densenet-bc-100-12", 769_162),
    ],
)
def test_the_other_networks_have_their_published_parameters(name, params):
    assert cifar(name).params == params


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("vgg-19", 5_504),  # 2 * (64 + 128) + 4 * (256 + 512 + 512)
        ("preresnet-164", 12_112),  # what network slimming finds in its norms
        ("densenet-40-12", 9_360),
        ("densenet-bc-100-12", 2_304),  # 48 bottlenecks of 48
    ],
)
def test_as_many_channels_can_be_pruned_as_published(name, channels):
    assert sum(cifar(name).widths) == channels


def every_macs(a: Architecture) -> tuple[int, int]:
    """Parameters and MACs of the network that is built, as torch counts them."""
    network = networks.build(a).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        network(torch.zeros(1, *a.image))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


@pytest.mark.parametrize("network_type", architecture.NETWORK_TYPES)
def test_the_closed_form_is_what_the_built_network_has(network_type):
    whole = small(network_type)
    shapes = [whole, whole.with_widths(whole.min_widths), small(network_type, (2, 19, 17))]
    shapes += [cut_at_random(whole, seed) for seed in range(4)]
    for shape in shapes:
        assert every_macs(shape) == (shape.params, shape.macs), shape.widths


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_bottleneck_block_without_one_of_its_groups_still_has_weights_but_costs_nothing(group):
    whole = small("preresnet")
    widths = list(whole.widths)
    widths[3 + group] = 0
    shape = whole.with_widths(tuple(widths))
    gone = whole.with_widths((*whole.widths[:3], 0, 0, 0, *whole.widths[6:]))
    assert every_macs(shape) == (shape.params, shape.macs)
    assert shape.macs == gone.macs
    assert shape.params > gone.params


@pytest.mark.parametrize("network_type", architecture.NETWORK_TYPES)
def test_a_network_type_says_of_every_group_what_it_may_be(network_type):
    a = small(network_type)
    assert len(a.groups) == len(set(a.groups)) == len(a.widths) == len(a.min_widths) == len(a.max_widths)
    stages = [int(name.split(".")[0]) for name in a.groups]
    assert stages == sorted(stages)
    assert set(stages) == set(range(1, 1 + max(stages)))
    in_blocks = [group for block in a.blocks for group in block]
    assert len(in_blocks) == len(set(in_blocks))
    for group, (least, most) in enumerate(zip(a.min_widths, a.max_widths, strict=True)):
        assert least == (0 if group in in_blocks else 1)
        assert most is None or most == a.widths[group]  # a whole network selects everything


def test_the_groups_of_a_preresnet_and_a_densenet_by_hand():
    a = small("preresnet")  # a stem of 4; blocks of 4, 8 and 16 inside, 16, 32 and 64 outside
    assert a.groups[:4] == ("1.1.select", "1.1.conv1", "1.1.conv2", "2.1.select")
    assert a.groups[-1] == "3.end"
    assert a.trunk == (4, 16, 32, 64)
    assert a.widths == (4, 4, 4, 16, 8, 8, 32, 16, 16, 64)
    assert a.blocks == ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    assert a.max_widths == (4, None, None, 16, None, None, 32, None, None, 64)
    a = small("densenet")  # a stem of 8, three layers of 4 in every stage
    assert a.groups[:5] == ("1.1", "1.2", "1.3", "1.end", "2.1")
    assert a.max_widths == a.widths == (8, 12, 16, 20, 20, 24, 28, 32, 32, 36, 40, 44)


def test_a_vgg_by_hand():
    a = architecture.named("vgg-8-1", image=(1, 16, 16), classes=2).with_widths((1, 1, 1, 1, 1))
    assert a.params == 5 * (9 + 2) + 2 + 2
    assert a.macs == 9 * (256 + 64 + 16 + 4 + 1) + 2


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
    smaller = without_channel(a, group)
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


# --- stems for larger images -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stride", "image", "weights", "macs"),
    [
        (1, (1, 4, 4), 9, 16 * 9),  # behind each stem 4 x 4 pixels are left
        (2, (1, 8, 7), 9, 16 * 9),  # 3 x 3 at every second of 8 x 7 pixels
        (4, (1, 15, 16), 49, 64 * 49),  # 7 x 7 at every second of 15 x 16; a pool leaves half of these 8 x 8
    ],
)
def test_stems_by_hand(stride, image, weights, macs):
    """All channels are single, as above: 2 + 9 + 2 + 9 weights in the first block, and so on."""
    a = Architecture("wide_resnet", 10, 2, image, (1, 1, 1, 1), (1, 1, 1), stem_stride=stride)
    assert a.params == weights + 22 + 23 + 23 + 2 + 4
    assert a.macs == macs + 16 * 18 + 4 * 19 + 1 * 19 + 2


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(
    "network_type", [name for name, of in architecture.NETWORK_TYPES.items() if 4 in of.stems]
)
def test_behind_another_stem_the_closed_form_is_what_torch_counts(network_type, stride):
    whole = small(network_type, (2, 16 * stride, 16 * stride - 1 + stride))
    a = replace(whole, stem_stride=stride)
    network = networks.build(a).eval()
    assert a.params == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(torch.zeros(1, *a.image)).shape == (1, 3)
    assert a.macs == counter.get_total_flops() // 2


def test_a_name_says_which_stem_a_network_has():
    large = (3, 224, 224)
    plain, other = (architecture.named(f"vgg-16{stem}", image=large, classes=10) for stem in ("", "-stem4"))
    assert (plain.stem_stride, other.stem_stride) == (1, 4)
    assert other == replace(plain, stem_stride=4)
    assert other.id != plain.id
    assert other.to_json() == {**plain.to_json(), "stem_stride": 4}
    assert Architecture.from_json(json.loads(json.dumps(other.to_json()))) == other
    assert cifar("vgg-16-stem1") == cifar("vgg-16")
    assert "stem_stride" not in plain.to_json()
    assert 14 < plain.macs / other.macs < 16  # 16 times fewer pixels behind a larger stem
    assert other.feature_map_size == (56, 56)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("wrn-10-1-stem3", 64, "a Wide ResNet has a stem of stride 1, 2, 4, not 3"),
        ("wrn-10-1-stem", 64, "unknown network 'wrn-10-1-stem'"),
        ("vgg-8-1-stem4", 60, "a VGG needs images of at least 61 x 61 pixels, not 60 x 60"),
    ],
)
def test_a_stem_that_cannot_be_is_refused(name, size, said):
    with pytest.raises(InputError, match=said):
        architecture.named(name, image=(1, size, size), classes=2)


def test_a_network_of_your_own_keeps_its_stem():
    described = networks.describe(
        torch.nn.Sequential(
            *(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3)),
            *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        ),
        image=(1, 8, 8),
        classes=2,
    ).architecture
    with pytest.raises(InputError, match="a network of your own has a stem of stride 1, not 2"):
        replace(described, stem_stride=2)


@pytest.mark.parametrize(
    ("image", "stride"), [((3, 32, 32), 1), ((3, 63, 99), 1), ((3, 64, 127), 2), ((1, 128, 200), 4)]
)
def test_the_stem_that_suits_an_image(image, stride):
    assert architecture.suited_stem(image) == stride


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
    assert without_channel(cifar("wrn-16-1"), 4).id == "b1afdf72"
    assert cifar("vgg-16").id == "b8b99b7d"
    assert cifar("resnet-56").id == "4160a719"
    assert cifar("preresnet-164").id == "ad0444e9"
    assert cifar("densenet-40-12").id == "f48e795a"
    assert cifar("densenet-bc-100-12").id == "fb8fdd90"


def test_ids_tell_every_field_apart():
    a = architecture.named("wrn-16-2", image=(3, 32, 32), classes=10)
    others = [
        replace(a, classes=11),
        replace(a, image=(1, 32, 32)),
        replace(a, image=(3, 32, 31)),
        replace(a, trunk=(16, 32, 64, 127)),
        replace(a, stem_stride=2),
        *(without_channel(a, group) for group in range(6)),
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
        ("wrn-40-0", ["must be positive"]),
        ("vgg-17", ["8, 11, 13, 16, 19", "17"]),
        ("vgg-16-0", ["must be positive"]),
        ("resnet-21", ["6n + 2", "20", "21"]),
        ("preresnet-21", ["9n + 2", "not 21"]),
        ("densenet-41-12", ["3n + 4", "41"]),
        ("densenet-bc-101-12", ["6n + 4", "101"]),
        ("densenet-40", ["densenet-DEPTH-GROWTH"]),
        ("vit-4-60", ["heads of 8 channels", "multiple of 8, not 60"]),
        ("vit-4-0", ["must be positive"]),
        ("vit-0-64", ["must be positive"]),
        ("vit-4", ["vit-DEPTH-WIDTH"]),
    ],
)
def test_a_bad_name_is_refused_with_the_choices(name, said):
    with pytest.raises(InputError) as refusal:
        cifar(name)
    assert all(word in str(refusal.value) for word in said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network_type": "wide_resnets"}, ["'wide_resnets'", "did you mean 'wide_resnet'"]),
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
    with pytest.raises(InputError) as refusal:
        replace(tiny, **change)
    assert all(word in str(refusal.value) for word in said)


@pytest.mark.parametrize(
    ("network_type", "change", "said"),
    [
        ("vgg", {"widths": (8, 0, 8, 8, 8)}, ["group 2.1", "at least 1", "not 0"]),
        ("vgg", {"widths": (8, 8)}, ["5 groups", "2"]),
        ("vgg", {"trunk": (4,)}, ["0 trunk widths"]),
        ("vgg", {"image": (3, 16, 15)}, ["16 x 16", "16 x 15"]),
        ("densenet", {"image": (3, 3, 9)}, ["4 x 4", "3 x 9"]),
        ("densenet_bc", {"image": (3, 3, 9)}, ["4 x 4", "3 x 9"]),
        ("densenet_bc", {"widths": (1, 1, 1, 1, 1, 0)}, ["group 3.2", "at least 1"]),
        ("densenet", {"trunk": (7, 4)}, ["group 1.1", "selects from 7", "not 8"]),
        ("preresnet", {"widths": (5, *[1] * 9)}, ["group 1.1.select", "selects from 4", "not 5"]),
        ("preresnet", {"widths": (*[1] * 9, 0)}, ["group 3.end", "at least 1"]),
        ("vit", {"image": (1, 18, 17)}, ["4 x 4 pixels", "multiples of 4 from 16 to 64, not 18 x 17"]),
        ("vit", {"image": (3, 224, 224)}, ["from 16 to 64, not 224 x 224"]),
        ("vit", {"image": (3, 12, 16)}, ["16 x 16", "12 x 16"]),
        ("vit", {"widths": (3, 48)}, ["4 groups", "2"]),
        ("vit", {"depth": 3}, ["6 groups", "4"]),
        ("resnet", {"trunk": (4, 8, 7)}, ["must not shrink", "(4, 8, 7)"]),
    ],
)
def test_a_shape_that_no_network_has_is_refused_by_the_group(network_type, change, said):
    with pytest.raises(InputError) as refusal:
        replace(small(network_type), **change)
    assert all(word in str(refusal.value) for word in said)


def test_a_channel_too_many_cannot_go(tiny):
    with pytest.raises(InputError, match="-1"):
        without_channel(tiny.with_widths((0, 1, 1)), 0)
