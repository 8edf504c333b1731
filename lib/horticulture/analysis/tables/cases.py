"""The networks of a study in their places: which curve, which case, and which is the same run twice.

A *case* is a criterion, a size or a ratio, and a length of training. A curve has one network a seed at a
case, never a mean of several.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from horticulture.analysis.curves import CURVES, MORE_EPOCHS, drop_sparse
from horticulture.analysis.tables.wording import times

NEAR = 0.1  # how far (of a size) a network may lie from a size and still stand for it
MISSED = 0.01  # how far before it is said
CASE = ["criterion", "ratio", "size", "longer"]
PRUNING = ["criterion", "ratio", "longer", "seed"]  # tells pruning runs, and what follows them, apart
DEFAULTS = {
    **{"criterion": "", "ratio": np.nan, "longer": 1.0, "compute_share": np.nan, "run": None},
    "round": pd.Series(dtype="Int64"),
}


def fill_defaults(results: pd.DataFrame) -> pd.DataFrame:
    """The results with the columns that they lack: trained once as long, each by a run of its own.

    results: columns curve, seed and what is to be shown. All rounds without a run are taken for one run's.
    """
    results = results.reset_index(drop=True)
    results = results.assign(**{name: value for name, value in DEFAULTS.items() if name not in results})
    own_run = pd.Series([f"row {i}" for i in results.index], dtype=object)
    own_run = own_run.mask(results["curve"] == "pruned-tuned", "pruning")
    run = results["run"].astype(object).fillna(own_run)
    return results.assign(run=run).fillna({"criterion": "", "longer": 1.0}).astype({"longer": float})


def retrained_rounds(results: pd.DataFrame) -> pd.Series:
    """Whether a row is a round of a pruning run whose network was also trained again: a mask.

    results: as `runs.collect` gives them. A round that was measured by a run of its own counts, too. Of a
    pruning run whose networks were never trained again no row does.
    """
    index, results = results.index, fill_defaults(results)
    is_round = results["curve"] == "pruned-tuned"
    retrained = results[~is_round & (results["curve"] != "whole") & results["round"].notna()]
    places = retrained[[*PRUNING, "round"]].drop_duplicates()
    trained_again = results[[*PRUNING, "round"]].merge(places, how="left", indicator=True)["_merge"] == "both"
    rounds = results[is_round].groupby(PRUNING, dropna=False)["run"]
    several = rounds.transform("size") > 1
    alone = ~results.loc[is_round, "run"].duplicated(keep=False)
    own_run = (several & alone).reindex(results.index, fill_value=False)
    return pd.Series((is_round & results["test_error"].notna() & (trained_again | own_run)).to_numpy(), index)


def is_one_shot(rounds: pd.DataFrame) -> bool:
    """Whether the pruning runs of these rounds removed everything in one. rounds: with the column round."""
    numbers = rounds["round"].dropna()
    return len(numbers) > 0 and numbers.max() <= 1


def worth_timing(results: pd.DataFrame, rounds: int = 10) -> pd.Series:
    """Whether a row's network is one to measure the latency of: a mask.

    Every network that was trained, the rounds that were trained again, and of the rounds that were measured
    `rounds` or a few more, spread evenly.
    """
    is_measured = results["test_error"].notna()
    measured = np.sort(results.loc[is_measured, "round"].dropna().unique())
    spread = results["round"].isin(measured[:: max(1, len(measured) // rounds)]) & is_measured
    return (results["curve"] != "pruned-tuned") | spread | retrained_rounds(results)


def whole_params(results: pd.DataFrame) -> float:
    """Parameters of the whole network, or of the largest where it is not among the results."""
    whole = results.loc[results["curve"] == "whole", "params"]
    return float((whole if len(whole) else results["params"]).max())


def target_sizes(results: pd.DataFrame) -> list[float]:
    """The sizes that were wanted, as shares of the whole network, from the networks that were trained.

    Networks of different curves within `NEAR` are of one size, two of one curve and seed of two.
    What a pruning run left is nearest to what was wanted: its median is the size, if it is there.
    """
    results = fill_defaults(results)
    trained = results[results["ratio"].isna() & ~results["curve"].isin(["whole", "pruned-tuned"])]
    trained = trained.assign(share=trained["params"] / whole_params(results)).dropna(subset=["share"])
    line = ["curve", "criterion", "longer"]
    trained = trained.drop_duplicates([*line, "seed", "run"]).sort_values("share")
    sizes: list[list[tuple[tuple, list[float]]]] = []  # of each size: by line, the shares of its networks
    for of_line, shares in sorted(_by_size(trained, line), key=lambda one: np.median(one[1])):
        first = np.median(sizes[-1][0][1]) if sizes else 0.0
        if np.median(shares) > (1 + NEAR) * first or of_line in [there for there, _ in sizes[-1]]:
            sizes.append([])
        sizes[-1].append((of_line, shares))
    targets = []
    for size in sizes:
        of_pruning = [share for of_line, shares in size if of_line[0] == "pruned-scratch" for share in shares]
        targets.append(float(np.median(of_pruning or [share for _, shares in size for share in shares])))
    return targets


def _by_size(trained: pd.DataFrame, line: list[str]) -> Iterator[tuple[tuple, list[float]]]:
    """Each line with the shares of its smallest networks, of its second smallest, and so on, over the seeds.

    A pruning run comes near to a size with one seed and nearer with another; that makes no two sizes of it.
    Seeds with fewer networks than others cannot be put beside them, and stand each for itself.
    """
    for of_line, networks in trained.groupby(line):
        by_seed = networks.groupby("seed")["share"].agg(list)
        if by_seed.map(len).nunique() == 1:
            yield from ((of_line, list(shares)) for shares in zip(*by_seed, strict=True))
        else:
            yield from (((*of_line, seed), [share]) for seed, shares in by_seed.items() for share in shares)


def assign_cases(results: pd.DataFrame, *, every_round: bool = False) -> pd.DataFrame:
    """One row for each network that stands for a case of its curve.

    results: as `runs.collect` gives them. Columns of the results, with `curve` as if channels went (as it
    was: `named`), and `share` (its parameters / the whole network's), `size` (the wanted share; NaN for what
    was pruned by a ratio), `missed` (share / size - 1). Networks without a test error are left out, and so
    are rounds that were not trained again. every_round: all rounds of a pruning run none of whose were
    stand for the sizes that they have.
    """
    networks = fill_defaults(results)
    targets, full = np.array(target_sizes(networks)), whole_params(networks)
    is_round, kept = networks["curve"] == "pruned-tuned", retrained_rounds(networks)
    if every_round:
        kept |= ~kept.groupby([networks[name] for name in PRUNING], dropna=False).transform("any")
    kept &= networks["ratio"].isna()  # what was pruned by a ratio is shown by budget
    networks = networks[(kept | ~is_round) & networks["test_error"].notna()].copy()
    networks["named"] = networks["curve"]
    networks["curve"] = networks["curve"].map(drop_sparse)
    networks["share"] = networks["params"] / full if "params" in networks else np.nan
    by_size = networks["ratio"].isna() & (networks["curve"] != "whole")
    networks["size"] = networks["share"].where(by_size).map(lambda share: _nearest(share, targets))
    networks.loc[networks["curve"] == "whole", ["size", "ratio"]] = [1.0, np.nan]
    networks = networks[networks["size"].notna() | networks["ratio"].notna()]
    networks["missed"] = (networks["share"] / networks["size"] - 1).round(9)
    nearest_first = networks.sort_values("missed", key=abs, kind="stable")
    return nearest_first.drop_duplicates(["curve", *CASE, "seed"]).sort_index()


def _nearest(share: float, targets: np.ndarray) -> float:
    """The size that a network stands for, or NaN if it stands for none."""
    if not len(targets) or np.isnan(share):
        return np.nan
    size = targets[np.abs(targets - share).argmin()]
    return float(size) if abs(share / size - 1) <= NEAR else np.nan


def same_run_as(networks: pd.DataFrame) -> pd.Series:
    """For every network the curve in which the same run stands already, at the same case, or "".

    networks: columns curve, run, longer, seed, as `assign_cases` or `fill_defaults` gives them. Curves come
    in the order of `CURVES`. Another length of training is another case, even where a longer budget of the
    shorter one is the same run.
    """
    trained = sort_curves(networks[~networks["curve"].isin(["whole", "pruned-tuned"])])
    first = trained.groupby(["run", "longer", "seed"], sort=False)["curve"].transform("first")
    return first.where(first != trained["curve"], "").reindex(networks.index, fill_value="").astype(object)


def sort_curves(networks: pd.DataFrame) -> pd.DataFrame:
    """The rows by curve in the order of `CURVES`, otherwise as they were."""
    rank = {curve: i for i, curve in enumerate(CURVES)}
    return networks.sort_values(
        "curve", kind="stable", key=lambda curve: curve.map(rank).fillna(len(rank)).astype(int)
    )


def scratch_b_in_words(results: pd.DataFrame) -> str:
    """How many epochs Scratch-B took, in words, from what was spent: a cap's, or what the compute bought.

    A cap is what kept the compute of the whole network's training from buying one epoch more. Networks
    without single weights do not count: their compute is that of all weights. `MORE_EPOCHS` where the
    results do not say.
    """
    results = fill_defaults(results)
    if "epochs" not in results:
        return MORE_EPOCHS

    def most_epochs(*curves: str) -> pd.Series:
        return results["longer"].map(results[results["curve"].isin(curves)].groupby("longer")["epochs"].max())

    with_tuning = results["curve"] == "scratch-b-all"
    epochs = results["epochs"] - most_epochs("fine-tuned", "lr-rewound").where(with_tuning, 0)
    factor = (epochs / most_epochs("whole"))[with_tuning | (results["curve"] == "scratch-b")].dropna()
    epoch_share = (results["compute_share"] / results["epochs"])[factor.index].dropna()
    capped = epoch_share.index[(epochs[epoch_share.index] + 1) * epoch_share <= 1]
    if len(capped):
        return f"at most {times(round(factor[capped].max(), 2))} the epochs"
    return "same compute" if len(epoch_share) else MORE_EPOCHS
