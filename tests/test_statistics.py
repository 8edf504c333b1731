"""A few seeds say so much, and no more."""

import math

import numpy as np
import pytest
from scipy import stats

from horticulture.analysis import statistics
from horticulture.analysis.statistics import Interval
from horticulture.errors import InputError


def test_an_interval_by_hand():
    # mean 2, standard deviation 1, and 4.303 is what tables give for 95 % and two degrees of freedom
    actual = statistics.confidence_interval([1, 2, 3])
    assert actual.mean == 2
    assert actual.high - actual.mean == pytest.approx(4.303 / math.sqrt(3), rel=1e-4)
    assert actual.mean - actual.low == pytest.approx(actual.high - actual.mean)
    assert actual.n == 3
    ninety = statistics.confidence_interval([1, 2, 3], level=0.9)
    assert ninety.high == pytest.approx(2 + 2.920 / math.sqrt(3), rel=1e-4)


@pytest.mark.parametrize("values", [[7.5], [7.0, 8.0]])
def test_one_value_or_two_have_a_mean_and_no_interval(values):
    actual = statistics.confidence_interval(values)
    assert (actual.mean, actual.n) == (7.5, len(values))
    assert math.isnan(actual.low)
    assert math.isnan(actual.high)


def test_equal_values_leave_no_doubt_rather_than_no_number():
    assert statistics.confidence_interval([4.0, 4.0, 4.0]) == Interval(4, 4, 4, 3)
    apart = statistics.paired_difference([5.0, 6.0, 7.0], [4.0, 5.0, 6.0])
    assert (apart.mean, apart.error, apart.p) == (1, 0, 0)
    assert (apart.p_equal(0.5), apart.p_equal(2)) == (1, 0)
    assert statistics.paired_difference([5.0, 6.0, 7.0], [5.0, 6.0, 7.0]).p == 1


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_that_have_no_mean_are_refused(values):
    with pytest.raises(InputError, match="finite"):
        statistics.confidence_interval(values)


def test_pairs_cancel_what_a_seed_does_to_both():
    a, b = [11.0, 21.0, 32.0], [10.0, 20.0, 30.0]
    actual = statistics.paired_difference(a, b)
    assert actual[:4] == statistics.confidence_interval([1, 1, 2])
    assert actual.low > -0.2  # apart, the seeds drown the difference
    assert statistics.confidence_interval(a).low < statistics.confidence_interval(b).high
    with pytest.raises(InputError, match="2 and 3"):
        statistics.paired_difference([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-3.0, -0.1, "better"),
        (0.1, 3.0, "worse"),
        (-0.9, 0.9, "equal"),
        (-0.9, -0.1, "equal"),  # surely better, and surely by less than matters
        (0.1, 0.9, "equal"),
        (-1.1, -0.9, "better"),
        (-1.1, 0.5, "not enough seeds to tell"),
        (-2.0, 2.0, "not enough seeds to tell"),
        (-1.0, 1.0, "not enough seeds to tell"),  # within, not on the edge
        (0.0, 2.0, "not enough seeds to tell"),
    ],
)
def test_a_verdict_is_read_off_the_interval(low, high, verdict):
    assert statistics.equivalence_verdict(Interval((low + high) / 2, low, high, 3), margin=1.0) == verdict
    assert verdict in statistics.VERDICTS


def test_one_seed_or_two_carry_no_verdict():
    assert (
        statistics.equivalence_verdict(statistics.confidence_interval([-50]), margin=1.0)
        == "not enough seeds to tell"
    )
    two = statistics.paired_difference(
        [1.0, 1.1], [9.0, 9.2]
    )  # eight points apart, and nobody knows how surely
    assert statistics.equivalence_verdict(two, margin=1.0) == "not enough seeds to tell"
    assert statistics.equivalence_verdict(Interval(0, 0, 0, 2), margin=1.0) == "not enough seeds to tell"
    assert statistics.equivalence_verdict(Interval(0, 0, 0, 1), margin=1.0) == "not enough seeds to tell"


