"""Networks built from architectures: `build(architecture)` returns a freshly initialised `nn.Module`.

Every network has `groups`, in the order of `architecture.widths`; `surgery` cuts channels out of them
and `saliency` scores them. A new network type is one module here and one line in `BUILDERS`.
"""

from collections.abc import Callable, Sequence

import torch

from horticulture.architecture import Architecture, ImageShape, is_traced, named as named_here
from horticulture.errors import InputError
from horticulture.networks import own
from horticulture.networks.densenet import DenseNet
from horticulture.networks.densenet_bc import DenseNetBC
from horticulture.networks.group_discovery import describe
from horticulture.networks.groups import Group
from horticulture.networks.layers import Network, initialise
from horticulture.networks.preresnet import PreResNet
from horticulture.networks.resnet import ResNet
from horticulture.networks.vgg import VGG
from horticulture.networks.vit import ViT
from horticulture.networks.wide_resnet import WideResNet

BUILDERS: dict[str, Callable[[Architecture], Network]] = {
    "wide_resnet": WideResNet,
    "vgg": VGG,
    "resnet": ResNet,
    "preresnet": PreResNet,
    "densenet": DenseNet,
    "densenet_bc": DenseNetBC,
    "vit": ViT,
}


def named(name: str, *, image: ImageShape, classes: int, residual_sets: bool = False) -> Architecture:
    """The architecture of a named network: ours, `torchvision:NAME` or `FILE.py:FUNCTION`.

    The function takes (image, classes) and returns an nn.Module; its code runs. image: (channels, height,
    width). residual_sets: as for `describe`, for networks of other types than ours. Raises InputError for a
    network that is unknown, does not accept such images, or has no removable channels.
    """
    if not is_traced(name):
        return named_here(name, image=image, classes=classes)
    return own.named(name, image=image, classes=classes, residual_sets=residual_sets)


def build(
    architecture: Architecture,
    generator: torch.Generator | None = None,
    selections: Sequence[Sequence[int]] | None = None,
) -> Network:
    """Build a network of that architecture, initialised for its own widths (never sliced from a wider one).

    Input: (batch, channels, height, width) floats; output: (batch, classes) logits. On the CPU.
    selections: the channels that each group selects from its trunk, as returned by `selections` for another
    network with the same trunk; entries of groups made by a layer are ignored. By default a selection is
    spread evenly over its trunk. Raises InputError for selections that do not fit the architecture.
    """
    if architecture.table is not None:
        return own.build(architecture, generator)
    network = BUILDERS[architecture.network_type](architecture)
    initialise(network, generator)
    if selections is not None:
        _select(network, selections)
    return network


def selections(network: Network) -> list[list[int]]:
    """The trunk channels that each group selects, in increasing order; empty if a layer makes the group."""
    return [[] if group.selection is None else group.selection.index.tolist() for group in network.groups]


def _select(network: Network, chosen: Sequence[Sequence[int]]) -> None:
    if len(chosen) != len(network.groups):
        raise InputError(f"selections for {len(chosen)} groups, but the network has {len(network.groups)}")
    limits = network.architecture.selects
    for group, places, available in zip(network.groups, chosen, limits, strict=True):
        if group.selection is None or available is None:
            continue
        index = list(map(int, places))
        if index != sorted(set(index) & set(range(available))) or len(index) != group.width:
            wanted = f"{group.width} of 0 to {available - 1}, in increasing order"
            raise InputError(f"group {group.name} must select {wanted}, not {index}")
        group.selection.index.copy_(torch.tensor(index, dtype=torch.long))
