"""A user's own network, with groups that can be cut: see `group_discovery`. A ViT has such groups, too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.networks.groups import Slice, Tap
from horticulture.networks.layers import Network
from horticulture.networks.random_streams import RandomStreams

UNCOUNTED = (nn.RNNBase, nn.RNNCellBase, nn.Bilinear)  # layers whose products torch does not count
NO_CODE = "a module given to describe cannot be rebuilt: put its code in a file and name it FILE.py:FUNCTION"


@dataclass(eq=False)
class LiveAxis:
    """A dimension of a tensor, and which of its original indices are still present."""

    module: nn.Module
    name: str
    dim: int
    present: Tensor  # original indices, in increasing order

    def places(self, indices: Tensor) -> Tensor:
        """Map original indices, all still present, to their current positions."""
        return torch.searchsorted(self.present, indices)

    def without(self, removed: Tensor) -> Tensor:
        """Remove these original indices and return the current positions to keep."""
        stays = ~torch.isin(self.present, removed)
        self.present = self.present[stays]
        return stays.nonzero().flatten()


class Places(NamedTuple):
    """Where a group lies along an axis. indices: (channels of the whole network, positions of each)."""

    axis: LiveAxis
    indices: Tensor


@dataclass(eq=False)
class TracedGroup:
    """Channels of any module that can be removed together with nothing else; see `groups.Group`.

    name: the first producer's, with a number if it produces several groups. producers: the layers that make
    them. places: where they lie, along every axis of a parameter or buffer that has them. reader_places:
    those of them along which layers read the channels. remaining: their numbers in the whole network.
    """

    name: str
    producers: tuple[nn.Module, ...]
    places: list[Places]
    reader_places: list[Places]
    remaining: Tensor
    selection = None  # the channels are made by layers

    @property
    def width(self) -> int:
        """The number of channels now."""
        return len(self.remaining)

    @property
    def producer(self) -> nn.Module:
        """The first layer that makes the channels; the group is named after it."""
        return self.producers[0]

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        """The layers that read the channels."""
        return tuple(dict.fromkeys(axis.module for axis, _ in self.reader_places))

    @property
    def norm(self) -> nn.Module | None:
        """The first batch norm with a scale and shift per channel, in the group's order, if there is one."""
        for axis, indices in self.places:
            if isinstance(axis.module, _BatchNorm) and axis.name == "weight":
                places = axis.places(indices[self.remaining]).flatten()
                if torch.equal(places, torch.arange(len(axis.present))):
                    return axis.module
        return None

    @property
    def scaled(self) -> tuple[nn.Module, tuple[nn.Module, ...]]:
        """The module whose output a factor per channel scales; the modules whose weights can absorb it."""
        assert self.norm is not None
        return self.norm, (self.norm,)

    def filters(self) -> Tensor:
        """(channel, n, 1, 1): the weights that make each channel."""
        rows = [
            axis.module.get_parameter("weight").flatten(1)[axis.places(indices[self.remaining])].flatten(1)
            for axis, indices in self.places
            if axis.module in self.producers and (axis.name, axis.dim) == ("weight", 0)
        ]
        return torch.cat(rows, dim=1)[:, :, None, None]

    def slices(self, channels: list[int]) -> Iterator[Slice]:
        """The part of each tensor to keep so that only these channels stay. Records the others as removed."""
        stays = torch.zeros(self.width, dtype=torch.bool)
        stays[channels] = True
        removed, self.remaining = self.remaining[~stays], self.remaining[stays]
        for axis, indices in self.places:
            yield Slice(axis.module, axis.name, axis.dim, axis.without(indices[removed].flatten()))

    def read_weights(self, channel: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The weight of each reader, and the positions along dimension 1 at which it reads the channel."""
        for axis, indices in self.reader_places:
            yield getattr(axis.module, axis.name), axis.places(indices[self.remaining[channel]])

    def taps(self) -> Iterator[Tap]:
        """Where the channels can be observed: the inputs of the readers."""
        for axis, indices in self.reader_places:

            def places(axis: LiveAxis = axis, indices: Tensor = indices) -> Tensor:
                return axis.places(indices[self.remaining])

            last = isinstance(axis.module, nn.Linear)
            yield Tap(axis.module, received=True, dim=-1 if last else 1, places=places)


class TracedNetwork(Network):
    """Any module, as a network whose groups can be cut. `pinned`: why channels cannot be removed, by layer.

    Grey images are repeated to as many channels as the module takes. The module's own random numbers, such as
    dropout's, come from a stream of its own (`RandomStreams`). channels_last: whether the module works in
    that memory format (False: its inputs are made contiguous).
    """

    groups: tuple[TracedGroup, ...]  # type: ignore[assignment]
    draws: RandomStreams

    def __init__(
        self, module: nn.Module, architecture: Architecture, channels: int = 0, channels_last: bool = True
    ) -> None:
        super().__init__(architecture)
        self.module, self.channels, self.channels_last = module, channels, channels_last
        self.pinned: dict[str, str] = {}
        self.draws = RandomStreams()
        self.remake: Callable[[torch.Generator | None], TracedNetwork] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        if self.channels and x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if not self.channels_last:
            x = x.contiguous()
        with self.draws.used(x.device, advance=self.training):
            return self.module(x)

    def to_device(self, device: torch.device) -> Self:
        """Move to that device, in the memory format fastest for convolutions if the module allows it."""
        return super().to_device(device) if self.channels_last else self.to(device)

    @property
    def uncounted(self) -> list[str]:
        """The layers whose MACs are not in the architecture's: torch does not count their products."""
        return [name for name, part in self.module.named_modules() if isinstance(part, UNCOUNTED)]

    @property
    def frozen(self) -> dict[str, None]:
        """The layers with a parameter that the module's code has frozen: no run trains it."""
        tensors = self.module.named_parameters()
        return dict.fromkeys(
            name.rpartition(".")[0] or name for name, tensor in tensors if not tensor.requires_grad
        )

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, as `own.build` does. Raises InputError for a module passed to `describe`."""
        if self.remake is None:
            raise InputError(NO_CODE)
        self.load_state_dict(self.remake(generator).state_dict())


def cut(group: TracedGroup, channels: list[int]) -> None:
    """Keep only these channels of a group. For networks without an optimizer."""
    for piece in group.slices(channels):
        piece.cut()
