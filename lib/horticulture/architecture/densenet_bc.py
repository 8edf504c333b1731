"""DenseNet-BC (Huang et al., 2017): a 1 x 1 bottleneck before every 3 x 3, transitions that halve the maps.

The trunk is the stem and the growth rate. As in Crowley et al. (2018), a group is the bottleneck of a layer,
4 times the growth rate. Each keeps a channel, so that a layer always has something to add.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import ArchitectureFields, Layer, ThreeStages, Widths

BOTTLENECK = 4  # channels per map that a layer adds


class DenseNetBC(ThreeStages):
    """A group per layer, which keeps a channel."""

    title, trunk_size, layers_per_block, other_layers = "DenseNet-BC", 2, 2, 4
    smallest_image = 4  # two mean pools

    def standard(self, depth: int, growth: int) -> tuple[Widths, Widths]:
        """DenseNet-BC-depth-growth: a stem of twice the growth rate."""
        return (2 * growth, growth), (BOTTLENECK * growth,) * (3 * self.length(depth))

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        height, width = a.feature_map_size
        maps, growth = a.trunk
        inner = iter(a.widths)
        yield a.stem_layer(maps)
        for stage in (1, 2, 3):
            for number in range(1, self.length(a.depth) + 1):
                name, middle, positions = f"{stage}.{number}", next(inner), height * width
                yield Layer(f"{name}.norm1", "norm", maps, maps)
                yield Layer(f"{name}.conv1", "conv", maps, middle, 1, positions)
                yield Layer(f"{name}.norm2", "norm", middle, middle)
                yield Layer(f"{name}.conv2", "conv", middle, growth, 3, positions)
                maps += growth
            yield Layer(f"{stage}.end.norm", "norm", maps, maps)
            if stage < 3:
                yield Layer(f"{stage}.end.conv", "conv", maps, maps // 2, 1, height * width)
                maps, height, width = maps // 2, height // 2, width // 2
        yield Layer("classifier", "linear", maps, a.classes)
