"""DenseNet (Huang et al., 2017) of basic layers: norm, relu, a 3 x 3 convolution whose maps are concatenated.

Three dense stages; between them a 1 x 1 convolution that keeps the number of maps, and a mean pool. The trunk
is the stem and the growth rate. As in network slimming (Liu et al., 2017) the groups are selections: of the
maps that each layer reads, and at the end of each stage (`stage.end`) of those that the transition or the
classifier reads. Each keeps a channel, because a layer that reads nothing would still add maps.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import (
    ArchitectureFields,
    Layer,
    ThreeStages,
    Widths,
    scale_selections,
    scale_width,
)


class DenseNet(ThreeStages):
    """A group per layer, and one at the end of each stage; each selects maps."""

    title, trunk_size, layers_per_block, other_layers = "DenseNet", 2, 1, 4
    smallest_image = 4  # two mean pools

    def maps(self, stem: int, growth: int, depth: int) -> Widths:
        """The number of maps available to each selection."""
        per_stage = self.length(depth)
        starts = (stem + stage * per_stage * growth for stage in range(3))
        return tuple(start + layer * growth for start in starts for layer in range(per_stage + 1))

    def standard(self, depth: int, growth: int) -> tuple[Widths, Widths]:
        """DenseNet-depth-growth: a stem of twice the growth rate, with all maps selected."""
        return (2 * growth, growth), self.maps(2 * growth, growth, depth)

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        height, width = a.feature_map_size
        stem, growth = a.trunk
        inner = iter(zip(a.widths, self.maps(stem, growth, a.depth), strict=True))
        yield a.stem_layer(stem)
        for stage in (1, 2, 3):
            for number in range(1, self.length(a.depth) + 1):
                selected, _ = next(inner)
                yield Layer(f"{stage}.{number}.norm", "norm", selected, selected)
                yield Layer(f"{stage}.{number}.conv", "conv", selected, growth, 3, height * width)
            selected, available = next(inner)
            yield Layer(f"{stage}.end.norm", "norm", selected, selected)
            if stage < 3:
                yield Layer(f"{stage}.end.conv", "conv", selected, available, 1, height * width)
                height, width = height // 2, width // 2
        yield Layer("classifier", "linear", selected, a.classes)

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """`stage.layer`, and `stage.end`."""
        layers = (*range(1, self.length(a.depth) + 1), "end")
        return tuple(f"{stage}.{layer}" for stage in (1, 2, 3) for layer in layers)

    def selects(self, a: ArchitectureFields) -> Widths:
        """Every group selects from the maps there are."""
        stem, growth = a.trunk
        return self.maps(stem, growth, a.depth)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Another growth rate and a stem to match; a selection keeps its fraction of the maps.

        A growth rate is a small integer, so there are few members to choose from.
        """
        stem, growth = (scale_width(n, factor) for n in a.trunk)
        limits = self.maps(stem, growth, a.depth)
        return (stem, growth), scale_selections(a.widths, self.selects(a), limits, factor)

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Layers are dropped from the end of every stage; a selection keeps its fraction of the maps."""
        length, limits = self.length(a.depth), self.selects(a)
        stem, growth = a.trunk
        for kept in range(1, length + 1):
            depth = self.depth(kept)
            indices = [i for i in range(len(a.widths)) if i % (length + 1) in (*range(kept), length)]
            widths, limits_kept = (tuple(numbers[i] for i in indices) for numbers in (a.widths, limits))
            yield depth, scale_selections(widths, limits_kept, self.maps(stem, growth, depth), 1)
