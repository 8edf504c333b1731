"""Wide ResNet (Zagoruyko and Komodakis, 2016): pre-activation, two 3 x 3 convolutions per block.

The trunk is the stem and the three stages. A group is the channels between the two convolutions of a block;
without them the block is its shortcut.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import (
    ArchitectureFields,
    Layer,
    ThreeStages,
    Widths,
    residual_blocks,
)


class WideResNet(ThreeStages):
    """One group per block, which can vanish."""

    title, trunk_size, layers_per_block, other_layers = "Wide ResNet", 4, 2, 4
    groups_in_block = 1

    def standard(self, depth: int, width: int) -> tuple[Widths, Widths]:
        """WRN-depth-width: a stem of 16, three stages of `16, 32, 64 x width` channels."""
        stages = (16 * width, 32 * width, 64 * width)
        return (16, *stages), tuple(stage for stage in stages for _ in range(self.length(depth)))

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        stem, *stages = a.trunk
        yield a.stem_layer(stem)
        blocks = residual_blocks(a, self.length(a.depth))
        for (name, inputs, outputs, stride, _, positions), middle in zip(blocks, a.widths, strict=True):
            yield Layer(f"{name}.norm1", "norm", inputs, inputs)
            yield Layer(f"{name}.conv1", "conv", inputs, middle, 3, positions)
            yield Layer(f"{name}.norm2", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, outputs, 3, positions)
            if stride > 1 or inputs != outputs:
                yield Layer(f"{name}.shortcut", "conv", inputs, outputs, 1, positions)
        yield Layer("norm", "norm", stages[-1], stages[-1])
        yield Layer("classifier", "linear", stages[-1], a.classes)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Everywhere except in the stem."""
        trunk, widths = super().narrower(a, factor)
        return (a.trunk[0], *trunk[1:]), widths
