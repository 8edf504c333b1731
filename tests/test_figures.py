"""Pictures show what the frames hold."""

import io
import math
import re
from itertools import product
from xml.etree import ElementTree

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from horticulture import architecture
from horticulture.analysis import curves, figures, statistics, tables
from horticulture.analysis.figures.alt_text import describe
from horticulture.errors import InputError
from horticulture.study import parameters, study_files
from tests import redrawn


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
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [
        "unpruned WRN-40-2",
        "Fisher-pruned WRN-40-2, tuned each round",
        "narrower WRN-40-k from scratch",
        "bottleneck WRN-40-2 from scratch",
    ]
    pruned = next(line for line in ax.lines if line.get_label() == legend[1])
    assert sorted(pruned.get_xdata()) == sorted(results.loc[results["curve"] == "pruned-tuned", "params"])
    faint = [line for line in ax.lines if line.get_alpha() == 0.35]
    assert sum(len(line.get_xdata()) for line in faint) == 8  # each seed of the scratch networks


def test_the_ruins_of_a_pruning_do_not_flatten_the_rest(results):
    top = figures.error_against(results, "params", "wrn-40-2").get_ylim()[1]
    assert 26 < top < 28  # the worst scratch network has 26 %, the last pruned one 82 %


def test_lines_go_through_the_mean_of_the_seeds(results):
    results.loc[
        (results["curve"] == "width") & (results["params"] == 200) & (results["seed"] == 1), "test_error"
    ] = 28.0
    ax = figures.error_against(results, "params", "wrn-40-2")
    line = next(line for line in ax.lines if line.get_label() == "narrower WRN-40-k from scratch")
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == {200: 27.0, 500: 20.0}


def test_curves_can_be_told_apart_without_colour():
    looks = curves.DRAWN.values()
    assert len({(look.marker, look.half) for look in looks}) == len(looks)
    assert len({tables.label(curve) for curve in curves.DRAWN}) == len(looks)
    assert curves.label("uniform", network="/home/me/models.py:make") == "uniform models.py:make from scratch"
    assert [name for name, look in curves.DRAWN.items() if look.half] == [
        name for name in curves.DRAWN if name.startswith("sparse-")
    ]


def test_colours_can_be_told_apart_and_no_two_curves_of_one_figure_share_one():
    okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    others = {"#999999", "#882255", "#332288", "#999933", "#44AA99", "#8C510A"}
    assert {look.color for look in curves.DRAWN.values()} <= okabe_ito | others
    against_size = ["pruned-tuned", "pruned-scratch", "lr-rewound", *curves.SCALED_CURVES]
    moving = study_files.read("transfer-quick").parameters
    moved = [name for name in (*moving["budgets"], *moving["curves"]) if name != "fine-tuned"]
    for together in (against_size, curves.BUDGET_CURVES, ["pruned-tuned", *moved]):
        drawn = [curves.DRAWN[curve].color for curve in together if curve in curves.DRAWN]
        assert len(set(drawn)) == len(drawn)


def test_widths_are_drawn_as_they_are():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    ax = figures.widths(whole.with_widths((3, 0, 7)), whole)
    outline, remaining = ax.containers
    assert [bar.get_height() for bar in outline] == [16, 32, 64]
    assert [bar.get_height() for bar in remaining] == [3, 0, 7]
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= ax.get_window_extent().y1  # above the axes: it lies on no bar


@pytest.mark.parametrize(
    ("round_", "title"), [(1, "900 parameters"), (2, "800 parameters, test error 12.0 %")]
)
def test_a_round_has_its_place_on_the_curve_whether_it_was_measured_or_not(round_, title):
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    removals = pd.DataFrame({"round": range(3), "params": [1000, 900, 800], "test_error": [10.0, None, 12.0]})
    bars, curve = figures.round_view(removals, whole, whole.with_widths((3, 0, 7)), round_).axes
    assert (bars.get_title("left"), bars.get_xlabel()) == (f"after round {round_}", "group")
    way, here, *_ = curve.lines
    assert way.get_xydata().tolist() == [[1000, 10], [800, 12]]
    assert set(here.get_xdata()) == {1000 - 100 * round_}
    assert curve.get_title() == title


def test_shares_are_a_row_a_group_and_a_column_a_network():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    remaining = {
        "whole": whole,
        "l1": whole.with_widths((8, 32, 64)),
        "random": whole.with_widths((4, 0, 48)),
    }
    ax = figures.kept_heatmap(remaining, whole)
    cells = ax.collections[0]
    np.testing.assert_allclose(cells.get_array().reshape(3, 3), [[1, 0.5, 0.25], [1, 1, 0], [1, 1, 0.75]])
    assert cells.get_clim() == (0, 1)  # the same grey means the same in every picture
    assert sum(cells.cmap(1.0)[:3]) < 1 < sum(cells.cmap(0.0)[:3])  # dark is all
    assert [text.get_text() for text in ax.get_xticklabels()] == list(remaining)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(whole.groups)


def test_shares_of_many_networks_are_named_now_and_then():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    ax = figures.kept_heatmap({f"round {n}": whole for n in range(25)}, whole)
    assert ax.collections[0].get_array().size == 3 * 25
    assert [text.get_text() for text in ax.get_xticklabels()] == [f"round {n}" for n in range(0, 25, 2)]


