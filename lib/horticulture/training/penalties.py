"""Penalties: sparsity terms in training that show which channels or whole blocks can be removed.

A penalty is a callback that acts between the gradient and the step. Two of them add factors to the network;
at the end `fold_into_weights` multiplies these into the weights and leaves a plain network.

    with penalties.make(network, "blocks", 0.01) as penalty:
        ...  # steps of training with `callback=penalty`
        factors = penalty.fold_into_weights()
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.networks import Network
from horticulture.training.callbacks import StepCallback

MOMENTUM = 0.9  # of the factors, as published

Factors = list[float] | list[list[float]]  # one per block; or per group a list of one per channel


class Penalty(StepCallback, AbstractContextManager):
    """A callback that may hook the network: close it, or use it in a `with`. This one does nothing."""

    def fold_into_weights(self) -> Factors:
        """Turn the network into an equivalent plain one. Return its factors (empty if there are none)."""
        return []

    def close(self) -> None:
        """Take the hooks out of the network."""

    def __exit__(self, *_: object) -> None:
        self.close()


class Slimming(Penalty):
    """Network slimming (Liu et al., 2017): `strength * sum |gamma|` over the norms of all groups.

    gamma is the norm's scale of a channel. As published, the loss itself is unchanged and the subgradient is
    added: strength * sign(gamma), which is 0 at 0. Norms whose channels cannot be removed are not penalised.
    """

    def __init__(self, network: Network, strength: float) -> None:
        self.network, self.strength = network, strength

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """Add the penalty's subgradient to the gradient of the loss."""
        for group in self.network.groups:
            gamma = group.norm.weight
            if gamma.grad is not None:  # None for a vanished group
                gamma.grad.add_(gamma.sign(), alpha=self.strength)


class ScaledStructure(NamedTuple):
    """A structure to remove as a whole: the module it scales, its factors, and what can absorb them.

    `part`: an integer (one factor for the whole output) or a slice (one factor per channel).
    `absorbers`: modules whose weights the factors can be multiplied into, along the inputs.
    """

    output: nn.Module
    part: int | slice
    absorbers: tuple[nn.Module, ...]


class SparseStructures(Penalty):
    """Sparse structure selection (Huang and Wang, 2018): a factor per structure, `strength * sum |factor|`.

    The factors start at 1, have no weight decay, and are moved by `proximal_step` at the learning rate of the
    step, to exactly 0 where a structure can be removed. All other weights use the training run's optimizer
    (published: Nesterov's). The network must already be on its device.
    """

    def __init__(
        self, network: Network, strength: float, structures: Sequence[ScaledStructure], count: int
    ) -> None:
        self.strength, self.structures = strength, structures
        like = next(network.parameters())
        self.factors = torch.ones(count, dtype=like.dtype, device=like.device, requires_grad=True)
        # The optimizer does not know the factors: their gradient accumulates here and is zeroed after use.
        self.factors.grad = torch.zeros_like(self.factors)
        self.velocity = torch.zeros_like(self.factors, requires_grad=False)
        self._hooks = [s.output.register_forward_hook(self._scale(s.part)) for s in structures]

    def _scale(self, part: int | slice) -> Callable[..., Tensor]:
        def hook(module: object, inputs: object, output: Tensor) -> Tensor:
            # In the output's own type: a float32 factor would turn a bfloat16 network into a float32 one.
            return output * along_channels(self.factors[part], output).to(output.dtype)

        return hook

    @torch.no_grad()
    def before_step(self, lr: float) -> None:
        """Move the factors. A vanished block has a zero gradient, and its factor has no effect."""
        gradient = self.factors.grad
        assert gradient is not None
        factors, velocity = proximal_step(self.factors, self.velocity, gradient, lr, self.strength)
        self.factors.copy_(factors)
        self.velocity.copy_(velocity)
        gradient.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """The factors and their velocity."""
        return {"factors": self.factors.detach(), "velocity": self.velocity}

    @torch.no_grad()
    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned, for a network of the same architecture."""
        self.factors.copy_(tensors["factors"])
        self.velocity.copy_(tensors["velocity"])

    @torch.no_grad()
    def fold_into_weights(self) -> Factors:
        """Multiply the factors into the weights and close. Call once, after training."""
        for structure in self.structures:
            for module in structure.absorbers:
                weight = module.get_parameter("weight")
                weight.mul_(along_channels(self.factors[structure.part], weight))
                if isinstance(module, _BatchNorm):  # a branch that ends in a norm
                    module.bias.mul_(self.factors[structure.part])
        self.close()
        return [self.factors[structure.part].tolist() for structure in self.structures]

    def close(self) -> None:
        """Take the hooks out of the network."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def along_channels(factors: Tensor, like: Tensor) -> Tensor:
    """Shape one factor, or one per channel, to multiply dimension 1 of a tensor such as `like`.

    That is the dimension of an output's channels and of a weight's inputs.
    """
    return factors.reshape(-1, *[1] * (like.dim() - 2))


