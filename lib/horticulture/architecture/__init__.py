"""What a network is, as plain data: its widths, with parameters and MACs in closed form.

Nothing here needs torch. A variant of an architecture is another `Architecture`, made by a function (see
`families`); `networks.build` builds a network from one. Each type of network (Wide ResNet, VGG, ...) is a
`network_type.NetworkType` in its own module, and a line in the tables below.

Counting: a multiply-accumulate counts 1. Convolutions, linear layers and other products of matrices, such as
those of attention, are counted, for one image (in users' own networks not those of recurrent and bilinear
layers, which `horticulture groups` names); normalisation, activations, additions and pooling are not.
Parameters are all learned numbers, also those of layers that are frozen.
"""

import hashlib
import json
import re
from dataclasses import dataclass, fields, replace
from functools import cached_property

from horticulture.architecture import torchvision_names
from horticulture.architecture.densenet import DenseNet
from horticulture.architecture.densenet_bc import DenseNetBC
from horticulture.architecture.network_type import (
    ArchitectureFields,
    ImageShape,
    Layer,
    NetworkType,
    WidthLimits,
    Widths,
)
from horticulture.architecture.own import Own
from horticulture.architecture.preresnet import PreResNet
from horticulture.architecture.resnet import ResNet
from horticulture.architecture.table import CountedLayer, Table
from horticulture.architecture.vgg import VGG
from horticulture.architecture.vit import ViT
from horticulture.architecture.wide_resnet import WideResNet
from horticulture.errors import InputError, check_choice
from horticulture.system.code_files import is_code

MAX_DEPTH, MAX_WIDTH = 2_000, 1_000_000  # largest depth, and largest width in a network's name

NETWORK_TYPES: dict[str, NetworkType] = {
    "wide_resnet": WideResNet(),
    "vgg": VGG(),
    "resnet": ResNet(),
    "preresnet": PreResNet(),
    "densenet": DenseNet(),
    "densenet_bc": DenseNetBC(),
    "vit": ViT(),
}

# Common names: patterns whose numbers are passed to the `standard` of the network type.
NAME_PATTERNS: dict[str, tuple[str, str]] = {
    "wrn-DEPTH-WIDTH": (r"wrn-(\d+)-(\d+)", "wide_resnet"),
    "vgg-DEPTH[-WIDTH]": (r"vgg-(\d+)(?:-(\d+))?", "vgg"),
    "resnet-DEPTH[-WIDTH]": (r"resnet-(\d+)(?:-(\d+))?", "resnet"),
    "preresnet-DEPTH[-WIDTH]": (r"preresnet-(\d+)(?:-(\d+))?", "preresnet"),
    "densenet-DEPTH-GROWTH": (r"densenet-(\d+)-(\d+)", "densenet"),
    "densenet-bc-DEPTH-GROWTH": (r"densenet-bc-(\d+)-(\d+)", "densenet_bc"),
    "vit-DEPTH-WIDTH": (r"vit-(\d+)-(\d+)", "vit"),
}

STEM = re.compile(r"(.+)-stem(\d{1,3})")  # may follow these names: the stride of another stem
LEADING_ZERO = re.compile(r"(-|-stem)0\d")

TORCHVISION = "torchvision:"  # followed by the name of one of its classification networks
OTHERS = (f"{TORCHVISION}NAME", "FILE.py:FUNCTION")  # names that only `networks.named` knows
OWN = "own"  # the type of these
SUITED = {128: 4, 64: 2}  # stem strides by the least height and width, in pixels, of images that they suit
JSON_KEYS = {"network_type": "family"}  # fields that have another name on disk
OMITTED_DEFAULTS = {"table": None, "stem_stride": 1}  # fields that are described only at other values


