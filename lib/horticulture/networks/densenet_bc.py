"""Densely connected networks with bottlenecks and compression (Huang et al., 2017), any bottlenecks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, Stem, global_average_pool


class Dense(nn.Module):
    """norm - relu - 1 x 1 - norm - relu - 3 x 3, whose maps are concatenated to the input.

    The `middle` channels between the convolutions are the group.
    """

    def __init__(self, inputs: int, middle: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = Convolution(inputs, middle, 1)
        self.norm2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = Convolution(middle, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, inputs + growth, height, width)."""
        y = self.conv1(self.relu1(self.norm1(x)))
        return torch.cat((x, self.conv2(self.relu2(self.norm2(y)))), dim=1)


class Transition(nn.Module):
    """norm - relu - 1 x 1 to half as many maps - 2 x 2 mean."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv = Convolution(inputs, inputs // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, inputs / 2, height / 2, width / 2)."""
        return F.avg_pool2d(self.conv(self.relu(self.norm(x))), 2)


class DenseNetBC(Network):
    """Stem, three stages of dense layers with transitions between, norm, relu, mean, classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        maps, growth = architecture.trunk
        layers = len(architecture.widths) // 3
        widths = iter(architecture.widths)
        self.stem = Stem(architecture, maps)
        chain: list[nn.Module] = []
        for stage in (1, 2, 3):
            for _ in range(layers):
                chain.append(Dense(maps, next(widths), growth))
                maps += growth
            if stage < 3:
                chain.append(Transition(maps))
                maps //= 2
        self.layers = nn.Sequential(*chain)
        self.norm = nn.BatchNorm2d(maps)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Linear(maps, architecture.classes)
        dense = [layer for layer in chain if isinstance(layer, Dense)]
        self.groups = tuple(
            Group(name, layer.conv1, layer.norm2, layer.relu2, (layer.conv2,))
            for name, layer in zip(architecture.groups, dense, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.relu(self.norm(self.layers(self.stem(x))))))
