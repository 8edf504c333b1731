"""The picture with controls: it follows them, and stays where there is no kernel."""

import base64

import matplotlib.pyplot as plt
import pytest

from horticulture.analysis import widgets
from horticulture.errors import InputError


def line(criterion, round):
    figure, ax = plt.subplots(figsize=(2, 2))
    ax.plot([0, 1], [0, round], label=criterion)
    ax.set_xlabel("x")
    return figure


@pytest.fixture
def panel():
    return widgets.panel(line, criterion=["fisher", "l1"], round=[50, 0, 100])


def test_the_picture_follows_the_controls_and_says_in_words_what_it_shows(panel):
    assert panel.controls["round"].options == (("0", 0), ("50", 50), ("100", 100))  # numbers go upwards
    assert panel.controls["round"].value == 50  # and begins with the first choice
    first = panel.picture.value
    assert "fisher: 2 points, from 0 at 0 to 50 at 1" in first
    panel.controls["criterion"].value = "l1"
    panel.controls["round"].value = 100
    assert "l1: 2 points, from 0 at 0 to 100 at 1" in panel.picture.value
    assert panel.picture.value.split("base64,")[1] != first.split("base64,")[1]
    assert not plt.get_fignums()  # no picture is left open


def test_without_a_kernel_the_first_picture_stays(panel):
    panel.controls["round"].value = 100
    bundle, metadata = panel._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "to 50 at 1" in metadata["image/png"]["alt"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_choice_can_have_a_label():
    (control,) = widgets.panel(
        lambda size: line("l1", size), size=[("20 %", 20), ("5 %", 5)]
    ).controls.values()
    assert (control.label, control.value) == ("20 %", 20)
    assert [label for label, _ in control.options] == ["5 %", "20 %"]


def test_nothing_to_choose_from_is_refused():
    with pytest.raises(InputError, match="round has nothing to choose from"):
        widgets.panel(line, criterion=["fisher"], round=[])
