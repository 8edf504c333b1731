"""The figures of a study, besides error against size."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from horticulture.analysis.curves import BLUE, DRAWN, drop_sparse
from horticulture.analysis.figures.comparisons import budgets_by_ratio
from horticulture.analysis.figures.costs import against_training
from horticulture.analysis.figures.style import literal
from horticulture.analysis.tables.cases import fill_defaults, scratch_b_in_words
from horticulture.analysis.tables.wording import percent

BYTES = EngFormatter(unit="B", places=0)


# The names of all figures of a study that notebook 05 may draw.
NAMES = (
    "error_vs_params",
    "error_vs_cost",
    "error_vs_training",
    "budgets",
    "bytes_on_disk",
    "weights_or_shape",
)


def remove(study: Path) -> None:
    """Remove a study's figures: its results may no longer give all of them."""
    for name in NAMES:
        for kind in ("png", "svg"):
            (study / "figures" / f"{name}.{kind}").unlink(missing_ok=True)


def of_study(results: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield the name and figure of everything for which there are results.

    results: as returned by `runs.collect`. Retrained networks that were pruned by a ratio, by budget; error
    against the compute of all training; sizes of compressed networks on disk.
    """
    results = fill_defaults(results)
    plain = results[(results["curve"] == "whole") & (results["criterion"] == "")]
    whole_errors = plain.dropna(subset=["test_error"]).groupby("longer")["test_error"].agg(list).to_dict()
    retrained = results[results["ratio"].notna() & results["curve"].isin(set(DRAWN) - {"pruned-tuned"})]
    if retrained["test_error"].notna().any():
        retrained = retrained.assign(curve=retrained["curve"].map(drop_sparse))
        yield "budgets", budgets_by_ratio(retrained, whole_errors, epochs=scratch_b_in_words(results))
    yield "error_vs_training", _figure(against_training(results))
    compressed = results.dropna(subset=["bytes"])
    if len(compressed):
        params = results.loc[results["curve"] == "whole", "params"].max()
        yield "bytes_on_disk", _figure(bytes_on_disk(compressed, int(params)))


@literal
def bytes_on_disk(compressed: pd.DataFrame, params: int) -> Axes:
    """The mean file size of compressed networks, one bar per ratio, and their mean error.

    compressed: columns ratio, bytes and test_error, a row per network. params: of the whole network, which
    needs four bytes for each.
    """
    _, ax = plt.subplots(figsize=(6, 3.4))
    means = compressed.groupby("ratio")[["bytes", "test_error"]].mean()
    sizes = [4 * params, *means["bytes"]]
    bars = ax.bar(range(len(sizes)), sizes, color=["#cccccc", *[BLUE] * len(means)])
    smaller = [f"{BYTES(size)}\n{4 * params / size:.0f} × smaller" for size in means["bytes"]]
    ax.bar_label(bars, [BYTES(4 * params), *smaller], padding=3, fontsize=9)
    removed = [f"{percent(ratio)} removed\n{mean.test_error:.1f} % error" for ratio, mean in means.iterrows()]
    ax.set_xticks(range(len(sizes)), ["whole network,\nfloat32", *removed])
    ax.yaxis.set_major_formatter(BYTES)
    ax.grid(visible=False, axis="x")
    ax.set(ylim=(0, 1.2 * max(sizes)), ylabel="size on disk")
    ax.set_title("Single weights removed, weights shared, Huffman-coded", fontsize=11)
    return ax


def _figure(ax: Axes) -> Figure:
    figure = ax.figure
    assert isinstance(figure, Figure)
    return figure
