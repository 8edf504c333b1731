"""Users' own networks: torchvision's, or those of a function in a file."""

from collections.abc import Iterator
from typing import NoReturn

from horticulture.architecture.network_type import ArchitectureFields, NetworkType, WidthLimits
from horticulture.architecture.table import CountedLayer, Table
from horticulture.errors import InputError


class Own(NetworkType):
    """A network known only by its table, so narrower and shallower members cannot be made."""

    title = "network of your own"

    def __init__(self, table: Table) -> None:
        self.table = table

    def check_fields(self, a: ArchitectureFields) -> None:
        """Raise InputError if the widths are not those of the table."""
        table = self.table
        if a.trunk or len(a.widths) != len(table.groups):
            raise InputError(
                f"{table.name} has {len(table.groups)} groups and no trunk widths, not {len(a.widths)} and "
                f"{len(a.trunk)}"
            )

    def layers(self, a: ArchitectureFields) -> Iterator[CountedLayer]:  # type: ignore[override]
        """Every layer with parameters, in the module's order, and the products that are no layer's."""
        yield from (row.at(a.widths) for row in self.table.layers)
        if self.table.products:
            yield CountedLayer("other products", "product", 0, self.table.products, 0, 0)

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """The layer that makes each group."""
        return self.table.groups

    def normed(self, a: ArchitectureFields) -> tuple[bool, ...]:
        """Whether the trace found a batch norm."""
        return self.table.normed

    def max_widths(self, a: ArchitectureFields) -> WidthLimits:
        """The widths that the code makes."""
        return self.table.full

    def narrower(self, a: ArchitectureFields, factor: float) -> NoReturn:
        """Raise InputError: the code fixes the trunk."""
        raise refusal(self.table.name, "width")

    def shallower(self, a: ArchitectureFields) -> NoReturn:
        """Raise InputError: the code fixes the depth."""
        raise refusal(self.table.name, "depth")


def refusal(name: str, family: str) -> InputError:
    """The error for a family that changes what the code of a user's network fixes."""
    others = "use bottleneck, uniform, copycat or guided"
    return InputError(f"the family {family} changes what the code of {name} fixes: {others}")
