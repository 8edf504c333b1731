"""Sentences below tables and figures: what these show, computed from their data, as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import CURVES, label
from horticulture.analysis.tables import cases
from horticulture.analysis.tables.wording import count, join_words, percent, row_name, times
from horticulture.runs import ImageErrors


def describe_kept(kept: pd.DataFrame, run: str) -> str:
    """How evenly the groups of a pruning run shrink, halfway and at the end.

    kept: the fraction of its channels that each group (row) has in the networks (columns) along the way;
    without columns if `run`, the name of the pruning run, removed single weights.
    """
    if kept.empty:
        return f"{run} removed only single weights, so every group has kept all its channels."
    middle, end = kept.iloc[:, len(kept.columns) // 2 - 1], kept.iloc[:, -1]
    along = f"In *{middle.name}* the groups have kept {_range(middle)} of their channels; in"
    at_once = f"The groups have kept {_range(end)} of their channels in"
    return (
        f"{along} *{end.name}*, {_range(end)}. " if len(kept.columns) > 1 else f"{at_once} *{end.name}*. "
    ) + "Which group goes first is not a law: it is what this criterion sees in this network."


def describe_widths(widths: Mapping[str, pd.DataFrame], full: pd.Series) -> str:
    """What is left in each group at the end, and how much the seeds differ, as a list by pruning run.

    widths: by name, the channels left in each group (columns) for each seed (rows). full: those of the whole.
    """
    lines = []
    for name, kept in widths.items():
        difference = (kept.max() - kept.min()).mean()
        differ = f"; a group differs by {difference:.1f} channels between seeds" if len(kept) > 1 else ""
        lines.append(f"- {name}: on average {_range(kept.mean() / full)} of a group is left{differ}.")
    return "\n".join(lines) or "Every group still has all its channels."


def describe_costs(trained: pd.DataFrame, costs: Mapping[str, str], shares: pd.DataFrame) -> str:
    """Whether the parameters and what a network costs to run put the networks in the same order.

    trained: a row per network, with params and the columns that `costs` names. shares: the median network
    of each curve (rows) by cost (columns), as a share of the whole network's.
    """
    if shares.empty:
        return "Only the whole network was trained, so there is nothing to compare its cost with."
    if trained["params"].nunique() == 1:
        return "All trained networks have the same number of parameters, so there is no order to compare."
    order = trained[["params", *costs]].corr("spearman")["params"]
    time = shares.iloc[:, -1]
    ranks = ", ".join(f"{_correlation(order[name])} for {named}" for name, named in costs.items())
    return (
        "Rank correlation with the parameters, over all networks that were trained (1: the same order): "
        f"{ranks}. The median networks take {_with_curves(time, time.min())} to "
        f"{_with_curves(time, time.max())} of the whole network's {time.name}. Where the share of the time "
        "is larger than the share of the MACs, a network computes less but waits as long: norms, additions "
        "and the time spent not computing at all do not shrink with the channels between two convolutions."
    )


def describe_runtimes(by_runtime: pd.DataFrame) -> str:
    """Whether two programs agree on which networks are fast.

    by_runtime: milliseconds, a row per network; two columns, one for each program, for every case.
    """
    parts = []
    for case in dict.fromkeys(by_runtime.columns.get_level_values(0)):
        (first, times), (second, others) = by_runtime[case].items()
        ratio, agreement = others / times, _correlation(times.corr(others, "spearman"))
        parts.append(
            f"{case.removesuffix(' (ms)')}: {second} takes {ratio.min():.2f} to {ratio.max():.2f} times as "
            f"long as {first}, and the rank correlation of the two is {agreement}"
        )
    if not parts:
        return "ONNX Runtime is not installed, so nothing is compared."
    return f"Over {count(len(by_runtime), 'network')}, for a {'; for a '.join(parts)} (1: the same order)."


def _correlation(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _with_curves(shares: pd.Series, share: float) -> str:
    """A share, and the curves that have it to two digits: `0.77 (*width* and *bottleneck*)`."""
    same = shares.index[shares.round(2) == round(share, 2)]
    return f"{share:.2f} ({join_words(f'*{name}*' for name in same)})"


def describe_budgets(results: pd.DataFrame) -> str:
    """Which budgets have the lowest mean error, and how often, among networks pruned by a ratio; perhaps "".

    results: as returned by `runs.collect`.
    """
    epochs, networks = cases.scratch_b_in_words(results), cases.assign_cases(results)
    networks = networks[networks["ratio"].notna() & (cases.same_run_as(networks) == "")]
    means = networks.groupby([*cases.RATIO_CASE, "curve"])["test_error"].mean()
    if means.empty:
        return ""
    lowest = means.groupby(cases.RATIO_CASE).idxmin().str[-1].value_counts()
    winners = [f"by *{label(curve, epochs=epochs)}* in {number}" for curve, number in lowest.items()]
    return (
        f"Of {count(lowest.sum(), 'case')}, by criterion, share removed and length of training, the lowest "
        f"mean error is reached {join_words(winners)}."
    )


def describe_bytes(results: pd.DataFrame) -> str:
    """How small compressed networks are on disk, and at what error, at the usual length; perhaps "".

    results: as returned by `runs.collect`.
    """
    results = cases.fill_defaults(results)
    results = results[results["longer"] == results["longer"].min()]
    means = results.dropna(subset=["bytes"]).groupby("ratio")[["bytes", "test_error"]].mean()
    if means.empty:
        return ""
    whole = results.query("curve == 'whole' and criterion == ''")
    smaller = 4 * whole["params"].max() / means["bytes"]
    compressed = [
        f"{smaller[ratio]:.0f} times smaller with {percent(ratio)} removed, at {mean.test_error:.1f} % error"
        for ratio, mean in means.iterrows()
    ]
    return (
        f"On disk the compressed networks are {join_words(compressed)}; the whole network, in float32, has "
        f"{whole['test_error'].mean():.1f} %."
    )


def describe_spending(measured: pd.DataFrame) -> str:
    """The compute of all training of each curve's networks, including the search for their shape.

    measured: the results that have a test error, with curve, longer, train_macs and test_error.
    """
    whole = measured.loc[(measured["curve"] == "whole") & (measured["longer"] == 1), "train_macs"].mean()
    if not whole > 0:
        return "The whole network is pretrained, so what its training took is unknown."
    spent = measured.groupby("curve")["train_macs"].agg(["min", "max"]) / whole
    ranges = []
    for curve in [name for name in CURVES if name in spent.index]:
        ends = dict.fromkeys(f"{share:.1f}" for share in spent.loc[curve])
        ranges.append(f"{label(curve)} {' to '.join(ends)}")
    best = measured.loc[measured["test_error"].idxmin()]
    return (
        "Training compute of the networks of each curve, as multiples of the whole network's, including "
        f"the search for their shape and longer training: {'; '.join(ranges)}. The lowest error of all, "
        f"{best['test_error']:.1f} %, took {best['train_macs'] / whole:.1f} times the compute "
        f"({label(best['curve'])}). If you prune, you pay for the whole network first, and then for one "
        "pruning run, however many sizes you take from it."
    )


def rounds_of(
    networks: pd.DataFrame, criterion: str, seed: int, *, longer: float = 1.0, ratio: float = 0.0
) -> pd.DataFrame:
    """The rounds of one pruning run among measured networks, each once. ratio: 0 for one channel a round."""
    curve = networks[networks["curve"] == "pruned-tuned"]
    of_run = curve[(curve["criterion"] == criterion) & (curve["seed"] == seed) & (curve["longer"] == longer)]
    of_run = of_run[of_run["ratio"] == ratio] if ratio else of_run
    return of_run.drop_duplicates("round")


def describe_path(path: pd.DataFrame, seed: int, params: int) -> str:
    """Where the error of a pruning run is lowest, and where it ends.

    path: its measured rounds, with round, params and test_error. params: of the whole network.
    """
    if path.empty:
        return "No network of its first pruning run was measured along the way."
    path = path.sort_values("round")
    lowest, end = path.loc[path["test_error"].idxmin()], path.iloc[-1]
    at_end = f" At the end it is {end['test_error']:.1f} % with {percent(end['params'] / params)}."
    last = lowest["round"] == end["round"]
    return (
        f"The network of seed {seed} was measured at {count(len(path), 'point')} along the way. Its error "
        f"is lowest {'at the end, ' if last else ''}after round {lowest['round']:.0f}: "
        f"{lowest['test_error']:.1f} % with {percent(lowest['params'] / params)} of the parameters."
        f"{'' if last else at_end} Watch which bars sink first."
    )


def _range(shares: pd.Series) -> str:
    """`25 % (block-1) to 75 % (block-2)`: the lowest and the highest share, each with its group."""
    least, most = shares.idxmin(), shares.idxmax()
    if percent(shares[least]) == percent(shares[most]):
        return percent(shares[least])
    return f"{percent(shares[least])} ({least}) to {percent(shares[most])} ({most})"


def _means_of_same_seeds(pair: pd.DataFrame) -> Iterator[tuple[Any, float, float]]:
    """The means of two columns over the seeds that have both, by the other index levels, lowest first."""
    means = pair.dropna().groupby(level=list(range(pair.index.nlevels - 1))).mean()
    return means.sort_values(means.columns[1]).itertuples(name=None)


def describe_best(results: pd.DataFrame) -> list[str]:
    """A sentence per size: the curve with the lowest mean test error, then the others.

    Pruned and tuned networks are included. These are the means of the table, without a test: see `verdicts`
    for what is significant. The first sentence says what longer training changed, if there was any, in the
    seeds that have both; that of a size says so if it also changed their order.
    """
    epochs, results = cases.scratch_b_in_words(results), cases.fill_defaults(results)
    networks = cases.assign_cases(results[results["ratio"].isna()])
    networks = networks[cases.same_run_as(networks) == ""]
    usual = networks["longer"].min()
    means = networks.groupby(["size", "longer", "curve", "criterion"])["test_error"].mean().sort_values()
    sentences = []
    by_seed = networks.pivot_table("test_error", ["size", "curve", "criterion", "seed"], "longer")
    changed = [
        (longer, size, row_name(curve, criterion, epochs=epochs), before, after)
        for longer in by_seed.columns[1:]
        for (size, curve, criterion), before, after in _means_of_same_seeds(by_seed[[usual, longer]])
    ]
    if changed:
        much = join_words(times(longer) for longer in sorted(networks["longer"].unique())[1:])
        changes = (
            f"{name} at {percent(size)} from {before:.1f} to {after:.1f} %"
            for _, size, name, before, after in changed
        )
        sentences.append(f"Training {much} as long changed the test error: {'; '.join(changes)}.")
    usually = means.xs(usual, level="longer").drop("whole", level="curve", errors="ignore")
    for size, errors in usually.groupby("size"):
        (first, lowest), *others = (
            (row_name(curve, criterion, epochs=epochs), error)
            for (_, curve, criterion), error in errors.items()
        )
        if others:
            shown = f"{lowest:.1f}"
            equal = [first, *(name for name, error in others if f"{error:.1f}" == shown)]
            best = join_words(f"**{name}**" for name in equal)
            rest = ", ".join(f"{error:.1f} % for {name}" for name, error in others[len(equal) - 1 :])
            have, then = "have" if equal[1:] else "has", f"; then {rest}" if rest else ""
            sentences.append(
                f"At {percent(size)} of the parameters {best} {have} the lowest mean test error, "
                f"{shown} %{then}.{_other_order(changed, size)}"
            )
    return sentences


def _other_order(changed: list[tuple[float, float, str, float, float]], size: float) -> str:
    """How longer training changed the order of the curves at a size, if it did.

    changed: factor on the length, size, name, mean test error at the usual length and then, the lowest first.
    """
    sentence = ""
    for longer in dict.fromkeys(entry[0] for entry in changed):
        after = [entry[2:] for entry in changed if entry[:2] == (longer, size)]
        if [name for name, *_ in sorted(after, key=lambda entry: entry[1])] != [name for name, *_ in after]:
            order = ", ".join(f"{error:.1f} % for {name}" for name, _, error in after)
            sentence += f" Trained {times(longer)} as long, the order changes: {order}."
    return sentence


def describe_test_set(
    results: pd.DataFrame, image_errors: Mapping[str, ImageErrors], verdicts: pd.DataFrame
) -> str:
    """How much of the differences the choice of test images may account for, in Markdown.

    results, image_errors: as for `tables.verdicts`; verdicts: as returned by it.
    """
    whole = results[(results["curve"] == "whole") & results["run"].isin(image_errors.keys())]
    known = verdicts.dropna(subset=["test_error_se"])
    if whole.empty or known.empty:
        return "Nothing was compared on test images whose originals are known."
    wrong, original = image_errors[whole["run"].iloc[0]]
    originals = len(set(original.tolist()))
    error, deviation = statistics.clustered_difference(wrong, 0 * wrong, original)
    of = "" if originals == len(original) else f" drawn from {originals:,} originals"
    of_means, of_networks = known[["test_error_se", "test_error_se_one"]].median()
    decided = known[known["verdict"] != statistics.UNDECIDED]
    stay = (decided["verdict"] == decided["verdict_other_images"]).sum()
    return (
        f"The test set has {len(original):,} images{of}: an error of {error:.1f} % has a standard error of "
        f"{deviation:.1f} points{', clustered by original' if of else ''}. In the difference of two means "
        f"the test images alone leave a standard error of {of_means:.1f} points, and in that of two single "
        f"networks {of_networks:.1f} (medians over {count(len(known), 'comparison')}). With this error added "
        f"to that of the seeds, {stay} of {count(len(decided), 'decided verdict')} stay as they are."
    )
