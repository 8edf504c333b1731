"""What is said of the results, on frames small enough to work by hand."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from horticulture import runs
from horticulture.analysis import curves, statistics, tables
from horticulture.analysis.tables import cases
from horticulture.runs import ImageErrors

COLUMNS = ["curve", "criterion", "seed", "round", "params", "test_error"]
UNTOLD = "not enough seeds to tell"


def frame(rows, **more):
    actual = pd.DataFrame(rows, columns=COLUMNS).astype({"round": "Int64"})
    return actual.assign(**{"ratio": math.nan, **more})  # one channel went a round


@pytest.fixture
def study():
    """A whole network of 1,000 parameters, ten rounds of 100 each, and two shapes trained from scratch."""
    rows = [("whole", "", 0, None, 1000, 10.0)]
    rows += [("pruned-tuned", "fisher", 0, r, 1000 - 100 * r, 10.0 + r) for r in range(10)]
    rows += [("pruned-scratch", "fisher", 0, 8, 200, 12.0), ("pruned-scratch", "fisher", 0, 5, 500, 11.0)]
    rows += [("width", "", 0, None, 202, 14.0), ("width", "", 0, None, 499, 13.0)]
    return frame(rows)


def seeded(curve, params, errors, criterion="fisher", round_=None, **more):
    """A network a seed."""
    rows = [(curve, criterion, seed, round_, params, error) for seed, error in enumerate(errors)]
    runs = [f"{curve}-{params}-{seed}-{more.get('longer', 1)}" for seed in range(len(errors))]
    return frame(rows, run=runs).assign(**more)


def together(*frames):
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def three():
    """Three seeds that differ by far more than the curves do, but by the same for all of one pruning."""
    return together(
        seeded("whole", 1000, [10.0, 20.0, 30.0], ""),
        seeded("pruned-tuned", 500, [12.0, 22.0, 32.0], round_=5),
        seeded("pruned-scratch", 500, [10.0, 20.1, 29.9], round_=5),  # 2 better, give or take 0.1
        seeded("pruned-tuned", 200, [15.0, 25.0, 35.0], round_=8),
        seeded("pruned-scratch", 200, [15.3, 25.2, 35.4], round_=8),  # 0.3 worse, give or take 0.1
        seeded("lr-rewound", 500, [9.0, 19.2, 28.8], round_=5),
        seeded("lr-rewound", 200, [9.0, 27.0, 30.0], round_=8),
        seeded("width", 501, [14.0, 16.0, 18.0], ""),
    )


@pytest.fixture
def rewound(three):
    """The same numbers on curves that share weights, seed by seed."""
    names = {"pruned-tuned": "fine-tuned", "pruned-scratch": "lr-rewound"}
    kept = three[three["curve"].isin(["whole", *names])]
    return kept.assign(curve=kept["curve"].replace(names))


# --- sizes -------------------------------------------------------------------------------------------------


def test_sizes_are_those_that_were_wanted(study):
    assert cases.target_sizes(study) == [0.2, 0.5]
    two = together(study, study.assign(seed=1, params=study["params"] + 4))  # another seed, the same sizes
    assert cases.target_sizes(two) == pytest.approx([0.202 / 1.004, 0.502 / 1.004])


def test_sizes_of_one_curve_stay_apart_however_near():
    shapes = frame([("pruned-scratch", "l1", s, r, 1000 - r, 5.0) for s in (0, 1) for r in (50, 100, 150)])
    assert cases.target_sizes(together(frame([("whole", "", 0, None, 1000, 4.0)]), shapes)) == [
        0.85,
        0.9,
        0.95,
    ]


@pytest.mark.parametrize(("largest", "last"), [(10_000, ["92 %", "100 %"]), (9999, ["99.99 %", "100.00 %"])])
def test_networks_that_are_whole_after_all_are_in_the_column_of_the_whole(largest, last):
    shapes = [("pruned-scratch", "fisher", 0, r, n, 12.0) for r, n in ((5, 9200), (1, largest))]
    table = tables.error_by_size(frame([("whole", "", 0, None, 10_000, 10.0), *shapes]))
    assert list(table)[-2:] == last
    assert table.notna().to_numpy().any(axis=0).all()


def test_a_size_is_one_size_with_every_seed_that_comes_near_to_it():
    """Of 12 % the pruning runs stop at 12.6 to 13.4 %, on either side of what counts as near."""
    shapes = [("pruned-scratch", "fisher", s, 9, n, 5.0) for s, n in enumerate((1340, 1260, 1300))]
    shapes += [("pruned-scratch", "fisher", s, 5, 4000, 4.0) for s in range(3)]
    families = [("width", "", s, None, n, 5.0) for s in range(3) for n in (1200, 4000)]
    actual = frame([("whole", "", 0, None, 10_000, 3.0), *shapes, *families])
    assert cases.target_sizes(actual) == [0.13, 0.4]
    placed = cases.assign_cases(actual.assign(test_error=5.0))
    assert placed.groupby(["curve", "size"])["seed"].nunique()["pruned-scratch"].tolist() == [3, 3]
    assert placed.groupby(["curve", "size"])["seed"].nunique()["width"].tolist() == [3, 3]


def test_rounds_that_were_taken_are_found_by_their_round_or_by_their_own_run(study):
    rounds = study[study["curve"] == "pruned-tuned"]
    assert study.loc[tables.retrained_rounds(study), "round"].tolist() == [5, 8]
    assert not tables.retrained_rounds(rounds).any()
    with_own_run = rounds.assign(run=["own" if r == 3 else "pruning" for r in rounds["round"]])
    assert with_own_run.loc[tables.retrained_rounds(with_own_run), "round"].tolist() == [3]
    with_own_run.loc[with_own_run["round"] == 3, "test_error"] = math.nan
    assert not tables.retrained_rounds(with_own_run).any()


# --- tables ------------------------------------------------------------------------------------------------


def test_table_has_a_row_a_curve_and_a_column_a_size(study):
    table = tables.error_by_size(study)
    assert list(table.columns) == ["20 %", "50 %", "100 %"]
    names = ["unpruned", "Fisher-pruned, tuned each round", "Fisher shape from scratch (Scratch-E)"]
    shuffled = tables.error_by_size(study.iloc[::-1])
    assert list(shuffled.index) == list(table.index)  # whatever the order of the rows
    assert list(table.index) == [*names, "narrower from scratch"]
    assert table.loc["narrower from scratch", "20 %"] == 14.0
    assert table.loc[names[1], ["20 %", "50 %"]].tolist() == [18.0, 15.0]  # of rounds 8 and 5, no other
    assert table.loc["unpruned", "100 %"] == 10.0
    assert pd.isna(table.loc["unpruned", "20 %"])


def test_a_round_that_was_not_measured_leaves_a_table_and_verdicts_whole(study):
    lacking = study.copy()
    lacking.loc[(study["curve"] == "pruned-tuned") & ~study["round"].isin([0, 5]), "test_error"] = math.nan
    row = tables.error_by_size(lacking).loc["Fisher-pruned, tuned each round"]
    assert row["50 %"] == 15.0
    assert pd.isna(row["20 %"])
    actual = tables.verdicts(lacking, 1.0).set_index(["curve", "against"])
    assert actual.loc[[("pruned-scratch", "pruned-tuned")], "size"].tolist() == [0.5]


def test_table_takes_one_network_a_seed_and_says_how_long_it_was_trained(three):
    longer = seeded("pruned-scratch", 200, [11.0, 12.0, 16.0], round_=8, longer=2.0)
    table = tables.error_by_size(together(three, longer))
    assert table.loc["Fisher shape from scratch (Scratch-E), trained twice as long", "20 %"] == 13.0
    assert table.loc["Fisher shape from scratch (Scratch-E)", "20 %"] == 25.3


@pytest.fixture
def shared():
    """Half of the channels, and half of the weights, gone at one stroke: tuned and from scratch."""
    rows = [("pruned-tuned", "l1", seed, 1, 500, 40.0) for seed in (0, 1)]
    rows += [("pruned-scratch", "l1", 0, 1, 500, 9.0), ("pruned-scratch", "l1", 1, 1, 500, 11.0)]
    rows += [("fine-tuned", "l1", 0, 1, 500, 12.0), ("fine-tuned", "l1", 1, 1, 500, 14.0)]
    rows += [("sparse-fine-tuned", "magnitude", 0, 1, 500, 8.0)]
    return frame(rows, ratio=0.5)


def test_pruning_by_ratio_does_not_enter_the_table_by_rounds(study, shared):
    both = together(study, shared)
    pd.testing.assert_frame_equal(tables.error_by_size(both), tables.error_by_size(study))
    assert not (tables.verdicts(shared, 1.0)["against"] == "pruned-tuned").any()


def test_a_table_by_budget_has_means_and_deviations(study, shared):
    table = tables.error_by_budget(together(study, shared))
    assert list(table.columns) == ["shape from scratch (Scratch-E)", "pruned, fine-tuned"]
    assert table.loc[("l1", 0.5)].tolist() == ["10.0 ± 1.4", "13.0 ± 1.4"]
    assert table.loc[("magnitude", 0.5), "pruned, fine-tuned"] == "8.0"
    assert pd.isna(table.loc[("magnitude", 0.5), "shape from scratch (Scratch-E)"])


def test_a_budget_that_is_the_same_run_has_no_number_of_its_own(shared):
    shared["run"] = [f"run {i}" for i in shared.index]
    scratch = shared[shared["curve"] == "pruned-scratch"]
    both = together(shared, scratch.assign(curve="scratch-b"))
    assert tables.error_by_budget(both).loc[("l1", 0.5)].iloc[-1] == "= Scratch-E"
    assert [note for note in tables.notes(both) if "same runs" in note] == tables.notes(both)[:1]
    half = both.copy()
    half.loc[(both["curve"] == "scratch-b") & (both["seed"] == 1), "run"] = "another"
    assert tables.error_by_budget(half).loc[("l1", 0.5)].iloc[-1] == "10.0 ± 1.4"
    assert "the same runs everywhere for some seeds" in tables.notes(half)[0]


def test_what_a_budget_spent_stands_beside_its_error(shared, three):
    scratch = shared[shared["curve"] == "pruned-scratch"].assign(compute_share=[0.4, 0.5])
    tuned = shared[shared["curve"] == "fine-tuned"].assign(compute_share=0.1)
    longer = scratch.assign(curve="scratch-b", compute_share=[0.8, 0.9], run=["a", "b"])
    pruned = shared[shared["curve"] == "pruned-tuned"].assign(compute_share=[0.3, 0.5])
    assert tables.error_by_budget(together(pruned, scratch, tuned, longer)).loc[("l1", 0.5)].tolist() == [
        "10.0 ± 1.4 (0.45)",
        "13.0 ± 1.4 (0.50)",  # its own, and what its weights had been tuned before
        "10.0 ± 1.4 (0.85)",
    ]
    unknown = tables.error_by_budget(together(scratch, tuned))
    assert unknown.loc[("l1", 0.5)].iloc[1] == "13.0 ± 1.4"
    longer = seeded("scratch-b", 500, [8.0, 18.0, 28.0], round_=5, compute_share=0.9)
    table = tables.error_by_size(together(three.assign(compute_share=0.3), longer))["50 %"]
    assert table["Fisher shape from scratch, more epochs (Scratch-B)"] == "18.0 (0.90)"
    assert table["Fisher shape from scratch (Scratch-E)"] == "20.0 (0.30)"
    assert table["Fisher-pruned, tuned each round"] == "22.0 (0.30)"


def spending(shares, epochs, curve="scratch-b", tuning=2):
    """A whole network of four epochs, and networks that took so many for a share of its compute."""
    whole = seeded("whole", 1000, [5.0], "", epochs=4, compute_share=1.0)
    tuned = seeded("fine-tuned", 500, [6.0], "l1", 1, ratio=0.5, epochs=tuning, compute_share=0.1)
    actual = seeded(curve, 500, [6.0] * len(shares), "l1", 1, ratio=0.5)
    return together(whole, tuned, actual.assign(epochs=epochs, compute_share=shares))


def test_scratch_b_is_called_what_it_came_to():
    # at 0.3 of the MACs the compute buys 13 epochs; 8 are twice as many
    assert cases.scratch_b_in_words(spending([0.6, 0.9], [8, 6])) == "at most twice the epochs"
    assert cases.scratch_b_in_words(spending([0.975, 0.9], [13, 6])) == "same compute"
    assert cases.scratch_b_in_words(spending([0.75], [10], "scratch-b-all")) == "at most twice the epochs"
    assert cases.scratch_b_in_words(spending([1.125], [15], "scratch-b-all")) == "same compute"
    assert cases.scratch_b_in_words(spending([2.0], [8], "sparse-scratch-b")) == curves.MORE_EPOCHS
    assert cases.scratch_b_in_words(spending([0.6], [8]).drop(columns="epochs")) == curves.MORE_EPOCHS
    capped = spending([0.6, 0.9], [8, 6])
    (name,) = [name for name in tables.error_by_budget(capped) if "Scratch-B" in name]
    assert name == "shape from scratch, at most twice the epochs (Scratch-B)"


def test_criteria_keep_the_order_of_the_study(shared):
    taylor = shared.assign(criterion="taylor")
    both = together(shared, taylor, seeded("whole", 1000, [5.0], ""))
    actual = tables.sort_by_criterion(both, ["taylor", "magnitude", "l1"])
    assert list(tables.error_by_budget(actual).index) == [("taylor", 0.5), ("magnitude", 0.5), ("l1", 0.5)]
    assert actual["curve"].iloc[0] == "whole"
    assert len(actual) == len(both)


def test_against_size_one_budget_stands_for_all(study, shared):
    sparse = frame([("sparse-pruned-scratch", "magnitude", 0, 1, 500, 9.5)], ratio=0.5)
    actual = tables.drop_budgets(together(study, shared, sparse))
    assert actual["curve"].value_counts().to_dict() == {
        **study["curve"].value_counts().to_dict(),  # rounds of pruning by ratio are no curve
        "pruned-scratch": 2 + 2,
        "sparse-pruned-scratch": 1,
    }
    pd.testing.assert_frame_equal(tables.drop_budgets(study), study)


def test_only_tables_that_say_something_are_shown(study, shared):
    by_size, by_budget = tables.error_by_size(study), tables.error_by_budget(shared)
    assert tables.error_by_budget(study).empty
    for frames, wanted in (
        ([study], [by_size]),
        ([shared], [by_budget]),
        ([study, shared], [by_size, by_budget]),
    ):
        actual = tables.error_tables(together(*frames))
        assert len(actual) == len(wanted)
        for table, other in zip(actual, wanted, strict=True):
            pd.testing.assert_frame_equal(table, other)


def test_means_over_other_seeds_are_not_mixed_up():
    """The second seed was not trained longer, and there is one seed of the narrower network."""
    actual = together(
        seeded("whole", 1000, [9.0, 8.0], ""),
        seeded("whole", 1000, [7.0], "", longer=2.0),
        seeded("pruned-scratch", 200, [12.0, 10.0], round_=8),
        seeded("width", 200, [13.0], ""),
        seeded("bottleneck", 200, [11.0, 12.0], ""),
        seeded("bottleneck", 400, [9.0], ""),
    )
    assert tables.describe_best(actual)[0] == (
        "Training twice as long changed the test error: unpruned at 100 % from 9.0 to 7.0 %."
    )
    assert tables.notes(actual) == [
        "Means over 1 seed, where others are over 2: unpruned, trained twice as long; narrower from scratch; "
        "bottleneck from scratch at 40 %."
    ]


def test_an_order_that_longer_training_changes_is_told():
    actual = together(
        *(seeded("whole", 1000, [9.0], "", longer=longer) for longer in (1.0, 2.0)),
        seeded("pruned-tuned", 200, [12.0, 14.0], round_=8),
        seeded("pruned-tuned", 200, [10.0, 12.0], round_=8, longer=2.0),
        seeded("pruned-scratch", 200, [16.0, 14.0], round_=8),
        seeded("pruned-scratch", 200, [9.0, 7.0], round_=8, longer=2.0),
    )
    assert tables.describe_best(actual)[1].endswith(
        " Trained twice as long, the order changes: 8.0 % for Fisher shape from scratch (Scratch-E), "
        "11.0 % for Fisher-pruned, tuned each round."
    )
    same = actual[(actual["longer"] == 1) | (actual["curve"] != "pruned-scratch")]
    assert "another" not in " ".join(tables.describe_best(same))


def test_a_curve_that_is_the_same_runs_at_a_size_has_no_number_of_its_own_there():
    """Scratch-B at 40 % buys no further epoch there; at 20 % one seed of it does."""
    scratch = together(
        seeded("whole", 1000, [9.0, 9.1], ""),
        *(seeded("pruned-tuned", size, [9.0, 9.2], round_=size) for size in (200, 400)),
        *(seeded("pruned-scratch", size, [8.0, 8.2], round_=size) for size in (200, 400)),
    )
    scratch["run"] = [f"run {i}" for i in scratch.index]
    more = scratch[scratch["curve"] == "pruned-scratch"].assign(curve="scratch-b", test_error=7.0)
    more.loc[(more["params"] == 200) & (more["seed"] == 1), "run"] = "another"
    table = tables.error_by_size(together(scratch, more))
    (scratch_b,) = [name for name in table.index if "Scratch-B" in name]
    assert table.loc[scratch_b, ["20 %", "40 %"]].tolist() == [7.0, "= Scratch-E"]


def test_a_curve_that_shares_the_only_seed_it_has_keeps_its_number():
    """The mean of two seeds is no number of the one."""
    scratch = seeded("pruned-scratch", 200, [8.0, 9.0], round_=8)
    scratch["run"] = ["a", "b"]
    actual = together(seeded("whole", 1000, [9.0, 9.1], ""), scratch)
    copycat = scratch.iloc[:1].assign(curve="copycat")
    table = tables.error_by_size(together(actual, copycat))
    assert table.loc["Fisher copycat from scratch", "20 %"] == 8.0
    note = (
        "Copycat from scratch and shape from scratch (Scratch-E) are the same runs everywhere for some seeds"
    )
    assert tables.notes(together(actual, copycat))[0].startswith(note)
    table = tables.error_by_size(together(actual, scratch.assign(curve="copycat")))
    assert table.loc["Fisher copycat from scratch", "20 %"] == "= Scratch-E"


def test_notes_name_same_runs_missed_sizes_machines_and_precision(study):
    study["run"] = [f"run {i}" for i in study.index]
    study["device"] = ["EPYC"] * 12 + ["Xeon"] * (len(study) - 12)
    study["precision"] = "float32"
    copycat = study[(study["curve"] == "pruned-scratch") & (study["params"] == 500)].assign(curve="copycat")
    other = copycat.assign(params=195, run="other")
    actual = tables.notes(together(study, copycat, other))
    assert actual == [
        "Copycat from scratch and shape from scratch (Scratch-E) are the same runs at 50 %, "
        "so they are drawn and counted once.",
        "Copycat from scratch misses the size of the pruned shapes: −2.5 % parameters at 20 %.",
        "The results come from 2 kinds of processor: mostly EPYC; Xeon: shape from scratch (Scratch-E) (1 of "
        "2), narrower from scratch, copycat from scratch.",
        "Everything was computed in float32.",
    ]
    assert tables.notes(study.drop(columns=["device", "precision"])) == []


def test_uniform_is_bottleneck_everywhere_on_some_networks(study):
    width = study[study["curve"] == "width"].assign(run=["a", "b"])
    both = together(study, width.assign(curve="bottleneck"), width.assign(curve="uniform"))
    said = tables.notes(both)[0]
    assert said.startswith("Uniform from scratch and bottleneck from scratch are the same runs everywhere")
    assert "uniform" not in set(tables.verdicts(both, 1.0)["curve"])


def test_the_lowest_mean_of_each_size_and_what_longer_training_did(three):
    longer = seeded("whole", 1000, [9.0, 19.0, 26.0], "", longer=2.0)
    changed, small, large = tables.describe_best(together(three, longer))
    assert changed == "Training twice as long changed the test error: unpruned at 100 % from 20.0 to 18.0 %."
    assert small.startswith("At 20 % of the parameters **Fisher-pruned, learning")
    assert re.search(r"\*\*narrower from scratch\*\* has .* 16.0 %; then [\d.]+ % for Fisher-pruned", large)


def test_equal_means_share_the_first_place():
    rows = [("whole", "", 0, None, 1000, 9.0), ("pruned-scratch", "fisher", 0, 5, 500, 50.0)]
    rows += [("width", "", 0, None, 500, 50.0), ("bottleneck", "", 0, None, 500, 51.0)]
    best = r"\*\*.*\*\* and \*\*.*\*\* have the lowest mean test error, 50.0 %"
    (three,), (two,) = tables.describe_best(frame(rows)), tables.describe_best(frame(rows[:3]))
    assert re.search(f"{best}; then 51.0 % for bottleneck from scratch\\.$", three)
    assert re.search(f"{best}\\.$", two)


# --- verdicts over seeds -----------------------------------------------------------------------------------


def row(verdicts, curve, against, size):
    pair = verdicts[(verdicts["curve"] == curve) & (verdicts["against"] == against)]
    (verdict,) = pair[pair["size"] == size].iloc
    return verdict


def test_verdicts_by_hand(rewound):
    actual = tables.verdicts(rewound, margin=1.0)
    assert list(actual.columns) == tables.VERDICT_COLUMNS
    large = row(actual, "lr-rewound", "fine-tuned", 0.5)
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert (large["difference"], large["n"], large["test"]) == (pytest.approx(-2), 3, "paired")
    assert large[["low", "high"]].tolist() == pytest.approx([-2 - half, -2 + half], abs=1e-3)
    small = row(actual, "lr-rewound", "fine-tuned", 0.2)
    assert (large["verdict"], small["verdict"]) == ("better", "equal")  # worse by less than matters
    # 0.3 / (0.1 / sqrt(3)) = 5.196: p = 1 - t / sqrt(t^2 + 2); the other counts twice, and is smaller
    assert small["p"] == pytest.approx(1 - 5.19615 / math.sqrt(29), rel=1e-3)
    assert small["p_adjusted"] == pytest.approx(small["p"])
    assert large["p_adjusted"] == pytest.approx(2 * large["p"])
    assert small["seeds_needed"] == 3
    assert not np.isinf(actual.select_dtypes("number").to_numpy(dtype=float)).any()


def test_the_decisive_comparison_is_there_and_comes_early(three):
    actual = tables.verdicts(three, margin=1.0)
    pairs = list(dict.fromkeys(zip(actual["curve"], actual["against"], strict=True)))
    assert pairs[:2] == [("pruned-scratch", "pruned-tuned"), ("pruned-scratch", "lr-rewound")]
    assert set(pairs[2:]) == {
        ("pruned-scratch", "whole"),
        ("lr-rewound", "whole"),
        ("width", "pruned-scratch"),
        ("width", "pruned-tuned"),
        ("width", "lr-rewound"),
        ("lr-rewound", "pruned-tuned"),
        ("pruned-tuned", "whole"),
    }


def test_sides_are_paired_only_where_they_share_something(three):
    actual = tables.verdicts(three, 1.0).drop_duplicates(["curve", "against"])
    tests = actual.set_index(["curve", "against"])["test"].to_dict()
    assert tests == {
        ("pruned-scratch", "pruned-tuned"): "welch",  # one shape, but new weights
        ("pruned-scratch", "lr-rewound"): "welch",
        ("pruned-scratch", "whole"): "welch",
        **{(kept, "whole"): "paired" for kept in ("lr-rewound", "pruned-tuned")},  # its weights
        ("lr-rewound", "pruned-tuned"): "paired",
        **{("width", other): "welch" for other in ("pruned-scratch", "pruned-tuned", "lr-rewound")},
    }
    verdict = row(tables.verdicts(three, 1.0), "width", "pruned-scratch", 0.5)
    apart = statistics.welch_difference([14.0, 16, 18], [10.0, 20.1, 29.9])
    assert verdict[["difference", "low", "high", "p"]].tolist() == pytest.approx([*apart[:3], apart.p])


def test_a_whole_network_shares_no_weights_with_what_a_penalty_changed_first(three):
    slimming = three[~three["curve"].isin(["whole", "width"])].assign(criterion="slimming")
    penalised = seeded("whole", 1000, [11.0, 21.0, 31.0], "slimming").assign(run=["x", "y", "z"])
    whole = three[three["curve"] == "whole"]

    def test(*frames):
        (actual,) = (
            tables.verdicts(together(*frames), 1.0)
            .query("curve == 'lr-rewound' and against == 'whole' and size < 0.3")
            .iloc
        )
        return actual["test"], actual["difference"]

    assert test(whole, slimming) == ("paired", pytest.approx(2.0))
    assert test(whole, penalised, slimming) == ("welch", pytest.approx(2.0))  # still against the plain one
    assert test(whole, penalised, slimming.assign(criterion="slimming (layer)"))[0] == "welch"
    assert test(penalised, slimming) == ("paired", pytest.approx(1.0))


def test_of_many_cases_fewer_hold_than_each_for_itself():
    """Ten sizes, each better at 3 % by itself: together none is."""
    frames = [seeded("whole", 100_000, [5.0] * 3, "")]
    for n in range(1, 11):
        tuned = [20.0, 20.0, 20.0]
        scratch = [18.0, 18.5, 17.0]  # t = 4.91, p = 0.039
        frames.append(seeded("pruned-tuned", 8000 * n, tuned, round_=100 - n))
        frames.append(seeded("pruned-scratch", 8000 * n, scratch, round_=100 - n))
    actual = tables.verdicts(together(*frames), margin=1.0)
    actual = actual[actual["against"] == "pruned-tuned"]
    assert len(actual) == 10
    assert set(actual["verdict_alone"]) == {"better"}
    assert set(actual["verdict"]) == {UNTOLD}
    # (5.598 + 0.941) 0.764 / sqrt(5) = 2.23 is above 2.17, (4.773 + 0.920) 0.764 / sqrt(6) = 1.77 below;
    # for one size alone it would be 4
    assert (actual["seeds_needed"] == 6).all()
    (row,) = tables.pair_table(actual).iloc
    assert (row["cases"], row["better"], row["undecided"]) == (10, "0 (10)", "10 (0)")
    assert (row["mean lower"], row["mean higher"]) == (10, 0)
    level = tables.pair_table(actual.assign(difference=[0.0] * 9 + [0.5]))
    assert level[["mean lower", "mean higher"]].to_numpy().tolist() == [[0, 1]]


def test_sizes_are_matched_by_size_and_never_by_rank(study):
    """The second seed has no small shape: its large one is the large one all the same."""
    other = frame(
        [("whole", "", 1, None, 1000, 10.0)]
        + [("pruned-tuned", "fisher", 1, r, 1000 - 100 * r, 11.0 + r) for r in range(10)]
        + [("pruned-scratch", "fisher", 1, 5, 500, 12.0)]
    )
    actual = tables.verdicts(together(study, other), margin=1.0)
    actual = actual[actual["against"] == "pruned-tuned"].set_index(["curve", "size"])
    assert actual.loc[("pruned-scratch", 0.5), ["difference", "n"]].tolist() == [-4.0, 2]  # 11 - 15, 12 - 16
    assert actual.loc[("pruned-scratch", 0.2), ["difference", "n"]].tolist() == [-6.0, 1]


@pytest.mark.parametrize("control", curves.CONTROLS)
def test_a_control_is_compared_with_the_shape_from_scratch(control):
    actual = together(
        seeded("whole", 1000, [5.0, 6.0, 7.0], ""),
        seeded("pruned-scratch", 500, [9.0, 9.1, 9.2], "l1", 1, ratio=0.5),
        seeded(control, 500, [8.0, 8.1, 8.2], "l1", 1, ratio=0.5),
    )
    (verdict,) = tables.verdicts(actual, 1.0).query("against == 'pruned-scratch'").iloc
    assert (verdict["curve"], verdict["test"], verdict["verdict"]) == (control, "welch", "better")
    assert verdict["difference"] == pytest.approx(-1.0)


def test_what_misses_its_size_is_marked(three):
    off = seeded("bottleneck", 487, [14.0, 16.0, 18.0], "")
    actual = tables.verdicts(together(three, off), 1.0)
    assert row(actual, "bottleneck", "pruned-scratch", 0.5)["size_miss"] == pytest.approx(-2.6)
    assert math.isnan(row(actual, "width", "pruned-scratch", 0.5)["size_miss"])  # 0.2 %


def test_a_run_is_never_compared_with_itself(three):
    shape = three[(three["curve"] == "pruned-scratch") & (three["params"] == 500)]
    actual = tables.verdicts(together(three, shape.assign(curve="copycat")), 1.0)
    pd.testing.assert_frame_equal(actual, tables.verdicts(three, 1.0))


def test_seeds_that_are_the_same_runs_on_both_sides_do_not_count(three):
    """Two of three copycats are the pruned shapes themselves: only the third has anything to compare."""
    shape = three[(three["curve"] == "pruned-scratch") & (three["params"] == 500)]
    copycat = shape.assign(curve="copycat", run=[*shape["run"][:2], "other"], test_error=[10.0, 20.1, 40.0])
    verdict = row(tables.verdicts(together(three, copycat), 1.0), "copycat", "pruned-scratch", 0.5)
    assert (verdict["n"], verdict["difference"]) == (1, pytest.approx(40.0 - 29.9))


def test_one_seed_of_a_family_that_is_the_pruned_shape_is_no_second_comparison(three):
    """With the others, which the whole curve of the pruned shape has been compared with."""
    shape = three[(three["curve"] == "pruned-scratch") & (three["params"] == 500)]
    actual = tables.verdicts(together(three, shape[:1].assign(curve="copycat")), 1.0)
    assert "copycat" not in {*actual["curve"], *actual["against"]}
    new = shape[:2].assign(curve="copycat", run=["copycat", shape["run"].iloc[0]], test_error=[11.0, 10.0])
    actual = tables.verdicts(together(three, new), 1.0)
    assert row(actual, "copycat", "pruned-tuned", 0.5)["n"] == 2


def test_what_is_one_run_with_one_rival_still_meets_the_others():
    """A uniform network that is also the shape found by one criterion is compared with another's."""
    actual = together(
        seeded("whole", 1000, [5.0, 6.0, 7.0], ""),
        seeded("pruned-scratch", 250, [9.0, 9.1, 9.2], "l1", 1, ratio=0.5),
        seeded("pruned-scratch", 255, [8.0, 8.1, 8.2], "taylor", 1, ratio=0.5).assign(run=["t0", "t1", "t2"]),
        seeded("uniform", 250, [9.0, 9.1, 9.2], "").assign(
            run=[f"pruned-scratch-250-{n}-1" for n in range(3)]
        ),
    )
    pairs = tables.verdicts(actual, 1.0).query("curve == 'uniform' and against == 'pruned-scratch'")
    assert pairs["criterion"].tolist() == ["taylor"]


