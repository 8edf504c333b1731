"""What the results frame says: the table of the curves, and a verdict no stronger than the numbers."""

import pandas as pd


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) by curve and size, a mean over seeds; sizes in percent of the whole network.

    The pruned-and-tuned curve has a network for every round: its entry is the mean of the five rounds
    nearest in size.
    """
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

    Returns columns criterion, seed, params, tuned, scratch.
    """
    rows = []
    tuned = results[results["curve"] == "pruned-tuned"].set_index(["criterion", "seed"]).sort_index()
    for one in results[results["curve"] == "pruned-scratch"].itertuples():
        around = tuned.loc[(one.criterion, one.seed)]
        around = around[(around["round"] - one.round).abs() <= 2]["test_error"].mean()
        rows.append((one.criterion, one.seed, one.params, around, one.test_error))
    return pd.DataFrame(rows, columns=["criterion", "seed", "params", "tuned", "scratch"])
