"""Assign the networks of a study to curves and cases, and find runs that belong to two curves.

A *case* is a criterion, a size or a pruning ratio, and a length of training. At each case a curve has one
network per seed, never a mean of several.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from horticulture.analysis.curves import CURVES, MORE_EPOCHS, criterion_suffix, drop_sparse
from horticulture.analysis.tables.wording import case_name, times

NEAR = 0.1  # largest relative distance between a network's size and the target size that it represents
MISSED = 0.01  # relative distances above this are reported
CASE = ["criterion", "ratio", "size", "longer"]
RATIO_CASE = ["criterion", "ratio", "longer"]  # of networks pruned by a ratio
PRUNING = ["criterion", "ratio", "longer", "seed"]  # identifies a pruning run and what follows it
DEFAULTS = {
    "criterion": "",
    "ratio": np.nan,
    "longer": 1.0,
    "compute_share": np.nan,
    "run": None,
    "round": pd.Series(dtype="Int64"),
}


def fill_defaults(results: pd.DataFrame) -> pd.DataFrame:
    """Add missing columns with their defaults: the usual length of training, and a separate run per row.

    results: columns curve and seed, and those to be shown. All rounds without a run count as one run's.
    """
    results = results.reset_index(drop=True)
    results = results.assign(**{name: value for name, value in DEFAULTS.items() if name not in results})
    own_run = pd.Series([f"row {i}" for i in results.index], dtype=object)
    own_run = own_run.mask(results["curve"] == "pruned-tuned", "pruning")
    run = results["run"].astype(object).fillna(own_run)
    return results.assign(run=run).fillna({"criterion": "", "longer": 1.0}).astype({"longer": float})


def retrained_rounds(results: pd.DataFrame) -> pd.Series:
    """A boolean mask of the rounds of pruning runs whose networks were also retrained.

    results: as returned by `runs.collect`. A round that was evaluated by a separate run counts as well. For
    a pruning run whose networks were never retrained, every row is False.
    """
    index, results = results.index, fill_defaults(results)
    is_round = results["curve"] == "pruned-tuned"
    retrained = results[~is_round & (results["curve"] != "whole") & results["round"].notna()]
    keys = retrained[[*PRUNING, "round"]].drop_duplicates()
    trained_again = results[[*PRUNING, "round"]].merge(keys, how="left", indicator=True)["_merge"] == "both"
    rounds = results[is_round].groupby(PRUNING, dropna=False)["run"]
    several = rounds.transform("size") > 1
    alone = ~results.loc[is_round, "run"].duplicated(keep=False)
    own_run = (several & alone).reindex(results.index, fill_value=False)
    return pd.Series((is_round & results["test_error"].notna() & (trained_again | own_run)).to_numpy(), index)


def is_one_shot(rounds: pd.DataFrame) -> bool:
    """Whether these pruning runs removed everything in one round. rounds: with the column round."""
    numbers = rounds["round"].dropna()
    return len(numbers) > 0 and numbers.max() <= 1


def worth_timing(results: pd.DataFrame, rounds: int = 10) -> pd.Series:
    """A boolean mask of the networks whose latency is to be measured.

    All networks that were trained, the retrained rounds, and about `rounds` of the evaluated rounds, evenly
    spaced.
    """
    is_measured = results["test_error"].notna()
    measured = np.sort(results.loc[is_measured, "round"].dropna().unique())
    spaced = results["round"].isin(measured[:: max(1, len(measured) // rounds)]) & is_measured
    return (results["curve"] != "pruned-tuned") | spaced | retrained_rounds(results)


def whole_params(results: pd.DataFrame) -> float:
    """Parameters of the whole network, or of the largest network if the whole one is not in the results."""
    whole = results.loc[results["curve"] == "whole", "params"]
    return float((whole if len(whole) else results["params"]).max())


def target_sizes(results: pd.DataFrame) -> list[float]:
    """The target sizes of the study, as shares of the whole network, inferred from the trained networks.

    Networks of different curves whose sizes differ by at most `NEAR` share a target size; two networks of
    the same curve and seed never do. The target is the median size of the pruned networks, which come
    closest to what the study asked for, or of all networks if none of them was pruned.
    """
    results = fill_defaults(results)
    trained = results[results["ratio"].isna() & ~results["curve"].isin(["whole", "pruned-tuned"])]
    trained = trained.assign(share=trained["params"] / whole_params(results)).dropna(subset=["share"])
    line = ["curve", "criterion", "longer"]
    trained = trained.drop_duplicates([*line, "seed", "run"]).sort_values("share")
    sizes: list[list[tuple[tuple, list[float]]]] = []  # for each size: lines with their networks' shares
    for of_line, shares in sorted(_by_size(trained, line), key=lambda item: np.median(item[1])):
        first = np.median(sizes[-1][0][1]) if sizes else 0.0
        if np.median(shares) > (1 + NEAR) * first or of_line in dict(sizes[-1]):
            sizes.append([])
        sizes[-1].append((of_line, shares))
    targets = []
    for size in sizes:
        of_pruning = [share for of_line, shares in size if of_line[0] == "pruned-scratch" for share in shares]
        targets.append(float(np.median(of_pruning or [share for _, shares in size for share in shares])))
    return targets


def _by_size(trained: pd.DataFrame, line: list[str]) -> Iterator[tuple[tuple, list[float]]]:
    """For each line, the shares (one per seed) of its smallest networks, its second smallest, and so on.

    Seeds differ in how close pruning comes to a size, so networks are matched by rank, not by distance. If
    the seeds of a line have different numbers of networks, they cannot be matched and are yielded separately.
    """
    for of_line, networks in trained.groupby(line):
        by_seed = networks.groupby("seed")["share"].agg(list)
        if by_seed.map(len).nunique() == 1:
            yield from ((of_line, list(shares)) for shares in zip(*by_seed, strict=True))
        else:
            yield from (((*of_line, seed), [share]) for seed, shares in by_seed.items() for share in shares)


def assign_cases(results: pd.DataFrame, *, every_round: bool = False) -> pd.DataFrame:
    """One row for each network that represents a case of its curve.

    results: as returned by `runs.collect`. The columns are those of the results, with `curve` without its
    `SPARSE` prefix (unchanged in `named`), and: `share` (parameters / the whole network's), `size` (the
    target share; NaN for networks pruned by a ratio) and `missed` (share / size - 1). Networks without a
    test error are left out, and so are rounds that were not retrained. every_round: for pruning runs of
    which no round was retrained, keep the rounds that are near a target size.
    """
    networks = fill_defaults(results)
    targets, full = np.array(target_sizes(networks)), whole_params(networks)
    is_round, kept = networks["curve"] == "pruned-tuned", retrained_rounds(networks)
    if every_round:
        kept |= ~kept.groupby([networks[name] for name in PRUNING], dropna=False).transform("any")
    kept &= networks["ratio"].isna()  # networks pruned by a ratio are shown by budget
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
    """The target size that a network represents, or NaN if none is near."""
    if not len(targets) or np.isnan(share):
        return np.nan
    size = targets[np.abs(targets - share).argmin()]
    return float(size) if abs(share / size - 1) <= NEAR else np.nan


def same_run_as(networks: pd.DataFrame) -> pd.Series:
    """For every network, the first curve (in the order of `CURVES`) with the same run at the same case.

    It is "" for the networks of that first curve. networks: columns curve, run, longer and seed, as returned
    by `assign_cases` or `fill_defaults`. Different lengths of training are different cases, even if a longer
    budget at the shorter length is the same run.
    """
    trained = sort_curves(networks[~networks["curve"].isin(["whole", "pruned-tuned"])])
    first = trained.groupby(["run", "longer", "seed"], sort=False)["curve"].transform("first")
    return first.where(first != trained["curve"], "").reindex(networks.index, fill_value="").astype(object)


def twin(of_case: pd.DataFrame, networks: pd.DataFrame) -> str:
    """The curve that has exactly the same runs as one curve at one case, with all seeds of both; or "".

    of_case: the curve's networks at the case. networks: all, with the column `same_run_as`.
    """
    others = set(of_case["same_run_as"])
    if len(others) > 1 or "" in others:
        return ""
    (other,) = others
    theirs = networks[networks["curve"] == other]
    shared = theirs[theirs["run"].isin(of_case["run"])]
    same_case = theirs.merge(shared[CASE].drop_duplicates(), on=CASE)
    return other if len(same_case) == len(of_case) else ""


def sort_curves(networks: pd.DataFrame) -> pd.DataFrame:
    """Sort the rows by curve, in the order of `CURVES`; the sort is stable."""
    rank = {curve: i for i, curve in enumerate(CURVES)}
    return networks.sort_values(
        "curve", kind="stable", key=lambda curve: curve.map(rank).fillna(len(rank)).astype(int)
    )


def case_names(verdicts: pd.DataFrame, *, with_length: bool = True) -> pd.Series:
    """The name of every row's case, with or without its length of training. verdicts: with columns `CASE`."""
    several = verdicts["criterion"].replace("", np.nan).nunique() > 1
    names = [
        case_name(criterion, ratio, size, longer if with_length else 1)
        + (criterion_suffix(criterion) if several and pd.isna(ratio) else "")
        for criterion, ratio, size, longer in verdicts[CASE].itertuples(index=False)
    ]
    return pd.Series(names, verdicts.index, dtype=object)


def scratch_b_in_words(results: pd.DataFrame) -> str:
    """How many epochs Scratch-B took, in words: either limited by a cap or by the compute.

    It was capped if the compute of the whole network's training would have allowed another epoch. Networks
    with single weights removed are ignored, because their compute is that of the dense network. Returns
    `MORE_EPOCHS` if the results do not say.
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
