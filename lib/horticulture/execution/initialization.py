"""What a training run may begin with once a pruning run has said which channels, or which weights, remain."""

from collections.abc import Callable
from pathlib import Path

import torch

from horticulture import networks, runs
from horticulture.execution.loading import initial_network, load, network_at
from horticulture.networks import Network
from horticulture.pruning import saliency, surgery, unstructured
from horticulture.runs import Run

OTHER = 1_000_003  # added to a seed for an initialisation that has nothing to do with the first


def starting_network(
    run: Run, outputs: Path, device: str = "auto"
) -> tuple[Network, unstructured.MaskCallback | None]:
    """The network that a run of the kind `finetune` begins with, and the mask that it keeps, if any.

    device: where a round is replayed whose network was not kept.
    """
    pruned = _start(run)
    network = WEIGHTS[run.recipe["weights"]](run, outputs, device)
    if saliency.CRITERIA[pruned.recipe["criterion"]].granularity != "weight":
        return network, None
    masks = unstructured.current_masks(network_at(pruned, outputs, run.recipe["round"], device))
    if run.recipe["weights"] == "fresh":
        unstructured.reinitialize(network, masks, _another(run))
    return network, unstructured.MaskCallback(network, masks)


def _start(run: Run) -> Run:
    assert run.start is not None
    return run.start


def _base(run: Run) -> Run:
    return _start(_start(run))


def _kept(run: Run, outputs: Path, device: str) -> Network:
    return network_at(_start(run), outputs, run.recipe["round"], device)


def _rewound(run: Run, outputs: Path, device: str) -> Network:
    return _cut(run, outputs, initial_network(_base(run), _base(run).seed))


def _sliced(run: Run, outputs: Path, device: str) -> Network:
    return _cut(run, outputs, initial_network(_base(run), run.seed + OTHER))


def _random(run: Run, outputs: Path, device: str) -> Network:
    whole, draw = load(_base(run), outputs), torch.Generator().manual_seed(run.seed)
    for group, width in zip(whole.groups, run.architecture.widths, strict=True):
        surgery.keep_channels(group, sorted(torch.randperm(group.width, generator=draw)[:width].tolist()))
    return whole


def _fresh(run: Run, outputs: Path, device: str) -> Network:
    return networks.build(run.architecture, _another(run))


def _another(run: Run) -> torch.Generator:
    """Draws unlike the base's: under a mask those would be the very weights that its survivors grew from."""
    return torch.Generator().manual_seed(run.seed + OTHER)


def _cut(run: Run, outputs: Path, whole: Network) -> Network:
    """The same channels of another network as big as the one that was pruned."""
    removed = runs.removals(_start(run), outputs)
    remaining = runs.remaining_channels(_start(run), removed, run.recipe["round"])
    for group, channels in zip(whole.groups, remaining, strict=True):
        surgery.keep_channels(group, channels)
    return whole


WEIGHTS: dict[str, Callable[[Run, Path, str], Network]] = {
    "kept": _kept,  # those that the pruning left: fine-tuning
    "rewound": _rewound,  # those that the surviving channels had before any training
    "sliced": _sliced,  # the surviving channels of another initialisation of the whole network
    "random": _random,  # trained ones, of channels drawn at random, as many in each group
    "fresh": _fresh,  # none: initialised for its own widths, or under its own mask
}
