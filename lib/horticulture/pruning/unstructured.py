"""Prune single weights: masks by magnitude, which training keeps, and reinitialisation under them.

After Han et al. (2015); which weights are prunable, and how the rest is reinitialised, as in Liu et al.
(2019). Nothing gets smaller here: removed weights are zeros in tensors of the old shape. `compression` makes
them small.
"""

import math

import torch
from torch import Tensor, nn

from horticulture.errors import InputError, check_choice
from horticulture.networks.layers import Network
from horticulture.pruning.ranking import SCOPES
from horticulture.training.callbacks import StepCallback


def weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """The prunable weights by name in `state_dict`: those of convolutions (Liu et al., 2019).

    Linear layers are prunable too, except the last, which counts as the classifier. It and the norms stay
    whole. Layers that have lost all their channels are left out.
    """
    layers = {n: module for n, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    last = next((n for n, module in reversed(layers.items()) if isinstance(module, nn.Linear)), None)
    return {
        f"{name}.weight": module.get_parameter("weight")
        for name, module in layers.items()
        if name != last and module.weight.numel()
    }


def match_weights(network: nn.Module, masks: dict[str, Tensor]) -> list[tuple[str, nn.Parameter, Tensor]]:
    """Name, weight and matching mask (or another tensor of that shape) for everything in `weights`.

    Raises InputError if names or shapes do not match.
    """
    prunable = weights(network)
    if odd := sorted(prunable.keys() ^ masks.keys()):
        raise InputError(f"the masks are not for this network: {odd[0]} is in only one of the two")
    for name, weight in prunable.items():
        if masks[name].shape != weight.shape:
            raise InputError(
                f"{name} has shape {tuple(weight.shape)} in the network, not {tuple(masks[name].shape)}"
            )
    return [(name, weight, masks[name].to(weight.device)) for name, weight in prunable.items()]


@torch.no_grad()
def magnitude_masks(
    network: nn.Module, fraction: float, scope: str = "global", before: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Masks of the weights that stay if a fraction is removed, smallest first: bool, in their shapes.

    fraction: of all prunable weights (scope "global") or of each layer's ("layer"). Exactly
    `round(fraction * number)` are removed. Ties are broken by removing weights at equal distances from the
    first layer to the last. before: masks of an earlier step, whose removed weights stay removed and count.
    Raises InputError for a fraction outside [0, 1) or below what is already removed, or an unknown scope.
    """
    check_choice(scope, SCOPES, "scope")
    if not 0 <= fraction < 1:
        raise InputError(f"fraction must be at least 0 and below 1, not {fraction!r}")
    prunable = weights(network)
    sizes = {name: weight.abs().flatten() for name, weight in prunable.items()}
    if before is not None:
        for name, _, mask in match_weights(network, before):
            sizes[name][~mask.flatten()] = -1  # below any other, so removed first again
    if scope == "layer":
        kept = [_largest(size, fraction, name) for name, size in sizes.items()]
    else:
        mask = _largest(torch.cat(list(sizes.values())), fraction, "the network")
        kept = list(mask.split([weight.numel() for weight in prunable.values()]))
    return {name: mask.reshape(prunable[name].shape) for name, mask in zip(prunable, kept, strict=True)}


def _largest(sizes: Tensor, fraction: float, where: str) -> Tensor:
    """True for all but the smallest. Counts them, because a threshold would fail on ties."""
    count, removed = round(fraction * len(sizes)), int((sizes < 0).sum())
    if removed > count:
        raise InputError(
            f"fraction {fraction!r} of {where} is {count} weights, but {removed} are already removed"
        )
    kept = torch.ones_like(sizes, dtype=torch.bool)
    if count == 0:
        return kept
    rising, order = sizes.sort(stable=True)
    cut = rising[count - 1 : count]
    first, end = (int(torch.searchsorted(rising, cut, right=right)) for right in (False, True))
    equal, some = order[first:end], count - first
    kept[order[:first]] = False
    kept[equal[(2 * torch.arange(some, device=sizes.device) + 1) * len(equal) // (2 * some)]] = False
    return kept


def current_masks(network: nn.Module) -> dict[str, Tensor]:
    """The masks of a pruned network: nonzero weights stay."""
    return {name: weight.detach() != 0 for name, weight in weights(network).items()}


def nonzero_macs(network: Network, masks: dict[str, Tensor]) -> int:
    """Multiply-accumulates of a forward pass for one image: remaining weights, classifier, attention.

    The work of hardware that skips every zero: a bound, not a time.
    """
    layers, pairs = network.architecture.layers, match_weights(network, masks)
    if network.architecture.table is not None:
        kept = {name.removeprefix("module."): int(mask.sum()) for name, _, mask in pairs}
        counted = [(layer, kept.get(f"{layer.name}.weight")) for layer in layers]
        return sum(layer.macs if nonzero is None else layer.positions * nonzero for layer, nonzero in counted)
    convolutions = [layer for layer in layers if layer.kind == "conv" and layer.params]
    return sum(layer.macs for layer in layers if layer.kind != "conv") + sum(
        layer.positions * int(mask.sum())  # in the order of the modules
        for layer, (_, _, mask) in zip(convolutions, pairs, strict=True)
    )


def count_nonzero(masks: dict[str, Tensor], network: nn.Module) -> int:
    """Parameters that are not removed, including norms and classifier."""
    removed = sum(int((~mask).sum()) for _, _, mask in match_weights(network, masks))
    return sum(parameter.numel() for parameter in network.parameters()) - removed


@torch.no_grad()
def reinitialize(
    network: Network, masks: dict[str, Tensor], generator: torch.Generator | None = None
) -> None:
    """Reinitialise the network under its masks, in place, on the CPU (published code of Liu et al., 2019).

    Surviving weights are drawn from N(0, 2 / n) with n = survivors of the layer / its input channels: the
    variance of a dense layer with as many weights. Everything else is as in a new network.
    """
    matched = match_weights(network, masks)
    network.initialise(generator)
    for _, weight, mask in matched:
        # In our networks they are N(0, 2 / (k k outputs)) now; k k outputs = all weights / input channels.
        weight.mul_(math.sqrt(weight.numel() / max(int(mask.sum()), 1))).masked_fill_(~mask, 0)


class MaskCallback(StepCallback):
    """Keeps removed weights at zero, now and after every step, whatever momentum and decay do.

    The optimizer's state for a removed weight affects that weight alone, so it needs no mask.
    """

    def __init__(self, network: nn.Module, masks: dict[str, Tensor]) -> None:
        self._weights = weights(network)
        self._removed = {name: ~mask for name, _, mask in match_weights(network, masks)}
        self.after_step()

    @property
    def masks(self) -> dict[str, Tensor]:
        """True for the weights that stay."""
        return {name: ~removed for name, removed in self._removed.items()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Zero the removed weights again."""
        for name, weight in self._weights.items():
            self._removed[name] = match_layout(self._removed[name], weight)
            weight.masked_fill_(self._removed[name], 0)

    def state_dict(self) -> dict[str, Tensor]:
        """The masks, as `mask.NAME`."""
        return {f"mask.{name}": mask for name, mask in self.masks.items()}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore masks that `state_dict` returned, and apply them."""
        self._removed = {name: ~tensors[f"mask.{name}"] for name in self._weights}
        self.after_step()


def match_layout(tensor: Tensor, weight: Tensor) -> Tensor:
    """Match a tensor to a weight's device and memory layout, so that combining them is fast.

    A trainer may move its network after a callback was made for it; then this copies, once.
    """
    if tensor.device == weight.device and tensor.stride() == weight.stride():
        return tensor
    return torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)
