"""The published presets against the published code's arithmetic."""

import pytest

from horticulture import architecture
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.pruning.presets import PRESETS, preset_quotas, preset_ratio


def cifar(name: str) -> Architecture:
    return architecture.named(name, image=(3, 32, 32), classes=10)


def kept(name, widths):
    """As in the published code."""
    return [int(n * (1 - share)) for n, share in zip(widths, PRESETS[name], strict=True)]


def test_vgg_16_a_is_the_published_network():
    widths = (64, 64, 128, 128, *[256] * 3, *[512] * 6)
    assert kept("vgg-16-a", widths) == [32, 64, 128, 128, *[256] * 9]


def test_resnet_56_presets_are_the_published_networks():
    widths = [16] * 9 + [32] * 9 + [64] * 9
    # layers 2, 4 ... 18 are the first stage, 20 ... 36 the second, 38 ... 54 the third
    assert kept("resnet-56-a", widths) == (
        [14] * 7 + [16, 14]  # layer 16 is left alone
        + [32] + [28] * 8  # layer 20, which enters the second stage
        + [64] + [57] * 7 + [64]  # 38, which enters the third, and 54, the last
    )  # fmt: skip
    assert kept("resnet-56-b", widths) == (
        [6] * 7 + [16, 16] + [32] + [22] * 6 + [32, 22] + [64] + [57] * 7 + [64]
    )


def test_resnet_110_presets_are_the_published_networks():
    widths = [16] * 18 + [32] * 18 + [64] * 18
    assert kept("resnet-110-a", widths) == [8] * 17 + [16] + [32] * 18 + [64] * 18
    assert kept("resnet-110-b", widths) == [8] * 17 + [16] + [32] + [19] * 17 + [64] + [44] * 17


def test_a_preset_fits_its_network_alone():
    whole = cifar("wrn-58-1")  # 27 blocks
    assert preset_quotas("resnet-56-a", whole)[7:11] == [0, 2, 0, 4]
    assert preset_ratio("resnet-56-a", whole) == sum(preset_quotas("resnet-56-a", whole)) / sum(whole.widths)
    assert preset_ratio("layer", whole) == 0
    with pytest.raises(
        InputError, match="resnet-56-a is for 27 groups, but this Wide ResNet of depth 40 has 18"
    ):
        preset_quotas("resnet-56-a", cifar("wrn-40-2"))
    with pytest.raises(InputError, match="did you mean 'resnet-56-a'"):
        preset_quotas("resnet-56a", cifar("wrn-40-2"))