def test_of_two_near_sizes_the_nearer_is_compared():
    actual = together(
        seeded("whole", 1000, [5.0, 6.0, 7.0], ""),
        seeded("lr-rewound", 590, [9.0, 9.1, 9.2], "slimming", 1, ratio=0.4),
        seeded("uniform", 540, [9.5, 9.6, 9.7], ""),
        seeded("uniform", 600, [8.5, 8.6, 8.7], ""),
    )
    pairs = tables.verdicts(actual, 1.0).query("curve == 'uniform' and against == 'lr-rewound'")
    assert pairs["difference"].tolist() == pytest.approx([-0.5])


def test_families_meet_each_other():
    actual = together(
        seeded("width", 500, [9.0, 9.1, 9.2], ""), seeded("bottleneck", 500, [8.0, 8.1, 8.3], "")
    )
    pairs = tables.verdicts(together(seeded("whole", 1000, [5.0] * 3, ""), actual), 1.0)
    assert ("width", "bottleneck") in set(zip(pairs["curve"], pairs["against"], strict=True))


def test_families_meet_what_a_ratio_left_at_its_size():
    actual = tables.verdicts(
        together(
            seeded("whole", 1000, [5.0, 5, 5], ""),
            seeded("pruned-scratch", 500, [9.0, 9.1, 9.2], "l1", 1, ratio=0.3),
            seeded("pruned-scratch", 210, [12.0, 12.1, 12.2], "l1", 1, ratio=0.6),
            seeded("uniform", 200, [13.0, 13.1, 13.2], ""),
        ),
        1.0,
    )
    (verdict,) = actual[actual["curve"] == "uniform"].iloc
    assert (verdict["against"], verdict["criterion"], verdict["ratio"]) == ("pruned-scratch", "l1", 0.6)
    assert verdict["difference"] == pytest.approx(1.0)


