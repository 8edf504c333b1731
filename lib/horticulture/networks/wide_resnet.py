"""Wide residual networks with pre-activation (Zagoruyko and Komodakis, 2016), any inner widths."""

from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.architecture.network_type import residual_blocks
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, Stem, global_average_pool


class Block(nn.Module):
    """norm - relu - 3 x 3 - norm - relu - 3 x 3, added to the trunk.

    The `middle` channels between the convolutions are the group. With none left the block is its shortcut.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = Convolution(inputs, middle, 3, stride)
        self.norm2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = Convolution(middle, outputs, 3)
        changes = stride != 1 or inputs != outputs
        self.shortcut = Convolution(inputs, outputs, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride)."""
        alive = self.conv1.out_channels > 0
        if self.shortcut is None and not alive:
            return x
        y = self.relu1(self.norm1(x))
        trunk = x if self.shortcut is None else self.shortcut(y)
        if not alive:
            return trunk
        return trunk + self.conv2(self.relu2(self.norm2(self.conv1(y))))


class WideResNet(Network):
    """Stem, three stages of blocks, norm, relu, mean over space, linear classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        stem, *stages = architecture.trunk
        self.stem = Stem(architecture, stem)
        blocks = residual_blocks(architecture, len(architecture.blocks) // 3)
        chain = [
            Block(block.inputs, middle, block.outputs, block.stride)
            for block, middle in zip(blocks, architecture.widths, strict=True)
        ]
        self.blocks = nn.Sequential(*chain)
        self.norm = nn.BatchNorm2d(stages[-1])
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Linear(stages[-1], architecture.classes)
        self.groups = tuple(
            Group(name, block.conv1, block.norm2, block.relu2, (block.conv2,))
            for name, block in zip(architecture.groups, chain, strict=True)
        )
        self.branch_ends = tuple(block.conv2 for block in chain)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.relu(self.norm(self.blocks(self.stem(x))))))
