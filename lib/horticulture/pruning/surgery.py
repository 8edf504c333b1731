"""Cut channels out of a network: exactly, physically, and together with the optimizer's state.

The cut network computes what the network with those channels silenced would compute, with one exception. The
last channel of a group takes its block with it, and with the block the constant that a later norm of the
block would output. This happens in a ResNet, whose branch ends with a norm, and in a PreResNet for the
selection and the first convolution. In a Wide ResNet, and for the second convolution of a PreResNet, no norm
follows and the cut is exact; in the other families a group always keeps a channel. What to cut is decided
elsewhere (see `pruner`).
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
    """Cut one channel out of the layer that makes or selects it, its norm, its readers and the optimizer.

    group: index into `network.groups`. channel: its position among the remaining channels. The last one of a
    group takes the whole block with it and, in a ResNet or PreResNet, a constant (see above). Raises
    InputError if there is no such channel.
    """
    remove_channels(network, [(group, channel)], optimizer)


def remove_channels(
    network: Network, channels: list[tuple[int, int]], optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Cut many (group, channel) out at once: one cut per group. Channels are numbered before the cut."""
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
    """Keep only these channels of a group: their positions among the remaining ones, in increasing order.

    Raises InputError if they are not in increasing order, or do not exist.
    """
    if channels != sorted(set(channels)) or not all(0 <= c < group.width for c in channels):
        raise InputError(
            f"group {group.name} can keep 0 to {group.width - 1}, in increasing order, not {channels}"
        )
    for module, name, dim, index in group.slices(channels):
        _select(module, name, index, dim, optimizer)
        match_counts(module)


@torch.no_grad()
def silence_channel(network: Network, group: int, channel: int) -> None:
    """Zero all weights that read a channel, so that the network computes as if it were cut."""
    for weight, places in network.groups[group].read_weights(channel):
        weight[:, places] = 0


def _select(
    module: nn.Module,
    name: str,
    index: Tensor,
    dim: int,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Replace a parameter or buffer by a slice of it, in the module and in the optimizer.

    This makes a new Parameter instead of assigning `.data`: autograd's node for the old one remembers its
    shape as long as anything holds a graph, and the next backward pass would fail.
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
    """Make the optimizer step the new parameter, keeping the momentum of what is left of it."""
    for settings in optimizer.param_groups:
        settings["params"] = [new if parameter is old else parameter for parameter in settings["params"]]
    state = optimizer.state.pop(old, None)
    if state is not None:
        optimizer.state[new] = {
            name: cut(value) if isinstance(value, Tensor) and value.shape == old.shape else value
            for name, value in state.items()
        }