def test_a_gap_separates_the_shares_of_two_pruning_runs():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    names = ["whole", *(f"{run}, round {n}" for run in ("fisher", "fisher, trained × 2") for n in (1, 2, 3))]
    ax = figures.kept_heatmap(dict.fromkeys(names, whole), whole)
    assert [line.get_xdata()[0] for line in ax.lines] == [1, 4]


def test_save_writes_png_and_svg(tmp_path):
    figure = plt.figure()
    figures.save(figure, tmp_path / "figures", "name")
    assert (tmp_path / "figures" / "name.png").read_bytes()[1:4] == b"PNG"
    assert "<svg" in (tmp_path / "figures" / "name.svg").read_text()


# --- many criteria ----------------------------------------------------------------------------------------


def by(criteria):
    """For each criterion some rounds, and two shapes trained from scratch."""
    rows = [("whole", "", 0, 0, 1000, 10.0)]
    for i, name in enumerate(criteria):
        rows += [("pruned-tuned", name, 0, r, 1000 - 100 * r, 10.0 + i + r) for r in range(4)]
        rows += [("pruned-scratch", name, 0, r, 1000 - 100 * r, 9.0 + i) for r in (2, 4)]
    return pd.DataFrame(rows, columns=["curve", "criterion", "seed", "round", "params", "test_error"])


