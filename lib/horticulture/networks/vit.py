"""Vision transformers for small images (Dosovitskiy et al., 2021), any numbers of heads and hidden units."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.architecture import Architecture
from horticulture.architecture.vit import PATCH
from horticulture.networks.layers import Network
from horticulture.networks.traced_network import LiveAxis, Places, TracedGroup


class Projection(nn.Linear):
    """A linear layer over tokens, without a bias: the norm before it has one.

    Unlike torch's it may have no channels at all, and it starts uninitialised: see `layers.initialise`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        """Do nothing: `layers.initialise` does it, with random numbers from a generator."""


class Sublayer(nn.Module):
    """norm - projection - `inside` - projection, added to the tokens. The group is between the projections.

    The second projection reads `size` channels of each of the group's `count` members. The first makes
    `parts` times as many, part by part.
    """

    parts = 1

    def __init__(self, width: int, count: int, size: int = 1) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(width)
        self.into = Projection(width, self.parts * count * size)
        self.out = Projection(count * size, width)

    def inside(self, y: Tensor) -> Tensor:
        """(batch, token, parts * count * size) -> (batch, token, count * size)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, width) -> (batch, token, width)."""
        if self.out.in_features == 0:
            return x
        return x + self.out(self.inside(self.into(self.norm(x))))

    def group(self, name: str) -> TracedGroup:
        """The whole group: a member has rows of the first projection and columns of the second."""
        made, read = torch.arange(self.into.out_features), torch.arange(self.out.in_features)
        count = len(read) // self.size
        rows = made.view(self.parts, count, self.size).transpose(0, 1).flatten(1)
        produced = Places(LiveAxis(self.into, "weight", 0, made), rows)
        read_at = Places(LiveAxis(self.out, "weight", 1, read), read.view(count, self.size))
        return TracedGroup(name, (self.into,), [produced, read_at], [read_at], torch.arange(count))


class Attention(Sublayer):
    """Scaled dot-product attention, whose heads are the group; a head has `size` channels.

    The parts are queries, keys and values.
    """

    parts = 3

    def inside(self, y: Tensor) -> Tensor:
        """Every token takes the mean of all values, weighted by how its query matches their keys."""
        parts = y.unflatten(2, (self.parts, -1, self.size))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (batch, head, token, size) each
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class MLP(Sublayer):
    """A layer of hidden units, which are the group."""

    def inside(self, y: Tensor) -> Tensor:
        """The activation."""
        return F.gelu(y)


class ViT(Network):
    """Patches, positions, blocks of attention and MLP, norm, mean over tokens, linear classifier."""

    groups: tuple[TracedGroup, ...]  # type: ignore[assignment]
    positions: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        channels, height, width = architecture.image
        trunk, head = architecture.trunk
        self.stem = Projection(channels * PATCH**2, trunk)
        places = sinusoids(height // PATCH, width // PATCH, trunk)
        self.register_buffer("positions", places, persistent=False)
        heads, units = architecture.widths[::2], architecture.widths[1::2]
        chain = [
            sublayer
            for h, u in zip(heads, units, strict=True)
            for sublayer in (Attention(trunk, h, head), MLP(trunk, u))
        ]
        self.blocks = nn.Sequential(*chain)
        self.norm = nn.LayerNorm(trunk)
        self.classifier = nn.Linear(trunk, architecture.classes)
        named = zip(architecture.groups, chain, strict=True)
        self.groups = tuple(sublayer.group(name) for name, sublayer in named)
        self.branch_ends = tuple(sublayer.out for sublayer in chain)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        patches = F.pixel_unshuffle(x, PATCH).flatten(2).transpose(1, 2)
        tokens = self.blocks(self.stem(patches) + self.positions)
        return self.classifier(self.norm(tokens).mean(dim=1))


def sinusoids(rows: int, columns: int, width: int) -> Tensor:
    """(rows * columns, width): sines and cosines of a token's column, then of its row (Beyer et al., 2022).

    A quarter of the channels each, of wavelengths from 2 pi to 10,000 times that; the last quarter is shorter
    if the width is not a multiple of four.
    """
    count = -(-width // 4)
    frequencies = 10_000 ** -torch.linspace(0, 1, count)
    across, down = (torch.arange(n)[:, None] * frequencies for n in (columns, rows))
    across = across.expand(rows, columns, count)
    down = down[:, None].expand(rows, columns, count)
    parts = (across.sin(), across.cos(), down.sin(), down.cos())
    return torch.cat(parts, dim=2).flatten(0, 1)[:, :width].contiguous()
