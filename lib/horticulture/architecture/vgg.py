"""VGG with batch norm, for small images (Simonyan and Zisserman, 2015; as Liu et al. 2017 train it on CIFAR).

Five stages of 3 x 3 convolutions without bias, max pools between stages, the mean over space, and one linear
layer. There is no trunk: every convolution is a group, read by the next one or by the classifier.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import STEMS, ArchitectureFields, Layer, NetworkType, Widths
from horticulture.errors import InputError

# The paper's depths count three linear layers, of which one is left. Depth 8 is a small one of our own.
STAGE_LENGTHS: dict[int, tuple[int, ...]] = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def stage_lengths(depth: int) -> tuple[int, ...]:
    """The number of convolutions in each of the five stages. Raises InputError for an impossible depth."""
    if depth not in STAGE_LENGTHS:
        raise InputError(f"a VGG has depth {', '.join(map(str, STAGE_LENGTHS))}, not {depth}")
    return STAGE_LENGTHS[depth]


class VGG(NetworkType):
    """Every convolution is a group and keeps a channel, because there are no shortcuts."""

    title, trunk_size, smallest_image = "VGG", 0, 16  # four max pools
    stems = tuple(STEMS)

    def standard(self, depth: int, width: int = 64) -> tuple[Widths, Widths]:
        """VGG-depth with `width` channels in the first stage, then 2, 4, 8 and 8 times as many."""
        return (), tuple(
            times * width
            for times, count in zip((1, 2, 4, 8, 8), stage_lengths(depth), strict=True)
            for _ in range(count)
        )

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order."""
        height, width = a.feature_map_size
        inputs, inner = 0, iter(a.widths)
        for stage, count in enumerate(stage_lengths(a.depth)):
            if stage > 0:
                height, width = height // 2, width // 2
            for number in range(count):
                name, outputs = f"{stage + 1}.{number + 1}", next(inner)
                if name == "1.1":
                    yield a.stem_layer(outputs, "1.1.conv")
                else:
                    yield Layer(f"{name}.conv", "conv", inputs, outputs, 3, height * width)
                yield Layer(f"{name}.norm", "norm", outputs, outputs)
                inputs = outputs
        yield Layer("classifier", "linear", inputs, a.classes)

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """`stage.convolution`."""
        return tuple(
            f"{stage}.{number}"
            for stage, count in enumerate(stage_lengths(a.depth), 1)
            for number in range(1, count + 1)
        )

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Convolutions are dropped from the end of the stages, as in networks of smaller depths."""
        widths = iter(a.widths)
        stages = [[next(widths) for _ in range(count)] for count in stage_lengths(a.depth)]
        for depth, lengths in STAGE_LENGTHS.items():
            if depth <= a.depth:
                kept = [stage[:length] for stage, length in zip(stages, lengths, strict=True)]
                yield depth, tuple(n for stage in kept for n in stage)
