"""Networks built from architectures: `build(architecture)` gives a freshly initialised `nn.Module`.

Every network has `groups`, in the order of `architecture.widths`; `surgery` cuts channels out of them
and `saliency` listens to them. A new family is one module here and one line in `BUILDERS`.
"""

from collections.abc import Callable

import torch

from horticulture.architecture import Architecture
from horticulture.networks.densenet import DenseNet
from horticulture.networks.densenet_bc import DenseNetBC
from horticulture.networks.parts import Group, Network, initialise
from horticulture.networks.preresnet import PreResNet
from horticulture.networks.resnet import ResNet
from horticulture.networks.vgg import VGG
from horticulture.networks.wide_resnet import WideResNet

__all__ = ["BUILDERS", "Group", "Network", "build"]

BUILDERS: dict[str, Callable[[Architecture], Network]] = {
    "wide_resnet": WideResNet,
    "vgg": VGG,
    "resnet": ResNet,
    "preresnet": PreResNet,
    "densenet": DenseNet,
    "densenet_bc": DenseNetBC,
}


def build(architecture: Architecture, generator: torch.Generator | None = None) -> Network:
    """A network of that shape, initialised for its own widths (never sliced from a wider one).

    Input: (batch, channels, height, width) floats; output: (batch, classes) logits. On the CPU.
    """
    network = BUILDERS[architecture.family](architecture)
    initialise(network, generator)
    return network
