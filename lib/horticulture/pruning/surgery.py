"""Cut channels out of a network: exactly, physically, and together with the optimizer's state.

The cut network computes what the network with those channels silenced would compute, with one exception. The
last channel of a group takes its block with it, and with the block the constant that a later norm of the
block would output. This happens in a ResNet, whose branch ends with a norm, and in a PreResNet for the
selection and the first convolution. In a Wide ResNet, a ViT, and for the second convolution of a PreResNet,
no norm follows and the cut is exact; in the other network types a group always keeps a channel. What to cut
is decided elsewhere (see `ranking`).
"""

import torch
from torch import Tensor, nn

from horticulture.errors import InputError
from horticulture.networks import Group, Network
from horticulture.networks.groups import Slice


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
    for group, cut in removed.items():
        remaining = [c for c in range(network.groups[group].width) if c not in cut]
        keep_channels(network.groups[group], remaining, optimizer)


@torch.no_grad()
def keep_channels(group: Group, channels: list[int], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Keep only these channels of a group: their positions among the remaining ones, in increasing order.

    Raises InputError if they are not in increasing order, or do not exist.
    """
    if channels != sorted(set(channels)) or not all(0 <= c < group.width for c in channels):
        raise InputError(
            f"group {group.name} can keep 0 to {group.width - 1}, in increasing order, not {channels}"
        )
    for piece in group.slices(channels):
        old, new = piece.cut()
        if optimizer is not None and isinstance(old, nn.Parameter):
            _replace_in_optimizer(optimizer, old, new, piece)


@torch.no_grad()
def silence_channel(network: Network, group: int, channel: int) -> None:
    """Zero all weights that read a channel, so that the network computes as if it were cut."""
    for weight, places in network.groups[group].read_weights(channel):
        weight[:, places] = 0


def _replace_in_optimizer(optimizer: torch.optim.Optimizer, old: Tensor, new: Tensor, piece: Slice) -> None:
    """Make the optimizer step the new parameter, keeping the momentum of what is left of it."""
    for settings in optimizer.param_groups:
        settings["params"] = [new if parameter is old else parameter for parameter in settings["params"]]
    state = optimizer.state.pop(old, None)
    if state is not None:
        optimizer.state[new] = {
            name: piece.keep(value) if isinstance(value, Tensor) and value.shape == old.shape else value
            for name, value in state.items()
        }