def test_a_seed_that_one_side_lacks_is_left_out_of_pairs(rewound):
    lacking = rewound.drop(rewound[(rewound["curve"] == "lr-rewound") & (rewound["seed"] == 1)].index)
    actual = tables.verdicts(lacking, margin=1.0)
    assert set(actual.loc[actual["curve"] == "lr-rewound", "n"]) == {2}
    assert set(actual.loc[actual["curve"] == "fine-tuned", "n"]) == {3}


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_or_two_have_differences_and_nothing_else(three, seeds):
    few = three[three["seed"] < seeds]
    actual = tables.verdicts(few, margin=1.0)
    assert len(actual) == len(tables.verdicts(three, margin=1.0))
    assert set(actual["verdict"]) == set(actual["verdict_alone"]) == {UNTOLD}
    assert actual[["low", "high", "p", "p_adjusted", "seeds_needed"]].isna().all(axis=None)
    said = tables.conclude(actual[actual["against"] != "lr-rewound"])
    assert said.startswith(
        f"**Not decided: {seeds} seed{'s' if seeds > 1 else ''} cannot tell.** The comparison is with"
    )
    assert "Lower mean error: shape from scratch (Scratch-E) at 50 %" in said
    assert "pruned, tuned each round at 20 % (+0.3)" in said or "at 20 % (+0.2)" in said  # the tuned ones won
    assert ("One seed" if seeds == 1 else "Two seeds: too few to tell") in said
    assert "better in" not in said
    counted = tables.pair_table(actual)
    assert (counted["undecided"] == [f"{n} ({n})" for n in counted["cases"]]).all()
    assert (counted["seeds needed"] == "").all()


