"""What a curve is called: one name each, in figures, tables and sentences.

A name is a template; `{criterion}`, `{network}`, `{narrower}` and `{shallower}` are filled in, or left out
where something else says them. `{epochs}` is what Scratch-B came to: `cells.scratch_b`.
"""

import re

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
    "scratch-b-all": "{criterion} shape from scratch, {epochs}, plus tuning's (Scratch-B, all)",
    # what the weights, and what the places, are worth
    "sliced": "{criterion} shape from a slice of the wide start",
    "random-channels": "{criterion} widths of random channels, fine-tuned",
    "shuffled": "{criterion} widths shuffled, from scratch",
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


def plain(curve: str) -> str:
    """The same name whether channels or single weights went."""
    return curve.removeprefix(SPARSE)


def label(curve: str, criterion: str = "", network: str = "", epochs: str = MORE_EPOCHS) -> str:
    """What a curve is called; a curve that has no name is called what it is.

    criterion, network: as the results and the parameters name them, or nothing where they are said elsewhere;
    a criterion that the name has no place for is said behind it. epochs: as `cells.scratch_b` says.
    """
    family, _, size = network.partition("-")
    depth, _, width = size.partition("-")
    name = NAMES.get(plain(curve), plain(curve) + " {criterion}")
    words = name.format(
        criterion=criterion[:1].upper() + criterion[1:],
        network=network.upper(),
        epochs=epochs,
        narrower=f"{family}-{depth}".upper() + "-k" if width else network.upper(),
        shallower=f"{family.upper()}-d-{width}" if width else network.upper(),
    )
    words = re.sub(r"\s+(?=[ ,]|$)", "", words).lstrip(" -,")
    words += aside(criterion) if "{criterion}" not in name else ""
    return words + (", single weights" if curve.startswith(SPARSE) else "")


def aside(criterion: str) -> str:
    """A criterion behind something else: ` (l1)`, or `, l1 (global)` where it has brackets of its own."""
    return f", {criterion}" if "(" in criterion else f" ({criterion})" if criterion else ""


def tag(curve: str) -> str:
    """The field's short name, where a curve has one: `Scratch-B`; else its label."""
    named = re.search(r"\((.+)\)", NAMES.get(plain(curve), ""))
    return named[1] if named else label(curve)
