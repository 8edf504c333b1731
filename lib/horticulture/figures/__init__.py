"""Frames to pictures: every function takes plain data, draws on matplotlib axes and returns them."""

from horticulture.figures.architectures import consistency, round_view, shares, shares_over_rounds, widths
from horticulture.figures.curves import error_against, rounds
from horticulture.figures.evidence import agreement, budgets, saliency_against_truth
from horticulture.figures.looks import CURVES, Look, label, magnitude, save, use_style
from horticulture.figures.sheets import images
from horticulture.figures.studies import bytes_on_disk, of_study

__all__ = [
    "CURVES",
    "Look",
    "agreement",
    "budgets",
    "bytes_on_disk",
    "consistency",
    "error_against",
    "images",
    "label",
    "magnitude",
    "of_study",
    "round_view",
    "rounds",
    "saliency_against_truth",
    "save",
    "shares",
    "shares_over_rounds",
    "use_style",
    "widths",
]
