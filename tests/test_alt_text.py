"""What a figure says of itself, by hand, and that a notebook keeps it."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from horticulture.analysis import figures
from horticulture.analysis.figures import use_style
from horticulture.analysis.figures.alt_text import describe


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_a_curve_is_said_from_left_to_right_with_its_lowest_point(ax):
    ax.plot([300_000, 100_000, 2_500_000], [9.0, 12.25, 9.5], label="pruned")
    ax.plot([1], [14.0], label="whole")
    ax.plot([1, 2], [0, 0])  # beside curves with a name, one without is an ornament
    ax.set(title="Errors", xlabel="parameters", ylabel="test error (%)")
    assert describe(ax.figure) == (
        "Errors: test error (%) against parameters: pruned: 3 points, from 12.2 at 100,000 to 9.5 at 2.5 "
        "million, lowest 9 at 300,000; whole: 14 at 1."
    )


def test_a_level_across_the_panel_is_said_by_its_height(ax):
    ax.plot([1, 30], [2.5, 1.5], label="ours")
    ax.axhline(2.3, label="guessing")
    assert describe(ax.figure) == "A panel: ours: 2 points, from 2.5 at 1 to 1.5 at 30; guessing: 2.3."


def test_an_end_that_is_lowest_is_not_said_twice_and_what_is_no_number_not_at_all(ax):
    ax.plot([0, 1, 2], [3, np.nan, 1])
    assert describe(ax.figure) == "A panel: 2 points, from 3 at 0 to 1 at 2."
    ax.lines[0].set_ydata([np.nan] * 3)
    assert describe(ax.figure) == "."


def test_points_at_one_place_are_said_by_their_range(ax):
    ax.scatter([94.5e9] * 3, [13.5, 12.8, 13.0], label="unpruned")
    ax.plot([94.51e9, 94.52e9], [14, 12], "o", label="as good as one place")
    assert describe(ax.figure) == (
        "A panel: as good as one place: 2 points, 12 to 14 at 94.5 billion; "
        "unpruned: 3 points, 12.8 to 13.5 at 94.5 billion."
    )
    ax.clear()
    ax.scatter([0.9, 1, 1.1], [7, 6, 8])
    ax.set_xticks([0, 1], ["fisher", "l1"])
    assert describe(ax.figure) == "A panel: 3 points, 6 to 8 at l1."


def test_the_diagonal_beside_points_is_not_said():
    """Of three channels the criterion ranks the last one first; by the true change it is second."""
    scored = pd.DataFrame({"saliency": [0.3, 0.2, 0.1], "loss_change": [1.0, 3.0, 2.0]})
    ax = figures.saliency_against_truth(scored)
    assert describe(ax.figure) == (
        "rank correlation -0.50: rank of the true change of the loss against rank of the saliency (1 goes "
        "first): 3 points, from 2 at 1 to 1 at 3."
    )
    plt.close(ax.figure)


def test_bars_are_said_by_their_names(ax):
    ax.bar([0, 1], [3, 4000.4], label="left")
    ax.set_xticks([0, 1], ["1.1", "1.2\nlast"])
    assert describe(ax.figure) == "A panel: left: 1.1 3, 1.2 last 4,000."
    ax.clear()
    ax.bar(range(20), range(20))
    assert describe(ax.figure) == "A panel: 20 bars from 0 to 19."


def test_one_bar_is_not_bars(ax):
    ax.bar([0], [3])
    assert describe(ax.figure) == "A panel: 1 bar from 3 to 3."


def test_columns_and_rows_with_names_are_said_by_them(ax):
    ax.scatter([0.1, 1.1], [7, 6], label="tuned")
    ax.set_xticks([0, 1], ["fisher", "l1"])
    assert describe(ax.figure) == "A panel: tuned: 2 points, from 7 at fisher to 6 at l1."
    ax.clear()
    ax.plot([0.5, -0.25, 0.3], [1, 1, 1], "o")
    ax.plot([0.2, 0.2], [0.7, 1.3])  # their mean
    ax.set_yticks([0, 1], ["fisher", "l1"])
    assert describe(ax.figure) == "A panel: l1 from -0.25 to 0.5."


def test_alt_text_names_means_by_their_row_and_leaves_out_lines(ax):
    ax.errorbar([9.2, -1.5], [0, 1.2], xerr=[1, 2], label="from scratch")
    ax.axvline(0)
    ax.set_yticks([0, 1], ["12 %", "20 %"])
    ax.set_xlabel("points")
    assert describe(ax.figure) == "points: from scratch: 12 % 9.2 (8.2 to 10.2), 20 % -1.5 (-3.5 to 0.5)."


def test_a_panel_is_said_by_the_axis_that_it_shares_with_the_one_beside_it():
    figure, (left, right) = plt.subplots(1, 2, sharey=True)
    for ax, name in ((left, "parameters"), (right, "MACs")):
        ax.plot([1], [9], label="whole")
        ax.set_xlabel(name)
    left.set_ylabel("test error (%)")
    assert describe(figure) == (
        "test error (%) against parameters: whole: 9 at 1. test error (%) against MACs: whole: 9 at 1."
    )
    plt.close(figure)


def test_a_panel_is_said_by_the_names_that_stand_at_the_panel_beside_it():
    figure, (left, right) = plt.subplots(1, 2, sharey=True)
    for ax in (left, right):
        ax.errorbar([9.2, -1.5], [0, 1], xerr=[1, 2], label="from scratch")
        ax.set_yticks([0, 1], ["12 %", "20 %"])
    said = "A panel: from scratch: 12 % 9.2 (8.2 to 10.2), 20 % -1.5 (-3.5 to 0.5)"
    assert describe(figure) == f"{said}. {said}."
    plt.close(figure)


def test_means_without_intervals_are_said_alone(ax):
    ax.errorbar([0, 1], [3, 4], label="left")
    assert describe(ax.figure) == "A panel: left: 0 3, 1 4."


def test_the_intervals_of_bars_are_not_said(ax):
    ax.bar([0, 1], [3, 4], yerr=[1, 1], label="left")
    ax.set_xticks([0, 1], ["1.1", "1.2"])
    assert describe(ax.figure) == "A panel: left: 1.1 3, 1.2 4."


def test_many_means_are_said_by_their_range(ax):
    ax.errorbar(range(20), range(20), 1, label="seeds")
    ax.axhline(4, label="whole")
    assert describe(ax.figure) == "A panel: seeds: 20 means from 0 to 19; whole: 4."


def test_a_table_in_colours_has_its_ends_and_its_lowest_row(ax):
    mesh = ax.pcolormesh([[1.0, 0.5], [0.25, 0.5], [1, 1]])
    ax.set_yticks([0.5, 1.5, 2.5], ["1.1", "2.1", "3.1"])
    ax.figure.colorbar(mesh, label="fraction kept")
    assert describe(ax.figure) == (
        "A panel: fraction kept, 3 rows by 2 columns, from 0.25 to 1, lowest on average in row 2.1."
    )


def test_pictures_are_counted_with_their_size_and_how_often_each_title_occurs():
    figure, axes = plt.subplots(1, 2)
    for ax, title in zip(axes, "ab", strict=True):
        ax.imshow([[0, 1]])
        ax.set_title(title)
        ax.axis("off")
    assert describe(figure) == "2 pictures of 2 x 1 pixels: a, b."
    axes[1].set_title("a")
    assert describe(figure) == "2 pictures of 2 x 1 pixels: 2 of a."
    axes[1].images[0].set_data([[0, 1], [1, 0]])
    assert describe(figure) == "2 pictures: 2 of a."
    plt.close(figure)


def test_a_notebook_keeps_what_a_figure_says_beside_its_picture(ax, monkeypatch):
    alone = {"HistoryManager": {"enabled": False}, "InteractiveShell": {"warn_venv": False}}
    shell = InteractiveShell(config=Config(alone))  # without files that others use, in any environment
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    use_style()
    ax.plot([1, 2], [3, 4])
    _, about = shell.display_formatter.format(ax.figure)
    assert about == {"image/png": {"alt": "A panel: 2 points, from 3 at 1 to 4 at 2."}}