def test_the_error_of_the_test_set_is_that_of_the_mean_over_seeds(three):
    draw = np.random.default_rng(0)
    original = np.repeat(np.arange(40), 5)
    errors = {run: ImageErrors(draw.random(200) < 0.2, original) for run in three["run"]}
    actual = tables.verdicts(three, 1.0, errors)
    verdict = row(actual, "pruned-scratch", "pruned-tuned", 0.5)
    sides = [
        np.mean([errors[f"{curve}-500-{seed}-1"].wrong for seed in range(3)], axis=0)
        for curve in ("pruned-scratch", "pruned-tuned")
    ]
    assert verdict["test_error_se"] == pytest.approx(statistics.clustered_difference(*sides, original)[1])
    single = [
        statistics.clustered_difference(
            errors[f"pruned-scratch-500-{a}-1"].wrong, errors[run].wrong, original
        )[1]
        for a in range(3)
        for run in three.loc[
            three["run"].str.startswith("pruned-tuned-500") & three["run"].str.endswith("-1"), "run"
        ]
    ]
    assert len(single) == 9
    assert verdict["test_error_se_one"] == pytest.approx(np.median(single))
    assert verdict["test_error_se_one"] > 1.4 * verdict["test_error_se"]  # of three independent ones: 1.7
    assert set(actual["test_sources"]) == {40}
    said = tables.describe_test_set(three, errors, actual)
    assert said.startswith("The test set has 200 images drawn from 40 originals: an error of")
    assert "points, clustered by original. In the difference of two means" in said
    assert "Nothing" in tables.describe_test_set(three, {}, tables.verdicts(three, 1.0))
    del errors["pruned-scratch-500-1-1"]
    unknown = row(tables.verdicts(three, 1.0, errors), "pruned-scratch", "whole", 0.5)
    assert math.isnan(unknown["test_error_se"])
    assert unknown["verdict_other_images"] == ""


