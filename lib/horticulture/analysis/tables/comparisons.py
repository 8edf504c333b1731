"""Curves against each other, case by case: differences, tests, and verdicts that hold beside one another."""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import BUDGET_CURVES, CONTROLS, CURVES, SCALED_CURVES
from horticulture.analysis.statistics import Difference
from horticulture.analysis.tables.cases import CASE, MISSED, NEAR, assign_cases

Answers = Mapping[str, tuple[np.ndarray, np.ndarray]]

VERDICT_COLUMNS = [
    *("criterion", "ratio", "size", "longer", "curve", "against", "test", "difference", "low", "high", "n"),
    *("p", "p_adjusted", "margin", "verdict", "verdict_alone", "seeds_needed"),
    *("test_error_se", "test_error_se_one", "size_miss"),
]


def comparisons() -> list[tuple[str, str]]:
    """(curve, against) of every comparison that makes sense, what decides first.

    What was trained from scratch against the tuned network of its round and against the rewound one; every
    budget against `fine-tuned`, `lr-rewound` and `whole`; the controls against the shape from scratch; the
    tuned networks against `whole`; networks made by rule against the pruned ones of their size, and against
    each other.
    """
    pairs = [
        (curve, against)
        for against in ("pruned-tuned", "lr-rewound")
        for curve in ("pruned-scratch", "scratch-b")
    ]
    for against in ("lr-rewound", "fine-tuned", "whole"):
        pairs += [(curve, against) for curve in BUDGET_CURVES if curve != against]
    pairs.remove(("fine-tuned", "lr-rewound"))  # the other way round it is there
    pairs += [(curve, "pruned-scratch") for curve in CONTROLS]
    pairs.append(("pruned-tuned", "whole"))
    for against in ("pruned-scratch", "pruned-tuned", "lr-rewound"):
        pairs += [(curve, against) for curve in SCALED_CURVES]
    return list(dict.fromkeys([*pairs, *itertools.combinations(SCALED_CURVES, 2)]))


class Sides(NamedTuple):
    """The two sides of a comparison at one case: a row a seed, and whether the seeds are paired."""

    a: pd.DataFrame
    b: pd.DataFrame
    paired: bool

    @property
    def difference(self) -> Difference:
        """Of the test errors, a less b."""
        test = statistics.paired_difference if self.paired else statistics.welch_difference
        return test(self.a["test_error"].to_numpy(), self.b["test_error"].to_numpy())


