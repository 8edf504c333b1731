"""Groups of channels that can be removed, and what of each tensor is kept when some are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class Slice(NamedTuple):
    """The part of a parameter or buffer to keep when channels are removed: these places along a dimension."""

    module: nn.Module
    name: str
    dim: int
    places: Tensor

    def keep(self, tensor: Tensor) -> Tensor:
        """This part of a tensor of the same shape, in the same memory format."""
        part = tensor.detach().index_select(self.dim, self.places.to(tensor.device))
        if tensor.dim() != 4:
            return part
        # With strides as if it were new: where a dimension has one place, `contiguous` leaves others, for
        # which convolutions are computed by other kernels, and a replay would have other bits.
        return torch.empty_like(part, memory_format=memory_format(tensor)).copy_(part)

    def cut(self) -> tuple[Tensor, Tensor]:
        """Replace the tensor by this part of it. Returns both.

        This makes a new Parameter instead of assigning `.data`: autograd's node for the old one remembers its
        shape as long as anything holds a graph, and the next backward pass would fail.
        """
        old = getattr(self.module, self.name)
        new = self.keep(old)
        if isinstance(old, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
        setattr(self.module, self.name, new)
        match_counts(self.module)
        return old, new


def match_counts(module: nn.Module) -> None:
    """Set a layer's channel counts to those of its tensors."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        module.out_channels = module.weight.shape[0]
        if module.groups > 1:  # depthwise; other grouped convolutions are not cut
            module.groups = module.in_channels = module.out_channels
        else:
            module.in_channels = module.weight.shape[1]
    elif isinstance(module, _NormBase) and module.weight is not None:
        module.num_features = len(module.weight)


class Tap(NamedTuple):
    """Where a group's channels can be observed: at a module's output, or at its input (`received`).

    dim: the dimension of the channels. places: the group's current positions along it, (channels, positions
    of each); None: all, in order.
    """

    module: nn.Module
    received: bool = False
    dim: int = 1
    places: Callable[[], Tensor] | None = None


@dataclass(frozen=True)
class Group:
    """Channels that can be removed together with nothing else; they are normalised, then read by others.

    They are made by one layer, the `producer`, or picked from a trunk by a `selection`; the `readers` take
    them as inputs.
    """

    name: str
    producer: nn.Conv2d | None  # its output channels are the group
    norm: nn.BatchNorm2d
    activation: nn.Module  # the activation after the norm, whose output the readers see
    readers: tuple[nn.Conv2d | nn.Linear, ...]  # their input channels are the group
    selection: "ChannelSelection | None" = None  # instead of a producer

    @property
    def width(self) -> int:
        """The number of channels now."""
        return self.norm.num_features

    def filters(self) -> Tensor:
        """(channel, inputs, height, width): the weights that make each channel.

        For a selection, which no layer makes, the weights that read each channel: (channel, n, 1, 1).
        """
        if self.producer is not None:
            return self.producer.weight
        read = [reader.weight.transpose(0, 1).flatten(1) for reader in self.readers]
        return torch.cat(read, dim=1)[:, :, None, None]

    def slices(self, channels: list[int]) -> Iterator[Slice]:
        """The part of each tensor to keep so that only these channels stay."""
        index = torch.tensor(channels, dtype=torch.long, device=self.norm.weight.device)
        if self.producer is not None:
            yield Slice(self.producer, "weight", 0, index)
        if self.selection is not None:
            yield Slice(self.selection, "index", 0, index)
        for name in ("weight", "bias", "running_mean", "running_var"):
            yield Slice(self.norm, name, 0, index)
        for reader in self.readers:
            yield Slice(reader, "weight", 1, index)

    def read_weights(self, channel: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The weight of each reader, and the positions along dimension 1 at which it reads the channel."""
        for reader in self.readers:
            yield reader.weight, torch.tensor([channel])

    def taps(self) -> Iterator[Tap]:
        """Where the channels can be observed: the activation's output, which all readers receive."""
        yield Tap(self.activation)

    @property
    def scaled(self) -> tuple[nn.Module, tuple[nn.Module, ...]]:
        """The module whose output a factor per channel scales; the modules whose weights can absorb it."""
        return self.activation, self.readers


class ChannelSelection(nn.Module):
    """Picks channels from a trunk: those in `index`, in increasing order.

    A new selection is spread evenly over the trunk: freshly initialised channels of one layer are
    interchangeable, and where many layers make up the trunk each contributes its share. The code published
    with Liu et al. (2019) keeps the pruned network's choice instead: pass `selections` to `networks.build`.
    `index` is part of the state, so weights are loaded together with the choice that they belong to.
    """

    index: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.register_buffer("index", torch.arange(width) * inputs // max(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, selected, height, width), in the same memory format."""
        if len(self.index) == x.shape[1]:  # increasing, so these are all of them
            return x
        return _Pick.apply(x, self.index)


class _Pick(torch.autograd.Function):
    """`x[:, index]` for an index without repetitions: gradients are assigned, not accumulated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape, ctx.format = x.shape, memory_format(x)
        if ctx.format is torch.channels_last:  # torch would return the other format
            return x.permute(0, 2, 3, 1)[..., index].permute(0, 3, 1, 2)
        return x[:, index]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (index,) = ctx.saved_tensors
        like = {"dtype": gradient.dtype, "device": gradient.device, "memory_format": ctx.format}
        full = torch.empty(ctx.shape, **like).zero_()
        full[:, index] = gradient
        return full, None


def memory_format(x: Tensor) -> torch.memory_format:
    """The memory format of a tensor: channels-last or contiguous.

    Strides tell them apart, also where a dimension has one place and torch calls the tensor both.
    """
    _, channels, height, width = x.shape
    last = (height * width * channels, 1, width * channels, channels)
    return torch.channels_last if x.stride() == last else torch.contiguous_format
