"""Bottleneck residual networks with pre-activation and channel selections (Liu et al., 2017), any widths."""

from collections.abc import Sequence

from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.architecture.network_type import residual_blocks
from horticulture.networks.groups import Group
from horticulture.networks.layers import Convolution, Network, SelectNormReLU, Stem, global_average_pool


class Block(nn.Module):
    """select - norm - relu - 1 x 1 - norm - relu - 3 x 3 - norm - relu - 1 x 1, added to the trunk.

    The shortcut reads the block's raw input, as in the published code. If any of the three groups is
    empty, the block is its shortcut: the constant that the later norms would output is removed too.
    """

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, stride: int) -> None:
        super().__init__()
        selected, first, second = widths
        self.intake = SelectNormReLU(inputs, selected)
        self.conv1 = Convolution(selected, first, 1)
        self.norm2 = nn.BatchNorm2d(first)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = Convolution(first, second, 3, stride)
        self.norm3 = nn.BatchNorm2d(second)
        self.relu3 = nn.ReLU(inplace=True)
        self.conv3 = Convolution(second, outputs, 1)
        changes = stride != 1 or inputs != outputs
        self.shortcut = Convolution(inputs, outputs, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride)."""
        trunk = x if self.shortcut is None else self.shortcut(x)
        if min(self.conv1.in_channels, self.conv2.in_channels, self.conv3.in_channels) == 0:
            return trunk
        y = self.conv1(self.intake(x))
        y = self.conv2(self.relu2(self.norm2(y)))
        return trunk + self.conv3(self.relu3(self.norm3(y)))

    def groups(self, names: Sequence[str]) -> list[Group]:
        """The selection, and the outputs of the first two convolutions."""
        return [
            self.intake.group(names[0], self.conv1),
            Group(names[1], self.conv1, self.norm2, self.relu2, (self.conv2,)),
            Group(names[2], self.conv2, self.norm3, self.relu3, (self.conv3,)),
        ]


class PreResNet(Network):
    """Stem, three stages of blocks, select, norm, relu, mean over space, linear classifier."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        stem, *stages = architecture.trunk
        *names, last = architecture.groups
        *widths, selected = architecture.widths
        self.stem = Stem(architecture, stem)
        blocks = residual_blocks(architecture, len(architecture.blocks) // 3)
        chain = [
            Block(block.inputs, inside, block.outputs, block.stride)
            for block, *inside in zip(blocks, widths[::3], widths[1::3], widths[2::3], strict=True)
        ]
        self.blocks = nn.Sequential(*chain)
        self.intake = SelectNormReLU(stages[-1], selected)
        self.classifier = nn.Linear(selected, architecture.classes)
        self.groups = (
            *(group for i, block in enumerate(chain) for group in block.groups(names[3 * i : 3 * i + 3])),
            self.intake.group(last, self.classifier),
        )
        self.branch_ends = tuple(block.conv3 for block in chain)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(global_average_pool(self.intake(self.blocks(self.stem(x)))))