def drawn(ax):
    """(colour, line, marker) of every curve and criterion that has a name in the legend."""
    named = {text.get_text() for text in ax.get_legend().get_texts()}
    lines = [line for line in ax.lines if line.get_label() in named]
    return {line.get_label(): (line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}


def test_costs_that_lie_close_together_do_not_begin_at_zero():
    results = by(["fisher"])
    assert figures.error_against(results, "params", "wrn-40-2").get_xlim()[0] > 0  # 600 to 1000
    results.loc[0, "params"] = 1300
    assert figures.error_against(results, "params", "wrn-40-2").get_xlim()[0] == 0
    low, high = figures.error_against(results[:1], "params", "wrn-40-2").get_xlim()
    assert low < 1300 < high  # a single network


def test_one_criterion_leaves_the_colours_to_the_curves():
    looks = drawn(figures.error_against(by(["fisher"]), "params", "wrn-40-2"))
    assert looks["Fisher-pruned WRN-40-2, tuned each round"][0] == curves.DRAWN["pruned-tuned"].color
    assert looks["Fisher shape from scratch (Scratch-E)"][0] == curves.DRAWN["pruned-scratch"].color


@pytest.mark.parametrize("count", [2, 11])  # two more than there are colours
def test_each_of_several_criteria_has_a_colour_and_the_curves_their_markers(count):
    names = list("abcdefghijk")[:count]
    looks = drawn(figures.error_against(by(names), "params", "wrn-40-2"))
    tuned = [looks[f"{name.upper()}-pruned WRN-40-2, tuned each round"] for name in names]
    scratch = [looks[f"{name.upper()} shape from scratch (Scratch-E)"] for name in names]
    assert [look[:2] for look in tuned] == [look[:2] for look in scratch]
    assert len({look[:2] for look in tuned}) == len(names)
    assert len({color for color, _, _ in tuned}) == min(count, 9)
    assert {marker for _, _, marker in tuned} == {"."}
    assert {marker for _, _, marker in scratch} == {"o"}


def test_a_stroke_is_drawn_as_points_and_a_way_as_a_line():
    actual = by(["fisher", "l1"])
    actual = actual[
        (actual["criterion"] != "fisher") | (actual["curve"] != "pruned-tuned") | (actual["round"] < 3)
    ]
    lines = {line.get_label(): line for line in figures.error_against(actual, "params", "wrn-40-2").lines}
    stroke, way = (lines[f"{name}-pruned WRN-40-2, tuned each round"] for name in ("Fisher", "L1"))
    assert (stroke.get_linestyle(), way.get_linestyle()) == ("None", "-")
    assert stroke.get_markersize() > way.get_markersize()
    assert (len(stroke.get_xdata()), len(way.get_xdata())) == (3, 4)


def test_a_single_round_is_called_one_shot_and_several_are_not():
    first, several = by(["fisher"]), by(["l1"])
    first = first[(first["curve"] != "pruned-tuned") | (first["round"] < 2)]
    ax = figures.error_against(pd.concat([first, several]), "params", "wrn-40-2")
    legend = {text.get_text() for text in ax.get_legend().get_texts()}
    assert {"Fisher-pruned WRN-40-2, one-shot", "L1-pruned WRN-40-2, tuned each round"} <= legend
    ax = figures.against_training(first.assign(train_macs=1.0, ratio=0.5))
    assert "pruned, one-shot" in {text.get_text() for text in ax.get_legend().get_texts()}


@pytest.mark.parametrize("count", [1, 4])
def test_the_legend_stands_below_the_axes_and_is_no_wider(count):
    ax = figures.error_against(by(list("abcd")[:count]), "params", "wrn-40-2")
    assert len(ax.get_legend().get_texts()) == 2 * count + 2  # and what an outline means
    ax.figure.canvas.draw()
    legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y1 <= ax.xaxis.get_tightbbox().y0
    assert legend.width <= inside.width


def test_every_cost_has_a_panel_and_the_legend_stands_once(results):
    results = results.assign(macs=results["params"], latency_1=0.5, latency_256=results["params"] / 10)
    figure = figures.error_against_costs(results, "wrn-40-2")
    macs, first, many, empty = figure.axes
    assert [ax.get_xlabel() for ax in (macs, first, many)] == [
        "multiply-accumulates per image",
        "latency of a batch of 1 (ms)",
        "latency of a batch of 256 (ms)",
    ]
    assert macs.get_xlim()[0] == 0
    assert many.get_xlim()[0] > 0  # latencies lie close together
    assert [ax.get_legend() is None for ax in figure.axes] == [True, True, True, False]
    assert empty.get_legend().get_texts()[0].get_text() == "unpruned WRN-40-2"


# --- everything that a study has --------------------------------------------------------------------------


@pytest.fixture
def study():
    """One channel a round, then half at once: trained again by two budgets, the sparse one compressed."""
    rows = [("whole", "", None, 1000, 50, 10.0 + seed, seed, None) for seed in (0, 1)]
    rows += [("pruned-tuned", "l1", None, 1000 - 100 * r, 50 + r, 10.0 + 9 * r, 0, None) for r in range(10)]
    rows += [("pruned-scratch", "l1", 0.5, 500, 80, 12.0 + seed, seed, None) for seed in (0, 1)]
    rows += [("sparse-compressed", "magnitude", 0.5, 500, 70, 8.0, 0, 100)]
    rows += [("sparse-compressed", "magnitude", 0.5, 500, 70, 10.0, 1, 300)]
    rows += [("sparse-fine-tuned", "magnitude", 0.5, 500, 60, 9.0, 0, None)]
    columns = ["curve", "criterion", "ratio", "params", "train_macs", "test_error", "seed", "bytes"]
    return pd.DataFrame(rows, columns=columns).astype({"ratio": float, "bytes": "Int64"})


def test_against_all_training_every_network_is_a_point(study):
    ax = figures.against_training(study)
    lines = {line.get_label(): line for line in ax.lines}
    names = ["pruned, tuned each round", "unpruned", "shape from scratch (Scratch-E)"]
    assert sorted(lines) == sorted([*names, "pruned, fine-tuned, single weights"])
    way, whole, scratch = (lines[name] for name in names)
    assert list(way.get_xdata()) == list(range(50, 60))
    assert list(way.get_ydata()) == [10.0 + 9 * r for r in range(10)]
    assert (way.get_color(), way.get_markersize()) == (curves.DRAWN["pruned-tuned"].color, 7)
    many = figures.against_training(pd.concat([study] * 11))
    assert [line.get_markersize() for line in many.lines if line.get_label() == names[0]] == [3]
    assert (list(scratch.get_xdata()), list(scratch.get_ydata())) == ([80, 80], [12, 13])
    assert {line.get_linestyle() for line in ax.lines} == {"None"}  # nothing lies between two networks
    assert whole.get_markersize() > scratch.get_markersize()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(lines)


def test_against_all_training_what_was_trained_longer_is_hollow_tuned_networks_too(lengths):
    ax = figures.against_training(lengths.assign(train_macs=lengths["params"], ratio=np.nan))
    for curve, errors in (("pruned-tuned", (14.0, 15.0)), ("pruned-scratch", (12.0, 13.0))):
        (twice,) = [line for line in ax.lines if list(line.get_ydata()) == list(errors)]
        assert twice.get_markerfacecolor() == "white"
        assert twice.get_markeredgecolor() == curves.DRAWN[curve].color
    (once,) = [line for line in ax.lines if line.get_label() == "pruned, tuned each round"]
    assert once.get_markerfacecolor() == curves.DRAWN["pruned-tuned"].color
    only = lengths[(lengths["longer"] == 1) | (lengths["curve"] == "pruned-tuned")]
    legend = figures.against_training(only.assign(train_macs=1.0)).get_legend().get_texts()
    assert legend[-1].get_text() == "hollow: trained twice as long"


def test_what_a_pruning_passed_through_does_not_flatten_what_was_trained(study):
    low, high = figures.against_training(study).get_ylim()
    assert 6 < low < 8
    assert 13 < high < 14  # the last ruin has 91 %


def test_a_study_has_the_pictures_that_its_results_call_for(study):
    actual = dict(figures.of_study(study))
    in_cells = re.findall(r'session\.save\(.*, \\"(\w+)\\"\)', parameters.notebooks()[-1].read_text())
    assert {*actual, *in_cells} == set(figures.NAMES)
    assert list(actual) == ["budgets", "error_vs_training", "bytes_on_disk"]
    budgets = actual["budgets"].axes[0]
    cases = [text.get_text() for text in budgets.get_xticklabels()]
    assert cases == ["l1\n−50 %", "magnitude\n−50 %"]
    assert {bars.get_label() for bars in budgets.containers} == {
        "shape from scratch (Scratch-E)",
        "pruned, fine-tuned",
    }  # said by the case
    unpruned = next(line for line in budgets.lines if line.get_label() == "unpruned")
    assert unpruned.get_ydata()[0] == 10.5
    by_rounds = study[study["ratio"].isna()]
    assert [name for name, _ in figures.of_study(by_rounds)] == ["error_vs_training"]
    without = study[study["curve"] != "sparse-compressed"]
    assert [name for name, _ in figures.of_study(without)] == ["budgets", "error_vs_training"]


def test_what_was_trained_longer_is_held_against_the_whole_that_was(study):
    study = study.assign(longer=1.0)
    twice = study[(study["curve"] == "whole") | study["ratio"].notna()].assign(longer=2.0)
    twice["test_error"] -= 3
    slimmed = study[study["curve"] == "whole"].assign(criterion="slimming", test_error=1.0)
    both = pd.concat([study, twice, slimmed], ignore_index=True)
    ax = dict(figures.of_study(both))["budgets"].axes[0]
    ends, cases = ax.get_xlim(), [text.get_text() for text in ax.get_xticklabels()]
    assert len(cases) == 4
    lines = [line for line in ax.lines if line.get_color() == "#000000"]
    assert ends == (-0.5, 3.5)
    assert {(round(4 * line.get_xdata()[0]), line.get_ydata()[0]) for line in lines} == {
        (i, 7.5 if "twice" in case else 10.5) for i, case in enumerate(cases)
    }
    assert all(line.get_xdata()[1] - line.get_xdata()[0] == 0.25 for line in lines)
    assert [line.get_label() for line in lines].count("unpruned") == 1
    three = {1.0: [10.0, 10.2, 10.4], 2.0: [8.0, 8.1, 8.2]}
    lengths = pd.concat([retrained().assign(longer=longer) for longer in three], ignore_index=True)
    bands = figures.budgets(lengths[lengths["ratio"] == 0.3], three).patches
    assert sorted({round(band.get_y() + band.get_height() / 2, 6) for band in bands}) == [8.1, 10.2]
    assert len(bands) == 4


def test_differences_are_by_case_with_their_interval_and_the_verdict_beside_them():
    rows = [
        ("pruned-scratch", "12 %", 9.0, 8.0, 10.0, "worse"),
        ("pruned-scratch", "20 %", 4.0, -1.0, 9.0, statistics.UNDECIDED),
        ("scratch-b", "12 %", -3.0, math.nan, math.nan, statistics.UNDECIDED),  # two seeds
    ]
    compared = pd.DataFrame(rows, columns=["curve", "case", "difference", "low", "high", "verdict"])
    ax = figures.differences(compared.assign(against="lr-rewound", margin=1.5))
    first, second = (drawn.lines[0].get_xydata() for drawn in ax.containers)
    np.testing.assert_allclose(first, [[9, 0], [4, 2.5]])  # the two rows of 12 % together, then a gap
    np.testing.assert_allclose(second, [[-3, 1]])
    (bars,) = ax.containers[0].lines[2]
    np.testing.assert_allclose([segment[:, 0] for segment in bars.get_segments()], [[8, 10], [-1, 9]])
    band = ax.patches[0]
    assert (band.get_x(), band.get_x() + band.get_width()) == (-1.5, 1.5)
    said = {round(text.get_position()[1], 1): text.get_text() for text in ax.texts[:3]}
    assert said == {0: "worse", 1: "undecided", 2.5: "undecided"}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["12 %", "20 %"]
    assert ax.yaxis_inverted()  # the first case at the top
    assert ax.get_xlabel() == "test error minus that of pruned, learning rate rewound (points)"
    first, *_ = describe(ax.figure).split(". ")
    assert first.startswith(
        "Verdicts: shape from scratch (Scratch-E) worse 1; shape from scratch (Scratch-E) "
    )


def test_bytes_on_disk_are_means_over_the_seeds(study):
    ax = figures.bytes_on_disk(study.dropna(subset=["bytes"]), 1000)
    assert [bar.get_height() for bar in ax.patches] == [4000, 200]
    assert [text.get_text() for text in ax.texts] == ["4 kB", "200 B\n20 × smaller"]
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels == ["whole network,\nfloat32", "50 % removed\n9.0 % error"]


# --- several seeds ----------------------------------------------------------------------------------------


def retrained(seeds=3):
    """Two criteria at two ratios, four ways to train again; errors 10 for fine-tuning, 0.5 less the next."""
    rows = [
        (criterion, ratio, curve, seed, 10 + 4 * ratio - 0.5 * i + 0.2 * (seed - 1))
        for criterion in ("l1", "slimming")
        for ratio in (0.3, 0.7)
        for i, curve in enumerate(("fine-tuned", "lr-rewound", "pruned-scratch", "sparse-scratch-b"))
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["criterion", "ratio", "curve", "seed", "test_error"])


def test_budgets_show_every_seed_the_means_and_their_intervals():
    ax = figures.budgets(retrained(), {1.0: [9.0, 9.2, 9.4]})
    faint = [line for line in ax.lines if line.get_alpha() == 0.5]
    assert sum(len(line.get_ydata()) for line in faint) == 4 * 4 * 3
    means = {bars.get_label(): bars for bars in ax.containers}
    assert list(means) == [
        "pruned, fine-tuned",
        "pruned, learning rate rewound",
        "shape from scratch (Scratch-E)",
        "shape from scratch, more epochs (Scratch-B), single weights",
    ]
    points, _, (lines,) = means["pruned, fine-tuned"].lines
    np.testing.assert_allclose(points.get_ydata().astype(float), [11.2, 12.8, 11.2, 12.8])
    half = 4.3027 * 0.2 / np.sqrt(3)  # the seeds are 0.2 apart
    np.testing.assert_allclose(lines.get_segments()[0][:, 1], [11.2 - half, 11.2 + half], rtol=1e-4)
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        "l1\n−30 %",
        "l1\n−70 %",
        "slimming\n−30 %",
        "slimming\n−70 %",
    ]
    line = next(line for line in ax.lines if line.get_label() == "unpruned")
    np.testing.assert_allclose(line.get_ydata(), 9.2)
    assert means[list(means)[-1]].lines[0].get_fillstyle() == "bottom"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(legend) == sorted(["unpruned", *means])


