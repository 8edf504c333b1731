"""Compare curves case by case: differences, tests, and verdicts adjusted for multiple comparisons."""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import BUDGET_CURVES, CONTROLS, CURVES, SCALED_CURVES
from horticulture.analysis.statistics import Difference
from horticulture.analysis.tables.cases import CASE, MISSED, NEAR, assign_cases
from horticulture.runs import ImageErrors

VERDICT_COLUMNS = [
    "criterion",
    "ratio",
    "size",
    "longer",
    "curve",
    "against",
    "test",
    "difference",
    "low",
    "high",
    "n",
    "p",
    "p_adjusted",
    "margin",
    "verdict",
    "verdict_alone",
    "verdict_other_images",
    "seeds_needed",
    "test_error_se",
    "test_error_se_one",
    "test_sources",
    "size_miss",
]


def comparisons() -> list[tuple[str, str]]:
    """All meaningful comparisons as (curve, against), the decisive ones first.

    Networks trained from scratch against the tuned network of the same round and against the rewound one;
    every budget against `fine-tuned`, `lr-rewound` and `whole`; the controls against the shape from scratch;
    the rewound networks against the tuned, the tuned against `whole`; networks made by rule against pruned
    ones of their size, and against each other. Where networks moved from other data, the fairest pair comes
    first: the shape that moved, too, against the networks that kept their weights.
    """
    pairs = [("scratch-moved", against) for against in ("pruned-tuned", "lr-rewound")]
    pairs += [
        (curve, against)
        for against in ("pruned-tuned", "lr-rewound")
        for curve in ("pruned-scratch", "scratch-b", "scratch-images")
    ]
    for against in ("lr-rewound", "fine-tuned", "whole"):
        pairs += [(curve, against) for curve in BUDGET_CURVES if curve != against]
    pairs.remove(("fine-tuned", "lr-rewound"))  # already there in the other direction
    pairs += [(curve, "pruned-scratch") for curve in CONTROLS]
    pairs += [("lr-rewound", "pruned-tuned"), ("pruned-tuned", "whole")]
    for against in ("pruned-scratch", "pruned-tuned", "lr-rewound"):
        pairs += [(curve, against) for curve in SCALED_CURVES]
    pairs += [("uniform-moved", "scratch-moved"), ("scratch-moved", "pruned-scratch")]
    return list(dict.fromkeys([*pairs, *itertools.combinations(SCALED_CURVES, 2)]))


class TestSetErrors(NamedTuple):
    """Standard errors due to the choice of test images, in points, and the number of their originals.

    of_means: of the difference of two means over seeds; of_networks: of that of two single networks, as the
    median over all pairs.
    """

    of_means: float = np.nan
    of_networks: float = np.nan
    originals: float = np.nan


class Sides(NamedTuple):
    """The two sides of a comparison at one case: one row per seed, and whether the seeds are paired."""

    a: pd.DataFrame
    b: pd.DataFrame
    paired: bool

    @property
    def difference(self) -> Difference:
        """The difference of the test errors, a minus b."""
        test = statistics.paired_difference if self.paired else statistics.welch_difference
        return test(self.a["test_error"].to_numpy(), self.b["test_error"].to_numpy())


