"""How good is a saliency? The true change of the loss without a channel, to hold every criterion against."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture import saliency, training
from horticulture.data import Batches, Dataset
from horticulture.networks import Network


def sample(network: Network, count: int, seed: int) -> list[tuple[int, int]]:
    """(group, channel) of `count` channels drawn from all of the network, or of all if there are fewer."""
    every = [(number, c) for number, group in enumerate(network.groups) for c in range(group.width)]
    draw = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))
    return [every[place] for place in sorted(draw[:count].tolist())]


def rises(
    network: Network, dataset: Dataset, channels: Sequence[tuple[int, int]], dtype: torch.dtype
) -> Iterator[float]:
    """By how much the loss on the validation images rises when each channel alone is silenced.

    Silenced: its norm gives 0, as if it had been cut out. The network is left as it was.
    """
    part = dataset.validation
    before = training.evaluate(network, dataset, part, dtype).loss
    for group, channel in channels:
        norm = network.groups[group].norm
        scale, shift = norm.weight.detach().clone(), norm.bias.detach().clone()
        with torch.no_grad():
            norm.weight[channel] = norm.bias[channel] = 0
        rise = training.evaluate(network, dataset, part, dtype).loss - before
        with torch.no_grad():
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)
        yield rise  # whoever asks for no more has the network as it was


def scores(
    network: Network,
    dataset: Dataset,
    criteria: Sequence[str],
    steps: int,
    batch_size: int,
    seed: int,
    dtype: torch.dtype,
) -> dict[str, list[Tensor]]:
    """What each criterion says of every channel, after listening to the same training batches.

    As in a fine-tuning, but no weight moves, so all of them and the truth speak of one network; it is left
    as it was.
    """
    batches = Batches(dataset, batch_size, torch.Generator().manual_seed(seed))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    was_training = network.training
    network.train()
    with ExitStack() as stack:
        probes = {
            name: stack.enter_context(saliency.Probe(network, name, torch.Generator().manual_seed(seed)))
            for name in criteria
        }
        for _ in range(steps):
            x, y = next(batches)
            network.zero_grad()
            with training.autocast(dtype, x.device):
                loss = F.cross_entropy(network(x), y)
            loss.backward()
        found = {name: probe.scores() for name, probe in probes.items()}
    network.zero_grad()
    network.load_state_dict(before)  # the norms have seen batches
    network.train(was_training)
    return found
