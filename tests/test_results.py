"""What is said of the results, on frames small enough to work by hand."""

import math

import pandas as pd
import pytest

from horticulture import results
from horticulture.errors import BadInput


def frame(rows):
    columns = ["curve", "criterion", "seed", "round", "params", "test_error"]
    return pd.DataFrame(rows, columns=columns).assign(ratio=math.nan)  # one channel went a round


@pytest.fixture
def study():
    """A whole network of 1,000 parameters, ten rounds of 100 each, and two shapes trained from scratch."""
    rows = [("whole", "", 0, None, 1000, 10.0)]
    rows += [("pruned-tuned", "fisher", 0, r, 1000 - 100 * r, 10.0 + r) for r in range(10)]
    rows += [("pruned-scratch", "fisher", 0, 8, 200, 12.0), ("pruned-scratch", "fisher", 0, 5, 500, 11.0)]
    rows += [("width", "", 0, None, 202, 14.0), ("width", "", 0, None, 499, 13.0)]
    return frame(rows)


def test_table_has_a_row_a_curve_and_a_column_a_size(study):
    table = results.table(study)
    assert list(table.columns) == ["20 %", "50 %", "100 %"]
    assert set(table.index) == {"whole", "pruned-tuned fisher", "pruned-scratch fisher", "width"}
    assert table.loc["width", "20 %"] == 14.0
    assert table.loc["pruned-tuned fisher", "50 %"] == 15.0  # only round 5 is within 3 % of that size
    assert table.loc["whole", "100 %"] == 10.0
    assert pd.isna(table.loc["whole", "20 %"])


def test_comparison_pairs_the_same_shape_and_takes_five_rounds(study):
    pairs = results.compare(study).set_index("params")
    assert pairs.loc[500, "tuned"] == pytest.approx((13 + 14 + 15 + 16 + 17) / 5)
    assert pairs.loc[200, "tuned"] == pytest.approx((16 + 17 + 18 + 19) / 4)  # there is no round 10
    assert pairs.loc[200, "scratch"] == 12.0


def test_verdict_says_what_the_numbers_say_and_no_more(study):
    said = results.verdict(study)
    assert "Below a third" in said
    assert "beat" in said
    assert "1 of 1" in said
    assert "5.5 points lower" in said  # 17.5 - 12
    assert "One seed" in said


def test_verdict_turns_round_with_the_numbers(study):
    study.loc[study["curve"] == "pruned-scratch", "test_error"] = 30.0
    said = results.verdict(study)
    assert "0 of 1" in said
    assert "12.5 points higher" in said


def test_verdict_without_a_scratch_curve_claims_nothing(study):
    assert "nothing to compare" in results.verdict(study[study["curve"] == "pruned-tuned"])


# --- what was pruned by a ratio ---------------------------------------------------------------------------


@pytest.fixture
def shared():
    """Half of the channels, and half of the weights, gone at one stroke: tuned and from scratch."""
    rows = [("pruned-tuned", "l1", seed, 1, 500, 40.0) for seed in (0, 1)]
    rows += [("pruned-scratch", "l1", 0, 1, 500, 9.0), ("pruned-scratch", "l1", 1, 1, 500, 11.0)]
    rows += [("fine-tuned", "l1", 0, 1, 500, 12.0), ("fine-tuned", "l1", 1, 1, 500, 14.0)]
    rows += [("sparse-fine-tuned", "magnitude", 0, 1, 500, 8.0)]
    return frame(rows).assign(ratio=0.5)


def test_pruning_by_ratio_does_not_enter_the_table_by_rounds(study, shared):
    both = pd.concat([study, shared], ignore_index=True)
    pd.testing.assert_frame_equal(results.table(both), results.table(study))
    pd.testing.assert_frame_equal(results.compare(both), results.compare(study))
    assert results.compare(shared).empty


def test_a_table_by_budget_has_means_and_deviations(study, shared):
    table = results.by_budget(pd.concat([study, shared], ignore_index=True))
    assert list(table.columns) == ["pruned-scratch", "fine-tuned"]
    assert table.loc[("l1", 0.5)].tolist() == ["10.0 ± 1.4", "13.0 ± 1.4"]
    assert table.loc[("magnitude", 0.5), "fine-tuned"] == "8.0"
    assert pd.isna(table.loc[("magnitude", 0.5), "pruned-scratch"])


def test_against_size_one_budget_stands_for_all(study, shared):
    sparse = frame([("sparse-pruned-scratch", "magnitude", 0, 1, 500, 9.5)]).assign(ratio=0.5)
    found = results.by_size(pd.concat([study, shared, sparse], ignore_index=True))
    assert found["curve"].value_counts().to_dict() == {
        **study["curve"].value_counts().to_dict(),  # the rounds of a pruning by ratio are no curve
        "pruned-scratch": 2 + 2,
        "sparse-pruned-scratch": 1,
    }
    pd.testing.assert_frame_equal(results.by_size(study), study)


