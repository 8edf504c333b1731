"""Inference from a few seeds: confidence intervals of a mean, tests, and verdicts.

All intervals are Student's, because studies have three or five seeds: at three, the percentile bootstrap
(seaborn's default) covers the true mean in only three out of four cases, not in 95 % of them. Two seeds have
no interval at all: it would extend nine standard deviations to each side.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from horticulture.errors import InputError

Values = Sequence[float] | np.ndarray

LEVEL = 0.95  # of every interval that is drawn, and of every verdict
FEWEST = 3  # values that have an interval
POWER = 0.8  # of a test, when seeds are planned

BETTER, WORSE, EQUAL, UNDECIDED = "better", "worse", "equal", "not enough seeds to tell"
VERDICTS = (BETTER, EQUAL, WORSE, UNDECIDED)


class Interval(NamedTuple):
    """A mean of `n` values and its confidence interval, in the unit of the values.

    low and high are NaN for fewer than `FEWEST` values.
    """

    mean: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """The mean of one side minus that of the other, with its interval, in the unit of the values.

    n: number of pairs, or of values on the smaller side; error: standard error of the difference; df: its
    degrees of freedom. low, high, `p` and `p_equal` are NaN for fewer than `FEWEST` values on a side.
    """

    mean: float
    low: float
    high: float
    n: int
    error: float
    df: float

    @property
    def p(self) -> float:
        """Two-sided p-value for the hypothesis that there is no difference."""
        return min(1.0, 2 * self._beyond(abs(self.mean))) if self.n >= FEWEST else math.nan

    def p_equal(self, margin: float) -> float:
        """p-value for a difference of at least the margin: the larger of Schuirmann's two one-sided tests."""
        return self._beyond(_positive(margin) - abs(self.mean)) if self.n >= FEWEST else math.nan

    def with_error(self, error: float, df: float) -> "Difference":
        """The same difference with one more source of error, whose variance is added.

        error: its standard error, in the unit of the difference; df: the degrees of freedom that this was
        estimated with. The sum has the smaller of both: by Satterthwaite's, an error that is well known could
        make the interval narrower. Without an interval, the difference stays as it is.
        """
        if self.n < FEWEST:
            return self
        return _difference(self.mean, self.n, math.hypot(self.error, error), min(self.df, df))

    def _beyond(self, distance: float) -> float:
        if self.error == 0:  # all values are equal: certain, unless the distance is zero as well
            return 0.5 if distance == 0 else float(distance < 0)
        from scipy import stats  # takes a second, so import it only when needed

        return float(stats.t.sf(distance / self.error, self.df))


