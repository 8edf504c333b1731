"""What all networks are made of: groups, a convolution without a bias, and their initialisation."""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture


@dataclass(frozen=True)
class Group:
    """Channels that can go together with nothing else: made by one layer, normalised, read by others."""

    name: str
    producer: nn.Conv2d  # its output channels are the group
    norm: nn.BatchNorm2d
    gate: nn.Module  # the activation after the norm: what it gives is what the readers see
    consumers: tuple[nn.Conv2d, ...]  # their input channels are the group

    @property
    def width(self) -> int:
        """Channels that are there now."""
        return self.producer.out_channels


class Network(nn.Module):
    """A module that knows its groups and, at any moment, its own architecture."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self._born = architecture
        self.groups: tuple[Group, ...] = ()
        # for every entry of `architecture.blocks`, the convolution that ends the block's branch
        self.branches: tuple[nn.Module, ...] = ()

    def on(self, device: torch.device) -> Self:
        """Move to that device, in the memory format that its convolutions like best."""
        return self.to(device).to(memory_format=torch.channels_last)

    @property
    def architecture(self) -> Architecture:
        """The architecture as it is now, after whatever surgery there was."""
        return self._born.with_widths(tuple(group.width for group in self.groups))


class Convolution(nn.Conv2d):
    """A convolution without bias that keeps the size of its input (stride 1) or halves it (stride 2).

    Unlike torch's own it may have no channels at all, and is left uninitialised: see `initialise`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, height / stride, width / stride)."""
        if self.kernel_size == (1, 1) and self.stride != (1, 1):
            # Pick the pixels first. It is the same sum, and oneDNN's own strided 1 x 1 convolution
            # (3.13, AVX2, channels last) writes out of bounds when widths are no multiples of 8.
            return F.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight)
        return super().forward(x)

    def reset_parameters(self) -> None:
        """Left to `initialise`, which takes its random numbers from a generator."""


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """As the published code: convolutions N(0, 2 / (k k outputs)), norms 1 and 0, classifier uniform."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel():
            fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            module.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.weight.fill_(1)
            module.bias.zero_()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            module.weight.uniform_(-bound, bound, generator=generator)
            module.bias.zero_()


def pooled(x: Tensor) -> Tensor:
    """(batch, channel, height, width) -> (batch, channel), the mean over space."""
    return x.mean(dim=(2, 3))
