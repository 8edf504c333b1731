"""Pruning as Crowley et al. (2018) do it: one channel at a time, with fine-tuning in between."""

import itertools
from collections.abc import Iterator
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


def lowest(scores: list[Tensor]) -> Choice:
    """The channel with the lowest saliency in the whole network; of equals the first by position.

    Raises BadInput when no channel is left, FloatingPointError when a saliency is not a number.
    """
    everything = np.concatenate([score.numpy() for score in scores])
    if not len(everything):
        raise BadInput("no channel is left to remove")
    if not np.isfinite(everything).all():
        raise FloatingPointError("a saliency is not finite: lower the learning rate")
    place = int(everything.argmin())  # numpy promises the first of equals, torch does not
    for group, score in enumerate(scores):
        if place < len(score):
            return Choice(group, place, float(score[place]))
        place -= len(score)
    raise AssertionError("unreachable")


def prune(network: Network, dataset: Dataset, plan: Plan, seed: int) -> Iterator[Removal]:
    """Take a trained network apart in place, a network after every round.

    A round is one removal and the fine-tuning steps that follow; their activations and gradients decide
    the next removal. Round 0 is the fine-tuning before the first. Raises BadInput before any work if
    there are fewer channels than rounds.
    """
    channels = sum(group.width for group in network.groups)
    if plan.rounds > channels:
        raise BadInput(f"rounds={plan.rounds}, but the network has {channels} channels to remove")
    device = dataset.train.labels.device
    network.on(device).train()
    dtype = training.precision(plan.precision, device)
    generator = torch.Generator().manual_seed(seed)
    batches = Batches(dataset, plan.batch_size, generator)
    optimizer = training.sgd(network, plan.lr, plan.momentum, plan.weight_decay)
    numbers = [list(range(group.width)) for group in network.groups]  # of the channels still there

    gone = Choice(-1, -1, float("nan"))
    with saliency.Probe(network, plan.criterion, generator) as probe:
        for round_ in range(plan.rounds + 1):
            number = -1
            if round_ > 0:
                gone = lowest(probe.scores())
                surgery.remove(network, gone.group, gone.channel, optimizer)
                number = numbers[gone.group].pop(gone.channel)
            loss = torch.zeros((), device=device)
            for x, y in itertools.islice(batches, plan.steps):
                loss += training.step(network, optimizer, x, y, dtype)
            yield Removal(
                round_,
                gone.group,
                number,
                gone.saliency,
                network.architecture,
                training.finite(loss.item() / plan.steps, f"round {round_}"),
                training.evaluate(network, dataset, dataset.validation, dtype).error,
                training.evaluate(network, dataset, dataset.test, dtype).error,
                (round_ + 1) * plan.steps * plan.batch_size,
            )
