"""Networks: what they compute, and how they begin."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from horticulture import architecture, networks
from horticulture.architecture import Architecture
from horticulture.networks.parts import Convolution


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
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # nothing at its first value
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
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
    found, expected = here(x), F.conv2d(x, here.weight, stride=2)
    torch.testing.assert_close(found, expected)
    pull = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for mine, theirs in zip(
        torch.autograd.grad(found, (x, here.weight), pull),
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
        assert group.consumers == (block.conv2,)


def test_every_family_of_architectures_can_be_built():
    assert set(networks.BUILDERS) == set(architecture.FAMILIES)


def test_a_wide_resnet_knows_what_each_of_its_blocks_adds(tiny):
    network = networks.build(tiny)
    assert tiny.blocks == ((0,), (1,), (2,))
    assert network.branches == tuple(block.conv2 for block in network.blocks)
