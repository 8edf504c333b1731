"""Curves against each other, case by case: differences, tests, and verdicts that hold beside one another."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.statistics import Difference
from horticulture.analysis.tables.cells import CASE, MISSED, NEAR, again, cells
from horticulture.analysis.tables.names import BUDGETS, FAMILIES

Answers = Mapping[str, tuple[np.ndarray, np.ndarray]]

VERDICT_COLUMNS = [
    *("criterion", "ratio", "size", "longer", "curve", "against", "test", "difference", "low", "high", "n"),
    *(
        "p",
        "p_adjusted",
        "margin",
        "verdict",
        "verdict_alone",
        "seeds_needed",
        "test_error_se",
        "test_error_se_one",
        "size_miss",
    ),
]
# What comes out of one pruning, seed by seed; and what has weights of the network that was pruned.
OF_PRUNING = {*BUDGETS, "pruned-tuned", "copycat"}
OF_WHOLE = {"fine-tuned", "lr-rewound", "weights-rewound", "compressed", "random-channels", "pruned-tuned"}


def pairs() -> list[tuple[str, str]]:
    """(curve, against) of every comparison that makes sense, what decides first.

    What was trained from scratch against the tuned network of its round and against the rewound one; every
    budget against `fine-tuned`, `lr-rewound` and `whole`; families against all of these of their size, and
    against each other.
    """
    found = [
        ("pruned-scratch", "pruned-tuned"),
        ("pruned-scratch", "lr-rewound"),
        ("scratch-b", "lr-rewound"),
    ]
    for against in ("lr-rewound", "fine-tuned", "whole"):
        found += [(curve, against) for curve in BUDGETS if curve != against]
    found.remove(("fine-tuned", "lr-rewound"))  # the other way round it is there
    for against in ("pruned-scratch", "pruned-tuned", "lr-rewound"):
        found += [(family, against) for family in FAMILIES]
    return list(dict.fromkeys([*found, *itertools.combinations(FAMILIES, 2)]))


def verdicts(results: pd.DataFrame, margin: float, answers: Answers | None = None) -> pd.DataFrame:
    """What the seeds can say of every pair of curves that makes sense, at every case of the study.

    results: as `runs.collect` gives them. margin: the difference (points) that matters. answers: for a run
    (n,) which test images it got wrong, and (n,) of which source each image is.
    Returns a row a pair and case (criterion, ratio or size, length of training). `difference` in points
    (negative: `curve` has the lower error), `low` and `high` of its 95 % interval, `test`: paired by seed
    where both sides come from one pruning or share weights, else Welch's, as for the plain whole network and
    what was pruned after a training with a penalty. `verdict` holds beside all other
    cases of the pair (Holm: `statistics.family`), `verdict_alone` for itself. `seeds_needed`: about how many
    a case would tell, if difference and spread stay. `test_error_se`: what another test set would change,
    clustered by source (points); `test_error_se_one`: the same between one network of either side.
    `size_miss`: by how many percent the sizes differ, if it is more than one.
    Fewer than three seeds: differences, and no interval, p-value or verdict. Networks are matched by size,
    and one that stands in two curves is compared once.
    """
    found = cells(results)
    found = found.assign(again=again(found)).sort_values(["size", "longer"], kind="stable")
    penalised = set(found.loc[found["curve"] == "whole", "criterion"]) - {""}
    by_curve = {curve: list(_split(one)) for curve, one in found.groupby("curve", sort=False)}
    rows: list[dict] = []
    for curve, against in pairs():
        compared = [
            (mine, other)
            for mine in by_curve.get(curve, [])
            for other in _partners(mine, by_curve.get(against, []))
        ]
        rows += _family(compared, margin, answers or {}, penalised)
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _split(found: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cell by cell, but for those that stand in another curve with all their seeds."""
    for _, one in found.groupby(CASE, sort=False, dropna=False):
        if (one["again"] == "").any():
            yield one


