"""VGG with batch norm for small images, any widths (Simonyan and Zisserman, 2015; Liu et al., 2017)."""

from itertools import pairwise

from torch import Tensor, nn

from horticulture.architecture import Architecture, vgg
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, Stem, global_average_pool


class Unit(nn.Module):
    """A convolution - norm - relu, after a max pool where a stage begins."""

    def __init__(self, convolution: Convolution, pools: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if pools else nn.Identity()
        self.conv = convolution
        self.norm = nn.BatchNorm2d(convolution.out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height, width), both halved by a pool."""
        return self.relu(self.norm(self.conv(self.pool(x))))


class VGG(Network):
    """Five stages of units, mean over space, linear classifier. Every unit makes a group."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        lengths, widths = vgg.stage_lengths(architecture.depth), architecture.widths
        pools = [stage > 0 and unit == 0 for stage, length in enumerate(lengths) for unit in range(length)]
        later = (Convolution(inputs, outputs, 3) for inputs, outputs in pairwise(widths))
        convolutions = (Stem(architecture, widths[0]), *later)
        chain = [Unit(*parts) for parts in zip(convolutions, pools, strict=True)]
        self.units = nn.Sequential(*chain)
        self.classifier = nn.Linear(architecture.widths[-1], architecture.classes)
        readers: tuple[nn.Conv2d | nn.Linear, ...] = (*(unit.conv for unit in chain[1:]), self.classifier)
        self.groups = tuple(
            Group(name, unit.conv, unit.norm, unit.relu, (reader,))
            for name, unit, reader in zip(architecture.groups, chain, readers, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.units(x)))
