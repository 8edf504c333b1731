"""Which test images a network got wrong, for comparing two networks image by image."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from horticulture.errors import InputError
from horticulture.files import CorruptFileError, write
from horticulture.runs.run import read_verified

if TYPE_CHECKING:
    import pandas as pd

ANSWERS = "answers.npz"


class Answers(NamedTuple):
    """Which test images a network got wrong, and the source of each; images of one source are alike."""

    wrong: np.ndarray  # (n,) bool
    source: np.ndarray  # (n,) int64


def write_answers(folder: Path, answers: Answers) -> None:
    """Save answers in a run's folder."""
    packed = BytesIO()
    np.savez_compressed(packed, **answers._asdict())
    write(folder / ANSWERS, packed.getvalue())


def answers(key: str, outputs: Path) -> Answers:
    """The answers of a run. Raises InputError if it saved none, CorruptFileError if they are damaged."""
    folder = outputs / "runs" / key
    try:
        packed = read_verified(folder, ANSWERS)
    except FileNotFoundError as error:
        raise InputError(f"the run {key} saved no answers: there is no {folder / ANSWERS}") from error
    try:
        with np.load(BytesIO(packed), allow_pickle=False) as arrays:
            return Answers(arrays["wrong"], arrays["source"])
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise CorruptFileError(folder / ANSWERS) from error


def answers_of(results: pd.DataFrame, outputs: Path) -> dict[str, Answers]:
    """The answers, by run, of all runs in a results frame with a test error and saved answers."""
    keys = results.loc[results["test_error"].notna(), "run"].unique()
    return {key: answers(key, outputs) for key in keys if (outputs / "runs" / key / ANSWERS).exists()}
