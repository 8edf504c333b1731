"""The curves of a study: the name of each, how it is drawn, and whether it inherits weights.

Tables and legends keep this order. The colours are Okabe and Ito's, with Tol's wine, indigo, olive
and teal and a brown, which colour-blind people can tell apart; every curve also has a marker of its own, for
print. There are more curves than colours: those of one size or one budget figure have their own, and where a
figure shows both, as error against training, a few share a colour and differ by marker only.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from horticulture.system.code_files import is_code

BLACK, ORANGE, SKY, GREEN, BLUE = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILION, PURPLE, GREY, WINE, INDIGO = "#D55E00", "#CC79A7", "#999999", "#882255", "#332288"
OLIVE, TEAL, BROWN = "#999933", "#44AA99", "#8C510A"
CRITERION_COLORS = (BLUE, VERMILION, SKY, WINE, INDIGO, GREEN, PURPLE, ORANGE, GREY)
HALF = {"fillstyle": "bottom", "markerfacecoloralt": "white", "markeredgewidth": 1.2}


class CurveStyle(NamedTuple):
    """How a curve is named and drawn.

    label: a template. `{criterion}`, `{network}`, `{narrower}` and `{shallower}` are filled in, or omitted
    if they are empty; `{epochs}` describes the epochs of Scratch-B, `{tuned}` when the network was
    fine-tuned. color: empty for curves that appear in tables only. marker: a matplotlib marker, where
    (points, 1, angle) is a star.
    """

    label: str
    color: str = ""
    marker: str | tuple[int, int, int] = ""
    inherits: bool = False  # whether it starts from weights of the network that was pruned
    half: bool = False  # whether the marker is half filled

    @property
    def style(self) -> dict[str, Any]:
        """Colour and marker as keyword arguments of `Axes.plot`."""
        return {"color": self.color, "marker": self.marker, **(HALF if self.half else {})}


BUDGET_CURVES = {  # pruned networks, retrained
    "pruned-scratch": CurveStyle("{criterion} shape from scratch (Scratch-E)", BLUE, "o"),
    "scratch-b": CurveStyle("{criterion} shape from scratch, {epochs} (Scratch-B)", SKY, "X"),
    "scratch-b-all": CurveStyle(
        "{criterion} shape from scratch, {epochs} plus those of tuning (Scratch-B, all)", WINE, "8"
    ),
    "scratch-images": CurveStyle("{criterion} shape from scratch, as many images as rewound", ORANGE, "h"),
    "scratch-moved": CurveStyle("{criterion} shape from scratch on the source, moved", OLIVE, "H"),
    "fine-tuned": CurveStyle("{criterion}-pruned, fine-tuned", VERMILION, "v", inherits=True),
    "lr-rewound": CurveStyle("{criterion}-pruned, learning rate rewound", BROWN, ">", inherits=True),
    "pruned-moving": CurveStyle(
        "{criterion}-pruned while moving, learning rate rewound", TEAL, (7, 1, 0), inherits=True
    ),
    "weights-rewound": CurveStyle("{criterion}-pruned, weights rewound", PURPLE, "<", inherits=True),
    "sliced": CurveStyle("{criterion} shape from a slice of a wide initialisation", GREEN, "d"),
    "random-channels": CurveStyle(
        "{criterion}-pruned widths, random channels, fine-tuned", INDIGO, (4, 1, 0), inherits=True
    ),
    "shuffled": CurveStyle("{criterion}-pruned widths, shuffled, from scratch", BLACK, "p"),
    "reselected": CurveStyle("{criterion} shape from scratch, channels selected evenly", GREY, (5, 1, 0)),
    "compressed": CurveStyle("{criterion}-pruned, compressed", inherits=True),
}
# Budgets that show which property of a pruned network matters.
CONTROLS = ("weights-rewound", "sliced", "random-channels", "shuffled", "reselected")
SCALED_CURVES = {  # networks of other sizes, made by rule
    "width": CurveStyle("narrower {narrower} from scratch", ORANGE, "s"),
    "depth": CurveStyle("shallower {shallower} from scratch", SKY, "P"),
    "bottleneck": CurveStyle("bottleneck {network} from scratch", GREEN, "D"),
    "copycat": CurveStyle("{criterion} copycat from scratch", PURPLE, "^"),
    "guided": CurveStyle("{criterion}-guided {network} from scratch", TEAL, (5, 1, 180)),
    "transferred": CurveStyle("{criterion}-guided by another network, from scratch", INDIGO, (3, 1, 0)),
    "uniform": CurveStyle("uniform {network} from scratch", BLACK, (4, 1, 45)),
    "uniform-moved": CurveStyle("uniform {network} from scratch on the source, moved", GREY, (8, 1, 0)),
}
SPARSE = "sparse-"  # prefix of the curves of networks from which single weights were removed
CURVES = {
    "whole": CurveStyle("unpruned {network}", BLACK, "*"),
    "pruned-tuned": CurveStyle("{criterion}-pruned {network}, {tuned}", VERMILION, ".", inherits=True),
    **BUDGET_CURVES,
    **SCALED_CURVES,
    **{
        SPARSE + name: curve._replace(label=f"{curve.label}, single weights", half=True)
        for name, curve in BUDGET_CURVES.items()
    },
}
DRAWN = {name: curve for name, curve in CURVES.items() if curve.color}

MORE_EPOCHS = "more epochs"  # of Scratch-B, if the number is unknown
SPELLINGS = {
    "wrn": "WRN",
    "vgg": "VGG",
    "resnet": "ResNet",
    "preresnet": "PreResNet",
    "densenet": "DenseNet",
    "densenet-bc": "DenseNet-BC",
    "vit": "ViT",
}


def drop_sparse(curve: str) -> str:
    """The name of the corresponding curve of networks from which channels were removed."""
    return curve.removeprefix(SPARSE)


def label(
    curve: str, criterion: str = "", network: str = "", *, epochs: str = MORE_EPOCHS, one_shot: bool = False
) -> str:
    """The label of a curve: `L1 shape from scratch (Scratch-E)`; for an unknown curve, its own name.

    criterion, network: as in the results and the parameters, or empty to omit them; a criterion that has no
    place in the template is appended. epochs: from `cases.scratch_b_in_words`. one_shot: whether everything
    was removed in one round.
    """
    template = CURVES[curve].label if curve in CURVES else "{curve} {criterion}"
    if is_code(network):
        network = network.rpartition("/")[2]  # no folders of this machine in what is shown to others
    narrower = shallower = network
    if parts := re.fullmatch(rf"({'|'.join(SPELLINGS)})-(\d+)(-\d+)?", network):
        network_type, depth, width = SPELLINGS[parts[1]], parts[2], parts[3] or ""
        network = narrower = shallower = f"{network_type}-{depth}{width}"
        if width:
            narrower, shallower = f"{network_type}-{depth}-k", f"{network_type}-d{width}"
    name = template.format(
        curve=curve,
        criterion=criterion if is_code(criterion) else criterion[:1].upper() + criterion[1:],
        network=network,
        epochs=epochs,
        narrower=narrower,
        shallower=shallower,
        tuned="one-shot" if one_shot else "tuned each round",
    )
    name = re.sub(r"\s+(?=[ ,]|$)", "", name).lstrip(" -,")
    return name + (criterion_suffix(criterion) if "{criterion}" not in template else "")


def criterion_suffix(criterion: str) -> str:
    """A criterion to append to a name: ` (l1)`, or `, l1 (global)` if it has brackets of its own."""
    return f", {criterion}" if "(" in criterion else f" ({criterion})" if criterion else ""


def criterion_colors(criteria: Iterable[str]) -> dict[str, str]:
    """The colour of every criterion, in this order; empty unless there are several."""
    names = list(dict.fromkeys(filter(None, criteria)))
    return dict(zip(names, itertools.cycle(CRITERION_COLORS), strict=False)) if len(names) > 1 else {}


def short_label(curve: str) -> str:
    """The field's short name of a curve, if it has one (`Scratch-B`), otherwise its label."""
    short = re.search(r"\((.+)\)", CURVES[curve].label) if curve in CURVES else None
    return short[1] if short else label(curve)
