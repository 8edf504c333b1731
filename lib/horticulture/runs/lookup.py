"""One network of a study, by what a person knows of it: a run's id or a curve, and values of its row."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture.errors import InputError, check_choice
from horticulture.runs.curves import read_curves
from horticulture.runs.results import collect
from horticulture.runs.run import Run

EXACT = ("criterion", "seed", "longer", "round")  # columns whose value a person may give
LINE = ["curve", "criterion", "seed", "longer", "ratio"]  # along these a size means one network
SHORTEST = 4  # letters of an id that may stand for it
MOST = 8  # values of a column that are listed


class FoundNetwork(NamedTuple):
    """A network of a study.

    run: what made it; where that is a pruning run, the network is that of the row's round. row: of `results`,
    the whole frame, of which the row's name is the label.
    """

    study: Path
    run: Run
    row: pd.Series
    results: pd.DataFrame


def find_network(study: Path, name: str, *, params: float | None = None, **values: Any) -> FoundNetwork:
    """The network of a study that fits, if it is one.

    name: a curve, or a run's id or its beginning; the id of a pruning run means its rounds, those too that
    were measured by runs of their own. params: of all sizes that are left the nearest. values: of the columns
    in `EXACT`. Raises InputError, with the choices, if none or several fit, or if the runs are not there.
    """
    results, by_key = collect(study), {point.run.key: point.run for point in read_curves(study)}
    if not by_key:
        raise InputError(f"{study} has tables only: the runs behind them are needed, and are not there")
    fitting = results[_named(results, by_key, name)]
    for column in EXACT:
        if (wanted := values.get(column)) is not None:
            there = _listed(fitting[column])
            fitting = fitting[fitting[column] == wanted]
            if fitting.empty:
                raise InputError(f"{study.name} has no {name} with {column} {wanted}: there is {there}")
    if params is not None:
        away = (fitting["params"] - params).abs()
        nearest = away.groupby([fitting[column] for column in LINE], dropna=False).transform("min")
        fitting = fitting[away == nearest]
    networks = fitting.drop_duplicates(["run", "round"])
    if len(networks) > 1:
        columns = [name for name in (*EXACT, "params", "run") if networks[name].nunique(dropna=False) > 1]
        columns = columns[:-1] or columns  # the run, where nothing else tells
        choices = "; ".join(f"{column}: {_listed(networks[column])}" for column in columns)
        raise InputError(f"{study.name} has {len(networks)} networks {name}: say which ({choices})")
    row = networks.iloc[0]
    return FoundNetwork(study, by_key[row["run"]], row, results)


def _named(results: pd.DataFrame, by_key: dict[str, Run], name: str) -> pd.Series:
    """Which rows a name means: a mask."""
    if len(name) >= SHORTEST and (keys := [key for key in by_key if key.startswith(name)]):
        measured = {
            key for key, run in by_key.items() if run.start and run.start.key in keys and not run.recipe["epochs"]
        }
        return results["run"].isin([*keys, *measured])
    curves = list(results["curve"].unique())
    check_choice(name, curves, "curve, or beginning of a run's id,")
    return results["curve"] == name


def _listed(column: pd.Series) -> str:
    """Its values, or from where to where they go."""
    values = sorted(column.dropna().unique())
    texts = [f"{value:,}" if column.name == "params" else f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return ", ".join(texts) if len(texts) <= MOST else f"{texts[0]} to {texts[-1]}"
