"""The network that training after pruning starts from."""

from pathlib import Path

import torch

from horticulture import networks, runs
from horticulture.execution.loading import init_generator, initial_network, load_network, network_at
from horticulture.networks import Network
from horticulture.pruning import criteria, surgery, unstructured
from horticulture.runs import Run

OTHER = 1_000_003  # added to a seed to get an independent initialisation
CLASSIFIER = "classifier."  # before the names of its weights, in every built-in network


def starting_network(
    run: Run, outputs: Path, device: str = "auto"
) -> tuple[Network, unstructured.MaskCallback | None]:
    """The network that a run of kind `tune` starts from, and its mask, if single weights were removed.

    device: where to replay a round whose network was not saved.
    """
    assert run.start
    assert run.start.start
    pruned, base, round_ = run.start, run.start.start, run.recipe["round"]
    # Not the base's seed: under a mask, that would give the surviving weights their original initialisation.
    fresh = torch.Generator().manual_seed(run.seed + OTHER)
    match run.recipe["weights"]:
        case "kept":
            network = network_at(pruned, outputs, round_, device)
        case "rewound":
            network = _cut(initial_network(base, base.seed), run, outputs)
        case "sliced":
            network = _cut(initial_network(base, run.seed + OTHER), run, outputs)
        case "random":
            network, draw = load_network(base, outputs), torch.Generator().manual_seed(run.seed)
            for group, width in zip(network.groups, run.architecture.widths, strict=True):
                drawn = torch.randperm(group.width, generator=draw)[:width]
                surgery.keep_channels(group, sorted(drawn.tolist()))
        case "fresh":
            network = networks.build(run.architecture, fresh)
    if criteria.CRITERIA[pruned.recipe["criterion"]].granularity != "weight":
        return network, None
    masks = unstructured.current_masks(network_at(pruned, outputs, round_, device))
    if run.recipe["weights"] == "fresh":
        unstructured.reinitialize(network, masks, fresh.manual_seed(run.seed + OTHER))
    return network, unstructured.MaskCallback(network, masks)


def _cut(whole: Network, run: Run, outputs: Path) -> Network:
    """Reduce a network of full size to the channels that are left at the round where the run starts."""
    assert run.start
    removed = runs.removals(run.start, outputs)
    remaining = runs.remaining_channels(run.start, removed, run.recipe["round"])
    for group, channels in zip(whole.groups, remaining, strict=True):
        surgery.keep_channels(group, channels)
    return whole


def moved_network(run: Run, outputs: Path) -> tuple[Network, torch.Generator]:
    """The network that a run of the kind `move` starts from, and the generator of its random numbers.

    Its weights are another run's, except the classifier's, which is drawn anew.
    """
    assert run.start
    generator = init_generator(run.architecture, run.seed)
    network = networks.build(run.architecture, generator)
    before = load_network(run.start, outputs).state_dict()
    new = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(CLASSIFIER)}
    network.load_state_dict({**before, **new})
    return network, generator
