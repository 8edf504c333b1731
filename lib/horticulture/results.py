"""What the results frame says: the table of the curves, and a verdict no stronger than the numbers."""

import itertools
from collections.abc import Iterator

import pandas as pd

from horticulture import evidence
from horticulture.errors import BadInput

# What a sentence calls the networks of a curve.
RETRAINED = {
    "pruned-scratch": "Trained from scratch for the same epochs, the pruned shapes",
    "scratch-b": "Trained from scratch for the same compute, the pruned shapes",
    "fine-tuned": "Fine-tuned, the pruned networks",
    "lr-rewound": "Retrained with the learning rate rewound, the pruned networks",
    "weights-rewound": "Retrained from rewound weights, the pruned networks",
}
VERDICT_COLUMNS = [
    *("criterion", "ratio", "curve", "against"),
    *("difference", "low", "high", "n", "margin", "verdict"),
]
AGAINST = {
    "fine-tuned": "the fine-tuned ones",
    "whole": "the whole network",
    "pruned-tuned": "the pruned and tuned networks of their size",
}


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) by curve and size, a mean over seeds; sizes in percent of the whole network.

    The pruned-and-tuned curve has a network for every round: its entry is the mean of the five rounds
    nearest in size. Networks that were pruned by a ratio have a table of their own: `by_budget`.
    """
    results = results[results["ratio"].isna()]
    whole = results.loc[results["curve"] == "whole", "params"].max()
    scratch = results[~results["curve"].isin(["whole", "pruned-tuned"])]
    sizes = sorted(set((100 * scratch["params"] / whole).round().astype(int)))
    sizes = [size for i, size in enumerate(sizes) if i == 0 or size - sizes[i - 1] > 1]  # 49 and 50 are one
    rows = {}
    for (curve, criterion), found in results.groupby(["curve", "criterion"], sort=False):
        share = 100 * found["params"] / whole
        row = {}
        for size in [*sizes, 100]:
            apart = (share - size).abs()
            near = found[apart <= max(1.0, 0.03 * size)]
            if curve == "pruned-tuned":
                near = near.loc[apart[near.index].sort_values().index].groupby("seed").head(5)
            row[f"{size} %"] = near["test_error"].mean()
        rows[" ".join(filter(None, (curve, criterion)))] = row
    return pd.DataFrame(rows).T.round(1).rename_axis("test error (%) at parameters left")


def verdict(results: pd.DataFrame) -> str:
    """A sentence on whether shape or weights won, computed from the numbers and no stronger than they are."""
    compared = compare(results)
    if compared.empty:
        return "No pruned shape was trained from scratch: there is nothing to compare."
    whole = results.loc[results["curve"] == "whole", "params"].max()
    small = compared[compared["params"] < whole / 3]
    compared, where = (small, "Below a third of the parameters") if len(small) else (compared, "At all sizes")
    gain = compared["tuned"] - compared["scratch"]
    seeds = compared["seed"].nunique()
    caution = (
        "One seed: this shows what happened once, not how often it would."
        if seeds == 1
        else f"{seeds} seeds; spread of the difference {gain.std():.1f} points."
    )
    return (
        f"{where} the pruned shape trained from scratch beat the pruned and tuned network "
        f"in {(gain > 0).sum()} of {len(gain)} comparisons; its test error was {abs(gain.mean()):.1f} points "
        f"{'lower' if gain.mean() > 0 else 'higher'} in the mean. {caution}"
    )


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """Pairs of one shape, seed and criterion: test error tuned (mean of five rounds) and from scratch.

    Of prunings that go one channel at a time. `place`: which of the criterion's sizes it is, 0 the smallest.
    Returns columns criterion, seed, params, tuned, scratch, place.
    """
    rows = []
    results = results[results["ratio"].isna()]
    tuned = results[results["curve"] == "pruned-tuned"].set_index(["criterion", "seed"]).sort_index()
    for one in results[results["curve"] == "pruned-scratch"].itertuples():
        if (one.criterion, one.seed) not in tuned.index:
            continue
        around = tuned.loc[(one.criterion, one.seed)]
        around = around[(around["round"] - one.round).abs() <= 2]["test_error"].mean()
        rows.append((one.criterion, one.seed, one.params, around, one.test_error))
    pairs = pd.DataFrame(rows, columns=["criterion", "seed", "params", "tuned", "scratch"])
    rank = pairs.groupby(["criterion", "seed"])["params"].rank(method="first")
    return pairs.assign(place=rank.astype(int) - 1)


def verdicts(results: pd.DataFrame, margin: float) -> pd.DataFrame:
    """What the seeds can say of every curve against `fine-tuned`, and against the whole network.

    Where channels went one by one, of shapes from scratch against the pruned and tuned networks of their
    size; the ratio then is the share of the parameters that had gone.

    results: columns criterion, ratio (share removed), curve, seed, test_error (%), and for prunings that go
    channel by channel params and round. Both sides are paired by seed, and a seed that one of them lacks is
    left out. margin: the difference (points) that matters.
    Returns a row for every pair at the same criterion and ratio: columns criterion, ratio, curve, against,
    difference (negative: `curve` has the lower error), low, high (95 %), n, margin, verdict.

    Each row stands for itself: of twenty equal pairs, one is expected to come out better or worse.
    """
    trained = results[results["curve"] != "pruned-tuned"]
    trained = trained.assign(curve=_plain(trained["curve"]))
    errors = trained.groupby(["criterion", "ratio", "curve", "seed"], sort=False)["test_error"].mean()
    whole = trained[trained["curve"] == "whole"].groupby("seed")["test_error"].mean()
    rows = []
    pruned = errors.drop("whole", level="curve", errors="ignore")
    for (criterion, ratio), found in pruned.groupby(["criterion", "ratio"], sort=False):
        curves = {curve: one.droplevel([0, 1, 2]) for curve, one in found.groupby("curve", sort=False)}
        others = {"fine-tuned": curves.get("fine-tuned", whole.iloc[:0]), "whole": whole}
        for (curve, here), (against, there) in itertools.product(curves.items(), others.items()):
            seeds = here.index.intersection(there.index)
            if curve != against and len(seeds):
                apart = evidence.paired(here[seeds].to_numpy(), there[seeds].to_numpy())
                said = evidence.equivalence(apart, margin)
                rows.append((criterion, ratio, curve, against, *apart, margin, said))
    return pd.DataFrame([*_one_by_one(results, margin), *rows], columns=VERDICT_COLUMNS)


def _one_by_one(results: pd.DataFrame, margin: float) -> Iterator[tuple]:
    for (criterion, _), pairs in compare(results).groupby(["criterion", "place"], sort=False):
        full = results.loc[results["curve"] == "whole", "params"].max()
        apart = evidence.paired(pairs["scratch"].to_numpy(), pairs["tuned"].to_numpy())
        gone = round(1 - pairs["params"].mean() / full, 2)
        said = evidence.equivalence(apart, margin)
        yield criterion, gone, "pruned-scratch", "pruned-tuned", *apart, margin, said


def by_budget(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) of what was pruned by a ratio: a row a criterion and ratio, a column a budget.

    Mean and standard deviation over seeds (`9.1 ± 0.3`), as in the tables of Liu et al. (2019).
    """
    found = results[results["ratio"].notna() & (results["curve"] != "pruned-tuned")]
    found = found.assign(curve=_plain(found["curve"]))
    cells = found.groupby(["criterion", "ratio", "curve"], sort=False)["test_error"]
    said = cells.agg(lambda e: f"{e.mean():.1f} ± {e.std():.1f}" if len(e) > 1 else f"{e.mean():.1f}")
    return said.unstack("curve").reindex(columns=found["curve"].unique())


