"""What a network is, as plain data: its widths, its parameters and its MACs in closed form.

Nothing here knows torch. A variant of an architecture is another `Architecture`, made by a function
(see `families`); a network is built from one by `networks.build`. A family of networks is a
`family.Family`, in a module of its own, and a line in the tables below.

Counting: a multiply-accumulate counts 1. Convolutions and linear layers are counted, for one image;
normalisation, activations, additions and pooling are not. Parameters are all trainable numbers.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from horticulture.architecture.densenet import DenseNet
from horticulture.architecture.densenet_bc import DenseNetBC
from horticulture.architecture.family import Family, Layer, Limits, Shape, Widths
from horticulture.architecture.own import Own
from horticulture.architecture.preresnet import PreResNet
from horticulture.architecture.resnet import ResNet
from horticulture.architecture.table import CountedLayer, Table
from horticulture.architecture.vgg import VGG
from horticulture.architecture.wide_resnet import WideResNet
from horticulture.errors import InputError, check_choice
from horticulture.user_code import is_code

DEEPEST, WIDEST = 2_000, 1_000_000  # the numbers that a network's name may have

FAMILIES: dict[str, Family] = {
    "wide_resnet": WideResNet(),
    "vgg": VGG(),
    "resnet": ResNet(),
    "preresnet": PreResNet(),
    "densenet": DenseNet(),
    "densenet_bc": DenseNetBC(),
}

# What the field calls them: the pattern of the name, whose numbers the family's `standard` takes.
NAME_PATTERNS: dict[str, tuple[str, str]] = {
    "wrn-DEPTH-WIDTH": (r"wrn-(\d+)-(\d+)", "wide_resnet"),
    "vgg-DEPTH[-WIDTH]": (r"vgg-(\d+)(?:-(\d+))?", "vgg"),
    "resnet-DEPTH[-WIDTH]": (r"resnet-(\d+)(?:-(\d+))?", "resnet"),
    "preresnet-DEPTH[-WIDTH]": (r"preresnet-(\d+)(?:-(\d+))?", "preresnet"),
    "densenet-DEPTH-GROWTH": (r"densenet-(\d+)-(\d+)", "densenet"),
    "densenet-bc-DEPTH-GROWTH": (r"densenet-bc-(\d+)-(\d+)", "densenet_bc"),
}

OTHERS = ("torchvision:NAME", "FILE.py:FUNCTION")  # what `networks.named` knows besides
OWN = "own"  # as the family of these


@dataclass(frozen=True)
class Architecture(Shape):
    """What fixes a network's shape.

    `trunk` holds the widths that pruning leaves alone (for a Wide ResNet the stem and the three stages);
    `widths` holds one number a *group*, in forward order: channels made by one layer or selected from the
    trunk, normalised, and read by the next, so that any of them can go without a neighbour noticing.
    Raises InputError for numbers that do not fit each other, or that no network can have.
    """

    def __post_init__(self) -> None:
        check_choice(self.family, FAMILIES if self.table is None else [OWN], "network family")
        for name in ("image", "trunk", "widths"):  # JSON gives lists
            object.__setattr__(self, name, tuple(int(n) for n in getattr(self, name)))
        if self.table is not None:
            object.__setattr__(self, "table", Table.of(self.table))
        if len(self.image) != 3 or min(self.image) < 1:
            raise InputError(f"image must be (channels, height, width), all positive, not {self.image}")
        if self.classes < 2:
            raise InputError(f"classes must be at least 2, not {self.classes}")
        if min(self.trunk, default=1) < 1:
            raise InputError(f"widths below the least possible: trunk {self.trunk}")
        self.kind.check_shape(self)
        limits = zip(self.groups, self.widths, self.min_widths, self.max_widths, self.selects, strict=True)
        for name, width, least, most, selects in limits:
            if width < least:
                raise InputError(f"group {name} has at least {least} channels, not {width}: {self.widths}")
            if most is not None and width > most:
                has = "has at most" if selects is None else "selects from"
                raise InputError(f"group {name} {has} {most} channels, not {width}: {self.widths}")

    @property
    def kind(self) -> Family:
        """What is known of its family."""
        return FAMILIES[self.family] if self.table is None else Own()

    @cached_property
    def layers(self) -> tuple[Layer | CountedLayer, ...]:
        """Every layer with weights, in forward order."""
        return tuple(self.kind.layers(self))

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
        """The name of every group, for people: `stage.block` or `stage.block.what`."""
        return self.kind.groups(self)

    @property
    def blocks(self) -> tuple[Widths, ...]:
        """For every residual block that can be removed as a whole, the indices of its groups."""
        return self.kind.blocks(self)

    @property
    def min_widths(self) -> Widths:
        """The smallest width that each group may have: 0 where a shortcut remains."""
        return self.kind.min_widths(self)

    @property
    def max_widths(self) -> Limits:
        """The largest width that each group may have; None where there is no limit."""
        return self.kind.max_widths(self)

    @property
    def selects(self) -> Limits:
        """How many channels of a trunk each group selects from; None where a layer makes it."""
        return self.kind.selects(self)

    @property
    def even_selections(self) -> list[list[int]]:
        """Which channels of its trunk each group selects where nothing else is said: spread evenly.

        Empty for groups that a layer makes. `networks.layers.ChannelSelection` begins with the same.
        """
        groups = zip(self.widths, self.selects, strict=True)
        return [[c * most // n for c in range(n)] if most is not None else [] for n, most in groups]

    def check_norms(self, penalty: str) -> None:
        """Raise InputError for a penalty that acts on batch norms, if a group passes none."""
        normed = (True,) * len(self.widths) if self.table is None else self.table.normed
        if penalty in ("slimming", "groups") and not all(normed):
            without = self.groups[normed.index(False)]
            raise InputError(f"{penalty} needs a batch norm in every group, and {without} has none")

    @cached_property
    def id(self) -> str:
        """A short name that is the same for equal architectures and differs for others."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:8]

    def with_widths(self, widths: tuple[int, ...]) -> "Architecture":
        """The same trunk with other group widths."""
        return replace(self, widths=tuple(widths))

    def to_json(self) -> dict:
        """Plain dicts, lists, strings and numbers; of our own families without a table."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if self.table is None:
            del plain["table"]
        return plain

    def identity(self) -> dict:
        """What makes it this one, as `to_json`: not the folder of a file, whose digest is in it."""
        plain = self.to_json()
        if self.table is not None:
            plain["table"]["network"] = self.table.name
        return plain

    @staticmethod
    def from_json(description: dict) -> "Architecture":
        """The inverse of `to_json`."""
        return Architecture(**description)


def named(name: str, *, image: tuple[int, int, int], classes: int) -> Architecture:
    """The architecture that the field calls by that name, such as `wrn-40-2`.

    image: (channels, height, width). Raises InputError for a name that fits no pattern in `NAME_PATTERNS`,
    and for numbers beyond `DEEPEST` and `WIDEST`.
    """
    for pattern, family in NAME_PATTERNS.values():
        if match := re.fullmatch(pattern, str(name), re.ASCII):
            numbers = [float(number) for number in match.groups() if number is not None]  # of any length
            if numbers[0] > DEEPEST or max(numbers) > WIDEST:
                most = f"depths go to {DEEPEST:,} and widths to {WIDEST:,}"
                raise InputError(f"network {name[:60]}: {most}; to describe a larger one would take minutes")
            depth, *others = map(int, numbers)
            trunk, widths = FAMILIES[family].standard(depth, *others)
            return Architecture(family, depth, classes, image, trunk, widths)
    if is_own(name):
        raise InputError(f"{name} is known by its code only: networks.named and networks.describe run it")
    raise InputError(
        f"unknown network {name!r}: choose from {', '.join([*NAME_PATTERNS, *OTHERS])}, such as wrn-40-2"
    )


def is_own(name: str) -> bool:
    """Whether a network is not of our families: torchvision's, or a function in a file."""
    return str(name).startswith("torchvision:") or is_code(name)
