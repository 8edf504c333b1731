"""One network of a study, by what a person knows of it: a run's id or a curve, and values of its row."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from horticulture.errors import InputError, check_choice
from horticulture.runs.curves import CurvePoint, read_curves
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
    results, points = collect(study), read_curves(study)
    if not points:
        raise InputError(f"{study} has tables only: the runs behind them are needed, and are not there")
    fitting = results[_named(results, points, name)]
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
        columns = [name for name in (*EXACT, "params") if networks[name].nunique(dropna=False) > 1] or ["run"]
        choices = "; ".join(f"{column}: {_listed(networks[column])}" for column in columns)
        raise InputError(f"{name} may mean {len(networks)} networks of {study.name}: say which ({choices})")
    row = networks.iloc[0]
    run = next(point.run for point in points if point.run.key == row["run"])
    return FoundNetwork(study, run, row, results)


def _named(results: pd.DataFrame, points: list[CurvePoint], name: str) -> pd.Series:
    """Which rows a name means: a mask."""
    if len(name) >= SHORTEST and (keys := [p.run.key for p in points if p.run.key.startswith(name)]):
        measuring = [point.run for point in points if point.measures_round]
        keys += [run.key for run in measuring if run.start and run.start.key in keys]
        return results["run"].isin(keys)
    curves = list(results["curve"].unique())
    check_choice(name, curves, "curve, or beginning of a run's id,")
    return results["curve"] == name


def _listed(column: pd.Series) -> str:
    """Its values, or from where to where they go."""
    values = sorted(column.dropna().unique())
    shape = "," if column.name == "params" else "g" if column.dtype == float else ""
    texts = [format(value, shape) for value in values]
    return ", ".join(texts) if len(texts) <= MOST else f"{texts[0]} to {texts[-1]}"
