"""ResNet for small images (He et al., 2016): post-activation, two 3 x 3 convolutions per block.

The trunk is the three stages; the stem is as wide as the first. Where the width grows, the shortcut takes
every second pixel and pads with channels of zeros (the paper's option A), so that it has no weights. A group
is the channels between the two convolutions of a block; without them the block is its shortcut.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import (
    ArchitectureFields,
    Layer,
    NetworkType,
    Widths,
    residual_blocks,
)
from horticulture.architecture.wide_resnet import WideResNet
from horticulture.errors import InputError


class ResNet(WideResNet):
    """Groups and blocks are those of a Wide ResNet."""

    title, trunk_size, layers_per_block, other_layers = "ResNet", 3, 2, 2

    def standard(self, depth: int, width: int = 16) -> tuple[Widths, Widths]:
        """ResNet-depth: three stages of `1, 2, 4 x width` channels."""
        stages = (width, 2 * width, 4 * width)
        return stages, tuple(stage for stage in stages for _ in range(self.length(depth)))

    def check_fields(self, a: ArchitectureFields) -> None:
        """Also raise InputError if the trunk shrinks."""
        super().check_fields(a)
        if list(a.trunk) != sorted(a.trunk):
            raise InputError(
                f"the trunk of a ResNet must not shrink, because shortcuts can only pad: {a.trunk}"
            )

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        stem = a.trunk[0]
        yield a.stem_layer(stem)
        yield Layer("norm", "norm", stem, stem)
        blocks = residual_blocks(a, self.length(a.depth))
        for (name, inputs, outputs, _, _, positions), middle in zip(blocks, a.widths, strict=True):
            yield Layer(f"{name}.conv1", "conv", inputs, middle, 3, positions)
            yield Layer(f"{name}.norm1", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, outputs, 3, positions)
            yield Layer(f"{name}.norm2", "norm", outputs, outputs)
        yield Layer("classifier", "linear", a.trunk[-1], a.classes)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Everywhere: the stem is part of the first stage."""
        return NetworkType.narrower(self, a, factor)
