"""All results of a study in one frame, from its runs, or from tables published without them."""

from __future__ import annotations

import hashlib
import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.runs.curves import INDEX, CurvePoint, curve_files, forget_curves, read_curves
from horticulture.runs.removals import REMOVAL_COLUMNS, removals, widths_by_round
from horticulture.runs.run import RESULT, Run, folder, read_verified, require_result, result
from horticulture.system import locks
from horticulture.system.files import CorruptFileError, is_sealed, read, read_json, write, write_json

if TYPE_CHECKING:
    import pandas as pd

RESULT_COLUMNS = [
    "study",
    "curve",
    "criterion",
    "family",
    "architecture",
    "params",
    "macs",
    "seed",
    "round",
    "longer",
    "recipe",
    "epochs",
    "train_macs",
    "compute_share",
    "val_error",
    "test_error",
    "seconds",
    "run",
    "ratio",
    "bytes",
    "precision",
    "device",
]
# Columns that may be empty keep their type, whether they come from runs or from a file.
TYPES = {"round": "Int64", "ratio": float, "bytes": "Int64", "longer": float, "compute_share": float}
NUMBERS = ["params", "macs", "seed", "train_macs", "val_error", "test_error"]
WORDS = ["curve", "criterion", "family", "architecture", "recipe", "run", "precision", "device"]
TEXT = dict.fromkeys(("run", "architecture", "criterion", "digest"), str)
PRETRAINED = "given weights"  # the recipe of a pretrained network: how it was trained is unknown
ARCHITECTURES = "architectures.json"
TABLES = ("results.csv", "removals.csv", "verdicts.csv")
SUMS = "SHA256SUMS"  # of the tables and architectures, in the format of `sha256sum --check SHA256SUMS`


def collect(study: str | Path) -> pd.DataFrame:
    """The results of a study: a row per network and round, with the columns of docs/files.md.

    A pruning round that was measured by a run of its own has that run's row, not the pruning run's.
    study: a study's folder, such as `outputs/quick`. Raises InputError if it has no results, CorruptFileError
    if a file behind them is damaged.
    """
    import pandas as pd  # takes a second: only where there are results

    study = Path(study)
    points = read_curves(study)
    if not points:
        return _published_results(study)
    measured = {
        (point.run.start.key, point.round) for point in points if point.measures_round and point.run.start
    }
    rows = [
        row
        for point in points
        for row in _rows(study, point)
        if (point.run.key, row["round"]) not in measured
    ]
    return _checked(pd.DataFrame(rows, columns=RESULT_COLUMNS), study)


def collect_removals(study: str | Path) -> pd.DataFrame:
    """Every removal of every pruning run behind a study's networks: rows as of `removals`.

    Those that are drawn round by round come first.
    """
    import pandas as pd  # takes a second: only where there are results

    study = Path(study)
    points = sorted(read_curves(study), key=lambda point: point.run.kind != "prune")
    behind = (run for point in points for run in point.run.chain if run.kind == "prune")
    pruning_runs = {run.key: run for run in behind}.values()
    if not pruning_runs and (study / "removals.csv").exists():
        return _complete_table(study / "removals.csv", REMOVAL_COLUMNS)
    frames = [removals(run, study.parent) for run in pruning_runs]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=REMOVAL_COLUMNS)


def architectures(study: str | Path) -> dict[str, Architecture]:
    """Every architecture of a study, by its short id in the column `architecture` of the results.

    Without the runs, those that `write_architectures` wrote.
    """
    study = Path(study)
    points, written = read_curves(study), study / ARCHITECTURES
    if not points and written.exists():
        _content(written, listed=False)  # raises CorruptFileError
        return {short: Architecture.from_json(plain) for short, plain in read_json(written).items()}
    by_id: dict[str, Architecture] = {}
    for point in points:
        architectures = [point.run.architecture]
        if point.run.kind == "prune":
            widths = widths_by_round(point.run.architecture, removals(point.run, study.parent))
            architectures += [point.run.architecture.with_widths(tuple(row)) for row in widths]
        by_id |= {architecture.id: architecture for architecture in architectures}
    return by_id