def test_a_verdict_about_other_images_needs_a_larger_difference(rewound):
    original = np.arange(100)  # each image by itself
    seeds_alone = tables.verdicts(rewound, 1.0).set_index(["curve", "against", "size"])

    def on_images(disagreeing):
        """Verdicts where the sides are wrong on 10 images each, of which so many are not the same."""
        errors = {
            run: ImageErrors((original >= shift) & (original < shift + 10), original)
            for run, shift in zip(
                rewound["run"], np.where(rewound["curve"] == "lr-rewound", disagreeing, 0), strict=True
            )
        }
        return tables.verdicts(rewound, 1.0, errors).set_index(["curve", "against", "size"])

    case = ("lr-rewound", "fine-tuned", 0.5)
    assert seeds_alone.loc[case, "verdict"] == "better"
    assert on_images(0).loc[case, "verdict_other_images"] == "better"  # all sides wrong on the same images
    other = on_images(10)  # a standard error of 4.5 points, in a difference of 2
    assert other.loc[case, "test_error_se"] == pytest.approx(100 * math.sqrt(0.2 / 99))
    assert (other.loc[case, "verdict"], other.loc[case, "verdict_other_images"]) == ("better", UNTOLD)
    whole = {run: ImageErrors(original < 10, original) for run in rewound.query("curve == 'whole'")["run"]}
    said = tables.describe_test_set(rewound, whole, other.reset_index())
    # Only the two sides that are wrong on the same images, fine-tuned and whole, keep their two verdicts.
    assert said.endswith(
        "(medians over 6 comparisons). With this error added to that of the seeds, 2 of 6 "
        "decided verdicts stay as they are."
    )


