"""Figures of frames: every function takes plain data, draws on matplotlib axes and returns them."""

from horticulture.analysis.figures.architectures import (
    diagram,
    kept_heatmap,
    mean_widths,
    round_view,
    saliencies,
    side_by_side,
    widths,
)
from horticulture.analysis.figures.comparisons import agreement, budgets, differences, saliency_against_truth
from horticulture.analysis.figures.costs import against_training, error_against, error_against_costs
from horticulture.analysis.figures.sheets import images
from horticulture.analysis.figures.study import NAMES, bytes_on_disk, of_study, remove
from horticulture.analysis.figures.style import save, use_style
