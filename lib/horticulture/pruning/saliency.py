"""Saliencies: scores of how much each channel matters. The lowest is removed first.

A `SaliencyProbe` collects what a criterion needs during fine-tuning steps, so that scoring needs no forward
or backward pass of its own.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from horticulture.errors import InputError, check_choice, first_line
from horticulture.networks import Group, Network
from horticulture.pruning.criteria import BUILT_IN, CRITERIA, fisher_of, taylor_of


def fisher(activation: Tensor, gradient: Tensor) -> Tensor:
    """Expected rise of the loss when a channel is silenced (Theis et al., 2018; Crowley et al., 2018).

    activation: (batch, channel, height, width), after the non-linearity.
    gradient: the same shape, of each example's *own* loss with respect to it, not of the batch's mean loss.
    Returns (channel,), never negative: half the mean over examples of the squared sum over space.
    """
    return fisher_of(contributions(activation, gradient), 1)


def taylor(activation: Tensor, gradient: Tensor) -> Tensor:
    """Size of the first-order change of the loss (Molchanov et al., 2017), before normalisation by layer.

    Arguments as for `fisher`. Returns (channel,): the mean over examples of the absolute value of each
    example's mean over space (section 2.2), so that examples of opposite sign do not cancel.
    """
    return taylor_of(contributions(activation, gradient), activation[0, 0].numel())


# Elements processed at a time. On a CPU they fit in the cache: up to ten times faster than all at once.
CHUNK = 2**20


def contributions(activation: Tensor, gradient: Tensor) -> Tensor:
    """Each channel's contribution to each example's loss: activation times gradient, summed over space.

    activation, gradient: (batch, channel, height, width), any precision. Returns (batch, channel) float32.
    """
    examples = len(activation) if activation.is_cuda else max(1, CHUNK // activation[0].numel())
    pairs = zip(activation.split(examples), gradient.split(examples), strict=True)
    return torch.cat([(a.float() * g.float()).sum(dim=(2, 3)) for a, g in pairs])


Listener = tuple[int, Callable[[], Tensor] | None]  # a group's number, and its channels in the tapped tensor


def _as_images(tensor: Tensor, dim: int) -> Tensor:
    """Reshape a tensor with channels along `dim` to (batch, channel, height, width)."""
    if tensor.dim() == 4 and dim == 1:
        return tensor
    return tensor.movedim(dim, 1).reshape(len(tensor), tensor.shape[dim], -1, 1)


class SaliencyProbe:
    """Collects activations and gradients of a network's groups in ordinary training steps, to score channels.

    Use it as a context manager. `scores()` returns one tensor per group and starts collecting anew.
    precomputed: scores from a training run, for criteria that need them. Raises InputError if they are
    missing.
    """

    def __init__(
        self,
        network: Network,
        criterion: str,
        generator: torch.Generator,
        precomputed: list[Tensor] | None = None,
    ) -> None:
        self.name, self.criterion = criterion, CRITERIA[check_choice(criterion, CRITERIA, "criterion")]
        if self.criterion.precomputed and precomputed is None:
            needed = f"a network trained with the penalty {self.criterion.penalty} and its factors"
            raise InputError(f"{criterion} needs {needed}")
        self.network, self.generator, self.precomputed = network, generator, precomputed
        self._sums: list[Tensor | None] = [None] * len(network.groups)
        self.steps = [0] * len(network.groups)  # since the last scores, by group
        # Contributions of a group in the last step, and its positions.
        self._step: dict[int, tuple[Tensor, int]] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "SaliencyProbe":
        if self.criterion.from_gradients is not None:
            taps: dict[tuple[torch.nn.Module, bool, int], list[Listener]] = {}
            for number, group in enumerate(self.network.groups):
                for tap in group.taps():
                    taps.setdefault((tap.module, tap.received, tap.dim), []).append((number, tap.places))
            self._hooks = [self._listen(*point, listeners) for point, listeners in taps.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def scores(self) -> list[Tensor]:
        """(channel,) for every group, on the CPU; empty for a group with no channels left."""
        self._end_of_step()
        scored = [self._score(number, group) for number, group in enumerate(self.network.groups)]
        self._sums = [None] * len(scored)
        self.steps = [0] * len(scored)
        return scored

    def state_dict(self) -> tuple[dict[int, Tensor], Tensor]:
        """The sums accumulated in this round, by group, and the state of the generator."""
        self._end_of_step()
        accumulated = {number: total for number, total in enumerate(self._sums) if total is not None}
        return accumulated, self.generator.get_state()

    def load_state_dict(self, accumulated: dict[int, Tensor], draws: Tensor, steps: list[int]) -> None:
        """Continue from the state of another probe of the same network."""
        self._sums = [None] * len(self.network.groups)
        for number, total in accumulated.items():
            self._sums[number] = total.to(next(self.network.parameters()).device)
        self.generator.set_state(draws)
        self.steps = list(steps)

    def _listen(
        self, module: torch.nn.Module, received: bool, dim: int, listeners: list["Listener"]
    ) -> torch.utils.hooks.RemovableHandle:
        """Hook a module's input or output, for all groups that have channels in it."""

        def observe(activation: Tensor) -> None:
            kept = activation.detach()

            def backward(gradient: Tensor) -> None:
                # The loss is the batch's mean, so multiply by the batch size for each example's own.
                per_example = contributions(_as_images(kept, dim), _as_images(gradient, dim)) * len(gradient)
                positions = gradient.numel() // per_example.numel()
                for number, places in listeners:
                    if places is None:
                        self._add(number, per_example, positions)
                    else:
                        index = places().to(per_example.device)
                        self._add(number, per_example[:, index].sum(dim=2), positions * index.shape[1])

            activation.register_hook(backward)

        def before(module: object, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if not torch.is_grad_enabled():  # evaluation, not training
                return None
            self._end_of_step(listeners)
            # Its gradient comes from this reader alone. After frozen layers the input needs none itself.
            alias = inputs[0].view_as(inputs[0])
            if not alias.requires_grad:
                alias.requires_grad_()
            observe(alias)
            return (alias, *inputs[1:])

        def after(module: object, inputs: object, activation: Tensor) -> None:
            if activation.requires_grad:
                self._end_of_step(listeners)
                observe(activation)

        return module.register_forward_pre_hook(before) if received else module.register_forward_hook(after)

    def _add(self, number: int, per_example: Tensor, positions: int) -> None:
        """Add the contributions seen by one of a group's readers in this step."""
        before = self._step.get(number)
        self._step[number] = (per_example if before is None else before[0] + per_example), positions

    def _end_of_step(self, listeners: list["Listener"] | None = None) -> None:
        """Score the contributions of the last step, if any, of some groups or all."""
        score = self.criterion.from_gradients
        if score is None:
            return
        for number in [number for number, _ in listeners] if listeners else list(self._step):
            if number in self._step:
                (contributions, positions), total = self._step.pop(number), self._sums[number]
                width = contributions.shape[1]
                scores = self._ask(score, number, width, contributions, positions)
                self._sums[number] = scores if total is None else total + scores
                self.steps[number] += 1

    @torch.no_grad()
    def _score(self, number: int, group: Group) -> Tensor:
        if group.width == 0:
            return torch.zeros(0)
        if self.criterion.from_gradients is not None:
            total = self._sums[number]
            if not any(self.steps):
                raise RuntimeError("no training step since the last scores: nothing to score")
            if total is None:  # the branch is dead: no image passes it
                return torch.zeros(group.width)
            saliency = total / self.steps[number]
        elif self.criterion.from_weights is not None:
            saliency = self._ask(self.criterion.from_weights, number, group.width, group)
        elif self.precomputed is not None:
            saliency = self.precomputed[number]
        else:
            saliency = torch.rand(group.width, generator=self.generator)
        scores = self.criterion.normalize(saliency).cpu()
        if self.name not in BUILT_IN and not bool((scores > -math.inf).all()):
            scaled = ", once normalised" if bool((saliency > -math.inf).all()) else ""
            said = f"the criterion {self.name} gave group {group.name} a score that is"
            raise InputError(f"{said} {'NaN' if bool(scores.isnan().any()) else '-inf'}{scaled}")
        return scores

    def _ask(self, score: Callable[..., Tensor], number: int, width: int, *arguments: Any) -> Tensor:
        """The scores of a group by the criterion. Raises InputError for what a user's must not do."""
        if self.name in BUILT_IN:
            return score(*arguments)
        what, group = f"the criterion {self.name}", f"group {self.network.groups[number].name}"
        # Other groups may have the same tensor, so that it gets a copy.
        given = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
        watched = [*self.network.parameters(), *self.network.buffers()]
        before = [tensor._version for tensor in watched]
        try:
            scores = score(*given)
        except Exception as error:  # users' code may raise anything
            raise InputError(f"{what} failed for {group}: {first_line(error)}") from error
        if [tensor._version for tensor in watched] != before:
            raise InputError(
                f"{what} changed a tensor of the network in place for {group}: let it copy first"
            )
        if not isinstance(scores, Tensor) or scores.shape != (width,):
            shape = f" of shape {tuple(scores.shape)}" if isinstance(scores, Tensor | np.ndarray) else ""
            wanted = f"a tensor of shape ({width},), a score for each channel"
            raise InputError(f"{what} returned {type(scores).__name__}{shape} for {group}: return {wanted}")
        if scores.is_complex():
            raise InputError(f"{what} returned complex numbers for {group}: return real ones")
        return scores.detach() if scores.is_floating_point() else scores.float()
