"""Densely connected networks (Huang et al., 2017) with channel selections (Liu et al., 2017), any widths."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.networks.layers import Convolution, Network, SelectNormReLU, Stem, global_average_pool


class Dense(nn.Module):
    """select - norm - relu - 3 x 3, whose maps are concatenated to the input."""

    def __init__(self, inputs: int, selected: int, growth: int) -> None:
        super().__init__()
        self.intake = SelectNormReLU(inputs, selected)
        self.conv = Convolution(selected, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, inputs + growth, height, width)."""
        return torch.cat((x, self.conv(self.intake(x))), dim=1)


class Transition(nn.Module):
    """select - norm - relu - 1 x 1 to as many maps as the input has - 2 x 2 mean."""

    def __init__(self, inputs: int, selected: int) -> None:
        super().__init__()
        self.intake = SelectNormReLU(inputs, selected)
        self.conv = Convolution(selected, inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, inputs, height / 2, width / 2)."""
        return F.avg_pool2d(self.conv(self.intake(x)), 2)


class DenseNet(Network):
    """Stem, three stages of dense layers with transitions between, select, norm, relu, mean, classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        stem, growth = architecture.trunk
        per_stage = len(architecture.widths) // 3  # layers, and the selection that ends the stage
        available = [most or 0 for most in architecture.max_widths]  # in front of every selection
        self.stem = Stem(architecture, stem)
        chain: list[Dense | Transition] = []
        for number, (inputs, selected) in enumerate(zip(available, architecture.widths, strict=True), 1):
            if number % per_stage:
                chain.append(Dense(inputs, selected, growth))
            elif number < len(architecture.widths):
                chain.append(Transition(inputs, selected))
            else:
                self.intake = SelectNormReLU(inputs, selected)
                self.classifier = nn.Linear(selected, architecture.classes)
        self.layers = nn.Sequential(*chain)
        *names, end = architecture.groups
        self.groups = (
            *(layer.intake.group(name, layer.conv) for name, layer in zip(names, chain, strict=True)),
            self.intake.group(end, self.classifier),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.intake(self.layers(self.stem(x)))))
