"""Frames to pictures: every function takes plain data, draws on matplotlib axes and returns them."""

from horticulture.analysis.figures.architectures import (
    kept_fractions,
    mean_widths,
    round_view,
    side_by_side,
    widths,
)
from horticulture.analysis.figures.comparisons import agreement, budgets, saliency_against_truth
from horticulture.analysis.figures.curves import against_training, error_against, error_against_costs
from horticulture.analysis.figures.sheets import images
from horticulture.analysis.figures.study import bytes_on_disk, of_study
from horticulture.analysis.figures.style import CURVES, CurveStyle, save, use_style

__all__ = [
    "CURVES",
    "CurveStyle",
    "against_training",
    "agreement",
    "budgets",
    "bytes_on_disk",
    "error_against",
    "error_against_costs",
    "images",
    "kept_fractions",
    "mean_widths",
    "of_study",
    "round_view",
    "saliency_against_truth",
    "save",
    "side_by_side",
    "use_style",
    "widths",
]
