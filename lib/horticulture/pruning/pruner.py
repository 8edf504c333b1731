"""Pruning in rounds: each removes something and then fine-tunes the network.

Crowley et al. (2018) remove one channel a round; Liu et al. (2019) remove a fraction of everything in a
single round.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from horticulture import training
from horticulture.architecture import Architecture
from horticulture.data import Dataset
from horticulture.networks import Network
from horticulture.pruning import saliency, surgery, unstructured
from horticulture.pruning.ranking import ScoredChannel
from horticulture.pruning.recipe import PruningRecipe, check_feasible
from horticulture.training import evaluation
from horticulture.training.callbacks import NO_CALLBACK, StepCallback

Record = Mapping[int, Sequence[tuple[int, int]]]  # by round: (group, channel in the whole network)


class PruningRound(NamedTuple):
    """A round: what was removed, and the network after the fine-tuning that followed.

    Round 0 removes nothing. `removed` has channels by their numbers in the whole network; single weights are
    not listed. `params`: the remaining parameters. Errors in percent, NaN in rounds that are not evaluated.
    `images`: seen since the run started. `digest`: `evaluation.weights_digest`.
    """

    round: int
    removed: tuple[ScoredChannel, ...]
    architecture: Architecture
    params: int
    loss: float
    val_error: float
    test_error: float
    images: int
    digest: str


class Pruner(training.Resumable):
    """A pruning run in progress. Iterate over it to prune the network in place, one `PruningRound` at a time.

    A round is a removal and the fine-tuning steps after it, whose activations and gradients decide the next
    removal. Round 0 is the fine-tuning before the first removal. Like a `training.Trainer` it can be
    interrupted: a pruner given its `state_dict` as `state`, and a network of the widths at that time,
    continues bit for bit. `whole`: the architecture before any removal; `mask`: keeps single weights removed.
    precomputed: scores from a training run, for criteria that need them. recorded: what each round of an
    earlier run removed, to replay it: the same channels are removed whatever the last bits of the saliencies,
    and nothing is evaluated. Raises InputError before any work if there are fewer channels than rounds.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: PruningRecipe,
        seed: int,
        on_step: Callable[[], None] = lambda: None,
        state: training.Checkpoint | None = None,
        precomputed: list[Tensor] | None = None,
        recorded: Record | None = None,
    ) -> None:
        super().__init__(network, dataset, recipe, torch.Generator().manual_seed(seed), on_step)
        widths = network.architecture.widths if state is None else tuple(state.numbers["whole"])
        self.whole = network.architecture.with_widths(widths)
        check_feasible(recipe, self.whole)
        draws = torch.Generator().manual_seed(seed)
        self.probe = saliency.SaliencyProbe(network, recipe.criterion, draws, precomputed)
        self.recorded, self.round = recorded, 0
        self._strategy = _Weights(network, recipe) if recipe.granularity == "weight" else _Channels()
        self.callback: StepCallback = self.mask or NO_CALLBACK
        self.removed: tuple[ScoredChannel, ...] = ()  # in this round, numbered as in the whole network
        # Of the remaining channels, in the whole network.
        self.numbers = [list(range(group.width)) for group in network.groups]
        if state is not None:
            self.load_state_dict(state)

    @property
    def mask(self) -> unstructured.MaskCallback | None:
        """What keeps single weights removed; channels need none."""
        return self._strategy.mask

    def __iter__(self) -> Iterator[PruningRound]:
        with self.probe if self.recorded is None else nullcontext():
            while self.round <= self.recipe.rounds:
                if self.round > 0 and self.step == 0:
                    self._strategy.remove(self)
                self._finetune()
                yield self._measure()
                self.round, self.step, self.removed = self.round + 1, 0, ()
                self.loss.zero_()
                self.on_step()

    def _finetune(self) -> None:
        while self.step < self.recipe.steps:
            self.train_step()
            if self.step < self.recipe.steps:
                self.on_step()

    def _measure(self) -> PruningRound:
        recipe, architecture, val, test = self.recipe, self.network.architecture, math.nan, math.nan
        due = self.round % recipe.evaluate_every == 0 or self.round == recipe.rounds
        if due and self.recorded is None:
            val, test = self.errors(self.dataset.validation, self.dataset.test)
        return PruningRound(
            self.round,
            self.removed,
            architecture,
            self._strategy.params(self.network),
            training.check_finite(self.loss.item() / recipe.steps, f"round {self.round}"),
            val,
            test,
            (self.round + 1) * recipe.steps * recipe.batch_size,
            evaluation.weights_digest(self.network),
        )

    def state_dict(self) -> training.Checkpoint:
        """Everything that the rest of the pruning run depends on, including the network's `widths`."""
        tensors, numbers = super().state_dict()
        accumulated, draws = self.probe.state_dict()
        tensors |= {f"heard.{group}": total for group, total in accumulated.items()} | {"draws": draws}
        numbers |= {
            "whole": list(self.whole.widths),
            "widths": list(self.network.architecture.widths),
            "round": self.round,
            "gone": [list(scored) for scored in self.removed],
            "numbers": self.numbers,
            "listened": self.probe.steps,
        }
        return training.Checkpoint(tensors, numbers)

    def load_state_dict(self, state: training.Checkpoint) -> None:
        """Continue an interrupted pruning run, with a network of the widths it had then."""
        super().load_state_dict(state)
        tensors, numbers = state
        accumulated = training.with_prefix("heard.", tensors)
        self.probe.load_state_dict(
            {int(group): total for group, total in accumulated.items()}, tensors["draws"], numbers["listened"]
        )
        self.round, self.numbers = numbers["round"], numbers["numbers"]
        self.removed = tuple(ScoredChannel(*scored) for scored in numbers["gone"])


# --- what is removed -------------------------------------------------------------------------------------


class _Channels:
    """Cuts channels out of the network, by their saliencies or as an earlier run did (`recorded`)."""

    mask = None

    def remove(self, pruner: Pruner) -> None:
        architecture, numbers = pruner.network.architecture, pruner.numbers
        if pruner.recorded is None:
            channels = pruner.recipe.select(pruner.probe.scores(), architecture, pruner.whole, pruner.round)
        else:
            removed = pruner.recorded.get(pruner.round, ())
            channels = [ScoredChannel(g, numbers[g].index(c), math.nan) for g, c in removed]
        surgery.remove_channels(pruner.network, [(c.group, c.channel) for c in channels], pruner.optimizer)
        pruner.removed = tuple(c._replace(channel=numbers[c.group][c.channel]) for c in channels)
        for scored in pruner.removed:
            numbers[scored.group].remove(scored.channel)

    def params(self, network: Network) -> int:
        return network.architecture.params


class _Weights:
    """Sets single weights to zero, smallest first, and keeps them there. The shape does not change."""

    def __init__(self, network: Network, recipe: PruningRecipe) -> None:
        none = unstructured.magnitude_masks(network, 0.0, recipe.scope)
        self.mask = unstructured.MaskCallback(network, none)

    def remove(self, pruner: Pruner) -> None:
        recipe, network = pruner.recipe, pruner.network
        fraction = recipe.ratio * pruner.round / recipe.rounds
        masks = unstructured.magnitude_masks(network, fraction, recipe.scope, self.mask.masks)
        pruner.callback = self.mask = unstructured.MaskCallback(network, masks)

    def params(self, network: Network) -> int:
        return unstructured.count_nonzero(self.mask.masks, network)
