"""A few seeds say so much, and no more."""

import math

import numpy as np
import pytest

from horticulture import evidence
from horticulture.errors import BadInput
from horticulture.evidence import Interval


def test_an_interval_by_hand():
    # mean 2, standard deviation 1, and 4.303 is what tables give for 95 % and two degrees of freedom
    found = evidence.interval([1, 2, 3])
    assert found.mean == 2
    assert found.high - found.mean == pytest.approx(4.303 / math.sqrt(3), rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.n == 3
    ninety = evidence.interval([1, 2, 3], level=0.9)
    assert ninety.high == pytest.approx(2 + 2.920 / math.sqrt(3), rel=1e-4)


def test_one_value_says_nothing_of_the_spread():
    assert evidence.interval([7.5]) == Interval(7.5, -math.inf, math.inf, 1)


def test_equal_values_leave_no_doubt_rather_than_no_number():
    assert evidence.interval([4.0, 4.0]) == Interval(4, 4, 4, 2)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_that_have_no_mean_are_refused(values):
    with pytest.raises(BadInput, match="finite"):
        evidence.interval(values)


def test_pairs_cancel_what_a_seed_does_to_both():
    a, b = [11.0, 21.0, 32.0], [10.0, 20.0, 30.0]
    found = evidence.paired(a, b)
    assert found == evidence.interval([1, 1, 2])
    assert found.low > -0.2  # apart, the seeds drown the difference
    assert evidence.interval(a).low < evidence.interval(b).high
    with pytest.raises(BadInput, match="2 and 3"):
        evidence.paired([1, 2], [1, 2, 3])


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
    assert evidence.equivalence(Interval((low + high) / 2, low, high, 3), margin=1.0) == verdict
    assert verdict in evidence.VERDICTS


def test_one_seed_carries_no_verdict():
    assert evidence.equivalence(evidence.interval([-50]), margin=1.0) == "not enough seeds to tell"
    assert evidence.equivalence(Interval(0, 0, 0, 1), margin=1.0) == "not enough seeds to tell"


@pytest.mark.parametrize("margin", [0, -1.0, math.nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(BadInput, match="margin"):
        evidence.equivalence(Interval(0, -1, 1, 3), margin)
    with pytest.raises(BadInput, match="margin"):
        evidence.needed(1.0, margin)


def test_how_many_seeds_it_takes():
    # from tables: 2.776 / sqrt(5) = 1.24, 2.571 / sqrt(6) = 1.05, 2.447 / sqrt(7) = 0.92
    assert evidence.needed(spread=1, margin=1) == 7
    assert evidence.needed(spread=1, margin=1.1) == 6
    assert evidence.needed(spread=0, margin=1) == 2
    assert evidence.needed(spread=0.2, margin=0.1) == 18  # 2.110 / sqrt(18) = 0.497, 2.120 / sqrt(17) = 0.514
    assert evidence.needed(spread=10, margin=0.001) == pytest.approx((1.96 * 10_000) ** 2, rel=1e-4)


def test_three_seeds_are_too_few_for_a_bootstrap():
    """Of many studies with three seeds: how many intervals hold the true mean, which is 0 here?"""
    draw = np.random.default_rng(0)
    studies = draw.normal(size=(4_000, 3))
    student = [evidence.interval(study) for study in studies]
    assert np.mean([one.low < 0 < one.high for one in student]) == pytest.approx(0.95, abs=0.012)
    again = draw.integers(3, size=(1_000, 3))  # resamples, as seaborn draws them
    means = studies[:, again].mean(axis=2)
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    assert np.mean((low < 0) & (high > 0)) == pytest.approx(0.75, abs=0.025)
