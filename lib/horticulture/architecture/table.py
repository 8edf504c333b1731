"""A network that somebody brings, as plain data: layers whose sizes are sums of group widths.

A table is read off a network by watching it (`networks.named`, `networks.describe`); from then on parameters
and MACs at any widths follow from it, without torch and without the code of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

FIXED = -1  # in the place of a group: what stays, whatever goes

# The length of a tensor along a dimension: (group, times) pairs, so many places for each channel of a group.
Length = tuple[tuple[int, int], ...]


class CountedLayer(NamedTuple):
    """A layer at certain widths."""

    name: str
    kind: str
    params: int
    macs: int
    positions: int


class TableRow(NamedTuple):
    """A layer at any widths.

    kind: "conv", "linear" or "other". tensors: the lengths of each of its parameters, the weight first.
    positions: how often an image passes the weight, in pixels or tokens; 0 where that is not counted.
    """

    name: str
    kind: str
    positions: int
    tensors: tuple[tuple[Length, ...], ...]

    def at(self, widths: Sequence[int]) -> CountedLayer:
        """The layer when the groups have these widths."""
        sizes = (*widths, 1)  # the last is that of FIXED
        numbers = [
            prod(sum(times * sizes[group] for group, times in length) for length in tensor)
            for tensor in self.tensors
        ]
        return CountedLayer(self.name, self.kind, sum(numbers), self.positions * numbers[0], self.positions)


@dataclass(frozen=True)
class Table:
    """What is known of a network that is not of our families.

    network: its name, `torchvision:resnet18` or `/home/me/models.py:make`; empty for a module that was
    described as it is, which cannot be made again. digest: of what defines the network. groups, full, normed:
    every group's name, its channels in the whole network, and whether they pass a batch norm. residual_sets:
    whether channels that several layers sum up were taken for groups too.
    """

    network: str
    digest: str
    groups: tuple[str, ...]
    full: tuple[int, ...]
    normed: tuple[bool, ...]
    layers: tuple[TableRow, ...]
    residual_sets: bool = False

    @staticmethod
    def of(description: Any) -> "Table":
        """From plain data, as `dataclasses.asdict` and JSON give it."""
        if isinstance(description, Table):
            return description
        said = {name: _tuples(value) for name, value in description.items()}
        return Table(**{**said, "layers": tuple(TableRow(*row) for row in said["layers"])})

    @property
    def name(self) -> str:
        """The network's name, without the folder of its file."""
        return self.network.rpartition("/")[2] or "this network"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
