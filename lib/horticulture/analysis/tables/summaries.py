"""Tables of a study: test error by size and by budget, with the compute that was spent, and verdicts."""

from collections.abc import Callable, Sequence

import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import CURVES, drop_sparse, label, short_label
from horticulture.analysis.tables import cases
from horticulture.analysis.tables.comparisons import VERDICT_COLUMNS
from horticulture.analysis.tables.wording import percent, row_name, signed

TRAINED_ON = ("fine-tuned", "lr-rewound", "compressed")  # from the tuned weights of a round


def error_by_size(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test error (%) over seeds, by curve and size; sizes in percent of the whole network.

    results: as returned by `runs.collect`. Every curve has one network per seed at a size; for the pruned and
    tuned one it is that of the retrained round. Networks pruned by a ratio have a table of their own:
    `error_by_budget`. In brackets, where it is known: own training, the compute spent on its weights after
    they were copied from the whole network, or drawn, as a share of the whole network's training of that
    length: `18.4 (0.57)`. A curve with the same runs as another one refers to it (`= Scratch-E`).
    """
    epochs, results = cases.scratch_b_in_words(results), cases.fill_defaults(results)
    results = results[results["ratio"].isna()]
    networks = cases.sort_curves(_add_tuning(cases.assign_cases(results, every_round=True), results))
    if networks.empty:
        return pd.DataFrame()
    sizes = list(dict.fromkeys([*cases.target_sizes(results), 1.0]))  # the smallest cut may be none at all
    networks = networks.assign(same_run_as=cases.same_run_as(networks))
    heads, digits = [percent(size) for size in sizes], 1
    while len(set(heads)) < len(heads):
        heads, digits = [f"{100 * size:.{digits}f} %" for size in sizes], digits + 1

    def entry(of_size: pd.DataFrame) -> float | str:
        share, mean = _compute_share(of_size), round(float(of_size["test_error"].mean()), 1)
        return _double(of_size, networks) or (f"{mean:.1f}{share}" if share else mean)

    table = _pivot(networks, ["curve", "criterion", "longer"], "size", entry)
    names = [row_name(curve, criterion, longer, epochs) for curve, criterion, longer in table.index]
    table = table.reindex(columns=sizes).set_axis(names).set_axis(heads, axis=1)
    return table.rename_axis("test error (%) by parameters left (own training)")


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
        errors = of_budget["test_error"]
        deviation = f" ± {errors.std():.1f}" if len(errors) > 1 else ""
        return _double(of_budget, networks) or f"{errors.mean():.1f}{deviation}{_compute_share(of_budget)}"

    index = ["criterion", "ratio", *(["longer"] if networks["longer"].nunique() > 1 else [])]
    table = _pivot(networks, index, "curve", entry)
    return table.set_axis([label(curve, epochs=cases.scratch_b_in_words(results)) for curve in table], axis=1)


def _double(of_case: pd.DataFrame, networks: pd.DataFrame) -> str:
    """The curve that has exactly the same runs at this case, `= Scratch-E`, or ""."""
    other = cases.twin(of_case, networks)
    return f"= {short_label(other)}" if other else ""


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
    # The answer comes first: a phone shows no more.
    columns = ["verdict", "alone", "difference", "interval", "other images", "seeds needed"]
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
