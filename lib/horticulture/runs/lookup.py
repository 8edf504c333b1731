"""Find one network of a study by a curve or the key of a run, and by values of its row in the results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from horticulture.errors import InputError, check_choice
from horticulture.runs.curves import CurvePoint, read_curves
from horticulture.runs.results import collect
from horticulture.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd

EXACT = ("criterion", "seed", "longer", "round")  # columns to select by
LINE = ["curve", "criterion", "seed", "longer"]  # each has its own network nearest to a size
MIN_KEY_LENGTH = 4  # characters of a key that are enough
MAX_VALUES_LISTED = 8  # values of a column to list


class StudyNetwork(NamedTuple):
    """A network of a study.

    run: the run that made it; of a pruning run, the network after the row's round. row: its row in
    `results`, the results of the whole study.
    """

    study: Path
    run: Run
    row: pd.Series
    results: pd.DataFrame


def find_network(study: Path, name: str, *, params: float | None = None, **values: Any) -> StudyNetwork:
    """The one network of a study that matches.

    name: a curve, or the start of a run's key; the key of a pruning run selects its rounds, including those
    measured by separate runs. params: selects the nearest size. values: values of the columns in `EXACT`.
    Raises InputError, with the choices, if no network or several match, or if the runs are missing.
    """
    if params is not None and not 0 < params < math.inf:
        raise InputError(f"a number of parameters must be positive, not {params}")
    results, points = collect(study), read_curves(study)
    if not points:
        raise InputError(f"{study} has only tables: an export needs the runs themselves")
    fitting = results[_named(results, points, name)]
    for column in EXACT:
        if (wanted := values.get(column)) is not None:
            listed = _listed(fitting[column])
            fitting = fitting[fitting[column] == wanted]
            if fitting.empty:
                choices = f"only {listed}" if listed else f"where none has a {column}"
                raise InputError(f"{study.name} has no {name} with {column} {wanted}, {choices}")
    if params is not None:
        distance = (fitting["params"] - params).abs()
        nearest = distance.groupby([fitting[column] for column in LINE], dropna=False).transform("min")
        fitting = fitting[distance == nearest]
    networks = fitting.drop_duplicates(["run", "round"])
    if len(networks) > 1:
        columns = [name for name in (*EXACT, "params") if networks[name].nunique(dropna=False) > 1] or ["run"]
        choices = ", ".join(f"{column} ({_listed(networks[column])})" for column in columns)
        raise InputError(f"{name} matches {len(networks)} networks of {study.name}: choose one by {choices}")
    row = networks.iloc[0]
    run = next(point.run for point in points if point.run.key == row["run"])
    return StudyNetwork(study, run, row, results)


def _named(results: pd.DataFrame, points: list[CurvePoint], name: str) -> pd.Series:
    """A mask of the rows that a name selects."""
    if len(name) >= MIN_KEY_LENGTH and (keys := [p.run.key for p in points if p.run.key.startswith(name)]):
        measuring = [point.run for point in points if point.measures_round]
        keys += [run.key for run in measuring if run.start and run.start.key in keys]
        return results["run"].isin(keys)
    curves = list(results["curve"].unique())
    check_choice(name, curves, "curve or run")
    return results["curve"] == name


def _listed(column: pd.Series) -> str:
    """Its values, or their range if there are many."""
    values = sorted(column.dropna().unique())
    spec = "," if column.name == "params" else "g" if column.dtype == float else ""
    texts = [format(value, spec) for value in values]
    return ", ".join(texts) if len(texts) <= MAX_VALUES_LISTED else f"{texts[0]} to {texts[-1]}"
