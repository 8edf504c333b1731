"""Pruning in rounds: something goes, and the network is fine-tuned before the next goes.

One channel a round is the way of Crowley et al. (2018); one round that takes a share of everything at one
stroke is that of Liu et al. (2019).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from horticulture import training
from horticulture.architecture import Architecture
from horticulture.data import Batches, Dataset
from horticulture.errors import InputError, check_choice
from horticulture.networks import Network
from horticulture.pruning import saliency, selection, surgery, unstructured
from horticulture.pruning.selection import ScoredChannel, lowest_channel
from horticulture.training import evaluation

__all__ = ["Pruner", "PruningRecipe", "PruningRound", "ScoredChannel", "lowest_channel"]


@dataclass(frozen=True)
class PruningRecipe:
    """Everything that fixes a pruning, apart from the network, the data and the seed.

    The defaults are the published ones of Crowley et al.: one channel a round, 100 steps at the last rate
    of the base training. With a `ratio` that share is gone after the last round, in equal parts a round;
    one round is one stroke.
    """

    rounds: int
    criterion: str = "fisher"  # a name in saliency.CRITERIA
    ratio: float = 0.0  # share that goes in all rounds together; 0: one channel a round
    measure: str = "channels"  # what it is a share of: channels, params, macs; zeros: all that scores 0
    scope: str = ""  # global, layer or a preset's name; empty becomes the criterion's own
    floor: float = 0.0  # share of every group's channels that stays in any case
    steps: int = 100  # of fine-tuning, in each round
    lr: float = 8e-4  # constant
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    precision: str = "float32"
    norms: str = "estimated"  # as in a `training.TrainingRecipe`
    norm_images: int = 512
    evaluate_every: int = 1  # rounds; the last is always evaluated

    def __post_init__(self) -> None:
        criterion = saliency.CRITERIA[check_choice(self.criterion, saliency.CRITERIA, "criterion")]
        object.__setattr__(self, "scope", self.scope or criterion.scope)
        evaluation.check_measurement(self)
        check_choice(self.measure, [*selection.MEASURES, selection.ZEROS], "measure")
        check_choice(self.scope, [*selection.SCOPES, *selection.profiles.PRESETS], "scope")
        training.positive(self, "rounds", "steps", "lr", "batch_size", "evaluate_every")
        for name in ("ratio", "floor"):
            share = getattr(self, name)
            if not (isinstance(share, int | float) and 0 <= share < 1):
                raise InputError(f"{name} must be at least 0 and below 1, not {share!r}")
        unit = criterion.granularity
        if unit != "channel" and self.floor:
            raise InputError(f"{self.criterion} takes whole {unit}s: a floor has no meaning")
        if unit == "weight" and not self.ratio:
            raise InputError(f"{self.criterion} takes single weights: say which ratio of them")
        if criterion.precomputed and self.rounds > 1:
            raise InputError(f"{self.criterion} is told once by the training: one round, not {self.rounds}")

    def __str__(self) -> str:
        criterion = saliency.CRITERIA[self.criterion]
        single = criterion.granularity == "weight"
        what = f"{self.ratio:.0%} of {'weights' if single else self.measure}, " if self.ratio else ""
        what += f"scope {self.scope}, " if self.scope != criterion.scope else ""
        return f"{what}{self.steps} steps a round, constant {self.lr:g}, batch {self.batch_size}"

    def to_json(self) -> dict:
        """Plain names and numbers."""
        return training.plain(self)

    def aim(self, round_: int) -> selection.PruningTarget:
        """What should be gone at the end of that round."""
        criterion = saliency.CRITERIA[self.criterion]
        progress = round_ / self.rounds
        return selection.PruningTarget(
            self.ratio * progress,
            progress,
            self.measure,
            self.scope,
            self.floor,
            one=self.one_at_a_time(),
            whole_blocks=criterion.granularity == "block",
        )

    def one_at_a_time(self) -> bool:
        """Whether a round takes one channel."""
        preset = self.scope in selection.profiles.PRESETS
        return not (self.ratio or preset or self.measure == selection.ZEROS)

    def chosen(
        self, scores: list[Tensor], shape: Architecture, whole: Architecture, round_: int
    ) -> list[ScoredChannel]:
        """What goes in that round, lowest first, from a network that was `whole` once."""
        return selection.select_channels(scores, shape, whole, self.aim(round_))


class PruningRound(NamedTuple):
    """A round: what went, and what the network was after the fine-tuning that followed.

    Round 0 removes nothing. A channel in `gone` has its number in the whole network; single weights that
    went are not listed. `params`: those that are left. Errors in percent, not a number in rounds that are
    not evaluated; `images` seen since the pruning began; `digest`: of the weights (`evaluation.digest`).
    """

    round: int
    gone: tuple[ScoredChannel, ...]
    architecture: Architecture
    params: int
    loss: float
    val_error: float
    test_error: float
    images: int
    digest: str


class Pruner:
    """A pruning under way. Iterate over it: the network is taken apart in place, a `PruningRound` a round.

    A round is a removal and the fine-tuning steps that follow; their activations and gradients decide
    the next removal. Round 0 is the fine-tuning before the first. Like a `training.Trainer` it can be put
    down with `state_dict` and taken up again by a pruning that is given that state, and a network of the
    widths that it had then. `whole`: the architecture before anything went. told: the scores, for a
    criterion that is told them. recorded: what went in each round, (group, channel in the whole network),
    where an earlier pruning is replayed: the same goes, whatever the last bits of the saliencies, and
    nothing is measured. Raises InputError before any work if there are fewer channels than rounds.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        plan: PruningRecipe,
        seed: int,
        on_step: Callable[[], None] = lambda: None,
        state: training.Checkpoint | None = None,
        told: list[Tensor] | None = None,
        recorded: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    ) -> None:
        device = dataset.train.labels.device
        self.network, self.dataset, self.plan = network.to_device(device).train(), dataset, plan
        self.whole = network.architecture if state is None else _with(network, state.numbers["whole"])
        check(plan, self.whole)
        self.on_step, self.recorded = on_step, recorded
        self.dtype = evaluation.PRECISIONS[plan.precision]
        self.batches = Batches(dataset, plan.batch_size, torch.Generator().manual_seed(seed))
        self.probe = saliency.SaliencyProbe(
            network, plan.criterion, torch.Generator().manual_seed(seed), told
        )
        self.optimizer = training.sgd(network, plan.lr, plan.momentum, plan.weight_decay)
        self.round, self.step = 0, 0  # steps of this round that are done
        self.gone: tuple[ScoredChannel, ...] = ()  # in this round; channel: as in the whole network
        self.numbers = [list(range(group.width)) for group in network.groups]  # of the channels still there
        self.loss = torch.zeros((), device=device)  # summed over the round's steps
        self.masked: unstructured.MaskCallback | None = None
        if saliency.CRITERIA[plan.criterion].granularity == "weight":
            self.masked = unstructured.MaskCallback(network, unstructured.magnitude_masks(network, 0.0))
        if state is not None:
            self._restore(state)

    def __iter__(self) -> Iterator[PruningRound]:
        with self.probe if self.recorded is None else nullcontext():
            while self.round <= self.plan.rounds:
                if self.round > 0 and self.step == 0:
                    self._remove()
                self._tune()
                yield self._measured()
                self.round, self.step, self.gone = self.round + 1, 0, ()
                self.loss.zero_()
                self.on_step()

    def _remove(self) -> None:
        if self.masked is not None:
            share = self.plan.ratio * self.round / self.plan.rounds
            kept = unstructured.magnitude_masks(self.network, share, self.plan.scope, self.masked.masks)
            self.masked = unstructured.MaskCallback(self.network, kept)
            return
        if self.recorded is not None:
            choices = [
                ScoredChannel(group, self.numbers[group].index(channel), math.nan)
                for group, channel in self.recorded.get(self.round, ())
            ]
        else:
            shape = self.network.architecture
            choices = self.plan.chosen(self.probe.scores(), shape, self.whole, self.round)
        surgery.remove_channels(self.network, [(c.group, c.channel) for c in choices], self.optimizer)
        self.gone = tuple(c._replace(channel=self.numbers[c.group][c.channel]) for c in choices)
        for choice in self.gone:
            self.numbers[choice.group].remove(choice.channel)

    def _tune(self) -> None:
        while self.step < self.plan.steps:
            batch = next(self.batches)
            self.loss += training.step(self.network, self.optimizer, *batch, self.dtype, self.masked)
            self.step += 1
            if self.step < self.plan.steps:
                self.on_step()

    def _measured(self) -> PruningRound:
        val = test = math.nan
        due = self.round % self.plan.evaluate_every == 0 or self.round == self.plan.rounds
        if due and self.recorded is None:
            parts, count = (
                (self.dataset.validation, self.dataset.test),
                evaluation.images_for_norms(self.plan),
            )
            with evaluation.settled(self.network, self.dataset, count, self.dtype):
                val, test = (
                    evaluation.evaluate(self.network, self.dataset, p, self.dtype).error for p in parts
                )
        loss = training.finite(self.loss.item() / self.plan.steps, f"round {self.round}")
        images = (self.round + 1) * self.plan.steps * self.plan.batch_size
        shape = self.network.architecture
        left = unstructured.count_nonzero(self.masked.masks, self.network) if self.masked else shape.params
        weights = evaluation.digest(self.network)
        return PruningRound(self.round, self.gone, shape, left, loss, val, test, images, weights)

    def state_dict(self) -> training.Checkpoint:
        """Everything that the rest of the pruning depends on, `widths` of the network included."""
        stream, heard, draws = self.batches.state_dict(), *self.probe.state_dict()
        tensors = {
            **training.tensors_of(self.network, self.optimizer),
            **{f"heard.{group}": total for group, total in heard.items()},
            "loss": self.loss,
            "stream": stream["began"],
            "draws": draws,
        }
        if self.masked is not None:
            tensors |= {f"rule.{name}": tensor for name, tensor in self.masked.state_dict().items()}
        return training.Checkpoint(
            tensors,
            {
                "whole": list(self.whole.widths),
                "widths": list(self.network.architecture.widths),
                "round": self.round,
                "step": self.step,
                "place": stream["place"],
                "gone": [list(choice) for choice in self.gone],
                "numbers": self.numbers,
                "listened": self.probe.steps,
            },
        )

    def _restore(self, state: training.Checkpoint) -> None:
        tensors, numbers = state
        training.restore_tensors(self.network, self.optimizer, tensors)
        if self.masked is not None:
            training.restore_rule(self.masked, tensors)
        self.loss.copy_(tensors["loss"])
        self.batches.load_state_dict({"began": tensors["stream"], "place": numbers["place"]})
        heard = {
            int(n.removeprefix("heard.")): total for n, total in tensors.items() if n.startswith("heard.")
        }
        self.probe.load_state_dict(heard, tensors["draws"], numbers["listened"])
        self.round, self.step, self.numbers = numbers["round"], numbers["step"], numbers["numbers"]
        self.gone = tuple(ScoredChannel(*choice) for choice in numbers["gone"])