def proximal_step(
    factors: Tensor, velocity: Tensor, gradient: Tensor, lr: float, strength: float
) -> tuple[Tensor, Tensor]:
    """One step of accelerated proximal gradient: the factors and their velocity after it.

    Huang and Wang (2018), equations 10 to 12, clamped at 0 as in their code:
    z = soft(factors - lr gradient, lr strength); velocity = z - factors + 0.9 velocity;
    factors = max(z + 0.9 velocity, 0), with soft(x, a) = `sign(x) max(|x| - a, 0)`.
    The gradient is that of the loss without the penalty, at these factors.
    """
    z = F.softshrink(factors - lr * gradient, lr * strength)
    velocity = z - factors + MOMENTUM * velocity
    return (z + MOMENTUM * velocity).clamp(min=0), velocity


def blocks(network: Network, strength: float) -> SparseStructures:
    """One factor per residual block, on what it adds to the trunk.

    Raises InputError if the network has no residual blocks that can be removed as a whole.
    """
    network.architecture.check_blocks()
    structures = [ScaledStructure(end, number, (end,)) for number, end in enumerate(network.branch_ends)]
    return SparseStructures(network, strength, structures, len(structures))


def groups(network: Network, strength: float) -> SparseStructures:
    """One factor per channel of every group, after its activation: here the channel is the structure.

    Published for the neurons of VGG and for the groups of convolutions in ResNeXt.
    """
    structures, count = [], 0
    for group in network.groups:
        channels = slice(count, count + group.width)
        output, absorbers = group.scaled
        structures.append(ScaledStructure(output, channels, absorbers))
        count = channels.stop
    return SparseStructures(network, strength, structures, count)


PENALTIES: dict[str, Callable[[Network, float], Penalty]] = {
    "none": lambda network, strength: Penalty(),
    "slimming": Slimming,  # pulls the scale of every channel's norm to zero
    "blocks": blocks,  # pulls a factor on every residual block to exactly zero
    "groups": groups,  # pulls a factor on every channel to exactly zero
}
BUILT_IN = dict(PENALTIES)  # descriptions of runs include a digest of any other


def make(network: Network, name: str, strength: float) -> Penalty:
    """Make the penalty of that name for a network on its device; "none" ignores the strength.

    Published strengths: slimming 1e-4 (VGG) and 1e-5 (ResNet-164, DenseNet-40); blocks 0.01 (ResNet-50).
    Raises InputError for an unknown name, a negative strength, or blocks for a network without any.
    """
    make_penalty = PENALTIES[check_choice(name, PENALTIES, "penalty")]
    if name != "none" and not 0 <= strength < math.inf:
        raise InputError(f"the strength of a penalty must be 0 or more, not {strength!r}")
    return make_penalty(network, strength)


def scores_from_factors(architecture: Architecture, name: str, factors: Factors) -> list[Tensor]:
    """(channel,) scores for every group, from the factors that `fold_into_weights` returned.

    architecture: of the network when it was trained with the penalty `name`, "blocks" or "groups". A block's
    factor applies to all channels of all its groups; groups in no block get infinite scores, because they are
    never removed. Raises InputError if the number of factors is wrong.
    """
    widths = architecture.widths
    if check_choice(name, ("blocks", "groups"), "penalty with factors") == "blocks":
        _check_count(len(factors), len(architecture.blocks), "blocks")
        scores = [torch.full((width,), math.inf) for width in widths]
        for factor, members in zip(torch.tensor(factors), architecture.blocks, strict=True):
            for group in members:
                scores[group].fill_(factor)
        return scores
    _check_count(len(factors), len(widths), "groups")
    scores = [torch.tensor(channels, dtype=torch.float32) for channels in factors]
    for name, channels, width in zip(architecture.groups, scores, widths, strict=True):
        _check_count(len(channels), width, f"channels of group {name}")
    return scores


def _check_count(factors: int, structures: int, what: str) -> None:
    if factors != structures:
        raise InputError(f"{factors} factors for {structures} {what}: they belong to another network")
