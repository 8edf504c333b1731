"""Labels of channels, how they merge, and the groups that follow from them: see `channel_tracing`."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)  # layers that can read a group


class Axis(NamedTuple):
    """A dimension of a parameter or buffer, which is named as in the module."""

    tensor: str
    dim: int


class GroupSpec(NamedTuple):
    """Channels that can be removed one by one, each with nothing else.

    name: the first producer, with a number if it produces several groups. producers: names of the layers that
    make them. places: their positions along every axis, (channels, positions of each). reader_axes: the axes
    along which layers read them.
    """

    name: str
    producers: tuple[str, ...]
    places: dict[Axis, Tensor]
    reader_axes: tuple[Axis, ...]
    sums: bool  # whether several layers' outputs are added to make them: a residual set

    @property
    def width(self) -> int:
        """The number of channels."""
        return len(next(iter(self.places.values())))


class Trace(NamedTuple):
    """The result of tracing one forward pass. pinned: by layer, why its channels cannot be removed.

    positions: by weight, the positions (pixels or tokens) of an image to which it is applied. macs: all that
    torch counts for an image. channels_last: whether the module works in that memory format.
    """

    groups: list[GroupSpec]
    pinned: dict[str, str]
    positions: dict[str, int]
    macs: int = 0
    channels_last: bool = True


class Labels(TorchFunctionMode):
    """Follows the functions a module calls. A label of -1 marks an element of no channel, such as padding."""

    def __init__(self, module: nn.Module, batch: int) -> None:
        from scipy.cluster.hierarchy import DisjointSet  # takes half a second

        super().__init__()
        self.batch = batch
        self.names: dict[int, str] = {}  # of parameters and buffers
        self.shared: set[str] = set()  # those that several modules share
        for owner, part in module.named_modules():
            for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
                if id(tensor) in self.names:
                    self.shared.add(self.names[id(tensor)])
                self.names.setdefault(id(tensor), f"{owner}.{name}".lstrip("."))
        self.layers = {name for name, part in module.named_modules() if isinstance(part, LAYERS)}
        # The tensor is kept, so that its id is not used again.
        self._of: dict[int, tuple[Tensor, Tensor]] = {}
        self.all, self.products = DisjointSet(), DisjointSet()
        self.pinned: dict[int, str] = {}
        self.places: dict[int, set[tuple[Axis, int]]] = defaultdict(set)
        self.first: dict[tuple[Axis, int], int] = {}
        self.producers: dict[int, str] = {}
        self.reader_axes: dict[int, set[Axis]] = defaultdict(set)
        self.positions: dict[str, int] = defaultdict(int)

    # --- labels of tensors -------------------------------------------------------------------------------

    def of(self, tensor: Any) -> Tensor | None:
        """The labels of a tensor; None if it has none, or is not a tensor."""
        entry = self._of.get(id(tensor)) if isinstance(tensor, Tensor) else None
        return entry[1] if entry else None

    def set(self, tensor: Tensor, labels: Tensor | None) -> None:
        """Give a tensor labels, broadcast to its shape."""
        if labels is not None:
            self._of[id(tensor)] = tensor, labels.broadcast_to(tensor.shape)

    def fresh(self, count: int) -> Tensor:
        """Make `count` labels that no other tensor has."""
        labels = range(len(self.all), len(self.all) + count)
        for label in labels:
            self.all.add(label)
            self.products.add(label)
        return torch.tensor(labels)

    def pin(self, labels: Tensor | None, why: str) -> None:
        """Mark these channels as not removable; the first reason is kept."""
        if labels is not None:
            for label in collapse(labels).unique().tolist():
                if label >= 0:
                    self.pinned.setdefault(label, why)

    def join(self, first: Tensor, second: Tensor, product: bool) -> None:
        """Merge two tensors of labels element by element: each pair is one channel, or is read as one."""
        first, second = collapse(*torch.broadcast_tensors(first, second))
        pairs = torch.stack([first.flatten(), second.flatten()]).unique(dim=1).tolist()
        partners: list[dict[int, set[int]]] = [defaultdict(set), defaultdict(set)]
        for a, b in zip(*pairs, strict=True):
            partners[0][a].add(b)
            partners[1][b].add(a)
        for a, b in zip(*pairs, strict=True):
            if min(a, b) < 0:
                self.pin(torch.tensor([a, b]), "it is combined with constant channels")
            elif len(partners[0][a]) > 1 or len(partners[1][b]) > 1:
                self.pin(
                    torch.tensor([a] if len(partners[0][a]) > 1 else [b]),
                    "it is combined with several channels",
                )
            else:
                self.all.merge(a, b)
                if product:
                    self.products.merge(a, b)

    def mark(self, parameter: Tensor | None, dim: int, labels: Tensor) -> None:
        """Record that a dimension of a parameter carries these labels. labels: (length,)."""
        if parameter is None:
            return
        name = self.names.get(id(parameter))
        if name is None or name in self.shared:
            why = "several layers share its weights" if name else "it is combined with computed weights"
            self.pin(labels, why)
            return
        axis = Axis(name, dim)
        for index, label in enumerate(labels.tolist()):
            if label >= 0:
                first = self.first.setdefault((axis, index), label)  # if the layer was used before
                self.all.merge(first, label)
                self.places[label].add((axis, index))

    # --- layers and sums ------------------------------------------------------------------------------

    def layer(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, dim: int, groups: int = 1
    ) -> None:
        """A convolution or linear layer whose channels lie along `dim` of its input and output."""
        labels, count = self.of(x), weight.shape[0]
        name = self.names.get(id(weight), "")
        owner = (name or self.names.get(id(bias), "")).rpartition(".")[0]
        places = out.numel() // count
        # A table of positions, say, passes a layer once, however many images there are.
        self.positions[name] += places // self.batch if places % self.batch == 0 else places
        made = self.fresh(count)
        depthwise = groups == count == x.shape[dim] > 1
        column = None if labels is None else column_of(labels, dim)
        if labels is not None and column is None:
            self.pin(labels, f"{owner} mixes positions of a channel")
        elif groups > 1 and not depthwise:
            self.pin(labels, f"{owner} is a grouped convolution")
        elif depthwise and column is not None:
            self.join(made, column, product=True)
        elif column is not None:
            self.read(owner, weight, x, column)
        if groups > 1 and (column is None or not depthwise):
            self.pin(made, f"{owner} is a grouped convolution")
        if not depthwise:
            self.producers.update(dict.fromkeys(made.tolist(), owner))
        self.mark(weight, 0, made)
        self.mark(bias, 0, made)
        self.set(out, made.view(-1, *[1] * (out.dim() - 1 - dim % out.dim())))

    def read(self, owner: str, weight: Tensor, x: Tensor, column: Tensor) -> None:
        """Record that a layer reads these channels."""
        self.mark(weight, 1, column)
        if owner not in self.layers:
            self.pin(column, f"{owner or 'the network'} reads it with a function, not a layer")
        if len(x) != self.batch:
            self.pin(column, f"{owner} does not process images one by one")
        for label in column.tolist():
            self.reader_axes[label].add(Axis(self.names.get(id(weight), ""), 1))

    def constant(self, labels: Tensor, addend: Tensor, why: str) -> None:
        """A sum or product with a parameter, or with a tensor that has no labels."""
        lengths = (1,) * (labels.dim() - addend.dim()) + tuple(addend.shape)
        varying = [d for d in range(labels.dim()) if lengths[d] > 1 and not is_constant(labels, d)]
        if not varying:
            return
        column = column_of(labels, varying[0]) if len(varying) == 1 else None
        if column is None or id(addend) not in self.names:
            self.pin(labels, why)
        else:
            self.mark(addend, varying[0] - labels.dim() + addend.dim(), column)

    # --- what was found -------------------------------------------------------------------------------

    def result(self) -> Trace:
        """Collect the groups: label classes in the same places and read by the same layers."""
        members: dict[int, list[int]] = defaultdict(list)
        for label in self.all:
            members[self.all[label]].append(label)
        why = {self.all[label]: reason for label, reason in self.pinned.items()}
        channels_of: dict[Any, list[list[tuple[Axis, int]]]] = defaultdict(list)  # each as its places
        pinned: dict[str, str] = {}
        for root, labels in members.items():
            producers = tuple(dict.fromkeys(self.producers[n] for n in labels if n in self.producers))
            reader_axes = tuple(sorted(set().union(*(self.reader_axes[label] for label in labels))))
            if root in why or not reader_axes:
                for producer in producers:
                    pinned.setdefault(producer, why.get(root, "no layer reads it"))
            elif producers:
                channel = sorted(set().union(*(self.places[label] for label in labels)))
                axes = tuple(axis for axis, _ in channel)
                channels_of[axes, producers, reader_axes, self._sums(labels)].append(channel)
        groups: list[GroupSpec] = []
        for key, channels in channels_of.items():
            axes, (producer, *_), *_ = key
            # The module itself may make channels, by a parameter of its own: the group is called like that.
            name = producer or next(axis.tensor for axis in axes if "." not in axis.tensor and axis.dim == 0)
            earlier = sum(producer == group.producers[0] for group in groups)
            groups.append(_group(f"{name}:{earlier + 1}" if earlier else name, key, channels))
        return Trace(groups, pinned, dict(self.positions))

    def _sums(self, labels: Iterable[int]) -> bool:
        """Whether outputs of several layers are added to make the channel; products (gates) do not count."""
        parts: dict[int, set[str]] = defaultdict(set)
        for label in labels:
            if label in self.producers:
                parts[self.products[label]].add(self.producers[label])
        sets = list(parts.values())
        return bool(sets) and not set.intersection(*sets)


def _group(name: str, key: Any, channels: list[list[tuple[Axis, int]]]) -> GroupSpec:
    axes, producers, reader_axes, sums = key
    places: dict[Axis, list[list[int]]] = {axis: [] for axis in axes}
    for channel in channels:
        for axis in places:
            places[axis].append([index for place, index in channel if place == axis])
    tensors = {axis: torch.tensor(rows) for axis, rows in places.items()}
    return GroupSpec(name, producers, tensors, reader_axes, sums)


def collapse(*tensors: Tensor) -> Any:
    """Shrink tensors to length 1 along each dimension in which all are expanded: the rest only repeats."""
    for dim in range(tensors[0].dim()):
        if all(tensor.stride(dim) == 0 for tensor in tensors):
            tensors = tuple(tensor.narrow(dim, 0, min(1, tensor.shape[dim])) for tensor in tensors)
    return tensors if len(tensors) > 1 else tensors[0]


def is_constant(labels: Tensor, dim: int) -> bool:
    """Whether all labels along a dimension are equal."""
    return labels.stride(dim) == 0 or bool((labels == labels.narrow(dim, 0, 1)).all())


def column_of(labels: Tensor, dim: int) -> Tensor | None:
    """The labels along a dimension; None if they vary along any other."""
    for other in range(labels.dim()):
        if other != dim % labels.dim():
            if not is_constant(labels, other):
                return None
            labels = labels.narrow(other, 0, 1)
    return labels.flatten()
