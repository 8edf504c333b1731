"""What a network is, as plain data: its widths, its parameters and its MACs in closed form.

Nothing here knows torch. A variant of an architecture is another `Architecture`, made by a function
(see `families`); a network is built from one by `networks.build`.

Counting: a multiply-accumulate counts 1. Convolutions and linear layers are counted, for one image;
normalisation, activations, additions and pooling are not. Parameters are all trainable numbers.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import NamedTuple

from horticulture.errors import BadInput, choose


class Layer(NamedTuple):
    """A layer with weights. `positions` is the number of output pixels, height times width."""

    name: str
    kind: str  # "conv", "norm" or "linear"
    inputs: int
    outputs: int
    kernel: int = 1
    positions: int = 1

    @property
    def params(self) -> int:
        """Trainable numbers: weights, and for norms and linear layers the shifts too."""
        if self.kind == "norm":
            return 2 * self.outputs
        bias = self.outputs if self.kind == "linear" else 0
        return self.kernel**2 * self.inputs * self.outputs + bias

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        if self.kind == "norm":
            return 0
        return self.kernel**2 * self.inputs * self.outputs * self.positions


@dataclass(frozen=True)
class Architecture:
    """What fixes a network's shape.

    `trunk` holds the widths that pruning leaves alone (for a Wide ResNet the stem and the three stages);
    `widths` holds one number a *group*, in forward order: channels made by one layer, normalised, and
    read by the next, so that any of them can go without a neighbour noticing.
    """

    family: str
    depth: int
    classes: int
    image: tuple[int, int, int]  # channels, height, width
    trunk: tuple[int, ...]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        choose(self.family, FAMILIES, "network family")
        for name in ("image", "trunk", "widths"):  # JSON gives lists
            object.__setattr__(self, name, tuple(int(n) for n in getattr(self, name)))
        if len(self.image) != 3 or min(self.image) < 1:
            raise BadInput(f"image must be (channels, height, width), all positive, not {self.image}")
        if self.classes < 2:
            raise BadInput(f"classes must be at least 2, not {self.classes}")
        if min(self.trunk, default=1) < 1 or min(self.widths, default=0) < 0:
            raise BadInput(f"widths below the least possible: trunk {self.trunk}, groups {self.widths}")
        FAMILIES[self.family].check(self)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with weights, in forward order."""
        return tuple(FAMILIES[self.family].layers(self))

    @cached_property
    def params(self) -> int:
        """Trainable parameters; a norm in front of a vanished branch still counts."""
        return sum(layer.params for layer in self.layers)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def groups(self) -> tuple[str, ...]:
        """The name of every group, for people: `stage.block` in a residual network."""
        return FAMILIES[self.family].groups(self)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """For every residual block that can leave as a whole the indices of its groups; may be empty."""
        return FAMILIES[self.family].blocks(self)

    @cached_property
    def id(self) -> str:
        """A short name that is the same for equal architectures and differs for others."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:8]

    def with_widths(self, widths: tuple[int, ...]) -> "Architecture":
        """The same trunk with other group widths."""
        return replace(self, widths=tuple(widths))

    def without_channel(self, group: int) -> "Architecture":
        """What is left when one channel of that group is removed."""
        widths = list(self.widths)
        widths[group] -= 1
        return self.with_widths(tuple(widths))

    def to_json(self) -> dict:
        """Plain dicts, lists, strings and numbers."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_json(description: dict) -> "Architecture":
        """The inverse of `to_json`."""
        return Architecture(**description)


def halved(size: int) -> int:
    """Output size of a padded 3 x 3 convolution of stride 2, or of a 1 x 1 one."""
    return (size + 1) // 2


# --- Wide ResNet (Zagoruyko and Komodakis, 2016): pre-activation, two 3 x 3 convolutions a block -------


