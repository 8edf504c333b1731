"""Building blocks of all networks: their base class, a convolution without a bias, and initialisation."""

import math
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.architecture.network_type import STEMS
from horticulture.networks.groups import ChannelSelection, Group
from horticulture.networks.random_streams import RandomStreams


class Network(nn.Module):
    """A module that knows its groups and its current architecture.

    `branch_ends`: for each entry of `architecture.blocks`, the module whose output is added to the trunk.
    `draws`: the random numbers that it draws itself, such as dropout's; our network types draw none.
    """

    draws: RandomStreams | None = None

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self._initial_architecture = architecture
        self.groups: tuple[Group, ...] = ()
        self.branch_ends: tuple[nn.Module, ...] = ()

    def to_device(self, device: torch.device) -> Self:
        """Move to that device, in the memory format fastest for convolutions."""
        return self.to(device).to(memory_format=torch.channels_last)

    @property
    def architecture(self) -> Architecture:
        """The current architecture, after any surgery."""
        return self._initial_architecture.with_widths(tuple(group.width for group in self.groups))

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, for the current widths."""
        initialise(self, generator)

    def reseed(self, generator: torch.Generator) -> None:
        """Restart the random numbers that it draws itself from this generator's next one."""
        if self.draws:
            self.draws.seed(generator)


class Convolution(nn.Conv2d):
    """A convolution without bias that keeps the size of its input (stride 1) or halves it (stride 2).

    Unlike torch's it may have no channels at all, and it starts uninitialised: see `initialise`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride)."""
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            # Pick the pixels first. The sum is the same, and oneDNN's strided 1 x 1 convolution
            # (3.13, AVX2, channels last) writes out of bounds when widths are not multiples of 8.
            return F.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight)
        return super().forward(x)

    def reset_parameters(self) -> None:
        """Do nothing: `initialise` does it, with random numbers from a generator."""


class Stem(Convolution):
    """The convolution that reads the images and, in a stem of stride 4, a max pool (see `STEMS`)."""

    def __init__(self, architecture: Architecture, outputs: int) -> None:
        kernel, stride, pools = STEMS[architecture.stem_stride]
        super().__init__(architecture.image[0], outputs, kernel, stride)
        self.pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, outputs, height / stem_stride, width / stem_stride)."""
        x = super().forward(x)
        return F.max_pool2d(x, 3, stride=2, padding=1) if self.pools else x


class SelectNormReLU(nn.Module):
    """A layer's input from a trunk: some of the channels, normalised and rectified."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.selection = ChannelSelection(inputs, width)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, selected, height, width)."""
        return self.relu(self.norm(self.selection(x)))

    def group(self, name: str, reader: nn.Conv2d | nn.Linear) -> Group:
        """The group of the selected channels, which one layer reads."""
        return Group(name, None, self.norm, self.relu, (reader,), self.selection)


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialise as the published code does.

    Convolutions N(0, 2 / (k k outputs)), norms 1 and 0, linear layers uniform.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel():
            fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            module.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
            module.weight.fill_(1)
            module.bias.zero_()
        elif isinstance(module, nn.Linear) and module.weight.numel():
            bound = 1 / math.sqrt(module.in_features)
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.zero_()


def global_average_pool(x: Tensor) -> Tensor:
    """(batch, channel, height, width) -> (batch, channel), the mean over space."""
    return x.mean(dim=(2, 3))
