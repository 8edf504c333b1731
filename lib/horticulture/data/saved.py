"""Data sets saved by content, so that a run finds its images again without the user's code."""

import json
import re
from pathlib import Path

from safetensors import SafetensorError, torch as safetensors

from horticulture.data.catalog import SAVED
from horticulture.data.images import PARTS, Dataset, Images
from horticulture.data.locations import data_folder
from horticulture.errors import InputError
from horticulture.system import files

TENSORS = {"pixels": "pixels", "labels": "labels", "sources": "originals"}  # by their names on disk


def save(dataset: Dataset) -> str:
    """Save a data set in the cache and return the name by which any process can load it."""
    path = saved_path(dataset.digest)
    if not path.exists():
        parts = {part: getattr(dataset, part) for part in PARTS}
        tensors = {
            f"{part}.{key}": getattr(images, name).cpu().contiguous().clone()  # parts may share memory
            for part, images in parts.items()
            for key, name in TENSORS.items()
        }
        about = {name: getattr(dataset, name) for name in ("name", "classes", "pad", "flip")}
        about["sources"] = _digest_of_originals(parts)  # the data set's own digest leaves them out
        metadata = {"about": json.dumps(files.seal(about))}
        files.write(path, safetensors.save(tensors, metadata=metadata))
    return SAVED + dataset.digest


def load_saved(digest: str, missing: str = "run the notebook that has its code") -> Dataset:
    """Load a saved data set. Raises InputError if it is missing or has changed."""
    if not re.fullmatch("[0-9a-f]{12}", digest):
        raise InputError(f"no data set is saved as {digest!r}: a digest has twelve hexadecimal digits")
    path = saved_path(digest)
    try:
        dataset = _read(path)
    except FileNotFoundError as error:
        raise InputError(f"the data set {digest} is no longer in {path.parent}: {missing}") from error
    except (ValueError, TypeError, LookupError, RuntimeError, SafetensorError, files.CorruptFileError):
        dataset = None
    if dataset is None or dataset.digest != digest:
        raise InputError(f"{path} is damaged: delete it, and {missing}")
    return dataset


def _read(path: Path) -> Dataset:
    content = files.read(path)
    about = files.unseal(json.loads(files.safetensors_metadata(content)["about"]), path)
    tensors = safetensors.load(content)
    parts = {part: Images(*(tensors[f"{part}.{key}"] for key in TENSORS)) for part in PARTS}
    if about.pop("sources", "") not in ("", _digest_of_originals(parts)):  # earlier versions wrote none
        raise files.CorruptFileError(path)
    return Dataset(**{**about, "classes": tuple(about["classes"]), **parts})


def _digest_of_originals(parts: dict[str, Images]) -> str:
    return files.digest(b"".join(parts[part].originals.cpu().numpy().tobytes() for part in PARTS))


def saved_path(digest: str) -> Path:
    """Where a saved data set is."""
    return data_folder() / "cache" / f"own-{digest}.safetensors"
