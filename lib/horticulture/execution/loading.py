"""Load data and networks: of a finished run, or of any round of a pruning run."""

import hashlib
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import torch as safetensors

from horticulture import data, networks, pruning, runs
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.execution import checkpoints
from horticulture.networks import Network
from horticulture.pruning import PruningRecipe, criteria
from horticulture.runs import Run
from horticulture.system import files
from horticulture.training import Checkpoint, Recipe, evaluation, hardware, penalties

WEIGHTS_FILE = "weights.safetensors"


@lru_cache(maxsize=2)
def full_dataset(name: str, device: str, image_size: int, made: Any = None) -> data.Dataset:
    """The data set, read once per process until `full_dataset.cache_clear()`.

    made: the function that makes it, so that a data set that is registered anew is read anew.
    """
    return data.load(name, image_size=image_size, device=device)


def load_dataset(
    name: str, images: int = 0, device: str = "cpu", image_size: int = 0, **augmentation: Any
) -> data.Dataset:
    """The data set, read once per process, with its first `images` training images (0: all).

    image_size: height and width, in pixels, to which images are reduced (0: unchanged). augmentation: `pad`
    and `flip` if they are not to be the data set's own.
    """
    full = full_dataset(name, device, image_size, data.DATASETS.get(name))
    if images or augmentation:  # otherwise its digest need not be computed again
        return replace(full, train=full.train.first(images), **augmentation)
    return full


def images_of(run: Run, device: str) -> data.Dataset:
    """A run's data on a device. Raises InputError if they changed since the run was described."""
    name = run.data["name"]
    size = run.data.get("image_size", 0)
    digest = run.data.get("digest")
    if digest not in (None, load_dataset(name, image_size=size).digest):
        raise InputError(f"the data set {name} has changed since {run} was described")
    augmentation = {what: run.data[what] for what in ("pad", "flip") if what in run.data}
    return load_dataset(name, run.data.get("images", 0), device, size, **augmentation)


def measure_error(network: Network, images: data.Dataset, part: str, precision: str = "float32") -> float:
    """Error in percent on one part of the data (validation or test), with the network's norm statistics."""
    dtype = evaluation.DTYPES[precision]
    return evaluation.evaluate(network, images, getattr(images, part), dtype).error


def save(network: Network, folder: Path) -> None:
    """Write the weights. The file is complete or absent."""
    files.write(folder / WEIGHTS_FILE, safetensors.save(checkpoints.separate(network.state_dict())))


def load_network(run: Run, outputs: Path) -> Network:
    """The final network of a run, on the CPU. Raises InputError if it is not finished, or is damaged."""
    runs.metrics(run, outputs)  # refuses an unfinished run
    architecture = run.architecture
    if run.kind == "prune":
        architecture = runs.architecture_at(run, runs.removals(run, outputs), run.recipe["rounds"])
    network = networks.build(architecture)
    weights = runs.read_verified(runs.folder(run, outputs), WEIGHTS_FILE)
    network.load_state_dict(safetensors.load(weights))
    return network


def network_at(run: Run, outputs: Path, round_: int, device: str = "auto") -> Network:
    """The network after a round of a finished pruning run: loaded for the last, otherwise replayed."""
    if round_ == run.recipe["rounds"]:
        return load_network(run, outputs)
    return restore(run, outputs, round_, device)