@pytest.mark.parametrize("margin", [0, -1.0, math.nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(InputError, match="margin"):
        statistics.equivalence_verdict(Interval(0, -1, 1, 3), margin)
    with pytest.raises(InputError, match="margin"):
        statistics.seeds_needed(1.0, margin)


def test_how_many_seeds_it_takes():
    # from tables: (2.306 + 0.889) / sqrt(9) = 1.065, (2.262 + 0.883) / sqrt(10) = 0.995
    assert statistics.seeds_needed(std=1, margin=1) == 10
    assert statistics.seeds_needed(std=1, margin=1.07) == 9
    assert statistics.seeds_needed(std=0, margin=1) == 3  # two never tell
    assert statistics.seeds_needed(std=0.2, margin=0.1) == 34  # (2.035 + 0.853) / sqrt(34) = 0.495
    assert statistics.seeds_needed(std=10, margin=0.001) == pytest.approx((2.8016 * 10_000) ** 2, rel=1e-4)


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_as_many_seeds_tell_in_four_studies_of_five(spread):
    draw, n = np.random.default_rng(0), statistics.seeds_needed(spread, 1.5, other_std=1.0)
    differences = [
        statistics.welch_difference(draw.normal(1.5, spread, n), draw.normal(0.0, 1.0, n))
        for _ in range(1000)
    ]
    assert np.mean([difference.low > 0 for difference in differences]) == pytest.approx(0.8, abs=0.05)


def test_three_seeds_are_too_few_for_a_bootstrap():
    """Of many studies with three seeds: how many intervals hold the true mean, which is 0 here?"""
    draw = np.random.default_rng(0)
    studies = draw.normal(size=(4_000, 3))
    student = [statistics.confidence_interval(study) for study in studies]
    assert np.mean([one.low < 0 < one.high for one in student]) == pytest.approx(0.95, abs=0.012)
    again = draw.integers(3, size=(1_000, 3))  # resamples, as seaborn draws them
    means = studies[:, again].mean(axis=2)
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    assert np.mean((low < 0) & (high > 0)) == pytest.approx(0.75, abs=0.025)


# --- p-values ----------------------------------------------------------------------------------------------


def test_a_paired_p_value_is_that_of_students_test():
    a, b = [11.0, 21.0, 32.0, 40.0], [10.5, 20.0, 30.0, 41.0]
    actual = statistics.paired_difference(a, b)
    assert actual.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    # mean 4 / 3, standard error 1 / 3: t = 4, and with two degrees of freedom p = 1 - t / sqrt(t^2 + 2)
    assert statistics.paired_difference([1, 1, 2], [0, 0, 0]).p == pytest.approx(1 - 4 / math.sqrt(18))


def test_welch_by_hand_and_by_scipy():
    a, b = [10.0, 12.0, 14.0], [9.0, 9.5, 10.0, 10.5]
    actual = statistics.welch_difference(a, b)
    # variances 4 and 5 / 12, so squared errors 4 / 3 and 5 / 48
    error = math.sqrt(4 / 3 + 5 / 48)
    df = (4 / 3 + 5 / 48) ** 2 / ((4 / 3) ** 2 / 2 + (5 / 48) ** 2 / 3)
    assert (actual.mean, actual.n) == (2.25, 3)
    assert (actual.error, actual.df) == (pytest.approx(error), pytest.approx(df))
    other = stats.ttest_ind(a, b, equal_var=False)
    assert actual.p == pytest.approx(other.pvalue)
    assert actual[1:3] == pytest.approx(tuple(other.confidence_interval(0.95)))
    assert statistics.welch_difference([1.0, 1, 1], [1.0, 1, 1]).p == 1


def test_the_error_of_the_test_images_is_added_to_that_of_the_seeds_by_hand():
    seeds = statistics.paired_difference([1, 2, 3], [0, 0, 0])  # mean 2, squared error 1 / 3, two degrees
    both = seeds.with_error(1.0, df=9)
    assert (both.mean, both.n, both.df) == (2, 3, 2)
    assert both.error == pytest.approx(math.sqrt(4 / 3))
    half = stats.t.ppf(0.975, 2) * math.sqrt(4 / 3)
    assert (both.low, both.high) == (pytest.approx(2 - half), pytest.approx(2 + half))
    assert seeds.with_error(0.1, df=1).df == 1
    nothing = seeds.with_error(0.0, df=9)
    assert nothing[1:] == pytest.approx(seeds[1:])
    assert math.isnan(seeds.with_error(math.nan, math.nan).low)


def test_two_seeds_have_no_p_value():
    for found in (
        statistics.paired_difference([1, 2], [3, 5]),
        statistics.welch_difference([1, 2], [3, 5, 4]),
        statistics.welch_difference([1], [3]),
    ):
        assert found.mean < 0
        assert all(math.isnan(x) for x in (found.low, found.high, found.p, found.p_equal(1.0)))


def test_interval_and_p_values_tell_the_same():
    draw = np.random.default_rng(0)
    for n in (3, 5):
        for shift in (0.0, 0.5, 2.0):
            a, b = draw.normal(shift, 0.3, n), draw.normal(0, 0.5, n)
            for one in (statistics.paired_difference(a, b), statistics.welch_difference(a, b)):
                assert statistics.holm_verdicts([one], margin=1.0) == [
                    statistics.equivalence_verdict(one, 1.0)
                ]
                assert (one.p < 0.05) == (one.low > 0 or one.high < 0)
                assert (one.p_equal(1.0) < 0.025) == (one.low > -1 and one.high < 1)


def test_holm_by_hand():
    # in order 0.01 0.02 0.03 0.04: times 4, 3, 2, 1 is 0.04 0.06 0.06 0.04, and none below one before it
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.3, 0.6]) == pytest.approx([0.6, 0.6])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([0.02]) == [0.02]
    assert statistics.holm([]) == []