def verdicts(
    results: pd.DataFrame, margin: float, image_errors: Mapping[str, ImageErrors] | None = None
) -> pd.DataFrame:
    """Compare every meaningful pair of curves at every case of the study.

    results: as returned by `runs.collect`. margin: the smallest difference that matters, in points.
    image_errors: by run, which test images it got wrong, and the original of each image.

    Returns one row per pair and case (criterion, ratio or size, length of training). `difference` is in
    points (negative: `curve` has the lower error), with `low` and `high` of its 95 % interval. `test` is
    paired by seed where both sides start from weights of the same base, otherwise Welch's: sharing only the
    shape is not enough to pair. `verdict` is adjusted for all cases of the pair (Holm:
    `statistics.holm_verdicts`); `verdict_alone` is not. `seeds_needed`: about how many seeds would decide in
    four out of five studies, if the difference and standard deviation are as estimated. `test_error_se`:
    standard error due to the choice of test images, clustered by original (points); `test_error_se_one`: the
    same for the difference of two single networks; `test_sources`: number of originals.
    `verdict_other_images`: `verdict` with the variance of the test images added to that of the seeds, so that
    it is about other test images too, not only about other seeds (cautious: what varies with both is counted
    twice); empty if the test images of a run are unknown. `size_miss`: by how many percent the sizes differ,
    if by more than one.

    With fewer than three seeds there is a difference, but no interval, p-value or verdict. Networks are
    matched by size. Runs that belong to two curves are compared only once with the same others.
    """
    networks = assign_cases(results).sort_values(["size", "longer"], kind="stable")
    penalised = set(networks.loc[networks["curve"] == "whole", "criterion"]) - {""}
    cases = {
        curve: [case for _, case in of_curve.groupby(CASE, sort=False, dropna=False)]
        for curve, of_curve in networks.groupby("curve", sort=False)
    }
    rows: list[dict] = []
    made: set[frozenset[str]] = set()  # pairs of runs that have been compared
    for curve, against in comparisons():
        pair = []
        for case, other in _matched(cases.get(curve, []), cases.get(against, [])):
            sides = _sides(case, other, penalised)
            runs = set(map(frozenset, itertools.product(sides.a["run"], sides.b["run"])))
            if not runs <= made:  # otherwise they belong to two curves
                made |= runs
                pair.append(sides)
        rows += _compare(pair, margin, image_errors or {})
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _matched(
    cases: list[pd.DataFrame], others: list[pd.DataFrame]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The cases of two curves to be compared: each with the nearest of the other curve, if one is near.

    If several sizes of one criterion have the same nearest case, only the closest is compared with it.
    """
    pairs = [(case, *counterpart) for case in cases for counterpart in _counterparts(case, others)]
    for case, other, distance in pairs:
        row = case.iloc[0]
        rivals = (
            other_distance
            for rival, rival_other, other_distance in pairs
            if rival_other is other and rival.iloc[0]["criterion"] == row["criterion"]
        )
        if other.iloc[0]["curve"] == "whole" or distance == min(rivals):
            yield case, other


def _counterparts(case: pd.DataFrame, others: list[pd.DataFrame]) -> list[tuple[pd.DataFrame, float]]:
    """The cases to compare one case with, and their distances: the nearest case of each criterion.

    Only one whole network: the plain one, or one trained with a penalty if there is no plain one.
    """
    row = case.iloc[0]
    nearest: dict[str, tuple[pd.DataFrame, float]] = {}
    for other in others:
        other_row = other.iloc[0]
        criteria = {row["criterion"], other_row["criterion"]} - {""}
        if len(criteria) > 1 or row["longer"] != other_row["longer"]:
            continue
        if other_row["curve"] == "whole":
            key, distance = "", float(other_row["criterion"] != "")
        else:
            key, distance = str(other_row["criterion"]), _distance(case, other)
            if distance > NEAR:
                continue
        if key not in nearest or distance < nearest[key][1]:
            nearest[key] = other, distance
    return list(nearest.values())


def _distance(case: pd.DataFrame, other: pd.DataFrame) -> float:
    """How far apart two cases are in size: 0 if their ratios or target sizes are the same."""
    (ratio, size), (other_ratio, other_size) = (side.iloc[0][["ratio", "size"]] for side in (case, other))
    if pd.notna(ratio) and pd.notna(other_ratio):
        return 0.0 if ratio == other_ratio else np.inf
    if pd.isna(ratio) and pd.isna(other_ratio):
        return 0.0 if size == other_size else np.inf
    return float(abs(case["share"].mean() / other["share"].mean() - 1))


def _sides(case: pd.DataFrame, other: pd.DataFrame, penalised: set[str]) -> Sides:
    """Both sides by seed, without runs on both. penalised: criteria with a whole network of their own."""
    a, b = case.set_index("seed").sort_index(), other.set_index("seed").sort_index()
    both = a.index.intersection(b.index)
    same = [seed for seed in both if a.at[seed, "run"] == b.at[seed, "run"]]
    a, b, both = a.drop(same), b.drop(same), both.drop(same)
    curve, against = str(case["curve"].iloc[0]), str(other["curve"].iloc[0])
    criterion, base = str(case["criterion"].iloc[0]), str(other["criterion"].iloc[0])
    if against == "whole":
        of_base = base == (criterion if criterion.split(" (")[0] in penalised else "")
        paired = CURVES[curve].inherits and of_base
    else:
        paired = CURVES[curve].inherits and CURVES[against].inherits and criterion == base
    few = min(len(a), len(b)) < statistics.FEWEST  # no interval: at least the same seeds on both sides
    if paired or (few and len(both)):
        a, b = a.loc[both], b.loc[both]
    return Sides(a, b, paired)


def _compare(pair: list[Sides], margin: float, image_errors: Mapping[str, ImageErrors]) -> list[dict]:
    """The rows of one pair of curves, one for each case, as one family of tests."""
    differences = [sides.difference for sides in pair]
    adjusted = statistics.holm([difference.p for difference in differences])
    together = statistics.holm_verdicts(differences, margin)
    test_sets = [_test_set_errors(sides, image_errors) for sides in pair]
    elsewhere = statistics.holm_verdicts(
        [
            difference.with_error(test_set.of_means, test_set.originals - 1)
            for difference, test_set in zip(differences, test_sets, strict=True)
        ],
        margin,
    )
    return [
        {
            **_case(sides),
            **{name: getattr(difference, name) for name in ("low", "high", "n", "p")},
            "difference": difference.mean,
            "p_adjusted": p,
            "margin": margin,
            "verdict": verdict,
            "verdict_alone": statistics.equivalence_verdict(difference, margin),
            "verdict_other_images": "" if np.isnan(test_set.of_means) else other,
            "seeds_needed": _seeds_needed(sides, difference, margin, len(pair)),
            "test_error_se": test_set.of_means,
            "test_error_se_one": test_set.of_networks,
            "test_sources": test_set.originals,
        }
        for sides, difference, p, verdict, test_set, other in zip(
            pair, differences, adjusted, together, test_sets, elsewhere, strict=True
        )
    ]


def _case(sides: Sides) -> dict:
    """The columns that say what is compared with what, before any result."""
    first, second = sides.a.iloc[0], sides.b.iloc[0]
    against_whole = second["curve"] == "whole"
    miss = 100 * (sides.a["params"].mean() / sides.b["params"].mean() - 1)
    return {
        "criterion": first["criterion"] or ("" if against_whole else second["criterion"]),
        "ratio": second["ratio"] if pd.isna(first["ratio"]) else first["ratio"],
        "size": sides.a["share"].mean() if pd.isna(first["size"]) else first["size"],
        "longer": first["longer"],
        "curve": first["curve"],
        "against": second["curve"],
        "test": "paired" if sides.paired else "welch",
        "size_miss": miss if not against_whole and abs(miss) > 100 * MISSED else np.nan,
    }


def _seeds_needed(sides: Sides, difference: Difference, margin: float, cases: int) -> float:
    """Seeds until the interval excludes either zero or the margin, at Holm's strictest level."""
    if difference.n < statistics.FEWEST:
        return np.nan
    distance = max(abs(difference.mean), margin - abs(difference.mean))
    level = 1 - (1 - statistics.LEVEL) / cases
    a, b = sides.a["test_error"], sides.b["test_error"]
    if sides.paired:
        return statistics.seeds_needed(float((a - b).std()), distance, level)
    return statistics.seeds_needed(float(a.std()), distance, level, other_std=float(b.std()))


def _test_set_errors(sides: Sides, image_errors: Mapping[str, ImageErrors]) -> TestSetErrors:
    """The uncertainty due to the test images, which all seeds share; NaN where they are unknown."""
    runs = [*sides.a["run"], *sides.b["run"]]
    if any(run not in image_errors for run in runs):
        return TestSetErrors()
    original = image_errors[runs[0]].original
    if any(not np.array_equal(image_errors[run].original, original) for run in runs):
        return TestSetErrors()  # different test images have no originals in common
    a, b = ([image_errors[run].wrong.astype(float) for run in side["run"]] for side in (sides.a, sides.b))

    def error(wrong_a: np.ndarray, wrong_b: np.ndarray) -> float:
        return statistics.clustered_difference(wrong_a, wrong_b, original)[1]

    single = [error(*pair) for pair in itertools.product(a, b)]
    of_means = error(np.mean(a, axis=0), np.mean(b, axis=0))
    return TestSetErrors(of_means, float(np.median(single)), len(np.unique(original)))
