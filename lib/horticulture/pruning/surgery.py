"""Taking channels out of a network: exactly, physically, and with the optimizer's state.

The cut network computes what the network with those channels silenced would compute. One cut is different:
the last channel of a group takes the block with it, and what a later norm of that block makes of nothing, a
constant, goes too. So it is in a ResNet, whose branch ends with a norm, and in a PreResNet for the selection
and the first convolution. In a Wide ResNet, and for the second convolution of a PreResNet, no norm follows
and the cut is exact; in the other families a group keeps a channel. Choosing what to cut is not done here
(see `pruner`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from horticulture.errors import InputError
from horticulture.networks import Group, Network
from horticulture.networks.layers import keep_along, match_counts


def remove_channel(
    network: Network, group: int, channel: int, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Take one channel out: from the layer that makes or selects it, its norm, its readers and the optimizer.

    group: index into `network.groups`. channel: its place among the channels still there. The last one of a
    block's group takes the whole block along, and with it, in a ResNet or PreResNet, a constant (see above).
    Raises InputError if there is no such channel.
    """
    remove_channels(network, [(group, channel)], optimizer)


def remove_channels(
    network: Network, channels: list[tuple[int, int]], optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Take many (group, channel) out at once: one cut a group. Channels are counted before the cut."""
    removed: dict[int, set[int]] = {}
    for group, channel in channels:
        if not 0 <= group < len(network.groups):
            raise InputError(f"no group {group}: the network has {len(network.groups)}")
        width = network.groups[group].width
        if not 0 <= channel < width:
            raise InputError(f"no channel {channel} in group {network.groups[group].name}: it has {width}")
        removed.setdefault(group, set()).add(channel)
    for group, those in removed.items():
        kept = [c for c in range(network.groups[group].width) if c not in those]
        keep_channels(network.groups[group], kept, optimizer)


@torch.no_grad()
def keep_channels(group: Group, channels: list[int], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Keep only these channels of a group: their places among those still there, in increasing order.

    Raises InputError if they are not in increasing order, or not there.
    """
    if channels != sorted(set(channels)) or not all(0 <= c < group.width for c in channels):
        raise InputError(
            f"keep some of 0 to {group.width - 1}, in order, in group {group.name}: not {channels}"
        )
    for module, name, dim, index in group.slices(channels):
        _select(module, name, index, dim, optimizer)
        match_counts(module)


@torch.no_grad()
def silence_channel(network: Network, group: int, channel: int) -> None:
    """Zero all weights that read a channel: the network computes what it would without it."""
    for weight, places in network.groups[group].read_weights(channel):
        weight[:, places] = 0


def _select(
    module: nn.Module,
    name: str,
    index: Tensor,
    dim: int,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Replace a parameter or buffer by a slice of it, everywhere it is known.

    A new Parameter and not new `.data` in the old one: autograd's node for the old one remembers its
    shape for as long as anything holds a graph, and the next backward pass would fail.
    """
    old, index = getattr(module, name), index.to(getattr(module, name).device)
    if not isinstance(old, nn.Parameter):
        setattr(module, name, keep_along(old, dim, index))
        return
    new = nn.Parameter(keep_along(old, dim, index), requires_grad=old.requires_grad)
    setattr(module, name, new)
    if optimizer is not None:
        _replace_in_optimizer(optimizer, old, new, lambda tensor: keep_along(tensor, dim, index))


def _replace_in_optimizer(
    optimizer: torch.optim.Optimizer,
    old: nn.Parameter,
    new: nn.Parameter,
    cut: Callable[[Tensor], Tensor],
) -> None:
    """Let the optimizer step the new parameter, with the momentum that belongs to what is left of it."""
    for settings in optimizer.param_groups:
        settings["params"] = [new if parameter is old else parameter for parameter in settings["params"]]
    state = optimizer.state.pop(old, None)
    if state is not None:
        optimizer.state[new] = {
            name: cut(value) if isinstance(value, Tensor) and value.shape == old.shape else value
            for name, value in state.items()
        }
