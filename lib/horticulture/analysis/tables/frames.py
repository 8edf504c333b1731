"""Tables of a study: test error by curve and size, and by budget, with what budgets really spent; notes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from horticulture.analysis.tables.cells import (
    MISSED,
    again,
    capital,
    cells,
    complete,
    duplicates,
    in_order,
    listed,
    scratch_b,
    sizes,
    times,
)
from horticulture.analysis.tables.names import MORE_EPOCHS, label, plain, tag

SPENDING = ("scratch-b", "scratch-b-all")  # budgets that are about compute
COUNTED = {2: "two", 3: "three", 4: "four"}


def error_by_size(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) by curve and size, a mean over seeds; sizes in percent of the whole network.

    Every curve has one network a seed at a size, the pruned and tuned one too: the network of the round that
    was taken there. Networks that were pruned by a ratio have a table of their own: `by_budget`. Where there
    is Scratch-B, every network also says what it spent: `18.4 (0.57 of the compute)`.
    """
    epochs, results = scratch_b(results), complete(results)
    results = results[results["ratio"].isna()]
    found, columns = in_order(cells(results, tuned=True)), [*sizes(results), 1.0]
    with_shares, rows = found["curve"].isin(SPENDING).any(), {}
    for (curve, criterion, longer), one in found.groupby(["curve", "criterion", "longer"], sort=False):
        at = {size: _error(here, with_shares) for size, here in one.groupby("size")}
        name = row_name(str(curve), str(criterion), longer, epochs)
        rows[name] = [at.get(size, np.nan) for size in columns]
    heads = [f"{100 * size:.0f} %" for size in columns]
    heads = heads if len(set(heads)) == len(heads) else [f"{100 * size:.1f} %" for size in columns]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=heads)
    return frame.rename_axis("test error (%) at parameters left")


def _error(one: pd.DataFrame, with_shares: bool) -> float | str:
    share = _share(one) if with_shares else ""
    mean = round(float(one["test_error"].mean()), 1)
    return f"{mean:.1f}{share}" if share else mean


def _share(one: pd.DataFrame) -> str:
    """What training these networks took of the whole network's compute, their mean."""
    share = one["compute_share"].mean()
    return "" if pd.isna(share) or one["curve"].iloc[0] == "whole" else f" ({share:.2f} of the compute)"


def row_name(curve: str, criterion: str = "", longer: float = 1.0, epochs: str = MORE_EPOCHS) -> str:
    """A curve's name with its criterion, and how long it was trained."""
    name = label(curve, criterion, epochs=epochs)
    return name if longer == 1 else f"{name}, {times(longer)} as long"


def by_budget(results: pd.DataFrame) -> pd.DataFrame:
    """Test error (%) of what was pruned by a ratio: a row a criterion and ratio, a column a budget.

    Mean and standard deviation over seeds, as in the tables of Liu et al. (2019), and of the whole network's
    training compute the share that training from scratch really took, the search for the shape not counted:
    `9.1 ± 0.3 (0.57 of the compute)`. A budget that comes to the same runs as another has no number of its
    own (`= Scratch-E`). Criteria keep the order of the results.
    """
    found = cells(results)
    found = found[found["ratio"].notna()]
    found = found.assign(again=again(found))
    index = ["criterion", "ratio", *(["longer"] if found["longer"].nunique() > 1 else [])]
    order = found["curve"].unique()
    if found.empty:
        return pd.DataFrame()
    said = {place: _cell(one) for place, one in found.groupby([*index, "curve"], sort=False, dropna=False)}
    frame = pd.Series(said, dtype=object).rename_axis([*index, "curve"]).unstack("curve")
    rows = found.set_index(index).index.unique()
    heads = [label(curve, epochs=scratch_b(results)) for curve in order]
    return frame.reindex(index=rows, columns=order).set_axis(heads, axis=1)


