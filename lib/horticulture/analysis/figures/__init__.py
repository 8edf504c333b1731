"""Frames to pictures: every function takes plain data, draws on matplotlib axes and returns them."""

from horticulture.analysis.figures.architectures import (
    consistency,
    profiles_found,
    round_view,
    shares,
    side_by_side,
    widths,
)
from horticulture.analysis.figures.comparisons import agreement, budgets, saliency_against_truth
from horticulture.analysis.figures.curves import against_training, error_against, one_legend
from horticulture.analysis.figures.sheets import images
from horticulture.analysis.figures.study import bytes_on_disk, of_study
from horticulture.analysis.figures.style import CURVES, CurveStyle, magnitude, save, use_style
from horticulture.analysis.tables import label

__all__ = [
    "CURVES",
    "CurveStyle",
    "against_training",
    "agreement",
    "budgets",
    "bytes_on_disk",
    "consistency",
    "error_against",
    "images",
    "label",
    "magnitude",
    "of_study",
    "one_legend",
    "profiles_found",
    "round_view",
    "saliency_against_truth",
    "save",
    "shares",
    "side_by_side",
    "use_style",
    "widths",
]