def _rows(study: Path, point: CurvePoint) -> list[dict]:
    run, outputs = point.run, study.parent
    recorded = result(run, outputs)
    if recorded is None:
        name = f"{run} of the curve {point.curve}"
        if not folder(run, outputs).exists():
            raise InputError(f"{name} is missing: copy {outputs / 'runs'} with the study, or run it again")
        raise InputError(f"{name} is not finished: run the study again")
    try:
        return _rows_of(point, recorded, study)
    except (LookupError, TypeError, AttributeError) as error:  # earlier versions had no seals
        raise CorruptFileError(folder(run, outputs) / RESULT) from error


def _rows_of(point: CurvePoint, recorded: dict, study: Path) -> list[dict]:
    run, metrics, architecture = point.run, recorded["metrics"], point.run.architecture
    common: dict[str, Any] = {"study": study.name, "curve": point.curve, "criterion": point.criterion}
    common |= {"run": run.key, "family": architecture.network_type, "seed": run.seed, "longer": point.longer}
    common |= {"recipe": metrics["recipe"], "ratio": point.ratio}
    common |= {"precision": run.recipe["precision"], "device": recorded["about"]["device"]}
    whole = point.whole_macs or math.nan
    if run.kind == "prune":
        rounds = removals(run, study.parent).drop_duplicates("round", keep="last")
        rounds["compute_share"] = (rounds["train_macs"] - whole) / whole
        return [{**common, **row} for row in rounds.to_dict("records")]
    row = {name: metrics.get(name) for name in ("val_error", "test_error", "seconds", "bytes")}
    row |= {
        "architecture": architecture.id,
        "params": metrics.get("params", architecture.params),
        "macs": architecture.macs,
    }
    row |= {"round": point.round, "epochs": run.recipe["epochs"]}
    spent = metrics["train_macs"] if run.recipe["epochs"] else point.search_macs - whole
    row |= {"train_macs": point.search_macs + metrics["train_macs"], "compute_share": spent / whole}
    return [{**common, **row}]


# --- tables in a study's folder --------------------------------------------------------------------------


def write_tables(study: Path, **tables: pd.DataFrame) -> None:
    """Write tables into a study's folder, each as NAME.csv, and the checksums of all in SHA256SUMS."""
    contents = {f"{name}.csv": frame.to_csv(index=False).encode() for name, frame in tables.items()}
    with locks.held(study / ".tables.lock"):  # two notebooks of the study may be open
        (study / SUMS).unlink(missing_ok=True)  # without it, nothing counts as damaged meanwhile
        for name, content in contents.items():
            write(study / name, content)
        if (written := study / ARCHITECTURES).exists():
            contents[written.name] = read(written)
        write(study / SUMS, "".join(_sum(name, content) for name, content in contents.items()))


def forget_results(study: Path) -> None:
    """Remove a study's curves and tables. Its runs are kept."""
    forget_curves(study)
    with locks.held(study / ".tables.lock"):
        for name in (SUMS, *TABLES, ARCHITECTURES):
            (study / name).unlink(missing_ok=True)


def write_architectures(study: Path, results: pd.DataFrame) -> None:
    """Write the architectures of all networks in these results into a study's folder, by short id.

    Those of single pruning rounds are left out: they follow from the removals. Their checksum is added to
    SHA256SUMS; where there is none yet, `write_tables` does it.
    """
    known, rounds = architectures(study), results["curve"].str.endswith("pruned-tuned")
    wanted = results.loc[~rounds | (results["round"] == 0), "architecture"].unique()
    write_json(study / ARCHITECTURES, {short: known[short].to_json() for short in sorted(wanted)})
    add_sum(study / ARCHITECTURES)