def test_curves_of_one_case_stand_side_by_side_and_within_it():
    ax = figures.budgets(retrained(), {1.0: [9.0]})
    places = np.array([bars.lines[0].get_xdata().astype(float) for bars in ax.containers])
    assert len(set(places.ravel().round(6))) == places.size
    np.testing.assert_array_equal(places.round(), [[0, 1, 2, 3]] * 4)


def test_one_seed_has_no_interval_and_two_do_not_flatten_the_rest():
    ax = figures.budgets(retrained(seeds=1), {1.0: [9.0]})
    segments = [line for bars in ax.containers for line in bars.lines[2][0].get_segments()]
    assert not any(len(segment) for segment in segments)
    assert not ax.patches  # no band
    frame = retrained(seeds=2)
    frame.loc[frame["seed"] == 1, "test_error"] += 2  # an interval of about 14 points on each side
    low, high = figures.budgets(frame, {1.0: [9.0, 9.1]}).get_ylim()
    assert 3 < low < frame["test_error"].min()
    assert frame["test_error"].max() < high < 20


def test_a_case_without_one_of_the_curves_is_drawn_all_the_same():
    frame = retrained()
    frame = frame[(frame["curve"] != "lr-rewound") | (frame["criterion"] == "l1")]
    bars = {bars.get_label(): bars for bars in figures.budgets(frame, {1.0: [9.0]}).containers}
    assert len(bars["pruned, learning rate rewound"].lines[0].get_xdata()) == 2


