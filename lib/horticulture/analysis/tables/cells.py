"""The networks of a study in their places: which curve, what was found by which criterion, which size.

A *cell* is a curve at one case: a criterion, a ratio or a size, a length of training. It has one network a
seed, never a mean of several.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from horticulture.analysis.tables.names import MORE_EPOCHS, NAMES, label, plain

NEAR = 0.1  # how far (of a size) a network may lie from a size and still stand for it
MISSED = 0.01  # how far before it is said
CASE = ["criterion", "ratio", "size", "longer"]
DEFAULTS = {"criterion": "", "ratio": np.nan, "longer": 1.0, "compute_share": np.nan}


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """The results with the columns that older ones lack: trained once as long, by a run of their own."""
    results = results.reset_index(drop=True)
    for name, value in DEFAULTS.items():
        if name not in results:
            results[name] = value
    results["longer"] = results["longer"].fillna(1.0).astype(float)
    results["criterion"] = results["criterion"].fillna("")
    rounds = results["curve"] == "pruned-tuned"
    own = pd.Series([f"row {i}" for i in results.index], dtype=object).mask(rounds, "pruning")
    results["run"] = results["run"].fillna(own) if "run" in results else own
    if "round" not in results:
        results["round"] = pd.array([None] * len(results), dtype="Int64")
    return results


def taken(results: pd.DataFrame) -> pd.Series:
    """Which rows are rounds of a pruning that were taken out to be trained again, and measured for it.

    Of a pruning of which none was, nothing is marked.
    """
    index, results = results.index, complete(results)
    place = ["criterion", "ratio", "longer", "seed", "round"]
    tuned = (results["curve"] == "pruned-tuned") & results["test_error"].notna()
    again = results[~results["curve"].isin(["whole", "pruned-tuned"]) & results["round"].notna()]
    wanted = set(_keys(again, place))
    among = pd.Series([key in wanted for key in _keys(results, place)], results.index, dtype=bool)
    rounds = results[results["curve"] == "pruned-tuned"]
    alone = ~rounds["run"].duplicated(keep=False)  # measured by a run of its own
    many = rounds.groupby(place[:-1], dropna=False)["run"].transform("size") > 1
    apart = (alone & many).reindex(results.index, fill_value=False)
    return pd.Series((tuned & (among | apart)).to_numpy(), index)


def _keys(frame: pd.DataFrame, columns: Iterable[str]) -> list[tuple]:
    """The rows as tuples in which an empty cell equals an empty cell."""
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[list(columns)].itertuples(index=False, name=None)
    ]


def whole_params(results: pd.DataFrame) -> float:
    """Parameters of the whole network, or of the largest where it is not among the results."""
    whole = results.loc[results["curve"] == "whole", "params"]
    return float((whole if len(whole) else results["params"]).max())


def sizes(results: pd.DataFrame) -> list[float]:
    """The sizes that were wanted, as shares of the whole network, from the networks that were trained.

    Networks of different curves or seeds within `NEAR` are of one size, two of one curve and seed of two.
    What a pruning found is nearest to what was wanted, to a channel: its median is the size, if it is there.
    """
    results = complete(results)
    trained = results[results["ratio"].isna() & ~results["curve"].isin(["whole", "pruned-tuned"])]
    trained = trained.assign(share=trained["params"] / whole_params(results)).dropna(subset=["share"])
    trained = trained.drop_duplicates(["curve", "criterion", "seed", "longer", "run"]).sort_values("share")
    groups: list[list] = []
    seen: set[tuple] = set()
    for one in trained.itertuples():
        key = (one.curve, one.criterion, one.seed, one.longer)
        if not groups or key in seen or one.share > (1 + NEAR) * groups[-1][0].share:
            groups.append([])
            seen = set()
        groups[-1].append(one)
        seen.add(key)
    found = []
    for group in groups:
        of_pruning = [one.share for one in group if one.curve == "pruned-scratch"]
        found.append(float(np.median(of_pruning or [one.share for one in group])))
    return found


def cells(results: pd.DataFrame, *, tuned: bool = False) -> pd.DataFrame:
    """One row for each network that stands for a cell.

    results: as `runs.collect` gives them. Columns of the results, with `curve` plain (as it was: `named`),
    and `share` (its parameters / the whole network's), `size` (the wanted share; NaN for what was pruned by
    a ratio), `missed` (share / size - 1). Networks without a test error are left out. tuned: also every
    other round that was measured, each by itself, where a pruning had none taken out.
    """
    found = complete(results)
    wanted, full = np.array(sizes(found)), whole_params(found)
    out = taken(found)
    kept = (found["curve"] != "pruned-tuned") | out
    if tuned:
        of = _keys(found, ["criterion", "ratio", "longer", "seed"])
        with_some = {key for key, marked in zip(of, out, strict=True) if marked}
        kept |= pd.Series([key not in with_some for key in of], found.index)
    on_the_way = (found["curve"] == "pruned-tuned") & found["ratio"].notna()  # budgets say what became of it
    found = found[kept & ~on_the_way & found["test_error"].notna()].copy()
    found["named"] = found["curve"]
    found["curve"] = found["curve"].map(plain)
    found["share"] = found["params"] / full if "params" in found else np.nan
    found["size"] = [
        _nearest(share, wanted) if pd.isna(ratio) and curve != "whole" else np.nan
        for share, ratio, curve in zip(found["share"], found["ratio"], found["curve"], strict=True)
    ]
    found.loc[found["curve"] == "whole", ["size", "ratio"]] = [1.0, np.nan]
    found = found[found["size"].notna() | found["ratio"].notna()]
    found["missed"] = (found["share"] / found["size"] - 1).round(9)
    found["apart"] = found["missed"].abs()
    found = found.sort_values("apart", kind="stable").drop_duplicates(["curve", *CASE, "seed"]).sort_index()
    return found.drop(columns="apart")


def _nearest(share: float, wanted: np.ndarray) -> float:
    """The wanted size that a network stands for, or NaN if it stands for none."""
    if not len(wanted) or np.isnan(share):
        return np.nan
    size = wanted[np.abs(wanted - share).argmin()]
    return float(size) if abs(share / size - 1) <= NEAR else np.nan


def scratch_b(results: pd.DataFrame) -> str:
    """How many epochs Scratch-B took, in words, from what was spent: a cap's, or what the compute bought.

    A cap is what kept the compute of the whole network's training from buying one epoch more. Networks
    without single weights do not count: their compute is that of all weights. `MORE_EPOCHS` where the
    results do not say.
    """
    found = complete(results)
    if "epochs" not in found:
        return MORE_EPOCHS

    def of(*curves: str) -> pd.Series:
        return found["longer"].map(found[found["curve"].isin(curves)].groupby("longer")["epochs"].max())

    with_tuning = found["curve"] == "scratch-b-all"
    epochs = found["epochs"] - of("fine-tuned", "lr-rewound").where(with_tuning, 0)
    taken_times = (epochs / of("whole"))[with_tuning | (found["curve"] == "scratch-b")].dropna()
    share = (found["compute_share"] / found["epochs"])[taken_times.index].dropna()  # of one epoch
    capped = share.index[(epochs[share.index] + 1) * share <= 1]
    if len(capped):
        return f"at most {times(round(taken_times[capped].max(), 2))} the epochs"
    return "same compute" if len(share) else MORE_EPOCHS


# --- the same network under two names ----------------------------------------------------------------------


def again(found: pd.DataFrame) -> pd.Series:
    """For every cell's network the curve that has the same run already at the same case, or "".

    found: as `cells` gives them. Curves come in the order of `names.NAMES`. Another length of training is
    another case, even where a longer budget of the shorter one is the same run.
    """
    known: dict[tuple, str] = {}
    said = pd.Series("", index=found.index, dtype=object)
    for i in in_order(found).index:
        key = (found.at[i, "run"], found.at[i, "longer"], found.at[i, "seed"])
        if found.at[i, "curve"] in ("whole", "pruned-tuned"):
            continue
        if known.setdefault(key, found.at[i, "curve"]) != found.at[i, "curve"]:
            said[i] = known[key]
    return said


def in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Cells by curve in the order of `names.NAMES`, otherwise as they were."""
    order = list(NAMES)
    rank = found["curve"].map(lambda curve: order.index(curve) if curve in order else len(order))
    return found.loc[rank.sort_values(kind="stable").index]