# --- sentences ---------------------------------------------------------------------------------------------


def counted(verdicts, curve="pruned, learning rate rewound", against="pruned, fine-tuned"):
    """The row of a pair of curves."""
    return tables.pair_table(verdicts).loc[(curve, against)]


def test_a_pair_is_counted_and_so_are_the_sides_with_the_lower_mean(rewound, three):
    assert counted(tables.verdicts(rewound, margin=1.0)).to_dict() == {
        "cases": 2,
        "better": "1 (1)",
        "equal": "1 (1)",
        "worse": "0 (0)",
        "undecided": "0 (0)",
        "at some lengths": "0 (0)",
        "by length": "0 (0)",
        "mean lower": 1,  # at 50 %, by 2.0
        "mean higher": 1,  # at 20 %, by 0.3
        "seeds needed": "",
    }
    scratch = counted(tables.verdicts(three, 1.0), "Scratch-E", "pruned, tuned each round")
    assert scratch["undecided"] == "2 (2)"
    assert scratch["seeds needed"] == "more than 100"


def test_a_claim_holds_at_both_lengths_or_depends_on_the_length(rewound):
    def twice(scratch):
        longer = together(
            rewound,
            seeded("fine-tuned", 500, [9.0, 19.0, 29.0], round_=5, longer=2.0),
            seeded("lr-rewound", 500, scratch, round_=5, longer=2.0),
        )
        return tables.verdicts(longer, 1.0)

    contrary = counted(twice([11.0, 21.1, 30.9]))  # +2.0, after -2.0
    assert contrary[["better", "by length", "mean lower", "mean higher"]].tolist() == ["0 (0)", "1 (1)", 0, 1]
    # by 2.0 at one length, and by about as much but who knows at the other: decided at one length only
    once = counted(twice([9.0, 16.0, 26.0]))
    assert once[["better", "at some lengths", "by length", "mean lower"]].tolist() == [
        *("0 (0)", "1 (1)", "0 (0)"),
        1,
    ]
    equal = counted(twice([8.9, 18.8, 28.9]))  # better at one, equal at the other
    assert equal[["better", "by length"]].tolist() == ["0 (0)", "1 (1)"]
    same = counted(twice([7.0, 17.1, 26.9]))
    assert same[["better", "by length", "mean lower"]].tolist() == ["1 (1)", "0 (0)", 1]


def test_every_pair_has_a_row_in_the_order_of_the_verdicts(three, study):
    actual = tables.verdicts(three, 1.0)
    pairs = actual[["curve", "against"]].drop_duplicates()
    assert list(tables.pair_table(actual).index) == [
        (curves.short_label(a), curves.short_label(b)) for a, b in pairs.itertuples(index=False)
    ]
    assert "inf" not in tables.pair_table(tables.verdicts(study, 1.0)).to_string()
    nothing = tables.verdicts(study[study["curve"].isin(["whole", "pruned-tuned"])], 1.0)
    assert tables.pair_table(nothing).empty


def test_without_anything_to_compare_there_are_the_columns(three):
    actual = tables.verdicts(three[three["curve"] == "whole"], 1.0)
    assert actual.empty
    assert list(actual.columns) == tables.VERDICT_COLUMNS