def test_an_unknown_curve_is_refused():
    with pytest.raises(InputError, match="did you mean 'lr-rewound'"):
        figures.budgets(retrained().replace("lr-rewound", "lr-rewind"), {1.0: [9.0]})


def test_mean_widths_are_means_with_their_deviation_over_seeds():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    first, two = whole.with_widths((4, 0, 64)), whole.with_widths((8, 16, 64))
    several, single = figures.mean_widths({"l1": [first, two], "fisher": [two]}, whole).axes
    # 4 + 16 channels of 112 are in one and not in the other
    assert several.get_title() == "l1 (2 seeds, similarity 0.82)"
    outline, remaining = (bars for bars in several.containers if hasattr(bars, "patches"))
    assert [bar.get_height() for bar in outline] == [16, 32, 64]
    assert [bar.get_height() for bar in remaining] == [6, 8, 64]
    spread = remaining.errorbar.lines[2][0].get_segments()
    np.testing.assert_allclose(spread[0][:, 1], [6 - np.sqrt(8), 6 + np.sqrt(8)])
    assert single.get_title() == "fisher (1 seed)"
    assert single.containers[1].errorbar is None


def test_every_way_of_pruning_has_a_panel_of_its_own():
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    shapes = {f"l1 −{n} %": [whole.with_widths((n, 2 * n, 4 * n))] for n in (12, 10, 8, 6, 4)}
    axes = figures.mean_widths(shapes, whole).axes
    assert [ax.axison for ax in axes] == [True] * 5 + [False] * 3  # four in a row
    for ax, (label, (shape,)) in zip(axes, shapes.items(), strict=False):
        assert ax.get_title() == f"{label} (1 seed)"
        assert [bar.get_height() for bar in ax.containers[1]] == list(shape.widths)
        assert ax.get_legend() is None


def test_agreement_has_the_best_criterion_on_top():
    rows = [("l1", s, 0.3 + 0.1 * s) for s in range(3)] + [("fisher", s, 0.8) for s in range(3)]
    rows += [("random", s, -0.2 + 0.2 * s) for s in range(3)]
    ax = figures.agreement(pd.DataFrame(rows, columns=["criterion", "seed", "correlation"]))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["random", "l1", "fisher"]
    points = [line for line in ax.lines if line.get_alpha() == 0.45]
    np.testing.assert_allclose(
        [line.get_xdata() for line in points], [[-0.2, 0, 0.2], [0.3, 0.4, 0.5], [0.8] * 3]
    )
    means = [line.get_xdata()[0] for line in ax.lines if line.get_linewidth() == 2]
    np.testing.assert_allclose(means, [0, 0.4, 0.8], atol=1e-12)
    assert ax.get_xlim()[0] < -0.2


def test_saliency_is_drawn_by_rank():
    scored = pd.DataFrame({"saliency": [0.1, 100.0, 0.2, 5.0], "loss_change": [-1.0, 3.0, 2.5, 0.0]})
    ax = figures.saliency_against_truth(scored)
    assert ax.collections[0].get_offsets().tolist() == [[1, 1], [4, 4], [2, 3], [3, 2]]
    assert ax.get_title() == "rank correlation 0.80"  # 1 - 6 (1 + 1) / (4 * 15)


def test_families_side_by_side_have_a_panel_each_and_need_not_be_any():
    whole = architecture.named("wrn-16-1", image=(1, 16, 16), classes=10)
    narrow, shallow = (
        whole.with_widths((8, 8, 16, 16, 32, 32)),
        architecture.named("wrn-10-1", image=(1, 16, 16), classes=10),
    )
    figure = figures.side_by_side({"width": narrow, "depth": shallow}, whole)
    first, second = figure.axes
    assert first.get_title() == f"width: {narrow.params:,}"
    assert [bar.get_height() for bar in first.containers[1]] == list(narrow.widths)
    assert not second.containers  # other groups: only its size can be said
    assert second.get_title() == f"depth: {shallow.params:,}"
    assert len(figures.side_by_side({}, whole).axes) == 1
    assert len(figures.mean_widths({}, whole).axes) == 1


