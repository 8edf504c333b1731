"""Residual networks with post-activation, shortcuts without weights (He et al., 2016), any inner widths."""

import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.architecture.network_type import residual_blocks
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, Stem, global_average_pool


class Block(nn.Module):
    """3 x 3 - norm - relu - 3 x 3 - norm, added to the trunk, relu.

    The `middle` channels between the convolutions are the group. With none left the block is its shortcut:
    the constant that the second norm would output is removed too.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.padding = stride, outputs - inputs
        self.conv1 = Convolution(inputs, middle, 3, stride)
        self.norm1 = nn.BatchNorm2d(middle)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = Convolution(middle, outputs, 3)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU(inplace=True)

    def shortcut(self, x: Tensor) -> Tensor:
        """Every pixel or every second one, padded with channels of zeros before and after (option A)."""
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.padding:
            before = self.padding // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.padding - before))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride).

        The input was rectified, by the stem or by the block before.
        """
        trunk = self.shortcut(x)
        if self.conv1.out_channels == 0:
            return trunk  # never negative, so it needs no relu
        return self.relu2(trunk + self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x))))))


class ResNet(Network):
    """Stem, norm, relu, three stages of blocks, mean over space, linear classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        stem, stages = architecture.trunk[0], architecture.trunk
        self.stem = Stem(architecture, stem)
        self.norm = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        blocks = residual_blocks(architecture, len(architecture.blocks) // 3)
        chain = [
            Block(block.inputs, middle, block.outputs, block.stride)
            for block, middle in zip(blocks, architecture.widths, strict=True)
        ]
        self.blocks = nn.Sequential(*chain)
        self.classifier = nn.Linear(stages[-1], architecture.classes)
        self.groups = tuple(
            Group(name, block.conv1, block.norm1, block.relu1, (block.conv2,))
            for name, block in zip(architecture.groups, chain, strict=True)
        )
        self.branch_ends = tuple(block.norm2 for block in chain)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.blocks(self.relu(self.norm(self.stem(x))))))