@dataclass(frozen=True)
class Architecture(ArchitectureFields):
    """Everything that fixes a network but its weights.

    `trunk` has the widths that pruning leaves alone (for a Wide ResNet the stem and the three stages).
    `widths` has one number per *group*, in forward order: channels made by one layer or selected from the
    trunk (in a transformer, attention heads or hidden units), any of which can be removed without affecting
    others. Raises InputError for inconsistent or impossible numbers.
    """

    def __post_init__(self) -> None:
        check_choice(self.network_type, NETWORK_TYPES if self.table is None else [OWN], "network type")
        for name in ("image", "trunk", "widths"):  # lists in JSON
            object.__setattr__(self, name, tuple(int(n) for n in getattr(self, name)))
        if self.table is not None:
            object.__setattr__(self, "table", Table.of(self.table))
        if len(self.image) != 3 or min(self.image) < 1:
            raise InputError(f"image must be (channels, height, width), all positive, not {self.image}")
        if not 0 <= self.depth <= MAX_DEPTH:  # describing a deeper one would take minutes
            raise InputError(f"depth must be at most {MAX_DEPTH:,}, not {self.depth}")
        if self.classes < 2:
            raise InputError(f"classes must be at least 2, not {self.classes}")
        if min(self.trunk, default=1) < 1:
            raise InputError(f"trunk widths must be positive, not {self.trunk}")
        if self.stem_stride not in self.type.stems:
            strides = ", ".join(map(str, self.type.stems))
            raise InputError(f"a {self.type.title} has a stem of stride {strides}, not {self.stem_stride}")
        self.type.check_fields(self)
        limits = zip(self.groups, self.widths, self.min_widths, self.max_widths, self.selects, strict=True)
        for name, width, least, most, selects in limits:
            if width < least:
                raise InputError(f"group {name} has at least {least} channels, not {width}: {self.widths}")
            if most is not None and width > most:
                has = "has at most" if selects is None else "selects from"
                raise InputError(f"group {name} {has} {most} channels, not {width}: {self.widths}")

    @property
    def type(self) -> NetworkType:
        """The network type: an entry of `NETWORK_TYPES`, or one made from the table."""
        return NETWORK_TYPES[self.network_type] if self.table is None else Own(self.table)

    @cached_property
    def layers(self) -> tuple[Layer | CountedLayer, ...]:
        """Every layer with weights, in forward order."""
        return tuple(self.type.layers(self))

    @cached_property
    def params(self) -> int:
        """Parameters, including frozen ones and a norm in front of a vanished branch."""
        return sum(layer.params for layer in self.layers)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of a forward pass for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def feature_maps(self) -> list[int]:
        """The numbers in the output of every layer with weights, for one image."""
        return [layer.outputs * layer.positions for layer in self.layers]

    @property
    def groups(self) -> tuple[str, ...]:
        """The readable name of every group: `stage.block` or `stage.block.what`."""
        return self.type.groups(self)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """For every residual block that can be removed as a whole, the indices of its groups."""
        return self.type.blocks(self)

    @property
    def min_widths(self) -> Widths:
        """The smallest width of each group: 0 if a shortcut remains."""
        return self.type.min_widths(self)

    @property
    def max_widths(self) -> WidthLimits:
        """The largest width of each group; None if there is no limit."""
        return self.type.max_widths(self)

    @property
    def selects(self) -> WidthLimits:
        """The number of trunk channels that each group selects from; None if a layer makes the group."""
        return self.type.selects(self)

    @property
    def even_selections(self) -> list[list[int]]:
        """The trunk channels that each group selects by default: spread evenly.

        Empty for groups made by a layer. `networks.groups.ChannelSelection` starts with the same ones.
        """
        groups = zip(self.widths, self.selects, strict=True)
        return [[c * most // n for c in range(n)] if most is not None else [] for n, most in groups]

    def check_blocks(self) -> None:
        """Raise InputError if the network has no residual blocks that can be removed as a whole."""
        if not self.blocks:
            raise InputError(f"a {self.type.title} has no blocks that can be removed as a whole: use groups")

    def check_norms(self, penalty: str) -> None:
        """Raise InputError for a penalty that acts on batch norms, if a group has none."""
        normed = self.type.normed(self)
        if penalty in ("slimming", "groups") and not all(normed):
            without = self.groups[normed.index(False)]
            raise InputError(f"{penalty} needs a batch norm in every group, but {without} has none")

    @cached_property
    def id(self) -> str:
        """A short id, the same for equal architectures and different for others."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:8]

    def with_widths(self, widths: tuple[int, ...]) -> "Architecture":
        """The same trunk with other group widths."""
        return replace(self, widths=tuple(widths))

    def to_json(self) -> dict:
        """Plain dicts, lists, strings and numbers, without the fields at their `OMITTED_DEFAULTS`."""
        values = {JSON_KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        if self.table is not None:
            values["table"] = self.table.to_json()
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {k: v for k, v in plain.items() if k not in OMITTED_DEFAULTS or v != OMITTED_DEFAULTS[k]}

    def identity(self) -> dict:
        """As `to_json`, but without the folder of a user's file, which its digest identifies."""
        plain = self.to_json()
        if self.table is not None:
            plain["table"]["network"] = self.table.name
        return plain

    @staticmethod
    def from_json(description: dict) -> "Architecture":
        """The inverse of `to_json`."""
        names = {key: name for name, key in JSON_KEYS.items()}
        return Architecture(**{names.get(key, key): value for key, value in description.items()})


def named(name: str, *, image: ImageShape, classes: int) -> Architecture:
    """The architecture with a common name, such as `wrn-40-2`; `wrn-40-2-stem4` has a stem of stride 4.

    image: (channels, height, width). Raises InputError for a name that matches no pattern in `NAME_PATTERNS`,
    or for numbers beyond `MAX_DEPTH` and `MAX_WIDTH`.
    """
    stem = STEM.fullmatch(str(name))
    for pattern, network_type in NAME_PATTERNS.values():
        if match := re.fullmatch(pattern, stem[1] if stem else str(name), re.ASCII):
            if LEADING_ZERO.search(name):  # the same network would be another study
                raise InputError(f"network {name[:60]}: write its numbers without leading zeros")
            numbers = [float(number) for number in match.groups() if number is not None]  # of any length
            if min(numbers) < 1:
                raise InputError(f"network {name[:60]}: its numbers must be positive")
            if numbers[0] > MAX_DEPTH or max(numbers) > MAX_WIDTH:
                most = f"depths go up to {MAX_DEPTH:,} and widths to {MAX_WIDTH:,}"
                raise InputError(f"network {name[:60]}: {most}; describing a larger one would take minutes")
            depth, *others = map(int, numbers)
            trunk, widths = NETWORK_TYPES[network_type].standard(depth, *others)
            stride = int(stem[2]) if stem else 1
            return Architecture(network_type, depth, classes, image, trunk, widths, stem_stride=stride)
    if is_traced(name):
        raise InputError(
            f"{name} is known only by its code: use networks.named or networks.describe, which run it"
        )
    if name in torchvision_names.parameter_counts():
        raise InputError(f"unknown network {name!r}: did you mean {TORCHVISION + name!r}?")
    raise InputError(
        f"unknown network {name!r}: choose from {', '.join([*NAME_PATTERNS, *OTHERS])}, such as wrn-40-2 "
        "(for large images wrn-40-2-stem4)"
    )


def suited_stem(image: ImageShape) -> int:
    """The stride of the stem that suits such images (1: that of small images)."""
    return next((stride for least, stride in SUITED.items() if min(image[1:]) >= least), 1)


def is_traced(name: str) -> bool:
    """Whether a network is not built in but traced: torchvision's, or a function in a file."""
    return str(name).startswith(TORCHVISION) or is_code(name)


def check_traced(name: str, image: ImageShape | None = None) -> None:
    """Raise InputError for a network of torchvision's that does not exist, or does not accept such images.

    Nothing is loaded.
    """
    if str(name).startswith(TORCHVISION):
        model = check_choice(
            name.removeprefix(TORCHVISION), torchvision_names.parameter_counts(), "torchvision network"
        )
        if image is not None:
            torchvision_names.check_image(model, image, name)
