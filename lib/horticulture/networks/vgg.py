"""VGG with batch norm for small images, any widths (Simonyan and Zisserman, 2015; Liu et al., 2017)."""

from itertools import pairwise

from torch import Tensor, nn

from horticulture.architecture import Architecture, vgg
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, Stem, global_average_pool


class ConvNormReLU(nn.Module):
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
    """Five stages of layers, mean over space, linear classifier. Every layer makes a group."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        lengths, widths = vgg.stage_lengths(architecture.depth), architecture.widths
        pools = [stage > 0 and layer == 0 for stage, length in enumerate(lengths) for layer in range(length)]
        later = (Convolution(inputs, outputs, 3) for inputs, outputs in pairwise(widths))
        convolutions = (Stem(architecture, widths[0]), *later)
        chain = [ConvNormReLU(*parts) for parts in zip(convolutions, pools, strict=True)]
        self.units = nn.Sequential(*chain)  # the name in weights files
        self.classifier = nn.Linear(architecture.widths[-1], architecture.classes)
        readers: tuple[nn.Conv2d | nn.Linear, ...] = (*(layer.conv for layer in chain[1:]), self.classifier)
        self.groups = tuple(
            Group(name, layer.conv, layer.norm, layer.relu, (reader,))
            for name, layer, reader in zip(architecture.groups, chain, readers, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.units(x)))