def test_without_any_ratio_there_is_no_table_by_budget(study):
    assert results.by_budget(study).empty


def test_every_conclusion_is_of_what_was_trained(study, shared):
    rounds, *pairs = results.conclusions(pd.concat([study, shared], ignore_index=True), margin=1.0)
    assert rounds == results.verdict(study)
    compared = results.verdicts(pd.concat([study, shared]), margin=1.0)
    assert len(pairs) == len(compared[["curve", "against"]].drop_duplicates()) == 4
    assert len(results.conclusions(shared, margin=1.0)) == 1  # there is no whole network to compare with
    (said,) = results.conclusions(study[study["curve"] == "whole"], margin=1.0)
    assert "nothing to compare" in said


def test_conclusions_of_a_ratio_in_words(shared):
    whole = frame([("whole", "", 0, None, 1000, 9.5), ("whole", "", 1, None, 1000, 11.5)])
    cut = shared[shared["criterion"] == "l1"]
    found = results.conclusions(pd.concat([whole, cut], ignore_index=True), margin=1.0)
    # against the whole -0.5 and +2.5, against fine-tuning -3, each to the digit with both seeds
    assert found == [
        "Trained from scratch for the same epochs, the pruned shapes were better than the fine-tuned ones "
        "in 1 of 1 case, equal within 1.0 points in 0 and worse in 0 (2 seeds a case).",
        "Trained from scratch for the same epochs, the pruned shapes were better than the whole network "
        "in 0 of 1 case, equal within 1.0 points in 1 and worse in 0 (2 seeds a case).",
        "Fine-tuned, the pruned networks were better than the whole network "
        "in 0 of 1 case, equal within 1.0 points in 0 and worse in 1 (2 seeds a case).",
    ]


# --- verdicts over seeds ----------------------------------------------------------------------------------


def seeded(curve, errors, criterion="l1", ratio=0.5):
    return [(criterion, ratio, curve, seed, error) for seed, error in enumerate(errors)]


@pytest.fixture
def retrained():
    """The seeds differ by far more than the curves do, but by the same for all curves."""
    rows = seeded("whole", [10, 20, 30], criterion="", ratio=0.0)
    rows += seeded("fine-tuned", [12, 22, 32]) + seeded("fine-tuned", [15, 25, 35], ratio=0.7)
    rows += seeded("pruned-scratch", [10.0, 20.1, 29.9])  # 2 better, give or take 0.1
    rows += seeded("pruned-scratch", [15.3, 25.2, 35.4], ratio=0.7)  # 0.3 worse, give or take 0.1
    rows += seeded("scratch-b", [9, 27, 30], ratio=0.7)  # -6, 2, -5
    return pd.DataFrame(rows, columns=["criterion", "ratio", "curve", "seed", "test_error"])


def test_verdicts_by_hand(retrained):
    found = results.verdicts(retrained, margin=1.0)
    assert list(found.columns) == results.VERDICT_COLUMNS
    found = found.set_index(["ratio", "curve", "against"])
    one = found.loc[(0.5, "pruned-scratch", "fine-tuned")]
    half = 4.303 * 0.1 / math.sqrt(3)
    assert (one["difference"], one["n"], one["verdict"]) == (pytest.approx(-2), 3, "better")
    assert (one["low"], one["high"]) == (
        pytest.approx(-2 - half, abs=1e-3),
        pytest.approx(-2 + half, abs=1e-3),
    )
    assert (
        found.loc[(0.7, "pruned-scratch", "fine-tuned"), "verdict"] == "equal"
    )  # worse by less than matters
    assert found.loc[(0.7, "scratch-b", "fine-tuned"), "verdict"] == "not enough seeds to tell"
    assert found.loc[(0.7, "pruned-scratch", "whole"), "verdict"] == "worse"
    assert found.loc[(0.5, "pruned-scratch", "whole"), "verdict"] == "equal"
    assert found.loc[(0.5, "fine-tuned", "whole"), "difference"] == 2
    assert len(found) == 3 + 5  # every retraining against fine-tuning, and all against the whole


