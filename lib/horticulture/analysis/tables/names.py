"""What a curve, a network and a case are called: one name each, in figures, tables and sentences.

The name of a curve is a template; `{criterion}`, `{network}`, `{narrower}` and `{shallower}` are filled in,
or left out where something else says them. `{epochs}` is what Scratch-B came to: `scratch_b_epochs`.
"""

import re
from collections.abc import Iterable

import pandas as pd

NAMES: dict[str, str] = {
    "whole": "unpruned {network}",
    "pruned-tuned": "{criterion}-pruned {network}, tuned each round",
    "pruned-scratch": "{criterion} shape from scratch (Scratch-E)",
    "width": "narrower {narrower} from scratch",
    "depth": "shallower {shallower} from scratch",
    "bottleneck": "bottleneck {network} from scratch",
    "copycat": "{criterion} copycat from scratch",
    # what a pruning left, trained again
    "fine-tuned": "{criterion}-pruned, fine-tuned",
    "lr-rewound": "{criterion}-pruned, learning rate rewound",
    "weights-rewound": "{criterion}-pruned, weights rewound",
    "scratch-b": "{criterion} shape from scratch, {epochs} (Scratch-B)",
    "scratch-b-all": "{criterion} shape from scratch, {epochs} plus tuning's (Scratch-B, all)",
    # what the weights, and what the places, are worth
    "sliced": "{criterion} shape from a slice of a wide initialisation",
    "random-channels": "{criterion}-pruned widths, random channels, fine-tuned",
    "shuffled": "{criterion}-pruned widths shuffled, from scratch",
    "reselected": "{criterion} shape from scratch, channels selected evenly",
    "uniform": "uniform {network} from scratch",
    "guided": "{criterion}-guided {network} from scratch",
    "transferred": "{criterion}-guided by another network, from scratch",
    "compressed": "{criterion}-pruned, compressed",
}
MORE_EPOCHS = "more epochs"  # of Scratch-B, where nothing says how many
SPARSE = "sparse-"  # before the name of a curve of networks without single weights
BUDGETS = (  # what a pruning left, trained again
    *("pruned-scratch", "scratch-b", "scratch-b-all", "fine-tuned", "lr-rewound", "weights-rewound"),
    *("sliced", "random-channels", "shuffled", "reselected", "compressed"),
)
FAMILIES = ("width", "depth", "bottleneck", "copycat", "guided", "transferred", "uniform")
SPELLINGS = {
    **{"wrn": "WRN", "vgg": "VGG", "resnet": "ResNet", "preresnet": "PreResNet"},
    **{"densenet": "DenseNet", "densenet-bc": "DenseNet-BC"},
}


def drop_sparse(curve: str) -> str:
    """The name of the same curve where channels went, not single weights."""
    return curve.removeprefix(SPARSE)


def label(curve: str, criterion: str = "", network: str = "", epochs: str = MORE_EPOCHS) -> str:
    """What a curve is called: `L1 shape from scratch (Scratch-E)`; a curve without a name keeps its own.

    criterion, network: as the results and the parameters name them, or nothing where they are said elsewhere;
    a criterion that the name has no place for is said behind it. epochs: as `scratch_b_epochs` says.
    """
    template = NAMES.get(drop_sparse(curve), drop_sparse(curve) + " {criterion}")
    narrower = shallower = network
    if parts := re.fullmatch(rf"({'|'.join(SPELLINGS)})-(\d+)(-\d+)?", network):
        family, depth, width = SPELLINGS[parts[1]], parts[2], parts[3] or ""
        network = narrower = shallower = f"{family}-{depth}{width}"
        if width:
            narrower, shallower = f"{family}-{depth}-k", f"{family}-d{width}"
    named = criterion[:1].upper() + criterion[1:]
    name = template.format(
        criterion=named, network=network, narrower=narrower, shallower=shallower, epochs=epochs
    )
    name = re.sub(r"\s+(?=[ ,]|$)", "", name).lstrip(" -,")
    name += criterion_suffix(criterion) if "{criterion}" not in template else ""
    return name + (", single weights" if curve.startswith(SPARSE) else "")


def criterion_suffix(criterion: str) -> str:
    """A criterion behind a name: ` (l1)`, or `, l1 (global)` where it has brackets of its own."""
    return f", {criterion}" if "(" in criterion else f" ({criterion})" if criterion else ""


def short_label(curve: str) -> str:
    """The field's short name, where a curve has one: `Scratch-B`; else its label."""
    short = re.search(r"\((.+)\)", NAMES.get(drop_sparse(curve), ""))
    return short[1] if short else label(curve)


def case_name(criterion: str, ratio: float, size: float, longer: float = 1.0) -> str:
    """What a case is called: `12 %`, or `l1 −50 %`; where it was trained longer, how long."""
    if pd.isna(ratio):
        name = f"{100 * size:.0f} %"
    else:
        name = f"{criterion} −{100 * ratio:.0f} %" if ratio else f"{criterion} all zeros"
    return name.strip() + ("" if longer == 1 else f" ({times(longer)} as long)")


def percent(share: float) -> str:
    """`12 %`."""
    return f"{100 * share:.0f} %"


def count(number: int, thing: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def signed(points: float) -> str:
    """`+2.1`, `−0.4`, `0.0`: a difference, with a sign that can be read."""
    return f"{points:+.1f}".replace("-", "−") if abs(points) >= 0.05 else "0.0"


def times(longer: float) -> str:
    """`twice`, `3 times`."""
    return "twice" if longer == 2 else f"{longer:g} times"


def join_words(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def capitalize(text: str) -> str:
    """As at the beginning of a sentence; the rest keeps its capitals."""
    return text[:1].upper() + text[1:]