def test_every_budget_and_family_has_a_name():
    assert {*curves.BUDGET_CURVES, *curves.SCALED_CURVES} <= set(curves.CURVES)
    labels = [tables.label(curve) for curve in curves.CURVES]
    assert len(set(labels)) == len(labels)
    assert not [name for name in labels if "{" in name or "  " in name or name[0] in " -,"]
    assert [curves.short_label(curve) for curve in ("pruned-scratch", "scratch-b", "width")] == [
        "Scratch-E",
        "Scratch-B",
        "narrower from scratch",
    ]


def test_what_decides_is_new_weights_against_the_strongest_that_kept_theirs(rewound, three):
    verdicts = tables.verdicts(three, 1.0)
    chosen = tables.decisive_verdicts(verdicts)
    assert set(zip(chosen["curve"], chosen["against"], strict=True)) == {("pruned-scratch", "lr-rewound")}
    weaker = tables.decisive_verdicts(verdicts[verdicts["against"] != "lr-rewound"])
    assert set(weaker["against"]) == {"pruned-tuned"}
    assert set(weaker["case"]) == {"20 %", "50 %"}
    assert tables.decisive_verdicts(tables.verdicts(rewound, 1.0)).empty  # nothing has new weights


@pytest.mark.parametrize("budget", ["scratch-b", "scratch-b-all", "scratch-images"])
def test_what_decides_includes_every_budget_of_new_weights(three, budget):
    verdicts = tables.verdicts(three, 1.0).replace({"curve": {"pruned-scratch": budget}})
    assert set(tables.decisive_verdicts(verdicts)["curve"]) == {budget}


# --- the conclusion ----------------------------------------------------------------------------------------


def concluded(scratch, tuned, margin=1.0, **more):
    """The conclusion on one size, from test errors of the shape from scratch and of the tuned network."""
    round_ = [seeded("pruned-tuned", 200, tuned, round_=8, **more), seeded("whole", 1000, [9.0], "")]
    results = together(*round_, seeded("pruned-scratch", 200, scratch, round_=8, **more))
    return tables.conclude(tables.verdicts(results, margin))


@pytest.mark.parametrize(
    ("scratch", "tuned", "answer"),
    [
        ([12.0], [10.0], "Not decided: 1 seed cannot tell."),
        ([12.0, 12.1], [10.0, 10.1], "Not decided: 2 seeds cannot tell."),
        (
            [12.0, 12.1, 12.2],
            [10.0, 10.1, 10.2],
            "By Scratch-E, the kept weights win: trained from new ones, the shape is worse.",
        ),
        (
            [8.0, 8.1, 8.2],
            [10.0, 10.1, 10.2],
            "By Scratch-E, the shape wins: trained from new weights, it is better.",
        ),
        (
            [10.0, 10.1, 10.2],
            [10.0, 10.1, 10.2],
            "By Scratch-E, only the shape: equal to within 1.0 points.",
        ),
        ([8.0, 12.0, 16.0], [9.0, 12.0, 14.0], "Not decided: 3 seeds cannot tell."),
    ],
)
def test_the_conclusion_begins_with_the_answer(scratch, tuned, answer):
    assert concluded(scratch, tuned).startswith(f"**{answer}**")


def test_the_conclusion_says_which_side_is_ahead_and_by_how_much():
    said = concluded([12.0, 12.1, 12.2], [10.0, 10.1, 10.2])
    assert "Lower mean error: pruned, tuned each round at 20 % (+2.0)" in said
    assert "3 seeds per case" in said


@pytest.mark.parametrize(
    ("once", "answer"),
    [
        ([7.0, 7.1, 7.2], "the verdict changes with the length of training"),  # better, then worse
        (
            [5.0, 9.1, 13.2],
            "the shape is worse when trained twice as long, and nothing is decided at the usual length of "
            "training",
        ),  # undecided
    ],
)
def test_the_conclusion_tells_another_verdict_from_none(once, answer):
    errors = {
        1.0: {"pruned-scratch": once, "pruned-tuned": [9.0, 9.1, 9.2]},
        2.0: {"pruned-scratch": [9.0, 9.1, 9.2], "pruned-tuned": [7.0, 7.1, 7.2]},
    }
    networks = [
        seeded(curve, 200, actual, round_=8, longer=longer)
        for longer, curves_ in errors.items()
        for curve, actual in curves_.items()
    ]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(f"**By Scratch-E, {answer}.**")


def test_two_budgets_that_are_decided_at_one_length_in_opposite_ways_are_not_undecided():
    networks = [
        seeded(curve, 200, [mean - apart, mean, mean + apart], round_=8, longer=longer)
        for longer, apart in ((1.0, 4.0), (2.0, 0.1))
        for curve, mean in (("lr-rewound", 10.0), ("pruned-scratch", 12.0), ("scratch-b", 8.0))
    ]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(
        "**By Scratch-E, the shape is worse when trained twice as long, and nothing is decided at the usual "
        "length of training. By Scratch-B, the shape is better when trained twice as long, and nothing is "
        "decided at the usual length of training.**"
    )


def test_the_conclusion_says_so_where_nothing_was_compared(study):
    alone = study[study["curve"].isin(["whole", "pruned-tuned"])]
    assert tables.conclude(tables.verdicts(alone, 1.0)).startswith("**Not tested here.**")


@pytest.mark.parametrize("kept", ["lr-rewound", "pruned-tuned"])
def test_another_budget_is_said_beside_the_answer(kept):
    """Scratch-E is worse than the network with its weights, Scratch-B better: then neither is the answer."""
    curves = {kept: 10.0, "pruned-scratch": 12.0, "scratch-b": 8.0}
    name = tables.label(kept)
    errors = {curve: [mean - 0.1, mean, mean + 0.1] for curve, mean in curves.items()}
    networks = [seeded(curve, 200, actual, round_=8) for curve, actual in errors.items()]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(f"**It depends on the budget.** The comparison is with *{name}*.")
    assert f"is better in 0 and worse in 1 of 1 case. Lower mean error: {name}" in said
    assert (
        "is better in 1 and worse in 0 of 1 case. Lower mean error: shape from scratch, more epochs" in said
    )
    wide = {**errors, "pruned-scratch": [6.0, 12.0, 18.0]}
    networks = [seeded(curve, 200, actual, round_=8) for curve, actual in wide.items()]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(
        "**By Scratch-E, 3 seeds cannot tell. "
        "By Scratch-B, the shape wins: trained from new weights, it is better.**"
    )
    once = [seeded(curve, 200, [mean], round_=8) for curve, mean in curves.items()]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *once), 1.0))
    assert said.startswith("**Not decided, and which mean is lower depends on the budget.**")


