"""How much a few seeds can say: intervals of a mean, and verdicts no stronger than they are.

All intervals are Student's, because studies have three or five seeds: at three, the percentile bootstrap
(the default of seaborn) covers the true mean in three cases of four only, not in 95 % of them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from horticulture.errors import BadInput

Values = Sequence[float] | np.ndarray

LEVEL = 0.95  # of every interval that is drawn, and of every verdict

BETTER, WORSE, EQUAL, UNDECIDED = "better", "worse", "equal", "not enough seeds to tell"
VERDICTS = (BETTER, EQUAL, WORSE, UNDECIDED)


class Interval(NamedTuple):
    """A mean over `n` values and the confidence interval round it, in the unit of the values."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Values, level: float = LEVEL) -> Interval:
    """Student's interval of the mean; infinitely wide for a single value.

    Raises BadInput if there is no value, or one that is not finite.
    """
    found = np.asarray(values, dtype=float)
    if found.size == 0 or not np.isfinite(found).all():
        raise BadInput(f"an interval needs one finite value or more, not {found.tolist()}")
    mean, n = float(found.mean()), found.size
    half = _half(float(found.std(ddof=1)), n, level) if n > 1 else math.inf
    return Interval(mean, mean - half, mean + half, n)


def paired(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = LEVEL
) -> Interval:
    """The interval of the mean of `a - b`, pair by pair: what two networks of one seed share drops out.

    Raises BadInput if there are not as many of one as of the other.
    """
    if len(a) != len(b):
        raise BadInput(f"pairs need as many values on both sides, not {len(a)} and {len(b)}")
    return interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), level)


def equivalence(difference: Interval, margin: float) -> str:
    """The verdict on a difference in error (negative is better), one of `VERDICTS`.

    "equal" if the whole interval lies within the margin on both sides (Schuirmann's two one-sided
    tests). This comes first: a difference surely there but surely smaller than what matters is equal for
    every use. Else "better" or "worse" if the interval lies on one side of zero; else nobody can tell.

    One interval of 95 % decides all of it, the one that is drawn. A difference is thus declared at the
    usual 5 %, and equality at 2.5 %: stricter than the customary 5 %, for which a 90 % interval would do.
    Raises BadInput if the margin is not positive.
    """
    if not margin > 0:
        raise BadInput(f"a margin must be positive, in the unit of the difference, not {margin}")
    if difference.n < 2:
        return UNDECIDED
    if -margin < difference.low and difference.high < margin:
        return EQUAL
    if difference.high < 0:
        return BETTER
    return WORSE if difference.low > 0 else UNDECIDED


def needed(spread: float, margin: float, level: float = LEVEL) -> int:
    """About how many seeds it takes to tell: until half the interval is no wider than the margin.

    spread: standard deviation of the (paired) values. Roughly, because another sample has another spread,
    and a difference that lies near the margin itself takes more.
    """
    if not (margin > 0 and spread >= 0):
        raise BadInput(f"a margin must be positive and a spread not negative, not {margin} and {spread}")
    normal = stats.norm.ppf((1 + level) / 2)
    n = max(2, math.ceil((normal * spread / margin) ** 2))  # too few: Student's tails are longer
    while _half(spread, n, level) > margin:
        n += 1
    return n


def _half(spread: float, n: int, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, n - 1)) * spread / math.sqrt(n)