def _partners(mine: pd.DataFrame, others: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Of another curve's cells those that one cell is compared with: one of each criterion at most."""
    here = mine.iloc[0]
    near: dict[str, list[tuple[float, pd.DataFrame]]] = {}
    for other in others:
        there = other.iloc[0]
        whole = there["curve"] == "whole"
        alike = here["criterion"] == there["criterion"] or "" in (here["criterion"], there["criterion"])
        if not alike or here["longer"] != there["longer"]:
            continue
        if whole:
            apart = float(there["criterion"] != "")  # the plain one first
        elif pd.isna(here["ratio"]) and pd.isna(there["ratio"]):
            apart = 0.0 if here["size"] == there["size"] else np.inf
        elif here["ratio"] == there["ratio"]:
            apart = 0.0
        elif pd.isna(here["ratio"]) or pd.isna(there["ratio"]):
            apart = abs(mine["share"].mean() / other["share"].mean() - 1)
        else:
            continue
        if whole or apart <= NEAR:
            near.setdefault("" if whole else str(there["criterion"]), []).append((apart, other))
    for found in near.values():
        yield min(found, key=lambda one: one[0])[1]


def _family(
    compared: list[tuple[pd.DataFrame, pd.DataFrame]], margin: float, answers: Answers, penalised: set[str]
) -> list[dict]:
    """The rows of one pair of curves: a family of tests. penalised: criteria with a whole network each."""
    tested = []
    for mine, other in compared:
        a, b, test = _sides(mine, other, penalised)
        if len(a) and len(b):
            tested.append((a, b, test, _TESTS[test](a["test_error"].to_numpy(), b["test_error"].to_numpy())))
    differences = [one[3] for one in tested]
    adjusted, together = (
        statistics.holm([one.p for one in differences]),
        statistics.family(differences, margin),
    )
    rows = []
    for (a, b, test, apart), p, verdict in zip(tested, adjusted, together, strict=True):
        here, there = a.iloc[0], b.iloc[0]
        miss = 100 * (a["params"].mean() / b["params"].mean() - 1)
        missed = there["curve"] != "whole" and abs(miss) > 100 * MISSED
        rows.append(
            {name: here[name] for name in ("ratio", "size", "longer", "curve")}
            | {"criterion": here["criterion"] or ("" if there["curve"] == "whole" else there["criterion"])}
            | {"size": a["share"].mean() if pd.isna(here["size"]) else here["size"]}
            | {"ratio": here["ratio"] if pd.notna(here["ratio"]) else there["ratio"]}
            | {"against": there["curve"], "test": test, "difference": apart.mean}
            | {"low": apart.low, "high": apart.high, "n": apart.n, "p": apart.p, "p_adjusted": p}
            | {
                "margin": margin,
                "verdict": verdict,
                "verdict_alone": statistics.equivalence_verdict(apart, margin),
            }
            | {"seeds_needed": _needed(a, b, test, apart, margin, len(tested))}
            | dict(zip(("test_error_se", "test_error_se_one"), _clustered(a, b, answers), strict=True))
            | {"size_miss": miss if missed else np.nan}
        )
    return rows


def _sides(
    mine: pd.DataFrame, other: pd.DataFrame, penalised: set[str]
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Both sides by seed, without what is one run on both, and how they are to be compared."""
    a, b = mine.set_index("seed").sort_index(), other.set_index("seed").sort_index()
    both = a.index.intersection(b.index)
    same = [seed for seed in both if a.at[seed, "run"] == b.at[seed, "run"]]
    a, b, both = a.drop(same), b.drop(same), both.drop(same)
    curves = {str(mine["curve"].iloc[0]), str(other["curve"].iloc[0])}
    (found,), (base,) = set(mine["criterion"]), set(other["criterion"])
    if "whole" in curves:
        shared = bool(curves & OF_WHOLE) and base == (found if found.split(" (")[0] in penalised else "")
    else:
        shared = curves <= OF_PRUNING and found == base
    return (a.loc[both], b.loc[both], "paired") if shared else (a, b, "welch")


_TESTS = {"paired": statistics.paired_difference, "welch": statistics.welch_difference}


def _needed(
    a: pd.DataFrame, b: pd.DataFrame, test: str, apart: Difference, margin: float, cases: int
) -> float:
    """Seeds until the interval leaves out either nothing or what matters, at Holm's strictest level."""
    if apart.n < statistics.FEWEST:
        return np.nan
    distance = max(abs(apart.mean), margin - abs(apart.mean))
    level = 1 - (1 - statistics.LEVEL) / cases
    one, two = a["test_error"], b["test_error"]
    if test == "paired":
        return statistics.needed(float((one - two).std()), distance, level)
    return statistics.needed_welch(float(one.std()), float(two.std()), distance, level)


def _clustered(a: pd.DataFrame, b: pd.DataFrame, answers: Answers) -> tuple[float, float]:
    """What the test images alone leave open, which all seeds answer: two standard errors.

    Of the difference of the means, and of that of two single networks, the median of all pairs.
    """
    sides = [[answers.get(run) for run in one["run"]] for one in (a, b)]
    if any(one is None for side in sides for one in side):
        return np.nan, np.nan
    told = [[one for one in side if one is not None] for side in sides]
    source = told[0][0][1]
    if any(not np.array_equal(of, source) for side in told for _, of in side):
        return np.nan, np.nan  # other test images: nothing is shared to be clustered by
    ours, theirs = ([np.asarray(wrong, dtype=float) for wrong, _ in side] for side in told)

    def error(one: np.ndarray, other: np.ndarray) -> float:
        return statistics.clustered_difference(one, other, source)[1]

    single = [error(one, other) for one, other in itertools.product(ours, theirs)]
    return error(np.mean(ours, axis=0), np.mean(theirs, axis=0)), float(np.median(single))