def check(plan: PruningRecipe, whole: Architecture) -> None:
    """Raise InputError if a plan cannot be carried out on a network: too little to remove, no such preset."""
    criterion = saliency.CRITERIA[plan.criterion]
    if criterion.granularity == "block" and not whole.blocks:
        raise InputError(f"a network of the family {whole.family} has no blocks that can leave as a whole")
    least = selection.minimal_architecture(whole, plan.floor, criterion.granularity == "block")
    can = sum(whole.widths) - sum(least.widths)
    scope = plan.scope
    if criterion.granularity == "weight":
        check_choice(scope, selection.SCOPES, "scope of single weights")
    elif plan.one_at_a_time():
        if plan.rounds > can:
            raise InputError(f"rounds={plan.rounds}, but the network has {can} channels to remove")
    elif scope in selection.profiles.PRESETS:
        selection.profiles.preset(scope, whole)
    elif plan.measure == "channels":
        wanted = round(plan.ratio * sum(whole.widths))
        if wanted > can and scope == "global":
            raise InputError(f"ratio={plan.ratio:g} is {wanted} channels, but only {can} can go")
    elif plan.measure in selection.MEASURES:
        cost = selection.MEASURES[plan.measure]
        if cost(least) > (1 - plan.ratio) * cost(whole):
            most = 1 - cost(least) / cost(whole)
            raise InputError(f"ratio={plan.ratio:g} of the {plan.measure}, but at most {most:.3g} can go")


def _with(network: Network, widths: list[int]) -> Architecture:
    return network.architecture.with_widths(tuple(widths))