def duplicates(results: pd.DataFrame) -> list[str]:
    """A sentence for every curve of which some networks, or all, are those of another curve."""
    found = cells(results)
    found, epochs = found.assign(again=again(found)), scratch_b(results)
    said = []
    for (curve, other), same in found[found["again"] != ""].groupby(["curve", "again"], sort=False):
        mine = found[found["curve"] == curve].groupby(CASE, sort=False, dropna=False)
        seeds = [(case(place), (one["again"] == other)) for place, one in mine]
        shared = [name for name, here in seeds if here.any()]
        where = "everywhere" if len(shared) == len(seeds) else f"at {listed(shared)}"
        if len(same) < sum(len(here) for _, here in seeds if here.any()):
            where = f"with some seeds {where}"
        named, first = (label(str(name), epochs=epochs) for name in (curve, other))
        said.append(f"{capital(named)} and {first} are the same runs {where}: drawn and counted once.")
    return said


def case(one: tuple) -> str:
    """What a case is called: `12 %`, or `l1 −50 %`; where it was trained longer, how long."""
    criterion, ratio, size, longer = one[:4]
    if pd.isna(ratio):
        found = f"{100 * size:.0f} %"
    else:
        found = f"{criterion} −{100 * ratio:.0f} %" if ratio else f"{criterion} all zeros"
    return found.strip() + ("" if longer == 1 else f" ({times(longer)} as long)")


def times(longer: float) -> str:
    """`twice`, `3 times`."""
    return "twice" if longer == 2 else f"{longer:g} times"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def capital(text: str) -> str:
    """As at the beginning of a sentence."""
    return text[:1].upper() + text[1:]
