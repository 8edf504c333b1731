"""Pruning as Crowley et al. (2018) do it: one channel at a time, with fine-tuning in between."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from horticulture import saliency, surgery, training
from horticulture.architecture import Architecture
from horticulture.data import Batches, Dataset
from horticulture.errors import BadInput, choose
from horticulture.networks import Network


@dataclass(frozen=True)
class Plan:
    """Everything that fixes a pruning, apart from the network, the data and the seed.

    The defaults are the published ones: 100 steps a round at the last rate of the base training.
    """

    rounds: int
    criterion: str = "fisher"  # a name in saliency.CRITERIA
    steps: int = 100  # of fine-tuning, in each round
    lr: float = 8e-4  # constant
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    precision: str = "auto"

    def __post_init__(self) -> None:
        choose(self.criterion, saliency.CRITERIA, "criterion")
        choose(self.precision, training.PRECISIONS, "precision")
        training.positive(self, "rounds", "steps", "lr", "batch_size")

    def __str__(self) -> str:
        return f"{self.steps} steps a round, constant {self.lr:g}, batch {self.batch_size}"

    def to_json(self) -> dict:
        """Plain names and numbers."""
        return training.plain(self)


class Choice(NamedTuple):
    """A channel to remove: `channel` counts among those still there."""

    group: int
    channel: int
    saliency: float


class Removal(NamedTuple):
    """A round: the channel that went, and what the network was after the fine-tuning that followed.

    Round 0 removes nothing (group and channel are -1). `channel` is the channel's number in the whole
    network. Errors in percent; `images` seen since the pruning began.
    """

    round: int
    group: int
    channel: int
    saliency: float
    architecture: Architecture
    loss: float
    val_error: float
    test_error: float
    images: int


def lowest(scores: list[Tensor], least: Sequence[int] | None = None) -> Choice:
    """The channel with the lowest saliency in the whole network; of equals the first by position.

    least: how many channels each group must keep, none if it is not said.
    Raises BadInput when no channel is left, FloatingPointError when a saliency is not a number.
    """
    everything = np.concatenate([score.numpy() for score in scores])
    if not np.isfinite(everything).all():
        raise FloatingPointError("a saliency is not finite: lower the learning rate")
    pairs = zip(scores, least or [0] * len(scores), strict=True)
    free = np.concatenate([np.full(len(score), len(score) > kept) for score, kept in pairs])
    if not free.any():
        raise BadInput("no channel is left to remove")
    everything[~free] = np.inf
    place = int(everything.argmin())  # numpy promises the first of equals, torch does not
    for group, score in enumerate(scores):
        if place < len(score):
            return Choice(group, place, float(score[place]))
        place -= len(score)
    raise AssertionError("unreachable")


class Pruning:
    """A pruning under way. Iterate over it: the network is taken apart in place, a `Removal` a round.

    A round is one removal and the fine-tuning steps that follow; their activations and gradients decide
    the next removal. Round 0 is the fine-tuning before the first. Like a `training.Training` it can be put
    down with `state` and taken up again by a pruning that is given that state, and a network of the widths
    that it had then. Not `evaluated`, its errors are not a number: a replay need not measure them again.
    Raises BadInput before any work if there are fewer channels than rounds.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        plan: Plan,
        seed: int,
        each_step: Callable[[], None] = lambda: None,
        state: training.State | None = None,
        evaluated: bool = True,
    ) -> None:
        channels = sum(group.width for group in network.groups)
        if state is None and plan.rounds > channels:
            raise BadInput(f"rounds={plan.rounds}, but the network has {channels} channels to remove")
        device = dataset.train.labels.device
        self.network, self.dataset, self.plan = network.on(device).train(), dataset, plan
        self.each_step, self.evaluated = each_step, evaluated
        self.dtype = training.precision(plan.precision, device)
        self.batches = Batches(dataset, plan.batch_size, torch.Generator().manual_seed(seed))
        self.probe = saliency.Probe(network, plan.criterion, torch.Generator().manual_seed(seed))
        self.optimizer = training.sgd(network, plan.lr, plan.momentum, plan.weight_decay)
        self.round, self.step = 0, 0  # steps of this round that are done
        self.gone = Choice(-1, -1, float("nan"))  # channel: as in the whole network
        self.numbers = [list(range(group.width)) for group in network.groups]  # of the channels still there
        self.loss = torch.zeros((), device=device)  # summed over the round's steps
        if state is not None:
            self._restore(state)

    def __iter__(self) -> Iterator[Removal]:
        with self.probe:
            while self.round <= self.plan.rounds:
                if self.round > 0 and self.step == 0:
                    self._remove(lowest(self.probe.scores(), self.network.architecture.least))
                self._tune()
                yield self._measured()
                self.round, self.step = self.round + 1, 0
                self.loss.zero_()
                self.each_step()

    def _remove(self, choice: Choice) -> None:
        surgery.remove(self.network, choice.group, choice.channel, self.optimizer)
        self.gone = choice._replace(channel=self.numbers[choice.group].pop(choice.channel))

    def _tune(self) -> None:
        while self.step < self.plan.steps:
            self.loss += training.step(self.network, self.optimizer, *next(self.batches), self.dtype)
            self.step += 1
            if self.step < self.plan.steps:
                self.each_step()

    def _measured(self) -> Removal:
        val = test = float("nan")
        if self.evaluated:
            parts = self.dataset.validation, self.dataset.test
            val, test = (training.evaluate(self.network, self.dataset, p, self.dtype).error for p in parts)
        loss = training.finite(self.loss.item() / self.plan.steps, f"round {self.round}")
        images = (self.round + 1) * self.plan.steps * self.plan.batch_size
        return Removal(self.round, *self.gone, self.network.architecture, loss, val, test, images)

    def state(self) -> training.State:
        """Everything that the rest of the pruning depends on, `widths` of the network included."""
        stream, heard, draws = self.batches.state(), *self.probe.state()
        tensors = {
            **training.tensors_of(self.network, self.optimizer),
            **{f"heard.{group}": total for group, total in heard.items()},
            "loss": self.loss,
            "stream": stream["began"],
            "draws": draws,
        }
        gone = [
            self.gone.group,
            self.gone.channel,
            None if math.isnan(self.gone.saliency) else self.gone.saliency,
        ]
        return training.State(
            tensors,
            {
                "widths": list(self.network.architecture.widths),
                "round": self.round,
                "step": self.step,
                "place": stream["place"],
                "gone": gone,
                "numbers": self.numbers,
                "listened": self.probe.steps,
            },
        )

    def _restore(self, state: training.State) -> None:
        tensors, numbers = state
        training.restore_tensors(self.network, self.optimizer, tensors)
        self.loss.copy_(tensors["loss"])
        self.batches.restore({"began": tensors["stream"], "place": numbers["place"]})
        heard = {
            int(n.removeprefix("heard.")): total for n, total in tensors.items() if n.startswith("heard.")
        }
        self.probe.restore(heard, tensors["draws"], numbers["listened"])
        self.round, self.step, self.numbers = numbers["round"], numbers["step"], numbers["numbers"]
        group, channel, found = numbers["gone"]
        self.gone = Choice(group, channel, float("nan") if found is None else found)