def test_verdicts_of_pruning_channel_by_channel_pair_the_sizes_in_their_order(study):
    """The second seed's small shape was found a round later: it is the small one all the same."""
    other = frame(
        [("whole", "", 1, None, 1000, 10.0)]
        + [("pruned-tuned", "fisher", 1, r, 1000 - 100 * r, 11.0 + r) for r in range(10)]
        + [("pruned-scratch", "fisher", 1, 9, 100, 13.7), ("pruned-scratch", "fisher", 1, 5, 500, 12.0)]
    )
    both = pd.concat([study, other], ignore_index=True)
    pairs = results.compare(both).set_index(["seed", "params"])["place"].to_dict()
    assert pairs == {(0, 200): 0, (0, 500): 1, (1, 100): 0, (1, 500): 1}
    found = results.verdicts(both, margin=1.0)
    assert set(found["curve"] + " against " + found["against"]) == {"pruned-scratch against pruned-tuned"}
    found = found.set_index("ratio")
    assert set(found.index) == {0.85, 0.5}  # 150 parameters left in the mean, and 500
    small, large = found.loc[0.85], found.loc[0.5]
    assert small["difference"] == pytest.approx(-5.4)  # 12 - 17.5 and 13.7 - (18 + 19 + 20) / 3
    assert small["high"] == pytest.approx(-5.4 + 12.706 * 0.1, abs=1e-3)
    assert (small["n"], small["verdict"]) == (2, "better")
    assert (large["low"], large["high"]) == (pytest.approx(-4), pytest.approx(-4))  # 11 - 15 and 12 - 16
    said = results.conclusions(both, margin=1.0)[-1]
    assert "better than the pruned and tuned networks of their size in 2 of 2 cases" in said


def test_a_shape_whose_pruning_is_not_there_is_compared_with_nothing(study):
    alone = study[study["curve"] != "pruned-tuned"]
    assert results.compare(alone).empty
    assert results.verdicts(alone, margin=1.0).empty


def test_only_tables_that_say_something_are_shown(study, shared):
    by_size, by_budget = results.table(study), results.by_budget(shared)
    for frames, wanted in (
        ([study], [by_size]),
        ([shared], [by_budget]),
        ([study, shared], [by_size, by_budget]),
    ):
        found = results.tables(pd.concat(frames, ignore_index=True))
        assert len(found) == len(wanted)
        for table, other in zip(found, wanted, strict=True):
            pd.testing.assert_frame_equal(table, other)


def test_a_seed_that_one_side_lacks_is_left_out(retrained):
    lacking = retrained.drop(retrained[(retrained["curve"] == "fine-tuned") & (retrained["seed"] == 1)].index)
    found = results.verdicts(lacking, margin=1.0)
    assert set(found.loc[found["curve"] == "fine-tuned", "n"]) == {2}
    assert set(found.loc[found["against"] == "fine-tuned", "n"]) == {2}
    assert set(found.loc[(found["curve"] == "scratch-b") & (found["against"] == "whole"), "n"]) == {3}


def test_one_seed_has_differences_and_no_verdict(retrained):
    found = results.verdicts(retrained[retrained["seed"] == 0], margin=1.0)
    assert len(found) == 8
    assert set(found["verdict"]) == {"not enough seeds to tell"}
    said = results.sentence(found, "pruned-scratch")
    assert said == (
        "Trained from scratch for the same epochs, the pruned shapes were better than the fine-tuned ones "
        "in 0 of 2 cases, "
        "equal within 1.0 points in 0 and worse in 0; in 2 the seeds cannot tell (one seed a case)."
    )


def test_without_a_whole_network_or_a_fine_tuned_one_there_is_less_to_say(retrained):
    assert set(results.verdicts(retrained[retrained["curve"] != "whole"], 1.0)["against"]) == {"fine-tuned"}
    assert set(results.verdicts(retrained[retrained["curve"] != "fine-tuned"], 1.0)["against"]) == {"whole"}
    nothing = results.verdicts(retrained[retrained["curve"] == "whole"], 1.0)
    assert nothing.empty
    assert list(nothing.columns) == results.VERDICT_COLUMNS


def test_a_sentence_counts_the_verdicts(retrained):
    found = results.verdicts(retrained, margin=1.0)
    assert results.sentence(found, "pruned-scratch") == (
        "Trained from scratch for the same epochs, the pruned shapes were better than the fine-tuned ones "
        "in 1 of 2 cases, "
        "equal within 1.0 points in 1 and worse in 0 (3 seeds a case)."
    )
    assert "in 0 of 1 case, " in results.sentence(found, "scratch-b")
    assert "in 1 the seeds cannot tell" in results.sentence(found, "scratch-b")
    assert "were better than the whole network in 0 of 2 cases" in results.sentence(
        found, "fine-tuned", "whole"
    )
    assert "equal within 3.0 points in 2" in results.sentence(
        results.verdicts(retrained, 3.0), "pruned-scratch"
    )


def test_a_sentence_on_nothing_is_refused(retrained):
    found = results.verdicts(retrained, margin=1.0)
    with pytest.raises(BadInput, match=r"guided against fine-tuned: there is .*, scratch-b against whole"):
        results.sentence(found, "guided")
    with pytest.raises(BadInput, match="none at all"):
        results.sentence(found.iloc[:0], "guided")
