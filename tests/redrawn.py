"""The figures of a reference study, drawn anew from its committed tables.

    python -m tests.redrawn STUDY...

For when a figure's words or looks change: nothing is trained and nothing is timed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from horticulture import runs
from horticulture.analysis import figures, tables
from horticulture.study import parameters, study_files
from horticulture.study.config import StudyConfig

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


if __name__ == "__main__":
    matplotlib.use("Agg")
    figures.use_style()
    for name in sys.argv[1:]:
        for figure, fig in drawn(name):
            figures.save(fig, REFERENCE / name / "figures", figure)
            print(f"{name}/{figure}")
