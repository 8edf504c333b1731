"""Tables of a study: test error by size and by budget, with the compute that was spent, and notes on them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from horticulture import runs
from horticulture.analysis import statistics
from horticulture.analysis.curves import (
    CURVES,
    MORE_EPOCHS,
    drop_sparse,
    label,
    short_label,
)
from horticulture.analysis.tables import cases
from horticulture.analysis.tables.comparisons import VERDICT_COLUMNS
from horticulture.analysis.tables.wording import (
    capitalize,
    case_name,
    count,
    join_words,
    percent,
    signed,
    times,
)

TRAINED_ON = ("fine-tuned", "lr-rewound")  # from the tuned weights of a round


def error_by_size(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test error (%) over seeds, by curve and size; sizes in percent of the whole network.

    results: as returned by `runs.collect`. Every curve has one network per seed at a size; for the pruned and
    tuned one it is that of the retrained round. Networks pruned by a ratio have a table of their own:
    `error_by_budget`. In brackets, where it is known: the compute of all training that its weights have had
    since they were those of the whole network, or drawn, as a share of the whole network's: `18.4 (0.57)`.
    """
    epochs, results = cases.scratch_b_in_words(results), cases.fill_defaults(results)
    results = results[results["ratio"].isna()]
    networks = cases.sort_curves(_add_tuning(cases.assign_cases(results, every_round=True), results))
    if networks.empty:
        return pd.DataFrame()
    sizes = [*cases.target_sizes(results), 1.0]
    heads = [percent(size) for size in sizes]
    if len(set(heads)) < len(heads):
        heads = [f"{100 * size:.1f} %" for size in sizes]

    def entry(of_size: pd.DataFrame) -> float | str:
        share, mean = _compute_share(of_size), round(float(of_size["test_error"].mean()), 1)
        return f"{mean:.1f}{share}" if share else mean

    table = _pivot(networks, ["curve", "criterion", "longer"], "size", entry)
    names = [row_name(curve, criterion, longer, epochs) for curve, criterion, longer in table.index]
    table = table.reindex(columns=sizes).set_axis(names).set_axis(heads, axis=1)
    return table.rename_axis("test error (%) by parameters left (compute after the whole's)")


def error_by_budget(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) of networks pruned by a ratio: a row per criterion and ratio, a column per budget.

    results: as returned by `runs.collect`; criteria and budgets keep their order. Mean and standard deviation
    over seeds, as in the tables of Liu et al. (2019), and compute as in `error_by_size`: `9.1 ± 0.3 (0.57)`.
    A budget with the same runs as another one refers to that one (`= Scratch-E`).
    """
    results = cases.fill_defaults(results)
    networks = _add_tuning(cases.assign_cases(results), results)
    networks = networks[networks["ratio"].notna()]
    if networks.empty:
        return pd.DataFrame()
    networks = networks.assign(same_run_as=cases.same_run_as(networks))

    def entry(of_budget: pd.DataFrame) -> str:
        others, errors = set(of_budget["same_run_as"]), of_budget["test_error"]
        if len(others) == 1 and "" not in others:
            return f"= {short_label(others.pop())}"
        deviation = f" ± {errors.std():.1f}" if len(errors) > 1 else ""
        return f"{errors.mean():.1f}{deviation}{_compute_share(of_budget)}"

    index = ["criterion", "ratio", *(["longer"] if networks["longer"].nunique() > 1 else [])]
    table = _pivot(networks, index, "curve", entry)
    return table.set_axis([label(curve, epochs=cases.scratch_b_in_words(results)) for curve in table], axis=1)


def _add_tuning(networks: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Add the tuning of the pruning run to the compute of the networks that were trained on from a round."""
    key = [*cases.PRUNING, "round"]
    rounds = results[results["curve"].map(drop_sparse) == "pruned-tuned"].drop_duplicates(key)
    tuned = networks[key].merge(rounds[[*key, "compute_share"]], how="left", on=key)["compute_share"]
    trained_on = networks["curve"].isin(TRAINED_ON).to_numpy()
    return networks.assign(compute_share=networks["compute_share"] + tuned.where(trained_on, 0).to_numpy())