def add_sum(path: Path) -> None:
    """Write the checksum of a file, in place of an older one, into an existing SHA256SUMS beside it."""
    with locks.held(path.with_name(".tables.lock")):
        if (sums := path.with_name(SUMS)).exists():  # a new one would lack the tables
            lines = read(sums).decode().splitlines(keepends=True)
            others = [line for line in lines if not line.endswith(f"  {path.name}\n")]
            write(sums, "".join([*others, _sum(path.name, read(path))]))


def _sum(name: str, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def files_without_digest(study: str | Path) -> list[Path]:
    """The files behind a study's results that have no digest, and so cannot be verified.

    Earlier versions wrote no digests, and SHA256SUMS can be lost. Raises CorruptFileError if a table, or
    `architectures.json` where it is listed, does not match SHA256SUMS. Weights are not checked.
    """
    study = Path(study)
    tables = [study / name for name in TABLES if (study / name).exists()]
    for table in tables:
        _content(table)
    if (written := study / ARCHITECTURES).exists():
        _content(written, listed=False)
    runs = {point.run.key: folder(point.run, study.parent) / RESULT for point in read_curves(study)}
    curves = curve_files(study)
    records = [path for path in (*curves, *runs.values()) if path.exists()]
    lists = {study / "curves" / INDEX: curves, study / SUMS: tables}
    unlisted = [path for index, listed in lists.items() if not index.exists() for path in listed]
    return list(dict.fromkeys([*(path for path in records if not is_sealed(path)), *unlisted]))


def _content(path: Path, listed: bool = True) -> bytes:
    """Read a file. Raises CorruptFileError if it does not match an existing SHA256SUMS.

    listed: whether it must be in there; earlier versions left the architectures out.
    """
    content, sums = read(path), path.with_name(SUMS)
    if sums.exists():
        lines = read(sums).splitlines(keepends=True)
        listed = listed or any(line.split()[-1:] == [path.name.encode()] for line in lines)
        if listed and _sum(path.name, content).encode() not in lines:
            raise CorruptFileError(path, sums)
    return content


def run_table(run: Run, outputs: Path, name: str) -> pd.DataFrame:
    """A table of a finished run: `epochs.csv` of a training run, `judged.csv` of an oracle run.

    Raises InputError if the run is not finished, CorruptFileError if the table has been altered.
    """
    import pandas as pd  # takes a second: only where there are results

    require_result(run, outputs)
    return pd.read_csv(BytesIO(read_verified(folder(run, outputs), name)))


def read_table(path: Path, types: dict[str, Any] | None = None) -> pd.DataFrame:
    """Read a table in a study's folder. types: of columns, besides those of text.

    Raises CorruptFileError if it is no table, or does not match an existing SHA256SUMS.
    """
    import pandas as pd

    try:
        return pd.read_csv(BytesIO(_content(path)), dtype={**TEXT, **(types or {})})
    except ValueError as error:
        raise CorruptFileError(path) from error


def _published_results(study: Path) -> pd.DataFrame:
    path = study / "results.csv"
    if not path.exists():
        raise InputError(f"no results in {study}: run the study first")
    frame = _complete_table(path, RESULT_COLUMNS, TYPES)
    if frame.empty:
        raise InputError(f"no results in {path}: run the study again")
    return _checked(frame.fillna({"criterion": ""}), path)


def _checked(results: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Results with the types of their columns. Raises CorruptFileError, naming the path, for other values."""
    try:
        results = results.astype(TYPES)
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptFileError(path) from error
    words = [isinstance(word, str | float | None) for name in WORDS for word in results[name]]  # or NaN
    words += [isinstance(curve, str) for curve in results["curve"]]
    if any(results[name].dtype.kind not in "iuf" for name in NUMBERS) or not all(words):
        raise CorruptFileError(path)
    return results


def _complete_table(path: Path, columns: list[str], types: dict[str, Any] | None = None) -> pd.DataFrame:
    frame = read_table(path, types)
    if missing := [name for name in columns if name not in frame.columns]:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")
    return frame