# --- trained longer, measured now and then, twice the same ------------------------------------------------


@pytest.fixture
def lengths():
    """A pruning measured every third round and where a shape was taken; some of it trained twice as long."""
    columns = ["curve", "criterion", "seed", "round", "params", "longer", "test_error", "run"]
    rows = []
    for seed in (0, 1):
        rows += [
            ("whole", "", seed, None, 1000, longer, 10.0 - longer, f"w{seed}{longer}") for longer in (1, 2)
        ]
        for longer in (1, 2):
            for r in range(10):
                error = 10.0 + r + seed if r % 3 == 0 and longer == 1 else np.nan
                rows.append(
                    ("pruned-tuned", "fisher", seed, r, 1000 - 100 * r, longer, error, f"p{seed}{longer}")
                )
            rows[-5] = (
                "pruned-tuned",
                "fisher",
                seed,
                5,
                500,
                longer,
                16.0 + seed - longer,
                f"t{seed}{longer}",
            )
            shape = (
                "pruned-scratch",
                "fisher",
                seed,
                5,
                500,
                longer,
                14.0 + seed - longer,
                f"s{seed}{longer}",
            )
            rows.append(shape)
        rows.append(("copycat", "fisher", seed, 5, 500, 1, 13.0 + seed, f"s{seed}1"))
        rows.append(("copycat", "fisher", seed, 5, 200, 1, 20.0 + seed, f"c{seed}"))
        rows.append(("uniform", "", seed, None, 487, 1, 17.0 + seed, f"b{seed}"))
        rows.append(("bottleneck", "", seed, None, 487, 1, 17.0 + seed, f"b{seed}"))
    return pd.DataFrame(rows, columns=columns)


def at(ax, x, y):
    """The visible marks at a place."""
    actual = []
    for line in ax.lines:
        every = line.get_markevery()
        places = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        shown = places if every is None else [places[i] for i in every]
        if line.get_marker() not in ("None", "", None) and any(np.allclose(place, (x, y)) for place in shown):
            actual.append(line)
    return actual


def test_what_was_trained_longer_is_hollow_with_an_arrow_from_what_was_not(lengths):
    ax = figures.error_against(lengths, "params", "wrn-40-2")
    means = {
        "whole": (1000, 9.0, 8.0),
        "pruned-scratch": (500, 13.5, 12.5),
        "pruned-tuned": (500, 15.5, 14.5),
    }
    for curve, (x, once, twice) in means.items():
        (hollow,) = at(ax, x, twice) if curve != "whole" else at(ax, x, twice)[:1]
        assert (hollow.get_markerfacecolor(), hollow.get_markeredgecolor()) == (
            "white",
            curves.DRAWN[curve].color,
        )
        assert at(ax, x, once)[0].get_markerfacecolor() == curves.DRAWN[curve].color
    bends = [arrow.arrow_patch.get_connectionstyle().rad for arrow in ax.texts if arrow.xyann[0] == 500]
    assert sorted(bend > 0 for bend in bends) == [False, True]  # on either side, not on each other
    arrows = {(tuple(arrow.xyann), tuple(arrow.xy)) for arrow in ax.texts}
    assert arrows == {((x, once), (x, twice)) for x, once, twice in means.values()}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend.count("hollow: trained twice as long") == 1


def test_rounds_that_were_not_measured_are_left_out_and_those_taken_stand_out(lengths):
    ax = figures.error_against(lengths, "params", "wrn-40-2")
    way = next(line for line in ax.lines if line.get_label() == "Fisher-pruned WRN-40-2, tuned each round")
    assert list(way.get_xdata()) == [1000, 700, 500, 400, 100]
    assert list(way.get_ydata()) == [10.0, 13.0, 15.0, 16.0, 19.0]
    (mean,) = at(ax, 500, 15.5)
    assert (mean.get_markeredgecolor(), mean.get_color()) == ("#000000", curves.DRAWN["pruned-tuned"].color)
    assert mean.get_markersize() > way.get_markersize()
    for seed in (14.0, 15.0):  # of those that were trained longer, which are no rounds of this way
        (dot,) = [
            line for line in at(ax, 500, seed) if line.get_color() == way.get_color() and line is not way
        ]
        assert (dot.get_alpha(), dot.get_markerfacecolor()) == (0.35, "white")
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "outlined: means of the rounds that were retrained" in legend


def test_whole_networks_with_a_penalty_have_names_and_colours_of_their_own():
    frame = by(["slimming"])
    frame = pd.concat([frame, frame[:1].assign(criterion="slimming", test_error=11.0)], ignore_index=True)
    looks = drawn(figures.error_against(frame, "params", "vgg-16"))
    plain, own = looks["unpruned VGG-16"], looks["unpruned VGG-16 (slimming)"]
    assert plain[2] == own[2] == "*"
    assert plain[0] != own[0]


def test_a_criterion_may_say_more_than_its_name():
    named = "l1 (global)"
    ax = figures.error_against(by(["l1", named]), "params", "wrn-40-2")
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "L1 (global)-pruned WRN-40-2, tuned each round" in legend
    assert "L1 (global) shape from scratch (Scratch-E)" in legend
    ax = figures.budgets(retrained().replace("slimming", named), {1.0: [9.0]})
    assert [text.get_text() for text in ax.get_xticklabels()][2:] == [f"{named}\n−30 %", f"{named}\n−70 %"]
    assert tables.label("whole", named) == "unpruned, l1 (global)"