def _pivot(
    networks: pd.DataFrame, index: list[str], column: str, entry: Callable[[pd.DataFrame], float | str]
) -> pd.DataFrame:
    """A table with `entry(networks)` for each row and column, both in the order of the networks."""
    groups = networks.groupby([*index, column], sort=False)
    entries = pd.Series({key: entry(group) for key, group in groups}).rename_axis([*index, column])
    rows = networks.set_index(index).index.unique()
    return entries.unstack(column).reindex(index=rows, columns=networks[column].unique())


def _compute_share(networks: pd.DataFrame) -> str:
    """Mean training compute of these networks as a share of the whole network's: ` (0.57)`, or ""."""
    share = networks["compute_share"].mean()
    return "" if pd.isna(share) or networks["curve"].iloc[0] == "whole" else f" ({share:.2f})"


def row_name(curve: str, criterion: str = "", longer: float = 1.0, epochs: str = MORE_EPOCHS) -> str:
    """A curve's name with its criterion and, if longer than usual, its length of training."""
    name = label(curve, criterion, epochs=epochs)
    return name if longer == 1 else f"{name}, trained {times(longer)} as long"


def error_tables(results: pd.DataFrame) -> list[pd.DataFrame]:
    """The tables by size and by budget, without empty ones."""
    return [table for table in (error_by_size(results), error_by_budget(results)) if len(table)]


def verdict_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The verdicts as a short table for readers: one row per comparison.

    verdicts: as returned by `tables.verdicts`. Differences are in points, with unadjusted 95 % intervals;
    `verdict` is adjusted for all cases of its pair, `alone` is not; `other images` is `verdict` with the
    error due to the choice of test images added.
    """
    undecided = {statistics.UNDECIDED: "undecided"}
    # A column that tables of earlier versions do not have, and that is empty in a file where it is unknown.
    verdicts = verdicts.reindex(columns=VERDICT_COLUMNS).astype({"verdict_other_images": object})
    verdicts = verdicts.fillna({"verdict_other_images": ""})

    def interval(low: float, high: float) -> str:
        return "" if pd.isna(low) else f"{signed(low)} to {signed(high)}"

    rows = [
        {
            "curve": short_label(row.curve),
            "against": short_label(row.against),
            "case": case,
            "difference": signed(row.difference),
            "interval": interval(row.low, row.high),
            "verdict": undecided.get(row.verdict, row.verdict),
            "alone": undecided.get(row.verdict_alone, row.verdict_alone),
            "other images": undecided.get(row.verdict_other_images, row.verdict_other_images),
            "seeds needed": "" if pd.isna(row.seeds_needed) else f"{row.seeds_needed:.0f}",
        }
        for row, case in zip(verdicts.itertuples(), cases.case_names(verdicts), strict=True)
    ]
    case_columns = ["curve", "against", "case"]
    columns = ["difference", "interval", "verdict", "alone", "other images", "seeds needed"]
    return pd.DataFrame(rows, columns=[*case_columns, *columns]).set_index(case_columns)


def sort_by_criterion(results: pd.DataFrame, criteria: Sequence[str]) -> pd.DataFrame:
    """Sort the results by criterion, in the study's order; rows with none of these criteria come first."""
    position = {name: i for i, name in enumerate(criteria)}
    return results.sort_values(
        "criterion", kind="stable", ignore_index=True, key=lambda column: column.map(position).fillna(-1)
    )


def drop_budgets(results: pd.DataFrame) -> pd.DataFrame:
    """Drop the budgets of networks pruned by a ratio, except Scratch-E, for a figure against size.

    They have their own figure, `figures.budgets`.
    """
    budgets = results["ratio"].notna() & (results["curve"].map(drop_sparse) != "pruned-scratch")
    return results[~budgets]


def trained_from_scratch(results: pd.DataFrame) -> pd.DataFrame:
    """Drop the networks that kept weights of a pruned one."""
    kept = [name for name, curve in CURVES.items() if curve.inherits]
    return results[~results["curve"].isin(kept)]


