"""Networks: what they compute, and how they begin."""

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from horticulture import architecture, networks
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.networks.groups import ChannelSelection
from horticulture.networks.layers import Convolution
from horticulture.pruning import surgery
from tests.conftest import SMALL, cut_at_random, small


def move_norms(network: nn.Module, generator: torch.Generator) -> None:
    """Nothing in a norm is at its first value any more."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.5, 0.5, generator=generator)


def written_out(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A Wide ResNet in evaluation mode, from the paper's figure, with nothing of it but the weights."""

    def normed(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, 1, 1)
        scaled = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
        return (scaled * norm.weight.view(shape) + norm.bias.view(shape)).clamp(min=0)

    x = F.conv2d(x, network.stem.weight, padding=1)
    blocks = len(network.blocks) // 3
    for number, block in enumerate(network.blocks):
        stride = 2 if number in (blocks, 2 * blocks) else 1
        y = normed(block.norm1, x)
        shortcut = x if block.shortcut is None else F.conv2d(y, block.shortcut.weight, stride=stride)
        y = normed(block.norm2, F.conv2d(y, block.conv1.weight, stride=stride, padding=1))
        x = shortcut + F.conv2d(y, block.conv2.weight, padding=1)
    x = normed(network.norm, x).mean(dim=(2, 3))
    return x @ network.classifier.weight.T + network.classifier.bias


