"""What to know of the results besides their errors: shared runs, missed sizes, seeds, machines."""

import numpy as np
import pandas as pd

from horticulture import runs
from horticulture.analysis.curves import label
from horticulture.analysis.tables import cases
from horticulture.analysis.tables.wording import capitalize, case_name, count, join_words, percent, row_name


def notes(results: pd.DataFrame) -> list[str]:
    """Notes on the tables, one sentence each: shared runs, missed sizes, pretrained weights, machines."""
    results = cases.fill_defaults(results)
    sentences = [*_describe_duplicates(results), *_missed_sizes(results), *_fewer_seeds(results)]
    if "recipe" in results and (results["recipe"] == runs.PRETRAINED).any():
        sentences.append(
            "The whole network is pretrained: how it was trained, on what and for how long, is unknown."
        )
        if results["seed"].nunique() > 1:
            sentences.append("All seeds begin with its weights: intervals say nothing about other weights.")
    for column, word in (("device", "kinds of processor"), ("precision", "precisions")):
        if column not in results:
            continue
        by_run = results.drop_duplicates("run")[column] if "run" in results else results[column]
        kinds = by_run.replace("", np.nan).value_counts().index  # the most frequent first
        if len(kinds) > 1:
            most, *others = kinds
            named = "; ".join(f"{kind}: {_name_curves(results[column] == kind, results)}" for kind in others)
            sentences.append(f"The results come from {len(kinds)} {word}: mostly {most}; {named}.")
        elif len(kinds) and column == "precision":
            sentences.append(f"Everything was computed in {kinds[0]}.")
    return sentences


def _name_curves(chosen: pd.Series, results: pd.DataFrame) -> str:
    """Of which curves some results were chosen, and how many if not all."""
    by_curve = chosen.groupby(results["curve"], sort=False).agg(["sum", "size"])
    return ", ".join(
        label(str(curve)) + (f" ({some} of {all_})" if some < all_ else "")
        for curve, some, all_ in by_curve[by_curve["sum"] > 0].itertuples()
    )


def _describe_duplicates(results: pd.DataFrame) -> list[str]:
    """A sentence for every curve that shares some or all of its networks with another curve."""
    networks, epochs = cases.assign_cases(results), cases.scratch_b_in_words(results)
    networks = networks.assign(same_run_as=cases.same_run_as(networks))
    sentences = []
    shared_runs = networks[networks["same_run_as"] != ""]
    for curve, other in shared_runs[["curve", "same_run_as"]].drop_duplicates().itertuples(index=False):
        by_case = networks[networks["curve"] == curve].groupby(cases.CASE, sort=False, dropna=False)
        shared = {case: runs for case, runs in by_case if (runs["same_run_as"] == other).any()}
        where = "everywhere"
        if len(shared) < len(by_case):
            where = f"at {join_words(case_name(*case) for case in shared)}"
        if not all(cases.twin(runs, networks) for runs in shared.values()):
            where = f"{where} for some seeds"
        named, first = (label(str(name), epochs=epochs) for name in (curve, other))
        sentences.append(
            f"{capitalize(named)} and {first} are the same runs {where}, so they are drawn and counted once."
        )
    return sentences


def _fewer_seeds(results: pd.DataFrame) -> list[str]:
    """A sentence on the curves whose means, at some or all cases, are over fewer seeds than others."""
    networks, epochs = cases.assign_cases(results), cases.scratch_b_in_words(results)
    seeds = networks.groupby(["curve", *cases.CASE], sort=False, dropna=False)["seed"].nunique()
    by_number: dict[int, list[str]] = {}
    for (curve, longer), of_curve in seeds.groupby(["curve", "longer"], sort=False):
        for number, fewer in of_curve[of_curve < seeds.max()].groupby(of_curve, sort=False):
            name = row_name(str(curve), longer=longer, epochs=epochs)
            if len(fewer) < len(of_curve):
                sizes = (case_name(*case[1:4]) for case in fewer.index)
                name = f"{name} at {join_words(dict.fromkeys(sizes))}"
            by_number.setdefault(int(number), []).append(name)
    return [
        f"Means over {count(number, 'seed')}, where others are over {seeds.max()}: {'; '.join(names)}."
        for number, names in sorted(by_number.items())
    ]


def _missed_sizes(results: pd.DataFrame) -> list[str]:
    networks = cases.assign_cases(results)
    if not networks["curve"].eq("pruned-scratch").any():
        return []
    shapes = networks[networks["curve"] == "pruned-scratch"].set_index(["size", "longer", "seed"])["share"]
    shapes = shapes.groupby(level=[0, 1, 2]).mean()  # over criteria
    networks = networks[networks["curve"] != "pruned-tuned"].join(
        shapes.rename("shape"), on=["size", "longer", "seed"]
    )  # of the same seed, where there is one
    missed = (networks["share"] / networks["shape"] - 1).fillna(networks["missed"]).round(9)
    means = missed.groupby([networks["curve"], networks["size"]], sort=False).mean()
    sentences = []
    for curve, curve_misses in means[means.abs() > cases.MISSED].groupby("curve", sort=False):
        where = join_words(
            f"{100 * miss:+.1f} % parameters at {percent(size)}" for (_, size), miss in curve_misses.items()
        ).replace("-", "−")
        named = capitalize(label(str(curve), epochs=cases.scratch_b_in_words(results)))
        sentences.append(f"{named} misses the size of the pruned shapes: {where}.")
    return sentences
