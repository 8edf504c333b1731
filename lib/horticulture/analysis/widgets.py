"""Things to move by hand, over the same frames as the figures.

No Output widgets: a slider updates a display. Headless there is no slider, only the still picture.
"""

import base64
import io
import os

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from horticulture import runs
from horticulture.analysis import figures
from horticulture.runs import Run


def headless() -> bool:
    """Whether nobody is there to move a slider: the runner of studies says so."""
    return bool(os.environ.get("HORTICULTURE_HEADLESS"))


def rounds_slider(run: Run, removals: pd.DataFrame) -> None:
    """A slider over the rounds of a pruning run: widths by group, and the point on the curve."""
    last = int(removals["round"].max())

    def picture(round_: int) -> dict:
        left = runs.architecture_at(run, removals, round_)
        text = f"round {round_}: {left.params:,} parameters, widths {left.widths}"
        return _png(figures.round_view(removals, run.architecture, left, round_)) | {"text/plain": text}

    start = last // 2
    if not headless():
        slider = ipywidgets.IntSlider(start, 0, last, description="round", layout={"width": "60em"})
        display(slider)
    shown = display(picture(start), raw=True, display_id=True)
    if not headless():
        slider.observe(lambda change: shown.update(picture(change["new"]), raw=True), names="value")


def _png(figure: Figure) -> dict:
    """A figure as display data, and closed, so that hundreds of moves leave nothing behind."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=96)
    plt.close(figure)
    return {"image/png": base64.b64encode(buffer.getvalue()).decode()}
