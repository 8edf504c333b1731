"""The slider over the rounds: alive in a notebook, a still picture headless."""

import matplotlib

matplotlib.use("Agg")

import ipywidgets
import pandas as pd
import pytest

from horticulture import architecture, runs
from horticulture.analysis import widgets
from tests.conftest import without_channel

PNG = "iVBORw0KGgo"


@pytest.fixture
def pruning():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    shapes = [whole, without_channel(whole, 0), without_channel(without_channel(whole, 0), 2)]
    removals = pd.DataFrame(
        {
            "round": [0, 1, 2],
            "group": [-1, 0, 2],
            "params": [s.params for s in shapes],
            "test_error": [9.0, 9.5, 11.0],
        }
    )
    run = runs.Run("prune", whole, {}, {"name": "clutter", "images": 8}, 0)
    return run, removals, shapes


class Shown:
    def __init__(self):
        self.pictures = []

    def update(self, data, raw):
        self.pictures.append(data)


@pytest.fixture
def screen(monkeypatch):
    """Records what is displayed: widgets as they are, pictures in the handle that they can be updated by."""
    widgets_, handle = [], Shown()

    def display(what, raw=False, display_id=False):
        if not raw:
            widgets_.append(what)
            return None
        handle.pictures.append(what)
        return handle

    monkeypatch.setattr(widgets, "display", display)
    return widgets_, handle


def test_headless_leaves_a_still_picture_and_no_widget(pruning, screen, monkeypatch):
    monkeypatch.setenv("HORTICULTURE_HEADLESS", "1")
    run, removals, _ = pruning
    widgets.rounds_slider(run, removals)
    assert screen[0] == []
    assert len(screen[1].pictures) == 1
    assert screen[1].pictures[0]["image/png"].startswith(PNG)


def test_moving_the_slider_redraws_the_network_of_that_round(pruning, screen, monkeypatch):
    monkeypatch.delenv("HORTICULTURE_HEADLESS", raising=False)
    run, removals, shapes = pruning
    widgets.rounds_slider(run, removals)
    (slider,) = screen[0]
    assert isinstance(slider, ipywidgets.IntSlider)
    assert (slider.min, slider.max) == (0, 2)
    slider.value = 2
    assert (
        f"{shapes[2].params:,} parameters, widths {shapes[2].widths}" in screen[1].pictures[-1]["text/plain"]
    )
    slider.value = 0
    assert f"{shapes[0].params:,} parameters" in screen[1].pictures[-1]["text/plain"]
    assert len(screen[1].pictures) == 3


def test_no_output_widget_anywhere():
    """An Output widget can stall a headless execution for ever (jupyter/nbclient issue 312)."""
    import inspect

    assert "ipywidgets.Output" not in inspect.getsource(widgets)
    assert "interact" not in inspect.getsource(widgets)
