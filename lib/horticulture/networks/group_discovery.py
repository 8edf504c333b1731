"""Turn any module into a network that can be pruned: find its groups by tracing, then test them."""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from horticulture.architecture import OWN, Architecture, ImageShape, Table
from horticulture.architecture.table import FIXED, Length, TableRow
from horticulture.errors import InputError
from horticulture.networks import cut_check
from horticulture.networks.channel_labels import Axis, GroupSpec, Trace
from horticulture.networks.channel_tracing import trace_module
from horticulture.networks.traced_network import LiveAxis, Places, TracedGroup, TracedNetwork

SUMS = "a residual set: sums of several layers' channels"
# Layers that have channels, but are not taken apart.
WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, nn.Conv3d, _ConvTransposeNd)


class ModuleSpec(NamedTuple):
    """What a module classifies, and the code that makes it, if that has a name.

    channels: how many channels grey images are repeated to (0: they are left alone). residual_sets,
    network, digest: as in `architecture.Table`.
    """

    image: ImageShape
    classes: int
    channels: int = 0
    residual_sets: bool = False
    network: str = ""
    digest: str = ""

    @property
    def images(self) -> Tensor:
        """A few images of fixed noise, in the shape that the module takes."""
        shape = cut_check.BATCH, self.channels or self.image[0], *self.image[1:]
        return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def describe(
    module: nn.Module, *, image: ImageShape, classes: int, residual_sets: bool = False
) -> TracedNetwork:
    """Wrap a module as a network that can be pruned. Its groups are found by tracing and tested on a copy.

    image: (channels, height, width). residual_sets: whether sums of several layers' channels are groups too;
    otherwise a group is made by one layer and the norms, depthwise convolutions and gates that follow it.
    Raises InputError if the module's output is not (batch, classes), or if it has no group.
    """
    return find_groups(module, ModuleSpec(image, classes, residual_sets=residual_sets))


def find_groups(module: nn.Module, spec: ModuleSpec) -> TracedNetwork:
    """As `describe`, for a module that may be made by code with a name."""
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{f'its layer {name}' if name else 'it'} is TorchScript, which cannot be taken apart"
            )
    _check_output(module, spec)
    trace = trace_module(module, spec.images)
    pinned = dict(trace.pinned)
    candidates = []
    for group in trace.groups:
        if group.sums and not spec.residual_sets:
            pinned |= dict.fromkeys(group.producers, SUMS)
        elif group.width > 1:
            candidates.append(group)
    failed = cut_check.failures(assemble(module, trace._replace(groups=candidates), spec), spec.images)
    pinned |= {candidates[number].name: why for number, why in failed.items()}
    owners: dict[nn.Parameter, str] = {}
    for name, part in module.named_modules():
        if isinstance(part, WHOLE):
            pinned[name] = f"{type(part).__name__} is not taken apart"
        elif isinstance(part, nn.Linear | _ConvNd):
            weight = part._parameters.get("weight")
            owner = name if weight is None else owners.setdefault(weight, name)
            if weight is None:
                pinned.setdefault(name, "its weights are computed")
            elif owner != name:
                pinned[name] = f"it shares its weights with {owner}"
            elif f"{name}.weight".lstrip(".") not in trace.positions:
                pinned.setdefault(name, "the images of the trial do not pass through it")
    if "" in pinned:
        pinned["the network itself"] = pinned.pop("")
    usable = [group for number, group in enumerate(candidates) if number not in failed]
    if not usable:
        why = "; ".join(f"{layer}: {reason}" for layer, reason in list(pinned.items())[:3])
        raise InputError(f"no group of channels can be removed ({why})")
    network = assemble(module, trace._replace(groups=usable), spec)
    network.pinned = pinned
    return network


