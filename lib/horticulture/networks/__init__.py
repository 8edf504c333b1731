"""Networks built from architectures: `build(architecture)` gives a freshly initialised `nn.Module`.

Every network has `groups`, in the order of `architecture.widths`; `surgery` cuts channels out of them
and `saliency` listens to them. A new family is one module here and one line in `BUILDERS`.
"""

from collections.abc import Callable, Sequence

import torch

from horticulture.architecture import Architecture, is_own, named as named_here
from horticulture.errors import InputError
from horticulture.networks import own
from horticulture.networks.densenet import DenseNet
from horticulture.networks.densenet_bc import DenseNetBC
from horticulture.networks.describing import describe
from horticulture.networks.layers import Group, Network, initialise
from horticulture.networks.preresnet import PreResNet
from horticulture.networks.resnet import ResNet
from horticulture.networks.vgg import VGG
from horticulture.networks.wide_resnet import WideResNet

BUILDERS: dict[str, Callable[[Architecture], Network]] = {
    "wide_resnet": WideResNet,
    "vgg": VGG,
    "resnet": ResNet,
    "preresnet": PreResNet,
    "densenet": DenseNet,
    "densenet_bc": DenseNetBC,
}


def named(
    name: str, *, image: tuple[int, int, int], classes: int, residual_sets: bool = False
) -> Architecture:
    """The architecture of any network by its name: the field's, `torchvision:NAME` or `FILE.py:FUNCTION`.

    The function takes (image, classes) and gives an nn.Module; its code runs. image: (channels, height,
    width). residual_sets: as for `describe`, where a network is not of our families. Raises InputError for a
    network that there is not, that does not take such images, or of which no channels can go.
    """
    if not is_own(name):
        return named_here(name, image=image, classes=classes)
    return own.named(name, image=image, classes=classes, residual_sets=residual_sets)


def build(
    architecture: Architecture,
    generator: torch.Generator | None = None,
    selections: Sequence[Sequence[int]] | None = None,
) -> Network:
    """A network of that shape, initialised for its own widths (never sliced from a wider one).

    Input: (batch, channels, height, width) floats; output: (batch, classes) logits. On the CPU.
    selections: what each group selects from its trunk, as `selections` reads it off another network of the
    same trunk; the entries of groups that one layer makes do not matter. Without them a selection is spread
    evenly over its trunk. Raises InputError for selections that do not fit the architecture.
    """
    if architecture.table is not None:
        return own.build(architecture, generator)
    network = BUILDERS[architecture.family](architecture)
    initialise(network, generator)
    if selections is not None:
        _select(network, selections)
    return network


def selections(network: Network) -> list[list[int]]:
    """For every group the places in the trunk that it selects, rising; empty where one layer makes it."""
    return [[] if group.selection is None else group.selection.index.tolist() for group in network.groups]


def _select(network: Network, wanted: Sequence[Sequence[int]]) -> None:
    if len(wanted) != len(network.groups):
        raise InputError(
            f"selections are given for {len(wanted)} groups, and there are {len(network.groups)}"
        )
    limits = network.architecture.selects
    for group, places, there in zip(network.groups, wanted, limits, strict=True):
        if group.selection is None or there is None:
            continue
        index = [int(place) for place in places]
        if index != sorted(set(index)) or len(index) != group.width or not set(index) <= set(range(there)):
            ask = f"{group.width} of 0 to {there - 1}, in increasing order"
            raise InputError(f"group {group.name} selects {ask}: not {index}")
        group.selection.index.copy_(torch.tensor(index, dtype=torch.long))
