"""Bottleneck ResNet with pre-activation (He et al., 2016), as used in network slimming (Liu et al., 2017).

The trunk is the stem and the three stages. A block has three groups: the channels that it selects from the
trunk (`select`; its first norm covers only these), and those between its convolutions (`conv1`, `conv2`).
Before the classifier there is one more selection (`3.end`). A block with an empty group is its shortcut: the
other groups still count as parameters, but no image passes through them.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import (
    ArchitectureFields,
    Layer,
    ThreeStages,
    WidthLimits,
    Widths,
    residual_blocks,
    scale_selections,
    scale_width,
)

EXPANSION = 4  # trunk channels per channel inside a block


class PreResNet(ThreeStages):
    """Three groups per block, and one before the classifier."""

    title, trunk_size, layers_per_block, other_layers = "PreResNet", 4, 3, 2
    groups_in_block = 3  # the last selection is in none: the classifier must read a channel

    def standard(self, depth: int, width: int = 16) -> tuple[Widths, Widths]:
        """PreResNet-depth: a stem of `width`, blocks of `1, 2, 4 x width` inside and 4 x that outside."""
        widths: list[int] = []
        inputs = width
        for inside in (width, 2 * width, 4 * width):
            for _ in range(self.length(depth)):
                widths += [inputs, inside, inside]
                inputs = EXPANSION * inside
        return (width, *(EXPANSION * times * width for times in (1, 2, 4))), (*widths, inputs)

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        *inner, end = a.widths
        yield a.stem_layer(a.trunk[0])
        blocks = residual_blocks(a, self.length(a.depth))
        widths = zip(inner[::3], inner[1::3], inner[2::3], strict=True)
        for (name, inputs, outputs, stride, before, after), (selected, first, second) in zip(
            blocks, widths, strict=True
        ):
            alive = min(selected, first, second) > 0
            yield Layer(f"{name}.norm1", "norm", selected, selected)
            yield Layer(f"{name}.conv1", "conv", selected, first, 1, before * alive)
            yield Layer(f"{name}.norm2", "norm", first, first)
            yield Layer(f"{name}.conv2", "conv", first, second, 3, after * alive)
            yield Layer(f"{name}.norm3", "norm", second, second)
            yield Layer(f"{name}.conv3", "conv", second, outputs, 1, after * alive)
            if stride > 1 or inputs != outputs:
                yield Layer(f"{name}.shortcut", "conv", inputs, outputs, 1, after)
        yield Layer("norm", "norm", end, end)
        yield Layer("classifier", "linear", end, a.classes)

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """`stage.block.select`, `.conv1`, `.conv2`, and `3.end`."""
        return (
            *(f"{block}.{what}" for block in super().groups(a) for what in ("select", "conv1", "conv2")),
            "3.end",
        )

    def selects(self, a: ArchitectureFields) -> WidthLimits:
        """A block's first group selects from the trunk."""
        return self._limits(a.trunk, a.depth)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Everywhere except in the stem; a selection keeps its fraction of the trunk."""
        trunk = (a.trunk[0], *(scale_width(n, factor) for n in a.trunk[1:]))
        limits = self._limits(trunk, a.depth)
        return trunk, scale_selections(a.widths, self.selects(a), limits, factor)

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Blocks are dropped from the end of every stage."""
        length = self.length(a.depth)
        *inner, end = a.widths
        for kept in range(1, length + 1):
            yield self.depth(kept), (*(n for i, n in enumerate(inner) if i // 3 % length < kept), end)

    def _limits(self, trunk: Widths, depth: int) -> WidthLimits:
        stem, *stages = trunk
        *inputs, end = [stem, *(stage for stage in stages for _ in range(self.length(depth)))]
        return (*(limit for trunk_width in inputs for limit in (trunk_width, None, None)), end)
