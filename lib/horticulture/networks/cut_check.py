"""Cut channels on a copy to verify that they can be removed, which tracing alone cannot guarantee."""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from horticulture.architecture.table import FIXED
from horticulture.errors import InputError
from horticulture.networks.groups import match_counts
from horticulture.networks.traced_network import TracedGroup, TracedNetwork, cut

BATCH = 3  # images

Removed = Mapping[int, Collection[int]]  # channels, by the number of their group


@torch.no_grad()
def failures(network: TracedNetwork, images: Tensor) -> dict[int, str]:
    """Cut a copy of the network and report, by group number, why channels cannot be removed after all.

    The cut network must give the same output as the whole one with its readers' weights for those channels
    set to zero. Tried are, for each group, a single channel, the first third and all but one; then half of
    the channels of every group at once, in evaluation and in training mode. This reveals a `forward` with
    hard-coded widths, or one that takes its channels apart in the middle, which tracing cannot see. What is
    left must also take a training step. Raises InputError if the uncut network cannot.
    """
    trial = copy.deepcopy(network).eval()
    draw = torch.Generator().manual_seed(0)
    trial.draws.seed(draw)
    _randomise_constants(trial, draw)
    trial, images = _to_double(trial, images)
    if why := _step_error(trial, images):
        raise InputError(f"it cannot be trained: {why}")
    uncut, failed = trial.eval()(images), dict[int, str]()
    for number, group in enumerate(trial.groups):
        third = range(max(1, group.width // 3))
        why = _layout_problem(trial, number)
        for removed in ([group.width // 2], third, range(1, group.width)):
            why = why or _difference(trial, {number: removed}, images, uncut)
        if why:
            failed[number] = why
    halves = {
        number: torch.randperm(group.width, generator=draw)[: group.width // 2].tolist()
        for number, group in enumerate(trial.groups)
    }
    failed |= _failing(halves, failed, partial(_difference, trial, images=images, uncut=uncut))
    uncut, again = trial.train()(images), trial(images)
    if torch.equal(uncut, again):  # otherwise it draws at random, or changes with every pass (spectral norm)
        failed |= _failing(halves, failed, partial(_difference, trial, images=images, uncut=uncut))
    return failed | _failing(halves, failed, partial(_training_problem, trial, images=images))


def _failing(halves: Removed, known: Collection[int], problem: Callable[[Removed], str]) -> dict[int, str]:
    """Which groups, besides those known, fail when half their channels are cut, and why."""
    failed: dict[int, str] = {}
    while left := {number: half for number, half in halves.items() if number not in {*known, *failed}}:
        if not (why := problem(left)):
            break
        each = {number: problem({number: half}) for number, half in left.items()}
        alone = {number: why for number, why in each.items() if why}
        failed |= alone or dict.fromkeys(left, f"together with the others: {why}")
    return failed


def _randomise_constants(network: nn.Module, draw: torch.Generator) -> None:
    """Randomise constant tensors: a head of zeros would give the same output whatever is cut."""
    for tensor in [*network.parameters(), *network.buffers()]:
        if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            tensor.uniform_(0.5, 1.5, generator=draw)


def _to_double(network: TracedNetwork, images: Tensor) -> tuple[TracedNetwork, Tensor]:
    """Convert to double precision if the module's code allows it."""
    try:
        network.double()(images.double())
        return network, images.double()
    except RuntimeError:
        return network.float(), images


def _difference(network: TracedNetwork, removed: Removed, images: Tensor, uncut: Tensor) -> str:
    """How the cut network differs from the silenced one; empty if it does not."""
    with _restoring([network.groups[number] for number in removed]):
        for number, channels in removed.items():
            for channel in channels:
                for weight, places in network.groups[number].read_weights(channel):
                    weight[:, places] = 0
        silenced = network(images)
    with _restoring([network.groups[number] for number in removed]):
        try:
            _remove(network, removed)
            output = network(images)
        except Exception as error:  # users' code may raise anything
            return f"without a channel it fails: {reason(error)}"
    if output.shape != silenced.shape:
        return f"without a channel its output has shape {tuple(output.shape)}"
    size = torch.maximum(uncut.abs().max(), silenced.abs().max())
    limit = 1e-7 if images.dtype == torch.float64 else 1e-3
    if not bool(((output - silenced).abs().max() <= limit * size).all()):
        return "cutting a channel does not give the same output as silencing it"
    return ""


def _training_problem(network: TracedNetwork, removed: Removed, images: Tensor) -> str:
    """Why the cut network cannot take a training step; empty if it can."""
    with _restoring([network.groups[number] for number in removed]):
        _remove(network, removed)
        why = _step_error(network, images)
    return f"without a channel it cannot be trained: {why}" if why else ""


def _step_error(network: TracedNetwork, images: Tensor) -> str:
    """What a forward and a backward pass in training mode raise; empty if nothing."""
    try:
        with torch.enable_grad():
            network.train()(images).sum().backward()
    except Exception as error:  # users' code may raise anything
        return reason(error)
    finally:
        network.zero_grad()
    return ""


def _remove(network: TracedNetwork, removed: Removed) -> None:
    for number, channels in removed.items():
        group = network.groups[number]
        cut(group, [channel for channel in range(group.width) if channel not in channels])


@contextmanager
def _restoring(groups: list[TracedGroup]) -> Iterator[None]:
    """On exit, restore every tensor that these groups touch."""
    axes = {id(axis): axis for group in groups for axis, _ in group.places}.values()
    tensors = {(axis.module, axis.name): getattr(axis.module, axis.name) for axis in axes}
    before = {place: tensor.detach().clone() for place, tensor in tensors.items()}
    convolutions = [axis.module for axis in axes if isinstance(axis.module, _ConvNd)]
    depthwise = [layer for layer in convolutions if layer.groups > 1]
    present = [axis.present for axis in axes]
    remaining = [group.remaining for group in groups]
    try:
        yield
    finally:
        for (module, name), tensor in tensors.items():
            setattr(module, name, tensor)
            tensor.copy_(before[module, name])
        for layer in depthwise:  # with one channel left it no longer counts as depthwise
            layer.groups = len(layer.weight)
        for axis, places in zip(axes, present, strict=True):
            axis.present = places
            match_counts(axis.module)
        for group, numbers in zip(groups, remaining, strict=True):
            group.remaining = numbers


def _layout_problem(network: TracedNetwork, number: int) -> str:
    """Why widths alone do not determine the layout of the channels; empty if they do.

    Whichever half of a group's channels is removed, along every axis the rest must belong to the same groups
    in the same order. Only then do saved weights fit a network rebuilt from its widths.
    """
    for axis, indices in network.groups[number].places:
        owner = torch.full((len(axis.present),), FIXED)
        for other, group in enumerate(network.groups):
            for other_axis, positions in group.places:
                if other_axis is axis:
                    owner[positions.flatten()] = other
        patterns = []
        half = len(indices) // 2
        for removed in (indices[:half], indices[half : 2 * half]):
            stays = torch.ones(len(owner), dtype=torch.bool)
            stays[removed.flatten()] = False
            patterns.append(owner[stays])
        if not torch.equal(*patterns):
            return "its channels alternate with those of other groups"
    return ""


def reason(error: Exception) -> str:
    """The first line of an error, with its type unless that adds nothing."""
    text, kind = (str(error).splitlines() or [""])[0], type(error).__name__
    text = text.partition(" Hint: ")[0]  # of torch, on how to debug it
    if not text:
        return kind
    return text if isinstance(error, RuntimeError | ValueError) else f"{kind}: {text}"