def test_one_run_in_two_curves_is_drawn_once(lengths):
    ax = figures.error_against(lengths, "params", "wrn-40-2")
    assert len(at(ax, 500, 13.5)) == 1  # the shape, and not the copycat that is the same run
    copycat = next(line for line in ax.lines if line.get_label() == "Fisher copycat from scratch")
    assert list(copycat.get_xdata()) == [200, 500]  # its line goes there all the same
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "bottleneck WRN-40-2 from scratch" in legend
    assert "uniform WRN-40-2 from scratch" not in legend  # the same everywhere
    training = figures.against_training(lengths.assign(train_macs=lengths["params"], ratio=np.nan))
    assert "uniform from scratch" not in {line.get_label() for line in training.lines}
    free = lengths.assign(
        train_macs=lengths["params"] * np.where(lengths["curve"] == "uniform", 1, 2), ratio=np.nan
    )
    training = figures.against_training(free)  # what needed no search stands where it cost less
    assert "uniform from scratch" in {line.get_label() for line in training.lines}


def test_two_seeds_are_two_dots_without_a_mean_or_an_interval():
    ax = figures.budgets(retrained(seeds=2), {1.0: [9.0, 9.2]})
    for bars in ax.containers:
        assert len(bars.lines[0].get_xdata()) == 4 * 2
        assert not any(len(segment) for segment in bars.lines[2][0].get_segments())
    assert not ax.patches
    assert not [line for line in ax.lines if line.get_alpha() == 0.5]


def test_budgets_that_came_to_the_same_run_are_drawn_once_and_longer_ones_apart():
    frame = retrained().assign(longer=1.0)
    frame["run"] = [f"{row.curve.removeprefix('sparse-')}{row.Index}" for row in frame.itertuples()]
    twin = frame[frame["curve"] == "pruned-scratch"].assign(curve="scratch-b-all")
    twice = frame[frame["curve"] == "fine-tuned"].assign(longer=2.0, run=lambda one: one["run"] + "+")
    ax = figures.budgets(pd.concat([frame, twin, twice], ignore_index=True), {1.0: [9.0, 9.2, 9.4]})
    assert len(ax.containers) == 4
    ticks = [text.get_text() for text in ax.get_xticklabels()]
    assert len(ticks) == 8
    assert ticks[-1].endswith("(twice as long)")


def test_each_criterion_has_the_best_agreement_that_the_images_allow_it():
    rows = [("l1", 0, 0.3, 0.6), ("l1", 1, 0.4, 0.7), ("fisher", 0, 0.7, 0.8), ("fisher", 1, 0.7, 0.9)]
    rows += [("random", seed, 0.0, np.nan) for seed in (0, 1)]
    frame = pd.DataFrame(rows, columns=["criterion", "seed", "correlation", "ceiling"])
    ax = figures.agreement(frame)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["random", "l1", "fisher"]
    ticks = np.array(ax.collections[0].get_segments()[-2:])
    np.testing.assert_allclose(ticks[:, :, 0], [[0.65] * 2, [0.85] * 2])
    assert [round(ends.mean()) for ends in ticks[:, :, 1]] == [1, 2]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["noise ceiling, estimated"]
    assert figures.agreement(frame.drop(columns="ceiling")).get_legend() is None


def test_every_curve_has_one_name():
    assert tables.label("pruned-scratch", "fisher", "wrn-16-1") == "Fisher shape from scratch (Scratch-E)"
    assert tables.label("lr-rewound", "l1", "wrn-16-1") == "L1-pruned, learning rate rewound"
    assert tables.label("width", "", "vgg-16") == "narrower VGG-16 from scratch"
    assert tables.label("width") == "narrower from scratch"
    assert tables.label("guided") == "guided from scratch"
    assert tables.label("whole", "", "preresnet-20-8") == "unpruned PreResNet-20-8"
    assert tables.label("width", "", "densenet-bc-40-12") == "narrower DenseNet-BC-40-k from scratch"
    assert tables.label("width", "", "vit-4-64") == "narrower ViT-4-k from scratch"
    assert tables.label("depth", "", "wrn-40-2") == "shallower WRN-d-2 from scratch"
    assert tables.label("whole", "", "my_models.py:make") == "unpruned my_models.py:make"


@pytest.mark.parametrize(
    "path",
    [*sorted(redrawn.REFERENCE.glob("*/figures/*.svg")), redrawn.REFERENCE / "measured" / "held_equal.svg"],
    ids=lambda path: f"{path.parts[-3]}-{path.stem}",
)
def test_a_committed_figure_calls_its_curves_as_the_library_does(path):
    """If this fails, draw it anew: `python -m tests.redrawn STUDY`."""
    every = product(curves.CURVES, ("", "CRITERION"), ("", "NETWORK"), (False, True))
    known = {
        tables.label(curve, criterion, network, epochs="EPOCHS", one_shot=one_shot)
        for curve, criterion, network, one_shot in every
    }
    pattern = re.sub("CRITERION|NETWORK|EPOCHS", ".+", "|".join(map(re.escape, known)))
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    legends = ElementTree.parse(path, parser).findall(".//*[@id]")
    said = [
        (text.text or "").strip()  # matplotlib writes what the glyphs say as a comment
        for legend in legends
        if legend.get("id", "").startswith("legend")
        for text in legend.iter(ElementTree.Comment)
    ]
    assert said or path.stem == "bytes_on_disk"
    notes = ("hollow: ", "outlined: ", "equal, to within ")
    assert [name for name in said if not name.startswith(notes) and not re.fullmatch(pattern, name)] == []


