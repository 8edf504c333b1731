"""Pictures show what the frames hold."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from horticulture import architecture, figures


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


@pytest.fixture
def results():
    rows = [("whole", "", 0, 0, 1000, 10.0)]
    rows += [("pruned-tuned", "fisher", 0, r, 1000 - 100 * r, 10.0 + 8 * r) for r in range(10)]
    rows += [
        (curve, "", seed, 0, 100 * n, 30.0 - 2 * n)
        for curve in ("width", "bottleneck")
        for n in (2, 5)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["curve", "criterion", "seed", "round", "params", "test_error"])


def test_every_network_is_a_point_and_every_curve_is_named(results):
    ax = figures.error_against(results, "params", "wrn-40-2")
    legend = [text.get_text() for text in ax.legend().get_texts()]
    assert legend == [
        "unpruned WRN-40-2",
        "Fisher-pruned + fine-tuning WRN-40-2",
        "WRN-40-k from scratch",
        "WRN-40-2 with bottlenecks from scratch",
    ]
    pruned = next(line for line in ax.lines if line.get_label() == legend[1])
    assert sorted(pruned.get_xdata()) == sorted(results.loc[results["curve"] == "pruned-tuned", "params"])
    faint = [line for line in ax.lines if line.get_alpha() == 0.35]
    assert sum(len(line.get_xdata()) for line in faint) == 8  # each seed of the scratch networks


def test_the_ruins_of_a_pruning_do_not_flatten_the_rest(results):
    top = figures.error_against(results, "params", "wrn-40-2").get_ylim()[1]
    assert 26 < top < 40  # the worst scratch network has 26 %, the last pruned one 82 %


def test_lines_go_through_the_mean_of_the_seeds(results):
    results.loc[
        (results["curve"] == "width") & (results["params"] == 200) & (results["seed"] == 1), "test_error"
    ] = 28.0
    ax = figures.error_against(results, "params", "wrn-40-2")
    line = next(line for line in ax.lines if line.get_label() == "WRN-40-k from scratch")
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == {200: 27.0, 500: 20.0}


def test_curves_can_be_told_apart_without_colour():
    looks = figures.CURVES.values()
    assert len({look.marker for look in looks}) == len({look.color for look in looks}) == len(looks)


def test_widths_are_drawn_as_they_are():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    ax = figures.widths(whole.with_widths((3, 0, 7)), whole)
    outline, left = ax.containers
    assert [bar.get_height() for bar in outline] == [16, 32, 64]
    assert [bar.get_height() for bar in left] == [3, 0, 7]


def test_shares_over_rounds_follow_the_removals():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    removals = pd.DataFrame({"round": [0, 1, 2, 3], "group": [-1, 0, 2, 0]})
    shares = figures.shares_over_rounds(removals, whole).collections[0].get_array().reshape(3, 4)
    np.testing.assert_allclose(shares[0], [1, 15 / 16, 15 / 16, 14 / 16])
    np.testing.assert_allclose(shares[1], 1)
    np.testing.assert_allclose(shares[2], [1, 1, 63 / 64, 63 / 64])


def test_save_writes_png_and_svg(tmp_path):
    figure = plt.figure()
    figures.save(figure, tmp_path / "figures", "name")
    assert (tmp_path / "figures" / "name.png").read_bytes()[1:4] == b"PNG"
    assert "<svg" in (tmp_path / "figures" / "name.svg").read_text()


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (15_194, "15.2k"), (2_243_546, "2.24M"), (3.3e9, "3.3G")]
)
def test_magnitude(value, text):
    assert figures.magnitude(value) == text