def verdicts(results: pd.DataFrame, margin: float, answers: Answers | None = None) -> pd.DataFrame:
    """What the seeds can say of every pair of curves that makes sense, at every case of the study.

    results: as `runs.collect` gives them. margin: the difference (points) that matters. answers: for a run
    (n,) which test images it got wrong, and (n,) of which source each image is.
    Returns a row a pair and case (criterion, ratio or size, length of training). `difference` in points
    (negative: `curve` has the lower error), `low` and `high` of its 95 % interval, `test`: paired by seed
    where both sides begin with weights of one base, else Welch's: a shape alone is too little to share.
    `verdict` holds beside all other cases of the pair (Holm: `statistics.holm_verdicts`), `verdict_alone`
    for itself. `seeds_needed`: about how many seeds would tell in four studies of five, if difference and
    spread are what they seem. `test_error_se`: what another test set would change, clustered by
    source (points); `test_error_se_one`: the same between one network of either side. `size_miss`: by how
    many percent the sizes differ, if it is more than one.
    Fewer than three seeds: differences, and no interval, p-value or verdict. Networks are matched by size,
    and what stands in two curves is compared once with the same others.
    """
    networks = assign_cases(results).sort_values(["size", "longer"], kind="stable")
    penalised = set(networks.loc[networks["curve"] == "whole", "criterion"]) - {""}
    cases = {
        curve: [case for _, case in one.groupby(CASE, sort=False, dropna=False)]
        for curve, one in networks.groupby("curve", sort=False)
    }
    rows: list[dict] = []
    made: set[frozenset] = set()  # what stands in two curves is compared once
    for curve, against in comparisons():
        pair = []
        for case, other in _matched(cases.get(curve, []), cases.get(against, [])):
            sides = _sides(case, other, penalised)
            runs = frozenset((frozenset(sides.a["run"]), frozenset(sides.b["run"])))
            if all(runs) and runs not in made:
                made.add(runs)
                pair.append(sides)
        rows += _compare(pair, margin, answers or {})
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _matched(
    cases: list[pd.DataFrame], others: list[pd.DataFrame]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Which cases of two curves are compared: each with the nearest of the other's, if one is near.

    Of several sizes by one criterion only the nearest is compared with the same case of the other curve.
    """
    pairs = [(case, *counterpart) for case in cases for counterpart in _counterparts(case, others)]
    for case, other, apart in pairs:
        here = case.iloc[0]
        rivals = (
            distance
            for one, same, distance in pairs
            if same is other and one.iloc[0]["criterion"] == here["criterion"]
        )
        if other.iloc[0]["curve"] == "whole" or apart == min(rivals):
            yield case, other


def _counterparts(case: pd.DataFrame, others: list[pd.DataFrame]) -> list[tuple[pd.DataFrame, float]]:
    """What one case can be compared with, and how far it lies: the nearest case of each criterion.

    Of whole networks only one: the plain one, or one with a penalty where there is no plain one.
    """
    here = case.iloc[0]
    nearest: dict[str, tuple[pd.DataFrame, float]] = {}
    for other in others:
        there = other.iloc[0]
        criteria = {here["criterion"], there["criterion"]} - {""}
        if len(criteria) > 1 or here["longer"] != there["longer"]:
            continue
        if there["curve"] == "whole":
            key, apart = "", float(there["criterion"] != "")
        else:
            key, apart = str(there["criterion"]), _distance(case, other)
            if apart > NEAR:
                continue
        if key not in nearest or apart < nearest[key][1]:
            nearest[key] = other, apart
    return list(nearest.values())


def _distance(case: pd.DataFrame, other: pd.DataFrame) -> float:
    """How far apart two cases are in size: 0 where ratios or sizes are the same."""
    (ratio, size), (other_ratio, other_size) = (one.iloc[0][["ratio", "size"]] for one in (case, other))
    if pd.notna(ratio) and pd.notna(other_ratio):
        return 0.0 if ratio == other_ratio else np.inf
    if pd.isna(ratio) and pd.isna(other_ratio):
        return 0.0 if size == other_size else np.inf
    return float(abs(case["share"].mean() / other["share"].mean() - 1))


def _sides(case: pd.DataFrame, other: pd.DataFrame, penalised: set[str]) -> Sides:
    """Both sides by seed, without what is one run on both. penalised: criteria with a whole network each."""
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
    return Sides(a.loc[both], b.loc[both], True) if paired else Sides(a, b, False)


def _compare(pair: list[Sides], margin: float, answers: Answers) -> list[dict]:
    """The rows of one pair of curves, one for each case: tests that are made together."""
    differences = [sides.difference for sides in pair]
    adjusted = statistics.holm([one.p for one in differences])
    together = statistics.holm_verdicts(differences, margin)
    rows = []
    for sides, difference, p, verdict in zip(pair, differences, adjusted, together, strict=True):
        here, there = sides.a.iloc[0], sides.b.iloc[0]
        whole = there["curve"] == "whole"
        miss = 100 * (sides.a["params"].mean() / sides.b["params"].mean() - 1)
        row = (
            here["criterion"] or ("" if whole else there["criterion"]),
            there["ratio"] if pd.isna(here["ratio"]) else here["ratio"],
            sides.a["share"].mean() if pd.isna(here["size"]) else here["size"],
            *(here["longer"], here["curve"], there["curve"], "paired" if sides.paired else "welch"),
            *(difference.mean, difference.low, difference.high, difference.n),
            *(difference.p, p, margin, verdict, statistics.equivalence_verdict(difference, margin)),
            _seeds_needed(sides, difference, margin, len(pair)),
            *_test_set_errors(sides, answers),
            miss if not whole and abs(miss) > 100 * MISSED else np.nan,
        )
        rows.append(dict(zip(VERDICT_COLUMNS, row, strict=True)))
    return rows


def _seeds_needed(sides: Sides, difference: Difference, margin: float, cases: int) -> float:
    """Seeds until the interval leaves out either nothing or what matters, at Holm's strictest level."""
    if difference.n < statistics.FEWEST:
        return np.nan
    distance = max(abs(difference.mean), margin - abs(difference.mean))
    level = 1 - (1 - statistics.LEVEL) / cases
    a, b = sides.a["test_error"], sides.b["test_error"]
    if sides.paired:
        return statistics.seeds_needed(float((a - b).std()), distance, level)
    return statistics.seeds_needed(float(a.std()), distance, level, other=float(b.std()))


def _test_set_errors(sides: Sides, answers: Answers) -> tuple[float, float]:
    """What the test images alone leave open, which all seeds answer: two standard errors.

    Of the difference of the means, and of that of two single networks, the median of all pairs.
    """
    runs = [*sides.a["run"], *sides.b["run"]]
    if any(run not in answers for run in runs):
        return np.nan, np.nan
    source = answers[runs[0]][1]
    if any(not np.array_equal(answers[run][1], source) for run in runs):
        return np.nan, np.nan  # other test images: nothing is shared to be clustered by
    a, b = ([np.asarray(answers[run][0], dtype=float) for run in side["run"]] for side in (sides.a, sides.b))

    def error(one: np.ndarray, other: np.ndarray) -> float:
        return statistics.clustered_difference(one, other, source)[1]

    single = [error(one, other) for one, other in itertools.product(a, b)]
    return error(np.mean(a, axis=0), np.mean(b, axis=0)), float(np.median(single))
