"""Sheets of images."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from horticulture.analysis.figures.style import literal

COLUMNS = 12


@literal
def images(pixels: np.ndarray, labels: Sequence[str]) -> Figure:
    """A sheet of images. pixels: (n, channels, height, width) uint8; labels: one per image.

    Three channels are red, green and blue; of any other number the mean is shown, in grey.
    """
    rows = -(-len(pixels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(COLUMNS * 0.8, rows * 0.98), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, name in zip(axes.flat, pixels, labels, strict=False):
        shown = picture.transpose(1, 2, 0) if len(picture) == 3 else picture.mean(axis=0)
        ax.imshow(shown, cmap="gray", vmin=0, vmax=255)
        ax.set_title(name, fontsize=9, pad=2)
    figure.tight_layout(pad=0.2)
    return figure