@pytest.mark.parametrize("depth", [10, 16])
def test_a_wide_resnet_computes_the_papers_figure(depth, generator):
    blocks = (depth - 4) // 6
    a = Architecture("wide_resnet", depth, 3, (2, 9, 7), (3, 4, 4, 6), tuple(range(2, 2 + 3 * blocks)))
    network = networks.build(a, generator).double()
    move_norms(network, generator)
    network.eval()
    x = torch.randn(4, 2, 9, 7, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(network(x), written_out(network, x))


def test_a_fresh_network_has_the_spread_of_its_own_widths(generator):
    whole = architecture.named("wrn-10-4", image=(3, 32, 32), classes=10)
    a = whole.with_widths((16, 40, 100))  # of 64, 128, 256: slices of the whole would be too narrow
    network = networks.build(a, generator)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            spread = math.sqrt(2 / (module.weight[0, 0].numel() * module.weight.shape[0]))
            noise = 5 / math.sqrt(2 * module.weight.numel())  # five standard errors
            assert module.weight.std().item() == pytest.approx(spread, rel=noise), name
            assert abs(module.weight.mean().item()) < 5 * spread / math.sqrt(module.weight.numel()), name
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all(), name
            assert (module.bias == 0).all(), name
    weight = network.classifier.weight
    assert weight.abs().max().item() == pytest.approx(1 / math.sqrt(256), rel=0.02)
    assert (network.classifier.bias == 0).all()


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tiny):
    first, again, other = (networks.build(tiny, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name
    assert not torch.equal(first.stem.weight, other.stem.weight)


@pytest.mark.parametrize("training", [True, False])
def test_a_block_without_channels_is_its_shortcut(tiny, generator, training):
    a = replace(tiny, trunk=(4, 4, 5, 6), widths=(0, 0, 0))
    network = networks.build(a, generator).train(training)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    same, changing = network.blocks[0], network.blocks[1]
    assert torch.equal(same(x.clone()), x)
    y = F.relu(F.batch_norm(x, torch.zeros(4), torch.ones(4), training=training))
    expected = F.conv2d(y, changing.shortcut.weight, stride=2)
    torch.testing.assert_close(changing(x.clone()), expected)
    assert network(torch.randn(2, 2, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 2)])
@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["plain", "channels-last"]
)
def test_a_strided_pointwise_convolution_equals_torchs_own(size, layout, generator):
    here = Convolution(5, 3, 1, stride=2).double()
    here.weight.data.normal_(generator=generator)
    x = torch.randn(2, 5, *size, generator=generator, dtype=torch.float64)
    x = x.contiguous(memory_format=layout).requires_grad_()
    actual, expected = here(x), F.conv2d(x, here.weight, stride=2)
    torch.testing.assert_close(actual, expected)
    pull = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for mine, theirs in zip(
        torch.autograd.grad(actual, (x, here.weight), pull),
        torch.autograd.grad(expected, (x, here.weight), pull),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_the_network_knows_its_groups_in_the_order_of_the_widths(tiny):
    network = networks.build(tiny)
    assert network.architecture == tiny
    assert [group.width for group in network.groups] == [3, 4, 5]
    assert [group.name for group in network.groups] == ["1.1", "2.1", "3.1"]
    for group, block in zip(network.groups, network.blocks, strict=True):
        assert group.producer is block.conv1
        assert group.norm is block.norm2
        assert group.readers == (block.conv2,)


# --- the other families: every forward pass once more, by functions and weights alone ----------------------


def normed(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    shape = (1, -1, 1, 1)
    scaled = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
    return scaled * norm.weight.view(shape) + norm.bias.view(shape)


def taken_in(intake, x: torch.Tensor) -> torch.Tensor:
    return normed(intake.norm, torch.stack([x[:, c] for c in intake.selection.index], dim=1)).relu()


def vgg_written_out(network, x):
    for place, layer in enumerate(network.units):
        if place in (1, 2, 4, 6):  # VGG-11 has stages of 1, 1, 2, 2 and 2
            x = F.max_pool2d(x, 2)
        x = normed(layer.norm, F.conv2d(x, layer.conv.weight, padding=1)).relu()
    return x


def resnet_written_out(network, x):
    x = normed(network.norm, F.conv2d(x, network.stem.weight, padding=1)).relu()
    for number, block in enumerate(network.blocks):
        stride = 1 if number == 0 else 2
        y = normed(block.norm1, F.conv2d(x, block.conv1.weight, stride=stride, padding=1)).relu()
        y = normed(block.norm2, F.conv2d(y, block.conv2.weight, padding=1))
        y = y.clone()
        before = (y.shape[1] - x.shape[1]) // 2
        for channel in range(x.shape[1]):
            y[:, before + channel] += x[:, channel, ::stride, ::stride]
        x = y.relu()
    return x


def preresnet_written_out(network, x):
    x = F.conv2d(x, network.stem.weight, padding=1)
    for number, block in enumerate(network.blocks):
        stride = 1 if number == 0 else 2
        shortcut = F.conv2d(x, block.shortcut.weight, stride=stride)
        y = F.conv2d(taken_in(block.intake, x), block.conv1.weight)
        y = F.conv2d(normed(block.norm2, y).relu(), block.conv2.weight, stride=stride, padding=1)
        x = shortcut + F.conv2d(normed(block.norm3, y).relu(), block.conv3.weight)
    return taken_in(network.intake, x)


def densenet_written_out(network, x):
    maps = [F.conv2d(x, network.stem.weight, padding=1)]
    for number, layer in enumerate(network.layers, 1):
        y = taken_in(layer.intake, torch.cat(maps, 1))
        if number in (4, 8):  # after three layers a transition
            maps = [F.avg_pool2d(F.conv2d(y, layer.conv.weight), 2)]
        else:
            maps.append(F.conv2d(y, layer.conv.weight, padding=1))
    return taken_in(network.intake, torch.cat(maps, 1))


def densenet_bc_written_out(network, x):
    maps = [F.conv2d(x, network.stem.weight, padding=1)]
    for number, layer in enumerate(network.layers, 1):
        y = torch.cat(maps, 1)
        if number in (3, 6):  # after two layers a transition
            maps = [F.avg_pool2d(F.conv2d(normed(layer.norm, y).relu(), layer.conv.weight), 2)]
        else:
            y = F.conv2d(normed(layer.norm1, y).relu(), layer.conv1.weight)
            maps.append(F.conv2d(normed(layer.norm2, y).relu(), layer.conv2.weight, padding=1))
    return normed(network.norm, torch.cat(maps, 1)).relu()


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("vgg-11-4", vgg_written_out),
        ("resnet-8-4", resnet_written_out),
        ("preresnet-11-4", preresnet_written_out),
        ("densenet-13-4", densenet_written_out),
        ("densenet-bc-16-4", densenet_bc_written_out),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["plain", "last"])
def test_a_network_computes_what_its_paper_says(name, by_hand, layout, generator):
    whole = architecture.named(name, image=(2, 18, 17), classes=3)
    a = whole.with_widths(tuple(1 + n // 2 for n in whole.widths))  # with gaps in the selections
    network = networks.build(a, generator).double().to(memory_format=layout)
    move_norms(network, generator)
    network.eval()
    x = torch.randn(4, 2, 18, 17, generator=generator, dtype=torch.float64)
    expected = by_hand(network, x).mean(dim=(2, 3)) @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network(x.contiguous(memory_format=layout)), expected)
    assert expected.std(dim=0).min() > 1e-3  # and not something that hardly depends on the images


def test_a_stem_of_stride_4_by_hand():
    """It takes every second pixel of 0, 1, ..., 63 in rows of 8, then the largest of 3 x 3 neighbours."""
    a = Architecture("wide_resnet", 10, 2, (1, 8, 8), (1, 1, 1, 1), (1, 1, 1), stem_stride=4)
    stem = networks.build(a).stem
    stem.weight.data.zero_()
    stem.weight.data[0, 0, 3, 3] = 1
    assert stem(torch.arange(64.0).view(1, 1, 8, 8)).tolist() == [[[[18, 22], [50, 54]]]]


@pytest.mark.parametrize(
    "network_type", [name for name, of in architecture.NETWORK_TYPES.items() if 4 in of.stems]
)
@pytest.mark.parametrize("stride", [2, 4])
def test_behind_another_stem_there_is_the_network_of_smaller_maps(network_type, stride, generator):
    """The maps that its stem gives, given to a network with the same weights whose stem lets them pass."""
    whole = small(network_type, (2, 16 * stride, 16 * stride))
    network = networks.build(replace(whole, stem_stride=stride), generator).double().eval()
    move_norms(network, generator)
    stem = network.units[0].conv if network_type == "vgg" else network.stem
    channels = stem.out_channels
    inner = networks.build(small(network_type, (channels, 16, 16))).double().eval()
    passing = inner.units[0].conv if network_type == "vgg" else inner.stem
    unit = torch.zeros(channels, channels, 3, 3, dtype=torch.float64)
    unit[range(channels), range(channels), 1, 1] = 1
    weights = network.state_dict()
    (name,) = [name for name, module in network.named_modules() if module is stem]
    inner.load_state_dict({**weights, f"{name}.weight": unit})
    assert passing.weight.equal(unit)
    x = torch.randn(3, 2, 16 * stride, 16 * stride, generator=generator, dtype=torch.float64)
    kernel = 3 if stride == 2 else 7
    maps = F.conv2d(x, stem.weight, stride=2, padding=kernel // 2)
    if stride == 4:
        maps = F.max_pool2d(maps, 3, stride=2, padding=1)
    torch.testing.assert_close(network(x), inner(maps))


# --- what all families promise -----------------------------------------------------------------------------


@pytest.mark.parametrize("network_type", networks.BUILDERS)
def test_a_network_knows_its_groups_and_its_branches(network_type):
    a = cut_at_random(small(network_type), 1)
    network = networks.build(a)
    assert network.architecture == a
    assert tuple(group.name for group in network.groups) == a.groups
    assert tuple(group.width for group in network.groups) == a.widths
    assert len(network.branch_ends) == len(a.blocks)
    for group, most in zip(network.groups, a.max_widths, strict=True):
        assert (group.selection is None) == (most is None) == (group.producer is not None)
        assert len(group.filters()) == group.width


@pytest.mark.parametrize("network_type", ["wide_resnet", "resnet", "preresnet", "vit"])
def test_a_block_that_left_is_one_whose_branch_gives_nothing(network_type, generator):
    whole = small(network_type)
    network = networks.build(whole, generator).double().eval()
    move_norms(network, generator)
    x = torch.randn(3, *whole.image, generator=generator, dtype=torch.float64)
    for number, groups in enumerate(whole.blocks):
        silent, cut = copy.deepcopy(network), copy.deepcopy(network)
        silent.branch_ends[number].register_forward_hook(lambda module, inputs, output: 0 * output)
        for group in groups:
            surgery.keep_channels(cut.groups[group], [])
        assert [cut.architecture.widths[group] for group in groups] == [0] * len(groups)
        torch.testing.assert_close(cut(x), silent(x))
        assert not torch.equal(cut(x), network(x))


@pytest.mark.parametrize("inputs", range(1, 9))
def test_a_fresh_selection_is_spread_evenly(inputs):
    assert ChannelSelection(inputs, inputs).index.tolist() == list(range(inputs))
    for width in range(1, inputs + 1):
        index = ChannelSelection(inputs, width).index.tolist()
        steps = [b - a for a, b in itertools.pairwise([*index, inputs])]
        assert index[0] == 0
        assert min(steps) >= 1
        assert max(steps) - min(steps) <= 1


def test_a_selection_by_hand():
    assert ChannelSelection(6, 4).index.tolist() == [0, 1, 3, 4]
    assert ChannelSelection(4, 0).index.tolist() == []


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["plain", "channels-last"]
)
def test_a_selection_gives_each_gradient_back_to_its_channel(layout, generator):
    x = torch.randn(2, 6, 3, 5, generator=generator).contiguous(memory_format=layout).requires_grad_()
    selection = ChannelSelection(6, 4)
    actual = selection(x)
    assert torch.equal(actual, torch.stack([x[:, c] for c in (0, 1, 3, 4)], dim=1))
    pull = torch.randn(actual.shape, generator=generator)
    (gradient,) = torch.autograd.grad(actual, x, pull)
    assert torch.equal(gradient[:, [0, 1, 3, 4]], pull)
    assert not gradient[:, [2, 5]].any()
    assert actual.is_contiguous(memory_format=layout)
    assert gradient.is_contiguous(memory_format=layout)


def test_a_selection_is_part_of_what_is_saved(generator):
    a = small("preresnet")
    network = networks.build(a, generator).eval()
    for group in network.groups:
        if group.selection is not None:
            surgery.keep_channels(group, [1, 2, group.width - 1])
    again = networks.build(network.architecture)
    index = [group.selection.index.tolist() for group in network.groups if group.selection]
    assert index == [[1, 2, 3], [1, 2, 15], [1, 2, 31], [1, 2, 63]]
    again.load_state_dict(network.state_dict())
    assert [group.selection.index.tolist() for group in again.groups if group.selection] == index
    x = torch.randn(2, *a.image, generator=generator)
    assert torch.equal(again.eval()(x), network(x))


@pytest.mark.parametrize("network_type", networks.BUILDERS)
def test_a_network_may_select_what_another_does(network_type, generator):
    network = networks.build(small(network_type), generator)
    draw = torch.Generator().manual_seed(3)
    for group in network.groups:
        surgery.keep_channels(
            group, sorted(torch.randperm(group.width, generator=draw)[: group.width // 2].tolist())
        )
    actual = networks.selections(network)
    again = networks.build(network.architecture, torch.Generator().manual_seed(5), actual)
    assert networks.selections(again) == actual
    fresh = networks.build(network.architecture, torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), fresh.parameters(), strict=True))
    selecting = [group.selection is not None for group in network.groups]
    assert [bool(index) for index in actual] == selecting
    if any(selecting):
        assert networks.selections(fresh) != actual
        # with the weights of the first it computes what the first does
        index = {name: tensor for name, tensor in again.state_dict().items() if name.endswith("index")}
        again.load_state_dict({**network.state_dict(), **index})
        x = torch.randn(2, *small(network_type).image, generator=generator)
        assert torch.equal(again.eval()(x), network.eval()(x))


def test_given_selections_reach_the_forward_pass(generator):
    """The stem gives six maps; the first block of a dense network reads the second, fifth and sixth."""
    whole = architecture.named("densenet-7-3", image=(1, 8, 8), classes=2)
    a = whole.with_widths((3, *whole.widths[1:]))
    places = [list(range(n)) for n in a.widths]
    network = networks.build(a, generator, [[1, 4, 5], *places[1:]])
    x = torch.randn(2, 6, 8, 8, generator=generator)
    assert torch.equal(network.groups[0].selection(x), x[:, [1, 4, 5]])


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ([1, 4], r"group 1.1 must select 3 of 0 to 5, in increasing order, not \[1, 4\]"),
        ([4, 1, 5], "increasing order"),
        ([1, 1, 5], "increasing order"),
        ([1, 4, 6], "of 0 to 5"),
        ([-1, 4, 5], "of 0 to 5"),
    ],
)
def test_selections_that_do_not_fit_are_refused(first, said):
    whole = architecture.named("densenet-7-3", image=(1, 8, 8), classes=2)
    a = whole.with_widths((3, *whole.widths[1:]))
    rest = [list(range(n)) for n in a.widths[1:]]
    with pytest.raises(InputError, match=said):
        networks.build(a, selections=[first, *rest])
    with pytest.raises(InputError, match="for 5 groups, but the network has 6"):
        networks.build(a, selections=rest)


def test_what_is_said_of_groups_that_a_layer_makes_does_not_matter(tiny):
    network = networks.build(tiny, selections=[[99], [], [3, 1]])
    assert networks.selections(network) == [[], [], []]


def test_every_family_of_architectures_can_be_built():
    assert set(networks.BUILDERS) == set(architecture.NETWORK_TYPES) == set(SMALL)
