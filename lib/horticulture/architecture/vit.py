"""Vision transformer (Dosovitskiy et al., 2021) for small images, as plain as that of Beyer et al. (2022).

An image is cut into patches of 4 x 4 pixels, which become tokens: 16 of them at 16 x 16 pixels, 64 at
32 x 32, 256 at 64 x 64. Positions are fixed sines and cosines, and the mean over tokens is classified.

The trunk is the width of a token, and that of a head. A block adds to the tokens twice, and has two groups:
the heads of its attention (`block.heads`) and the hidden units of its MLP (`block.units`). A head takes its
queries, keys and values along. Without heads, or without units, that half of the block adds nothing.
"""

from collections.abc import Iterator

from horticulture.architecture.network_type import ArchitectureFields, Layer, NetworkType, Widths
from horticulture.errors import InputError

PATCH, MAX_IMAGE_SIDE = 4, 64  # pixels: the side of a patch, and the longest side of an image
HEAD = 8  # channels of a head
MAX_BLOCKS = 100  # blocks: finding smaller members of a deeper network would take minutes
MLP_RATIO = 2  # hidden units per channel of a token, as Hassani et al. (2021) have for small images


class ViT(NetworkType):
    """Two groups per block, which can vanish; every block is a stage."""

    title, trunk_size, smallest_image = "ViT", 2, 16
    groups_in_block = 1  # either half of a transformer's block is a residual block of its own

    def standard(self, depth: int, width: int) -> tuple[Widths, Widths]:
        """ViT-depth-width: tokens of `width` channels, and as many in the heads of a block together."""
        heads, rest = divmod(width, HEAD)
        if rest or not heads:
            raise InputError(
                f"a ViT has heads of {HEAD} channels: its width must be a multiple of {HEAD}, not {width}"
            )
        return (width, HEAD), (heads, MLP_RATIO * width) * depth

    def check_fields(self, a: ArchitectureFields) -> None:
        """Also raise InputError if there is no block, or if patches do not fill the image."""
        if a.depth < 1:
            raise InputError(f"a ViT has at least 1 block, not {a.depth}")
        if a.depth > MAX_BLOCKS:
            raise InputError(f"a ViT has at most {MAX_BLOCKS} blocks, not {a.depth}")
        super().check_fields(a)
        _, height, width = a.image
        if max(height, width) > MAX_IMAGE_SIDE or height % PATCH or width % PATCH:
            raise InputError(
                f"a ViT cuts images into patches of {PATCH} x {PATCH} pixels: height and width must be "
                f"multiples of {PATCH} from {self.smallest_image} to {MAX_IMAGE_SIDE}, not {height} x {width}"
            )

    def layers(self, a: ArchitectureFields) -> Iterator[Layer]:
        """Every layer with weights, in forward order, and the products of attention, which has none."""
        channels, height, width = a.image
        trunk, head = a.trunk
        tokens = (height // PATCH) * (width // PATCH)
        yield Layer("stem", "conv", channels, trunk, PATCH, tokens)
        for block, (heads, units) in enumerate(zip(a.widths[::2], a.widths[1::2], strict=True), 1):
            inside = heads * head
            yield Layer(f"{block}.heads.norm", "norm", trunk, trunk)
            yield Layer(f"{block}.heads.into", "conv", trunk, 3 * inside, 1, tokens)
            yield Layer(f"{block}.heads.attention", "attention", inside, inside, 1, tokens)
            yield Layer(f"{block}.heads.out", "conv", inside, trunk, 1, tokens)
            yield Layer(f"{block}.units.norm", "norm", trunk, trunk)
            yield Layer(f"{block}.units.into", "conv", trunk, units, 1, tokens)
            yield Layer(f"{block}.units.out", "conv", units, trunk, 1, tokens)
        yield Layer("norm", "norm", trunk, trunk)
        yield Layer("classifier", "linear", trunk, a.classes)

    def groups(self, a: ArchitectureFields) -> tuple[str, ...]:
        """`block.heads` and `block.units`."""
        return tuple(f"{block}.{what}" for block in range(1, a.depth + 1) for what in ("heads", "units"))

    def normed(self, a: ArchitectureFields) -> tuple[bool, ...]:
        """No group has one: layer norms act on tokens."""
        return (False,) * len(a.widths)

    def narrower(self, a: ArchitectureFields, factor: float) -> tuple[Widths, Widths]:
        """Everywhere except in a head: there are fewer of them."""
        trunk, widths = super().narrower(a, factor)
        return (trunk[0], a.trunk[1]), widths

    def shallower(self, a: ArchitectureFields) -> Iterator[tuple[int, Widths]]:
        """Blocks are dropped from the end."""
        for kept in range(1, a.depth + 1):
            yield kept, a.widths[: 2 * kept]