def confidence_interval(values: Values, level: float = LEVEL) -> Interval:
    """Student's interval of the mean. Raises InputError without values, or if one is not finite."""
    array = _finite(values)
    n = array.size
    half = math.nan
    if n >= FEWEST:
        half = _quantile(level, n - 1) * float(array.std(ddof=1)) / math.sqrt(n)
    mean = float(array.mean())
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Values, b: Values) -> Difference:
    """The mean of `a - b`, pair by pair: what two networks of the same seed share cancels out.

    Raises InputError if the numbers of values differ, or without values, or if one is not finite.
    """
    if len(a) != len(b):
        raise InputError(f"pairs need as many values on both sides, not {len(a)} and {len(b)}")
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    mean, low, high, n = confidence_interval(difference)
    error = float(difference.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Difference(mean, low, high, n, error, n - 1)


def welch_difference(a: Values, b: Values) -> Difference:
    """The mean of `a` minus that of `b`: independent samples with unequal variances (Welch, 1947).

    df is Satterthwaite's. Raises InputError if a side has no values, or one that is not finite.
    """
    first, second = _finite(a), _finite(b)
    n, mean = min(first.size, second.size), float(first.mean() - second.mean())
    if n < 2:
        return Difference(mean, math.nan, math.nan, n, math.nan, math.nan)
    parts = [(float(side.var(ddof=1)) / side.size, side.size - 1) for side in (first, second)]
    error = math.sqrt(sum(square for square, _ in parts))
    df = error**4 / sum(square**2 / own_df for square, own_df in parts) if error else float(2 * n - 2)
    return _difference(mean, n, error, df)


def _difference(mean: float, n: int, error: float, df: float) -> Difference:
    half = _quantile(LEVEL, df) * error if n >= FEWEST else math.nan
    return Difference(mean, mean - half, mean + half, n, error, df)


# --- verdicts ----------------------------------------------------------------------------------------------


def equivalence_verdict(difference: Interval | Difference, margin: float) -> str:
    """The verdict on a difference in error (negative is better), one of `VERDICTS`.

    "equal" if the whole interval lies between -margin and +margin (Schuirmann's two one-sided tests). This
    comes first: a difference that is real but certainly smaller than the margin is equal in practice.
    Otherwise "better" or "worse" if the interval lies on one side of zero. Otherwise, or with fewer than
    `FEWEST` values, the seeds are too few to tell.

    All of this uses the 95 % interval that is drawn. A difference is thus declared at the usual level of 5 %,
    and equality at 2.5 %: stricter than the customary 5 %, which corresponds to a 90 % interval.
    Raises InputError if the margin is not positive.
    """
    _positive(margin)
    if difference.n < FEWEST:
        return UNDECIDED
    if -margin < difference.low and difference.high < margin:
        return EQUAL
    if difference.high < 0:
        return BETTER
    return WORSE if difference.low > 0 else UNDECIDED


def holm(p: Sequence[float]) -> list[float]:
    """P-values of a family of tests, adjusted to control the family-wise error rate (Holm, 1979).

    Of n p-values the smallest is multiplied by n, the next by n - 1 and so on; an adjusted value is never
    below the one before it, nor above 1. A test that could not be made (NaN) stays NaN and does not count.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # NaN comes last
    adjusted = np.full(values.shape, math.nan)
    times_left = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(times_left))
    return adjusted.tolist()


def holm_verdicts(differences: Sequence[Difference], margin: float) -> list[str]:
    """The verdicts of `equivalence_verdict` for a family of tests, adjusted for multiple comparisons.

    Holm's adjustment is applied to the two-sided p-values for differences, and to the larger of the two
    one-sided p-values for equalities, with half the error rate as in `equivalence_verdict`. For a single test
    the result is that of `equivalence_verdict`.
    """
    different = holm([difference.p for difference in differences])
    equal = holm([difference.p_equal(margin) for difference in differences])
    verdicts = []
    for difference, p, p_equal in zip(differences, different, equal, strict=True):
        if p_equal < (1 - LEVEL) / 2:
            verdicts.append(EQUAL)
        elif p < 1 - LEVEL:
            verdicts.append(BETTER if difference.mean < 0 else WORSE)
        else:
            verdicts.append(UNDECIDED)
    return verdicts


def seeds_needed(std: float, margin: float, level: float = LEVEL, *, other_std: float = 0.0) -> int:
    """About how many seeds it takes to detect a difference of `margin` with a power of `POWER`.

    std: standard deviation of the paired differences, or of one side's values; other_std: that of the other
    side's, if the sides are independent. An estimate, because the standard deviation is one itself. For the
    interval to exclude zero, the difference must be (t(level) + t(power)) standard errors.
    Never below `FEWEST`. Raises InputError if the margin is not positive or a standard deviation negative.
    """
    if not (margin > 0 and std >= 0 and other_std >= 0):
        stated = f"not {margin}, {std} and {other_std}"
        raise InputError(f"a margin must be positive and standard deviations not negative, {stated}")
    from scipy import stats  # takes a second, so import it only when needed

    variance = std**2 + other_std**2

    def detectable(n: int) -> float:
        df = (n - 1) * variance**2 / (std**4 + other_std**4) if variance else n - 1
        return (_quantile(level, df) + float(stats.t.ppf(POWER, df))) * math.sqrt(variance / n)

    normal = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(POWER)
    n = max(FEWEST, math.ceil(variance * (normal / margin) ** 2))  # at least: Student has heavier tails
    while detectable(n) > margin:
        n += 1
    return n


# --- the test set ------------------------------------------------------------------------------------------


def clustered_difference(
    wrong_a: Values, wrong_b: Values, original: Sequence | np.ndarray
) -> tuple[float, float]:
    """The difference of two error rates on one test set, and its standard error, in points.

    wrong_a, wrong_b: (n,) whether the network got each image wrong, or the share of several networks that
    did. original: (n,) the picture that each image was drawn from; images of one original are not
    independent, so the variance is estimated from the sums over each original (Liang & Zeger, 1986, with the
    factor k / (k - 1) for k originals). Raises InputError if the lengths differ, or with fewer than two
    originals.
    """
    a, b, original = np.asarray(wrong_a, dtype=float), np.asarray(wrong_b, dtype=float), np.asarray(original)
    if not a.shape == b.shape == original.shape:
        raise InputError(
            f"both networks answer the same images, not {a.size} and {b.size} of {original.size}"
        )
    number = np.unique(original, return_inverse=True)[1]
    if number.size == 0 or number.max() < 1:
        raise InputError("a standard error over originals needs two originals or more")
    difference = a - b
    mean = float(difference.mean())
    sums = np.bincount(number, weights=difference - mean)
    k = sums.size
    error = math.sqrt(k / (k - 1) * float((sums**2).sum())) / difference.size
    return 100 * mean, 100 * error


# --- shared helpers ----------------------------------------------------------------------------------------


def _finite(values: Values) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"an interval needs one finite value or more, not {array.tolist()}")
    return array


def _positive(margin: float) -> float:
    if not margin > 0:
        raise InputError(f"a margin must be positive, in the unit of the difference, not {margin}")
    return margin


def _quantile(level: float, df: float) -> float:
    from scipy import stats  # takes a second, so import it only when needed

    return float(stats.t.ppf((1 + level) / 2, df))
