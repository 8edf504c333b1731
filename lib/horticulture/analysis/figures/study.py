"""The pictures that a study's results call for, beside error against size."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from horticulture.analysis.figures.comparisons import budgets
from horticulture.analysis.figures.curves import against_training
from horticulture.analysis.figures.style import BLUE, CURVES, magnitude
from horticulture.analysis.tables import complete, scratch_b


def of_study(results: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """(name, figure) of every picture that has something to show.

    results: as `runs.collect` gives them. What was trained again after a pruning by ratio, by budget; error
    against the compute of all training; what compressed networks take on disk.
    """
    results = complete(results)
    plain = (results["curve"] == "whole") & (results["criterion"] == "")
    whole = results[plain].dropna(subset=["test_error"]).groupby("longer")["test_error"]
    again = results[results["ratio"].notna() & results["curve"].isin(CURVES)]
    again = again[(again["curve"] != "pruned-tuned") & again["test_error"].notna()]
    if len(again):
        plain = again.assign(curve=again["curve"].str.removeprefix("sparse-"))
        errors = {longer: list(one) for longer, one in whole}
        yield "budgets", _figure(budgets(plain, errors, epochs=scratch_b(results)))
    yield "error_vs_training", _figure(against_training(results))
    packed = results.dropna(subset=["bytes"])
    if len(packed):
        full = results.loc[results["curve"] == "whole", "params"].max()
        yield "bytes_on_disk", _figure(bytes_on_disk(packed, int(full)))


def bytes_on_disk(packed: pd.DataFrame, params: int, ax: Axes | None = None) -> Axes:
    """The size of the files that compressed networks became, and their error.

    packed: columns ratio, bytes, test_error, a row a network. params: of the whole network, four bytes each.
    """
    ax = ax or plt.subplots(figsize=(6, 3.4))[1]
    means = packed.groupby("ratio")[["bytes", "test_error"]].mean()
    places = np.arange(len(means) + 1)
    sizes = [4 * params, *means["bytes"]]
    ax.bar(places, sizes, color=["#cccccc", *[BLUE] * len(means)])
    for place, size in zip(places, sizes, strict=True):
        ax.annotate(
            f"{magnitude(size)}B\n{4 * params / size:.0f} x smaller" if place else f"{magnitude(size)}B",
            (place, size),
            ha="center",
            va="bottom",
            fontsize=9,
        )
    said = [f"−{100 * ratio:.0f} % of weights\n{one.test_error:.1f} %" for ratio, one in means.iterrows()]
    ax.set_xticks(places, ["whole, float32", *said])
    ax.set_ylim(0, 1.2 * max(sizes))
    ax.yaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{magnitude(value)}B"))
    ax.set_xlabel("pruned, weights shared, Huffman-coded: share removed and test error")
    ax.set_ylabel("bytes on disk")
    return ax


def _figure(ax: Axes) -> Figure:
    figure = ax.figure
    assert isinstance(figure, Figure)
    return figure