def _cell(one: pd.DataFrame) -> str:
    others = set(one["again"])
    if len(others) == 1 and "" not in others:
        return f"= {tag(others.pop())}"
    errors = one["test_error"]
    mean = f"{errors.mean():.1f} ± {errors.std():.1f}" if len(errors) > 1 else f"{errors.mean():.1f}"
    return mean + _share(one)


def ordered(results: pd.DataFrame, criteria: Sequence[str]) -> pd.DataFrame:
    """The results with the criteria in a study's order; what has none of them comes first."""
    place = {name: i for i, name in enumerate(criteria)}
    return results.sort_values(
        "criterion", kind="stable", ignore_index=True, key=lambda column: column.map(place).fillna(-1)
    )


def by_size(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that a picture against size is about: of what a ratio left only Scratch-E.

    The other budgets have their own picture, `figures.budgets`.
    """
    other = results["ratio"].notna() & (results["curve"].map(plain) != "pruned-scratch")
    return results[~other]


def tables(results: pd.DataFrame) -> list[pd.DataFrame]:
    """Those of the tables, by size and by budget, that have anything to say."""
    return [found for found in (error_by_size(results), by_budget(results)) if len(found)]


def notes(results: pd.DataFrame) -> list[str]:
    """What a reader of the tables should know, a sentence each: same runs, missed sizes, machines."""
    found = complete(results)
    said = [*duplicates(results), *_missed(results)]
    for column, word in (("device", "kinds of processor"), ("precision", "precisions")):
        kinds = list(found[column].dropna().replace("", np.nan).dropna().unique()) if column in found else []
        if len(kinds) > 1:
            count = COUNTED.get(len(kinds), str(len(kinds)))
            said.append(f"Results from {count} {word}: {', '.join(map(str, kinds))}.")
        elif kinds and column == "precision":
            said.append(f"Everything was computed in {kinds[0]}.")
    return said


def _missed(results: pd.DataFrame) -> list[str]:
    found = cells(results)
    of_size = found.groupby(["curve", "size"], sort=False)["missed"].mean()
    of_size = of_size[of_size.abs() > MISSED]
    said = []
    for curve, one in of_size.groupby("curve", sort=False):
        where = [f"{100 * miss:+.1f} % parameters at {100 * size:.0f} %" for (_, size), miss in one.items()]
        named = capital(label(str(curve), epochs=scratch_b(results)))
        said.append(f"{named} is not quite of the pruned shapes' size: {listed(where).replace('-', '−')}.")
    return said


def best(results: pd.DataFrame) -> list[str]:
    """A sentence a size: which curve has the lowest mean test error there, and what the others have.

    Pruned and tuned networks included; means of the table, no test: `words.describe_verdicts` says what the
    seeds can tell. First what longer training did to each network that had it.
    """
    epochs, results = scratch_b(results), complete(results)
    found = cells(results[results["ratio"].isna()])
    found = found[again(found) == ""]
    usual = found["longer"].min()
    means = found.groupby(["size", "longer", "curve", "criterion"])["test_error"].mean().sort_values()
    said = []
    changes = [
        f"{row_name(curve, criterion, epochs=epochs)} at {100 * size:.0f} %: "
        f"{means[size, usual, curve, criterion]:.1f} to {error:.1f} %"
        for (size, longer, curve, criterion), error in means.items()
        if longer > usual and (size, usual, curve, criterion) in means.index
    ]
    if changes:
        much = listed(times(longer) for longer in sorted(found["longer"].unique()) if longer > usual)
        said.append(f"Trained {much} as long, test errors went from and to: {'; '.join(changes)}.")
    usually = means.xs(usual, level="longer").drop("whole", level="curve", errors="ignore")
    for size, one in usually.groupby("size"):
        named = [
            (row_name(curve, criterion, epochs=epochs), error) for (_, curve, criterion), error in one.items()
        ]
        if len(named) > 1:
            (first, lowest), *others = named
            then = ", ".join(f"{name} {error:.1f}" for name, error in others)
            said.append(
                f"At {100 * size:.0f} % of the parameters the lowest mean is that of **{first}**, "
                f"{lowest:.1f} %; then {then}."
            )
    return said
