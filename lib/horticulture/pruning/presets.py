"""Published presets: the pruning ratio of every group (Li et al., 2017), as Liu et al. (2019) use them."""

from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice


def _first_convolutions(blocks: int, stages: tuple[float, float, float], skip: set[int]) -> tuple[float, ...]:
    """Ratios for a ResNet with three stages of `blocks` blocks; the layers in `skip` are not pruned.

    Layers are numbered as in the published code: the stem is 1, the two convolutions of block i (from 0) are
    2i + 2 and 2i + 3, and shortcuts have none. Only the first of a block, an even number, loses filters.
    """
    layers = range(2, 6 * blocks + 1, 2)
    return tuple(0.0 if layer in skip else stages[i // blocks] for i, layer in enumerate(layers))


PRESETS: dict[str, tuple[float, ...]] = {
    "vgg-16-a": (0.5, *[0.0] * 6, *[0.5] * 6),  # of 13 convolutions, the first and the last six
    "resnet-56-a": _first_convolutions(9, (0.1, 0.1, 0.1), {16, 20, 38, 54}),
    "resnet-56-b": _first_convolutions(9, (0.6, 0.3, 0.1), {16, 18, 20, 34, 38, 54}),
    "resnet-110-a": _first_convolutions(18, (0.5, 0.0, 0.0), {36}),
    "resnet-110-b": _first_convolutions(18, (0.5, 0.4, 0.3), {36, 38, 74}),
}


def preset_quotas(name: str, whole: Architecture) -> list[int]:
    """How many channels of every group a preset removes: all but `int((1 - ratio) * width)`, as published.

    Raises InputError for a name not in `PRESETS`, and for a network with another number of groups.
    """
    ratios = PRESETS[check_choice(name, PRESETS, "preset")]
    if len(ratios) != len(whole.groups):
        raise InputError(
            f"the preset {name} is for {len(ratios)} groups, but this {whole.type.title} of depth "
            f"{whole.depth} has {len(whole.groups)}"
        )
    return [width - int((1 - ratio) * width) for width, ratio in zip(whole.widths, ratios, strict=True)]


def preset_ratio(scope: str, whole: Architecture) -> float:
    """The fraction of all channels that a preset removes; 0 for other scopes, which do not define one."""
    return sum(preset_quotas(scope, whole)) / sum(whole.widths) if scope in PRESETS else 0.0