def wide_resnet(depth: int, width: int, *, image: tuple[int, int, int], classes: int) -> Architecture:
    """WRN-depth-width: a stem of 16, three stages of `16, 32, 64 x width` channels.

    A group is what lies between the two convolutions of a block. The residual trunk keeps its width.
    """
    stages = (16 * width, 32 * width, 64 * width)
    blocks = wide_resnet_blocks(depth)
    widths = tuple(stage for stage in stages for _ in range(blocks))
    return Architecture("wide_resnet", depth, classes, image, (16, *stages), widths)


def wide_resnet_blocks(depth: int) -> int:
    """Blocks in each of the three stages. Raises BadInput if the depth is not 6n + 4."""
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise BadInput(f"a Wide ResNet has depth 6n + 4 (10, 16, 22, 28, 34, 40, ...), not {depth}")
    return blocks


def _wide_resnet_check(a: Architecture) -> None:
    groups = 3 * wide_resnet_blocks(a.depth)
    if len(a.trunk) != 4 or len(a.widths) != groups:
        raise BadInput(
            f"a Wide ResNet of depth {a.depth} has 4 trunk widths and {groups} groups, "
            f"not {len(a.trunk)} and {len(a.widths)}"
        )


def _wide_resnet_layers(a: Architecture) -> Iterator[Layer]:
    channels, height, width = a.image
    stem, *stages = a.trunk
    blocks = wide_resnet_blocks(a.depth)
    inner = iter(a.widths)
    yield Layer("stem", "conv", channels, stem, 3, height * width)
    inputs = stem
    for stage, outputs in enumerate(stages):
        for block in range(blocks):
            enters = stage > 0 and block == 0
            if enters:
                height, width = halved(height), halved(width)
            name, middle, positions = f"{stage + 1}.{block + 1}", next(inner), height * width
            yield Layer(f"{name}.norm1", "norm", inputs, inputs)
            yield Layer(f"{name}.conv1", "conv", inputs, middle, 3, positions)
            yield Layer(f"{name}.norm2", "norm", middle, middle)
            yield Layer(f"{name}.conv2", "conv", middle, outputs, 3, positions)
            if enters or inputs != outputs:
                yield Layer(f"{name}.shortcut", "conv", inputs, outputs, 1, positions)
            inputs = outputs
    yield Layer("norm", "norm", inputs, inputs)
    yield Layer("classifier", "linear", inputs, a.classes)


def _wide_resnet_groups(a: Architecture) -> tuple[str, ...]:
    blocks = wide_resnet_blocks(a.depth)
    return tuple(f"{stage}.{block}" for stage in (1, 2, 3) for block in range(1, blocks + 1))


def _wide_resnet_whole_blocks(a: Architecture) -> tuple[tuple[int, ...], ...]:
    return tuple((group,) for group in range(len(a.widths)))


# --- the tables ----------------------------------------------------------------------------------------


class Family(NamedTuple):
    """What a family of networks must say of itself."""

    check: Callable[[Architecture], None]
    layers: Callable[[Architecture], Iterator[Layer]]
    groups: Callable[[Architecture], tuple[str, ...]]
    blocks: Callable[[Architecture], tuple[tuple[int, ...], ...]]


FAMILIES: dict[str, Family] = {
    "wide_resnet": Family(
        _wide_resnet_check, _wide_resnet_layers, _wide_resnet_groups, _wide_resnet_whole_blocks
    ),
}

NAMES: dict[str, tuple[str, Callable[..., Architecture]]] = {
    "wrn-DEPTH-WIDTH": (r"wrn-(\d+)-(\d+)", wide_resnet),
}


def named(name: str, *, image: tuple[int, int, int], classes: int) -> Architecture:
    """The architecture that the field calls by that name, such as `wrn-40-2`.

    image: (channels, height, width). Raises BadInput for a name that fits no pattern in `NAMES`.
    """
    for pattern, make in NAMES.values():
        if match := re.fullmatch(pattern, str(name)):
            return make(*map(int, match.groups()), image=image, classes=classes)
    raise BadInput(f"unknown network {name!r}: choose from {', '.join(NAMES)}, such as wrn-40-2")