def test_readmes_second_figure_says_what_its_tables_say():
    """If this fails, draw it anew: `python -m tests.redrawn held_equal`."""
    with Image.open(redrawn.REFERENCE / "measured" / "held_equal.png") as picture:
        assert picture.info["Description"] == describe(redrawn.held_equal())


@pytest.mark.parametrize("name", ["wrn-16-1", "preresnet-20-8", "vgg-8-16", "densenet-40-12", "vit-2-24"])
def test_a_diagram_has_every_convolution_and_the_channels_between_them(name):
    whole = architecture.named(name, image=(3, 32, 32), classes=10)
    figure = figures.diagram(whole)
    texts = [text.get_text() for text in figure.axes[0].texts]
    convolutions = [layer for layer in whole.layers if layer.kind == "conv"]
    inner = [layer for layer in convolutions if layer.name != "stem" and "shortcut" not in layer.name]
    assert sum(" x " in text for text in texts) == len(inner)
    assert ("trunk" in texts) == ("stem" in texts) == bool(whole.trunk)
    between = {"wrn-16-1": [16, 16, 32, 32, 64, 64], "vgg-8-16": [16, 32, 64, 128, 128], "densenet-40-12": []}
    if name in between:
        assert [int(text) for text in texts if text.isdigit()] == between[name]
    assert f"{whole.groups[0]}: {whole.widths[0]}" in describe(figure)


@pytest.mark.parametrize(("factor", "plain"), [(1, True), (0.01, True), (1e-6, False)])
def test_the_axis_of_saliencies_has_plain_numbers_unless_they_are_tiny(factor, plain):
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    scores = pd.DataFrame({"group": [0, 0, 1, 2], "saliency": factor * np.array([22, 31, 45, 62])})
    ax = figures.saliencies(scores, whole)
    ax.figure.canvas.draw()
    ticks = [text.get_text() for which in ("major", "minor") for text in ax.get_yticklabels(which=which)]
    shown = [text for text in ticks if text]
    assert f"{30 * factor:g}" in shown if plain else all("10^{-" in text for text in shown)
    assert not plain or all(float(text) for text in shown)
    plt.close(ax.figure)


@pytest.mark.parametrize(("channels", "shape"), [(1, (4, 6)), (2, (4, 6)), (3, (4, 6, 3)), (4, (4, 6))])
def test_images_of_any_number_of_channels_are_drawn(channels, shape):
    pixels = np.arange(channels * 24, dtype=np.uint8).reshape(1, channels, 4, 6)
    drawn = figures.images(pixels, ["it"]).axes[0].images[0].get_array()
    assert drawn.shape == shape
    np.testing.assert_allclose(drawn if channels != 3 else drawn.mean(axis=-1), pixels[0].mean(axis=0))


NO_FORMULA = "a$^$b"  # which matplotlib could not parse as one


def drawings_of_names():
    """Figures with a user's name in a title, a legend, or along an axis."""
    whole = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    known = retrained().replace({"criterion": {"l1": NO_FORMULA}})
    correlations = pd.DataFrame({"criterion": [NO_FORMULA], "seed": [0], "correlation": [0.5]})
    scores = pd.DataFrame({"group": [0, 1], "saliency": [1e-9, 1e9]})
    yield lambda ax: figures.images(np.zeros((1, 1, 8, 8), np.uint8), [NO_FORMULA])
    yield lambda ax: figures.error_against(by([NO_FORMULA]), "params", "wrn-40-2", ax)
    yield lambda ax: figures.budgets(known, {}, ax)
    yield lambda ax: figures.agreement(correlations, ax)
    yield lambda ax: figures.side_by_side({NO_FORMULA: whole}, whole)
    yield lambda ax: figures.kept_heatmap({NO_FORMULA: whole}, whole)
    yield lambda ax: figures.saliencies(scores, whole)


@pytest.mark.parametrize("draw", list(drawings_of_names()))
def test_dollars_in_names_begin_no_formula(draw):
    given = plt.subplots()[1]
    given.get_xticklabels()  # they exist before the names are written
    result = draw(given)
    (result.axes[0] if isinstance(result, plt.Figure) else result).set_title(NO_FORMULA)
    result.figure.savefig(io.BytesIO())


def test_formulas_in_other_panels_of_ones_figure_stay_formulas(results):
    figure, (other, given) = plt.subplots(1, 2)
    formulas = [
        figure.suptitle("$\\alpha = 1$"),
        other.set_title("$n^2$"),
        other.set_xlabel("$n$"),
        *other.get_xticklabels(),
    ]
    figures.error_against(results, "params", NO_FORMULA, given)
    assert all(text.get_parse_math() for text in formulas)
    assert not given.title.get_parse_math()
    figures.error_against(results, "params", NO_FORMULA, ax=given)
    assert all(text.get_parse_math() for text in formulas)
    assert all(label.get_parse_math() for label in given.get_yticklabels())


def test_powers_of_ten_along_an_axis_are_written_as_such(results):
    ax = figures.error_against(results, "params", "wrn-40-2")
    ax.set_yscale("log")
    assert all(label.get_parse_math() for label in ax.get_yticklabels())
