"""A user's own network as plain data: layers whose sizes are sums of group widths.

A table is made by tracing a network (`networks.named`, `networks.describe`). It gives parameters and MACs at
any widths, without torch and without the network's code.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, NamedTuple

FIXED = -1  # instead of a group: places that are never removed

# The length of a tensor along a dimension: (group, times) pairs, with `times` places per channel of the
# group.
Length = tuple[tuple[int, int], ...]


class CountedLayer(NamedTuple):
    """A layer at given widths."""

    name: str
    kind: str
    params: int
    macs: int
    positions: int
    outputs: int


class TableRow(NamedTuple):
    """A layer at any widths.

    kind: "conv", "linear" or "other". tensors: the lengths of each parameter, the weight first. positions:
    the pixels or tokens of an image to which the weight is applied; 0 if not counted.
    """

    name: str
    kind: str
    positions: int
    tensors: tuple[tuple[Length, ...], ...]

    def at(self, widths: Sequence[int]) -> CountedLayer:
        """The layer when the groups have these widths."""
        sizes = (*widths, 1)  # the last is that of FIXED
        shapes = [
            [sum(times * sizes[group] for group, times in length) for length in tensor]
            for tensor in self.tensors
        ]
        weight, *_ = numbers = [prod(shape) for shape in shapes]
        macs = self.positions * weight
        return CountedLayer(self.name, self.kind, sum(numbers), macs, self.positions, (shapes[0] or [1])[0])


@dataclass(frozen=True)
class Table:
    """Everything known of a network that is not built in.

    network: its name, `torchvision:resnet18` or `/home/me/models.py:make`; empty for a module passed to
    `describe`, which cannot be rebuilt. digest: of the network's code. groups, full, normed: every group's
    name, its channels in the whole network, and whether it has a batch norm. residual_sets: whether sums of
    several layers' channels are groups too. products: the MACs of an image that no layer's row has, such as
    attention's and those of computed weights; they do not depend on the groups' widths.
    """

    network: str
    digest: str
    groups: tuple[str, ...]
    full: tuple[int, ...]
    normed: tuple[bool, ...]
    layers: tuple[TableRow, ...]
    residual_sets: bool = False
    products: int = 0

    @staticmethod
    def of(description: Any) -> "Table":
        """From plain data, as made by `dataclasses.asdict` or JSON."""
        if isinstance(description, Table):
            return description
        fields = {name: _tuples(value) for name, value in description.items()}
        return Table(**{**fields, "layers": tuple(TableRow(*row) for row in fields["layers"])})

    def to_json(self) -> dict:
        """The inverse of `of`; without `products` if there are none."""
        values = asdict(self)
        return values if self.products else {k: v for k, v in values.items() if k != "products"}

    @property
    def name(self) -> str:
        """The network's name, without the folder of its file."""
        return self.network.rpartition("/")[2] or "this network"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