def restore(
    run: Run, outputs: Path, round: int, device: str = "auto", estimate_norms: bool = True
) -> Network:
    """The network of any round of a pruning run, on that device, replayed from the last checkpoint before it.

    The replay repeats the recorded removals with the run's number of threads. On the same kind of machine
    with the same torch the weights must be bit-identical; elsewhere, if only the widths are the same, there
    is a warning. The norms have the statistics with which the network was evaluated or, without
    `estimate_norms`, the running averages of its training. Raises InputError if there is no such round, no
    checkpoint to start from, or if the replay gives a different network.
    """
    if run.kind != "prune" or not 0 <= round <= run.recipe["rounds"]:
        raise InputError(f"no round {round}: {run} has rounds 0 to {run.recipe.get('rounds', 'none')}")
    checkpoint = checkpoints.RoundCheckpoints(runs.folder(run, outputs) / "rounds").before(round)
    if checkpoint is None:
        remedy = f"delete {runs.folder(run, outputs)} to make the run again"
        raise InputError(f"{run}: no checkpoint before round {round}: {remedy}")
    _, state = checkpoint
    resolved, removed = hardware.resolve_device(device), runs.removals(run, outputs)
    images, recorded = images_of(run, str(resolved)), runs.removed_by_round(removed)
    with hardware.threads(state.numbers["threads"]):
        pruner = resume_pruner(run, outputs, images, state, recorded=recorded)
        if pruner.round <= round:
            for pruning_round in pruner:
                if pruning_round.round == round:
                    break
        network = pruner.network
        _check_replay(run, outputs, removed[removed["round"] == round].iloc[-1], network, resolved)
        if estimate_norms:
            set_norm_statistics(network, images, pruner.recipe)
    return network


def _check_replay(run: Run, outputs: Path, row: pd.Series, network: Network, device: torch.device) -> None:
    """Raise InputError if a replayed network differs from the recorded one; warn on other hardware."""
    if network.architecture.id != row["architecture"]:
        raise InputError(
            f"{run}: the replay of round {row['round']} has other widths than recorded: "
            f"{network.architecture.widths}"
        )
    if evaluation.weights_digest(network) == row["digest"]:
        return
    environment = runs.require_result(run, outputs)["about"]
    if hardware.same_bits(environment, device):
        raise InputError(f"{run}: the replay of round {row['round']} has other weights than recorded")
    warnings.warn(
        f"{run} was made on {environment['device']} with torch {environment['versions']['torch']}; replayed "
        f"here, round {row['round']} has the same widths, but its weights are not bit-identical",
        stacklevel=3,
    )


def set_norm_statistics(network: Network, images: data.Dataset, recipe: Recipe) -> None:
    """Set the norm statistics with which networks of this recipe are evaluated."""
    if recipe.images_for_norms:
        evaluation.estimate_norms(network, images, recipe.images_for_norms, recipe.dtype)


def resume_pruner(
    run: Run, outputs: Path, images: data.Dataset, state: Checkpoint | None, **more: Any
) -> pruning.Pruner:
    """A pruner at the start of a run, or at a checkpoint. more: arguments of `pruning.Pruner`."""
    assert run.start is not None
    if state:
        architecture = run.architecture.with_widths(tuple(state.numbers["widths"]))
        if architecture.params > sum(tensor.numel() for tensor in state.tensors.values()):
            raise InputError(f"{run}: a checkpoint has fewer weights than its network")
        network = networks.build(architecture)
    else:
        network = load_network(run.start, outputs)
    precomputed = None
    if criteria.CRITERIA[run.recipe["criterion"]].precomputed:
        factors = runs.metrics(run.start, outputs)["factors"]
        precomputed = penalties.scores_from_factors(run.architecture, run.start.recipe["penalty"], factors)
    recipe = PruningRecipe.from_json(run.recipe)
    return pruning.Pruner(network, images, recipe, run.seed, state=state, precomputed=precomputed, **more)


def init_generator(architecture: Architecture, seed: int) -> torch.Generator:
    """The random generator for training from scratch.

    Every architecture has its own stream. If it depended on the seed alone, a pruned shape would start from
    the whole network's initial weights in every layer before the first narrower one: half a lottery ticket.
    """
    digest = hashlib.sha256(f"{architecture.id} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def initial_network(run: Run, seed: int, generator: torch.Generator | None = None) -> Network:
    """The network from which training from scratch with that seed starts."""
    generator = generator or init_generator(run.architecture, seed)
    return networks.build(run.architecture, generator, run.recipe.get("selections"))