def test_the_stronger_opponent_is_the_one_that_counts():
    """New weights beat the tuned network and lose to the rewound one, and they do so by size."""
    errors = {"pruned-tuned": 12.0, "lr-rewound": 8.0, "pruned-scratch": 10.0}
    networks = [
        seeded(curve, 200, [mean - 0.1, mean, mean + 0.1], round_=8) for curve, mean in errors.items()
    ]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    answer = "By Scratch-E, the kept weights win: trained from new ones, the shape is worse."
    assert said.startswith(f"**{answer}**")
    assert "The comparison is with *pruned, learning rate rewound*." in said
    better = [seeded("lr-rewound", 400, [8.0, 8.1, 8.2], round_=6)]
    better += [seeded("pruned-scratch", 400, [6.0, 6.1, 6.2], round_=6)]
    said = tables.conclude(
        tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks, *better), 1.0)
    )
    assert said.startswith("**By Scratch-E, sometimes one, sometimes the other: the shape in 1 and the")
    # a budget that decides nothing does not make that depend on the budget
    wide = seeded("scratch-b", 200, [4.0, 8.0, 12.0], round_=8)
    both = together(seeded("whole", 1000, [9.0], ""), *networks, *better, wide)
    assert tables.conclude(tables.verdicts(both, 1.0)).startswith(
        "**By Scratch-E, sometimes one, sometimes the other: the shape in 1 and the weights in 1 of 2 cases. "
        "By Scratch-B, 3 seeds cannot tell.**"
    )


def test_the_answer_leaves_out_no_case_that_is_equal_or_decided_both_ways():
    errors = {  # of the tuned network and the shape, by size and length
        (200, 1.0): (10.0, 8.0),
        (400, 1.0): (10.0, 12.0),
        (400, 2.0): (10.0, 8.0),
        (600, 1.0): (10.0, 10.0),
    }
    networks = [
        seeded(curve, size, [mean - 0.1, mean, mean + 0.1], round_=size // 50, longer=longer)
        for (size, longer), means in errors.items()
        for curve, mean in zip(("pruned-tuned", "pruned-scratch"), means, strict=True)
    ]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(
        "**By Scratch-E, the shape is better in 1 of 3 cases; the verdict changes with the length of "
        "training in 1 of 3 cases; the two are equal to within 1.0 points in 1 of 3 cases.**"
    )


def test_a_case_that_one_length_alone_decides_is_not_dropped_from_the_answer():
    errors = {(200, 1.0): 0.1, (400, 1.0): 0.1, (400, 2.0): 4.0}  # the spread over seeds by size and length
    networks = [
        seeded(curve, size, [mean - apart, mean, mean + apart], round_=size // 50, longer=longer)
        for (size, longer), apart in errors.items()
        for curve, mean in (("pruned-tuned", 10.0), ("pruned-scratch", 12.0))
    ]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith(
        "**By Scratch-E, the shape is worse in 1 of 2 cases; in 1 of 2 cases the shape is worse at the usual "
        "length of training, and nothing is decided when trained twice as long.**"
    )


def test_without_an_interval_a_difference_is_within_the_seeds_that_both_have():
    """One seed of a family, two of the pruned shape: the second seed says nothing about their difference."""
    networks = [
        seeded("pruned-tuned", 200, [11.0, 21.0], round_=8),
        seeded("pruned-scratch", 200, [10.0, 20.0], round_=8),
        seeded("width", 200, [13.0], ""),
    ]
    actual = tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0)
    assert row(actual, "width", "pruned-scratch", 0.2)["difference"] == pytest.approx(3.0)


def test_a_tie_is_not_the_lower_mean():
    """Scratch-E ties with the rewound network and Scratch-B is worse: no budget makes the shape better."""
    means = {"lr-rewound": 10.0, "pruned-scratch": 10.0, "scratch-b": 12.0}
    networks = [seeded(curve, 200, [mean], ratio=0.5) for curve, mean in means.items()]
    said = tables.conclude(tables.verdicts(together(seeded("whole", 1000, [9.0], ""), *networks), 1.0))
    assert said.startswith("**Not decided: 1 seed cannot tell.**")


def test_the_verdicts_as_a_table_to_read():
    tuned = seeded("pruned-tuned", 200, [10.0, 10.1, 10.2], round_=8)
    scratch = seeded("pruned-scratch", 200, [12.0, 12.1, 12.2], round_=8)
    verdicts = tables.verdicts(together(seeded("whole", 1000, [9.0], ""), tuned, scratch), 1.0)
    table = tables.verdict_table(verdicts)
    row = table.loc[("Scratch-E", "pruned, tuned each round", "20 %")]
    assert row.tolist() == ["worse", "worse", "+2.0", "+1.8 to +2.2", "", "3"]
    for older in (
        verdicts.drop(columns="verdict_other_images"),
        verdicts.assign(verdict_other_images=np.nan),
    ):
        pd.testing.assert_frame_equal(tables.verdict_table(older), table)  # as files have it
    assert tables.verdict_table(verdicts[:0]).empty


def test_counts_percents_and_signs():
    assert [tables.count(n, "seed") for n in (0, 1, 2, 1200)] == [
        "0 seeds",
        "1 seed",
        "2 seeds",
        "1,200 seeds",
    ]
    assert [tables.percent(share) for share in (0.124, 1)] == ["12 %", "100 %"]
    assert [tables.signed(points) for points in (1.25, -0.4, 0.04)] == ["+1.2", "−0.4", "0.0"]


def test_what_is_worth_timing_is_what_was_trained_and_some_of_the_rounds_that_were_measured(study):
    study.loc[study["round"].isin([3, 6]) & (study["curve"] == "pruned-tuned"), "test_error"] = math.nan
    timed = study[tables.worth_timing(study, 3)]
    rounds = timed.loc[timed["curve"] == "pruned-tuned", "round"]
    assert rounds.tolist() == [0, 2, 5, 8]  # every second of those measured
    every = study[tables.worth_timing(study)]
    assert every.loc[every["curve"] == "pruned-tuned", "round"].tolist() == [0, 1, 2, 4, 5, 7, 8, 9]
    assert (timed["curve"] != "pruned-tuned").sum() == 5


def test_networks_from_scratch_are_those_that_kept_no_weights():
    names = ["whole", "pruned-tuned", "lr-rewound", "pruned-scratch", "sparse-fine-tuned", "width"]
    left = tables.trained_from_scratch(pd.DataFrame({"curve": names}))
    assert left["curve"].tolist() == ["whole", "pruned-scratch", "width"]


def test_compressed_networks_count_the_tuning_that_they_start_from():
    """All their training but the whole network's, over the whole network's."""
    results = runs.collect(Path(__file__).parents[1] / "outputs" / "reference" / "rethinking-quick-vgg")
    compressed = results[(results["curve"] == "sparse-compressed") & (results["ratio"] == 0.5)]
    whole = results[results["curve"] == "whole"]
    expected = compressed["train_macs"].mean() / whole["train_macs"].mean() - 1
    shown = tables.error_by_budget(results).loc[("magnitude", 0.5), "pruned, compressed"]
    assert shown.endswith(f" ({expected:.2f})")
