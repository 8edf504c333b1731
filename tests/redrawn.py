"""The figures of a reference study, drawn anew from its committed tables.

    python -m tests.redrawn STUDY...
    python -m tests.redrawn held_equal

For when a figure's words or looks change: nothing is trained and nothing is timed. `held_equal` is README's
figure of `quick` with all its budgets, on both processors.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from horticulture import runs
from horticulture.analysis import figures, tables
from horticulture.study import parameters, study_files
from horticulture.study.config import StudyConfig
from tests import claims

REFERENCE = Path(__file__).parents[1] / "outputs" / "reference"
PARTS = [part for name in study_files.studies() for part in study_files.read(name).expand_parts()]
STUDIES = {part.name: part for part in PARTS}
PHOTOGRAPHS = "evening-cifar10-jpeg"  # `evening` on a folder of images
STUDIES[PHOTOGRAPHS] = STUDIES["evening"]


def drawn(name: str) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of each that notebook 05 saves."""
    config = StudyConfig.of(parameters.resolve_parameters(STUDIES[name], {}))
    results = tables.sort_by_criterion(runs.collect(REFERENCE / name), config.criteria)
    by_size = tables.drop_budgets(results)
    fig, ax = plt.subplots(figsize=(9, 5.8))
    figures.error_against(by_size, "params", config.network, ax)
    seeds = sorted(results["seed"].unique())
    title = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    images = PHOTOGRAPHS.partition("-")[2] if name == PHOTOGRAPHS else config.data
    ax.set_title(f"{images}: networks of the study {name!r}, {title}", fontsize=11)
    yield "error_vs_params", fig
    if any(column.startswith("latency") for column in results):
        fig = figures.error_against_costs(by_size, config.network)
        fig.suptitle(f"latency: float32, {results['device'].iloc[0]}", fontsize=10)
        yield "error_vs_cost", fig
    yield from figures.of_study(results)
    verdicts = pd.read_csv(REFERENCE / name / "verdicts.csv").fillna({"criterion": ""})
    deciding = tables.decisive_verdicts(verdicts)
    if deciding["low"].notna().any():
        ax = figures.differences(deciding, epochs=tables.scratch_b_in_words(results))
        yield "weights_or_shape", ax.figure


def held_equal() -> Figure:
    """Shapes from scratch less LR-rewound, by what is held equal: the mean of the three sizes, and each."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 5.4), sharex=True, sharey=True, layout="constrained")
    for ax, study in zip(axes, (claims.MORE, claims.AGAIN), strict=True):
        deciding = tables.decisive_verdicts(claims.verdicts(study))
        of_budgets, words = claims.of_budgets(study), claims.corrected(study)
        means = deciding.drop_duplicates("curve").set_index("curve").loc[list(of_budgets)].reset_index()
        means[["difference", "low", "high"]] = [of_budget[:3] for of_budget in of_budgets.values()]
        means = means.assign(case="mean of the three", verdict=words)
        rows = pd.concat([means, deciding.sort_values("longer", kind="stable")])
        figures.differences(rows, ax, epochs=tables.scratch_b_in_words(claims.frame(study)))
        ax.set_title(f"{claims.frame(study)['device'].iloc[0].replace('(R)', '')}", fontsize=11, pad=22)
        ax.set_xlabel("test error minus LR-rewound's (points)")
    handles, names = axes[0].get_legend_handles_labels()
    for ax in axes:
        ax.get_legend().remove()
    fig.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small")
    return fig


if __name__ == "__main__":
    matplotlib.use("Agg")
    figures.use_style()
    for name in sys.argv[1:]:
        if name == "held_equal":
            figures.save(held_equal(), REFERENCE / "measured", name)
            continue
        for figure, fig in drawn(name):
            figures.save(fig, REFERENCE / name / "figures", figure)
            print(f"{name}/{figure}")
