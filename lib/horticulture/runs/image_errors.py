"""Which test images a network got wrong, for comparing two networks image by image."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from horticulture.errors import InputError
from horticulture.runs.run import read_verified
from horticulture.system.files import CorruptFileError, write

if TYPE_CHECKING:
    import pandas as pd

IMAGE_ERRORS = "answers.npz"  # the file was named before the type


class ImageErrors(NamedTuple):
    """Which test images a network got wrong, and the original of each; images of one original are alike."""

    wrong: np.ndarray  # (n,) bool
    original: np.ndarray  # (n,) int64


def write_image_errors(folder: Path, image_errors: ImageErrors) -> None:
    """Save them in a run's folder."""
    packed = BytesIO()
    np.savez_compressed(packed, wrong=image_errors.wrong, source=image_errors.original)
    write(folder / IMAGE_ERRORS, packed.getvalue())


def image_errors(key: str, outputs: Path) -> ImageErrors:
    """A run's errors, image by image. Raises InputError if it saved none, CorruptFileError if damaged."""
    folder = outputs / "runs" / key
    try:
        packed = read_verified(folder, IMAGE_ERRORS)
    except FileNotFoundError as error:
        raise InputError(
            f"the run {key} saved no errors by image: there is no {folder / IMAGE_ERRORS}"
        ) from error
    try:
        with np.load(BytesIO(packed), allow_pickle=False) as arrays:
            return ImageErrors(arrays["wrong"], arrays["source"])
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise CorruptFileError(folder / IMAGE_ERRORS) from error


def image_errors_of(results: pd.DataFrame, outputs: Path) -> dict[str, ImageErrors]:
    """The errors image by image, by run, of all runs in a results frame that saved them with a test error."""
    keys = results.loc[results["test_error"].notna(), "run"].unique()
    return {
        key: image_errors(key, outputs) for key in keys if (outputs / "runs" / key / IMAGE_ERRORS).exists()
    }
