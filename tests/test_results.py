"""What is said of the results, on frames small enough to work by hand."""

import pandas as pd
import pytest

from horticulture import results


def frame(rows):
    columns = ["curve", "criterion", "seed", "round", "params", "test_error"]
    return pd.DataFrame(rows, columns=columns)


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