def test_a_test_that_could_not_be_made_does_not_count():
    adjusted = statistics.holm([math.nan, 0.01, 0.04])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.02, 0.04])


def test_many_cases_take_more_than_one():
    """Each alone is better at 5 %; of ten, none is any more."""
    clear = statistics.paired_difference([9.0, 9.0, 8.0, 9.0], [10, 10, 10, 10])
    assert statistics.equivalence_verdict(clear, margin=1.0) == "better"
    assert statistics.holm_verdicts([clear] * 2, margin=1.0) == ["better"] * 2
    assert statistics.holm_verdicts([clear] * 10, margin=1.0) == ["not enough seeds to tell"] * 10
    equal = statistics.paired_difference([0.1, -0.1, 0.2, 0.0], [0, 0, 0, 0])
    assert statistics.holm_verdicts([clear, equal], margin=1.0)[1] == "equal"
    spread = statistics.paired_difference([0.9, -0.5, 0.2, 0.0], [0, 0, 0, 0])
    assert statistics.equivalence_verdict(spread, 1.2) == "equal"
    assert statistics.holm_verdicts([spread] * 10, margin=1.2) == ["not enough seeds to tell"] * 10


def test_null_studies_are_seldom_told_apart():
    """Of families of ten true nulls, one in twenty holds a wrong verdict; each for itself, four in ten."""
    draw = np.random.default_rng(1)
    wrong = alone = 0
    for _ in range(400):
        tests = [statistics.welch_difference(draw.normal(size=4), draw.normal(size=4)) for _ in range(10)]
        wrong += any(p < 0.05 for p in statistics.holm([test.p for test in tests]))
        alone += any(test.p < 0.05 for test in tests)
    assert wrong / 400 < 0.08
    assert alone / 400 > 0.25


def test_how_many_seeds_two_sides_take():
    # equal spreads of 1, t(2 n - 2): from tables (2.086 + 0.860) sqrt(2 / 11) = 1.256 and, with 10, 1.326
    assert statistics.seeds_needed(1, margin=1.29, other_std=1) == 11
    assert statistics.seeds_needed(1, margin=1.0, other_std=1) == 17
    assert statistics.seeds_needed(0, margin=1.0, other_std=0) == 3
    # no doubt on one side
    assert statistics.seeds_needed(0, margin=1.0, other_std=1) == statistics.seeds_needed(1, margin=1.0)
    with pytest.raises(InputError, match="standard deviation"):
        statistics.seeds_needed(1, 1.0, other_std=-1)


# --- the test set ------------------------------------------------------------------------------------------


def test_a_clustered_error_by_hand():
    # differences 1 1 | 0 0 | -1 0: mean 1 / 6; sums less means 10/6, -2/6, -8/6
    a, b, original = [1, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1], [7, 7, 2, 2, 5, 5]
    difference, error = statistics.clustered_difference(a, b, original)
    assert difference == pytest.approx(100 / 6)
    assert error == pytest.approx(100 * math.sqrt(3 / 2 * (100 + 4 + 64) / 36) / 6)


def test_images_of_their_own_have_the_ordinary_error():
    draw = np.random.default_rng(0)
    a, b = draw.random(500) < 0.3, draw.random(500) < 0.2
    apart = a.astype(float) - b
    error = statistics.clustered_difference(a, b, np.arange(500))[1]
    assert error == pytest.approx(100 * apart.std(ddof=1) / math.sqrt(500))


def test_the_clustered_error_is_that_of_the_bootstrap():
    """Digits that are hard for one network, drawn ten times each: the images alone would promise too much."""
    draw = np.random.default_rng(0)
    original = np.repeat(np.arange(150), draw.integers(4, 17, 150))
    draw.shuffle(original)
    hard = draw.beta(0.3, 1.5, 150)[original]
    a, b = draw.random(original.size) < hard, draw.random(original.size) < 0.12
    difference, error = statistics.clustered_difference(a, b, original)
    assert difference == pytest.approx(100 * (a.mean() - b.mean()))
    sums, counts = np.bincount(original, weights=a.astype(float) - b), np.bincount(original)
    drawn = np.random.default_rng(1).integers(150, size=(4000, 150))  # originals, with all their images
    rates = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    assert error == pytest.approx(100 * rates.std(ddof=1), rel=0.06)
    alone = statistics.clustered_difference(a, b, np.arange(original.size))[1]
    assert error > 1.5 * alone


def test_answers_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="2 and 3 of 3"):
        statistics.clustered_difference([1, 0], [1, 0, 1], [0, 1, 2])
    with pytest.raises(InputError, match="two originals"):
        statistics.clustered_difference([1, 0], [1, 0], [4, 4])