def by_size(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that a picture against size is about: of what a ratio left only Scratch-E.

    The other budgets have their own picture, `figures.budgets`.
    """
    again = results["ratio"].notna() & (_plain(results["curve"]) != "pruned-scratch")
    return results[~again]


def tables(results: pd.DataFrame) -> list[pd.DataFrame]:
    """Those of the two tables, by size and by budget, that have anything to say."""
    return [found for found in (table(results), by_budget(results)) if len(found)]


def conclusions(results: pd.DataFrame, margin: float) -> list[str]:
    """Everything that the numbers carry, a sentence each."""
    said = [] if compare(results).empty else [verdict(results)]
    compared = verdicts(results, margin)
    pairs = compared[["curve", "against"]].drop_duplicates().itertuples(index=False)
    said += [sentence(compared, curve, against) for curve, against in pairs]
    return said or ["No pruned shape was trained again: there is nothing to compare."]


def _plain(curves: pd.Series) -> pd.Series:
    """The same name whether channels or single weights went: the criterion says which."""
    return curves.str.removeprefix("sparse-")


def sentence(verdicts: pd.DataFrame, curve: str, against: str = "fine-tuned") -> str:
    """What the verdicts say of one curve: how often better, equal, worse, and how often nobody can tell.

    verdicts: as `verdicts` returns them. Raises BadInput if there is none on this pair of curves.
    """
    found = verdicts[(verdicts["curve"] == curve) & (verdicts["against"] == against)]
    if found.empty:
        there = (verdicts["curve"] + " against " + verdicts["against"]).unique()
        raise BadInput(
            f"no verdict on {curve} against {against}: there is {', '.join(there) or 'none at all'}"
        )
    counts = found["verdict"].value_counts()
    better, equal, worse, undecided = (int(counts.get(verdict, 0)) for verdict in evidence.VERDICTS)
    cases = "1 case" if len(found) == 1 else f"{len(found)} cases"
    few, many = found["n"].min(), found["n"].max()
    seeds = "one seed" if many == 1 else f"{many} seeds" if few == many else f"{few} to {many} seeds"
    return (
        f"{RETRAINED.get(curve, f'The networks of the curve {curve}')} were better than "
        f"{AGAINST.get(against, against)} in {better} of {cases}, "
        f"equal within {found['margin'].iloc[0]:.1f} points in {equal} and worse in {worse}"
        + (f"; in {undecided} the seeds cannot tell" if undecided else "")
        + f" ({seeds} a case)."
    )