@torch.no_grad()
def _check_output(module: nn.Module, spec: ModuleSpec) -> None:
    """Raise InputError unless a copy outputs a number per class, in training and in evaluation mode."""
    images = spec.images
    for training, when in ((False, ""), (True, "in training mode ")):
        try:
            trial = copy.deepcopy(module).train(training)
        except Exception as error:  # such as RuntimeError for torch's old weight_norm
            raise InputError(f"it cannot be copied: {cut_check.reason(error)}") from error
        try:
            with torch.random.fork_rng(devices=[]):
                output = trial(images)
        except Exception as error:  # users' code may raise anything
            shape, why = tuple(images.shape[1:]), cut_check.reason(error)
            raise InputError(f"{when}it does not accept images of shape {shape}: {why}") from error
        if not isinstance(output, Tensor) or output.shape != (len(images), spec.classes):
            returned = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            what = f"{returned} for {len(images)} images and {spec.classes} classes"
            raise InputError(f"{when}it returns {what}")


def assemble(module: nn.Module, trace: Trace, spec: ModuleSpec) -> TracedNetwork:
    """Build the network with the traced groups, and its architecture."""
    axes: dict[Axis, LiveAxis] = {}
    modules = dict(module.named_modules())

    def live(axis: Axis) -> LiveAxis:
        owner, _, name = axis.tensor.rpartition(".")
        if axis not in axes:
            size = getattr(modules[owner], name).shape[axis.dim]
            axes[axis] = LiveAxis(modules[owner], name, axis.dim, torch.arange(size))
        return axes[axis]

    groups = []
    for traced in trace.groups:
        places = {axis: Places(live(axis), indices) for axis, indices in traced.places.items()}
        producers = tuple(modules[producer] for producer in traced.producers)
        reader_places = [places[axis] for axis in traced.reader_axes]
        numbers = torch.arange(traced.width)
        groups.append(TracedGroup(traced.name, producers, list(places.values()), reader_places, numbers))
    names = tuple(group.name for group in groups)
    full = tuple(group.width for group in groups)
    rows = tuple(_rows(module, trace.groups, trace.positions))
    normed = tuple(group.norm is not None for group in groups)
    products = max(0, trace.macs - sum(row.at(full).macs for row in rows))
    table = Table(spec.network, spec.digest, names, full, normed, rows, spec.residual_sets, products)
    depth = sum(row.kind != "other" for row in rows)
    architecture = Architecture(OWN, depth, spec.classes, spec.image, (), full, table)
    network = TracedNetwork(module, architecture, spec.channels, trace.channels_last)
    network.groups = tuple(groups)
    return network


def _rows(module: nn.Module, specs: list[GroupSpec], positions: dict[str, int]) -> Iterator[TableRow]:
    """A row per module with parameters of its own, frozen or not, and another per additional weight."""
    groups: dict[Axis, list[tuple[int, Tensor]]] = {}
    for number, spec in enumerate(specs):
        for axis, indices in spec.places.items():
            groups.setdefault(axis, []).append((number, indices))
    seen: set[int] = set()
    for owner, part in module.named_modules():
        tensors = {f"{owner}.{name}".lstrip("."): p for name, p in part.named_parameters(recurse=False)}
        tensors = {name: p for name, p in tensors.items() if id(p) not in seen}
        seen |= {id(p) for p in tensors.values()}
        kind = "linear" if isinstance(part, nn.Linear) else "conv" if isinstance(part, _ConvNd) else "other"
        counted = [name for name in tensors if name in positions] or list(tensors)[:1]
        rest = [name for name in tensors if name not in counted]
        for number, weight in enumerate(counted):
            names = [weight, *rest] if number == 0 else [weight]
            lengths = tuple(
                tuple(
                    _length(groups.get(Axis(name, d), []), size) for d, size in enumerate(tensors[name].shape)
                )
                for name in names
            )
            label = owner if number == 0 and owner else weight
            yield TableRow(label, kind, positions.get(weight, 0), lengths)


def _length(groups: list[tuple[int, Tensor]], size: int) -> Length:
    parts = [(number, indices.shape[1]) for number, indices in groups]
    fixed = size - sum(indices.numel() for _, indices in groups)
    return (*parts, (FIXED, fixed)) if fixed or not parts else tuple(parts)
