"""Which test images a network got wrong: what a comparison of two networks needs beside their errors."""

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from horticulture.errors import InputError
from horticulture.runs.files import CorruptFileError

ANSWERS = "answers.npz"


class Answers(NamedTuple):
    """Which test images a network got wrong, and what each was drawn from: images of one source are alike."""

    wrong: np.ndarray  # (n,) bool
    source: np.ndarray  # (n,) int64


def write_answers(where: Path, answers: Answers) -> None:
    """Keep them in a run's folder."""
    temporary = where / "answers.tmp.npz"
    np.savez_compressed(temporary, **answers._asdict())
    os.replace(temporary, where / ANSWERS)


def answers(key: str, outputs: Path) -> Answers:
    """Of the run with that key. Raises InputError if it kept none, CorruptFileError if the file cannot be
    read."""
    path = outputs / "runs" / key / ANSWERS
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return Answers(found["wrong"], found["source"])
    except FileNotFoundError as error:
        raise InputError(f"the run {key} kept no answers: there is no {path}") from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise CorruptFileError(path) from error


def answers_of(results: pd.DataFrame, outputs: Path) -> dict[str, Answers]:
    """By run, of all runs of a results frame that have a test error and are under `outputs`."""
    keys = results.loc[results["test_error"].notna(), "run"].unique()
    return {key: answers(key, outputs) for key in keys if (outputs / "runs" / key / ANSWERS).exists()}