def notes(results: pd.DataFrame) -> list[str]:
    """Notes on the tables, one sentence each: shared runs, missed sizes, pretrained weights, machines."""
    results = cases.fill_defaults(results)
    sentences = [*_describe_duplicates(results), *_missed_sizes(results), *_fewer_seeds(results)]
    if "recipe" in results and (results["recipe"] == runs.PRETRAINED).any():
        sentences.append(
            "The whole network is pretrained: how it was trained, on what and for how long, is unknown."
        )
    for column, word in (("device", "kinds of processor"), ("precision", "precisions")):
        kinds = results[column].replace("", np.nan).dropna().unique() if column in results else []
        if len(kinds) > 1:
            sentences.append(f"The results come from {len(kinds)} {word}: {', '.join(map(str, kinds))}.")
        elif len(kinds) and column == "precision":
            sentences.append(f"Everything was computed in {kinds[0]}.")
    return sentences


def _describe_duplicates(results: pd.DataFrame) -> list[str]:
    """A sentence for every curve that shares some or all of its networks with another curve."""
    networks, epochs = cases.assign_cases(results), cases.scratch_b_in_words(results)
    networks = networks.assign(same_run_as=cases.same_run_as(networks))
    sentences = []
    for (curve, other), same in networks[networks["same_run_as"] != ""].groupby(
        ["curve", "same_run_as"], sort=False
    ):
        by_case = networks[networks["curve"] == curve].groupby(cases.CASE, sort=False, dropna=False)
        shared = {case: len(runs) for case, runs in by_case["same_run_as"] if (runs == other).any()}
        where = "everywhere"
        if len(shared) < len(by_case):
            where = f"at {join_words(case_name(*case) for case in shared)}"
        if len(same) < sum(shared.values()):
            where = f"{where} for some seeds"
        named, first = (label(str(name), epochs=epochs) for name in (curve, other))
        sentences.append(
            f"{capitalize(named)} and {first} are the same runs {where}, so they are drawn and counted once."
        )
    return sentences


def _fewer_seeds(results: pd.DataFrame) -> list[str]:
    """A sentence on the curves whose means are over fewer seeds than those of others."""
    networks, epochs = cases.assign_cases(results), cases.scratch_b_in_words(results)
    seeds = networks.groupby(["curve", "longer"], sort=False)["seed"].nunique()
    fewer = seeds[seeds < seeds.max()]
    by_number: dict[int, list[str]] = {}
    for (curve, longer), number in fewer.items():
        name = label(str(curve), epochs=epochs) + (f", trained {times(longer)} as long" if longer > 1 else "")
        by_number.setdefault(int(number), []).append(name)
    return [
        f"Means over {count(number, 'seed')}, where others are over {seeds.max()}: {'; '.join(names)}."
        for number, names in by_number.items()
    ]


def _missed_sizes(results: pd.DataFrame) -> list[str]:
    networks = cases.assign_cases(results)
    if not networks["curve"].eq("pruned-scratch").any():
        return []
    networks = networks[networks["curve"] != "pruned-tuned"]
    means = networks.groupby(["curve", "size"], sort=False)["missed"].mean()
    sentences = []
    for curve, missed in means[means.abs() > cases.MISSED].groupby("curve", sort=False):
        where = join_words(
            f"{100 * miss:+.1f} % parameters at {percent(size)}" for (_, size), miss in missed.items()
        ).replace("-", "−")
        named = capitalize(label(str(curve), epochs=cases.scratch_b_in_words(results)))
        sentences.append(f"{named} misses the size of the pruned shapes: {where}.")
    return sentences


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
            then = ", ".join(f"{error:.1f} % for {name}" for name, error in others)
            sentences.append(
                f"At {percent(size)} of the parameters **{first}** has the lowest mean test error, "
                f"{lowest:.1f} %; then {then}.{_other_order(changed, size)}"
            )
    return sentences


def _other_order(changed: list[tuple[float, float, str, float, float]], size: float) -> str:
    """What longer training made of the order of the curves at a size, if it is another then.

    changed: factor on the length, size, name, mean test error at the usual length and then, the lowest first.
    """
    said = ""
    for longer in dict.fromkeys(entry[0] for entry in changed):
        after = [entry[2:] for entry in changed if entry[:2] == (longer, size)]
        if [name for name, *_ in sorted(after, key=lambda one: one[1])] != [name for name, *_ in after]:
            order = ", ".join(f"{error:.1f} % for {name}" for name, _, error in after)
            said += f" Trained {times(longer)} as long, the order is another: {order}."
    return said
