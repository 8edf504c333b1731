"""Data sets saved by content, so that a run finds its images again without the user's code."""

import json
import re
from pathlib import Path

from safetensors import SafetensorError, torch as safetensors

from horticulture import files
from horticulture.data.catalog import SAVED
from horticulture.data.images import PARTS, Dataset, Images
from horticulture.data.locations import data_folder
from horticulture.errors import InputError


def save(dataset: Dataset) -> str:
    """Save a data set in the cache and return the name by which any process can load it."""
    path = saved_path(dataset.digest)
    if not path.exists():
        parts = {part: getattr(dataset, part) for part in PARTS}
        tensors = {
            f"{part}.{kind}": getattr(images, kind).cpu().contiguous().clone()  # parts may share memory
            for part, images in parts.items()
            for kind in ("pixels", "labels", "sources")
        }
        fields = {name: getattr(dataset, name) for name in ("name", "classes", "pad", "flip")}
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, safetensors.save(tensors, metadata={"about": json.dumps(fields)}))
    return SAVED + dataset.digest


def load_saved(digest: str, missing: str = "run the notebook that has its code") -> Dataset:
    """Load a saved data set. Raises InputError if it is missing or has changed."""
    if not re.fullmatch("[0-9a-f]{12}", digest):
        raise InputError(f"no data set is saved as {digest!r}: a digest has twelve hexadecimal digits")
    path = saved_path(digest)
    try:
        content = path.read_bytes()
        metadata = json.loads(files.safetensors_metadata(content)["about"])
        tensors = safetensors.load(content)
    except FileNotFoundError as error:
        raise InputError(f"the data set {digest} is no longer in {path.parent}: {missing}") from error
    except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{path} is damaged: delete it, and {missing}") from error
    parts = {
        part: Images(*(tensors[f"{part}.{kind}"] for kind in ("pixels", "labels", "sources")))
        for part in PARTS
    }
    dataset = Dataset(**{**metadata, "classes": tuple(metadata["classes"]), **parts})
    if dataset.digest != digest:
        raise InputError(f"{path} is damaged: delete it, and {missing}")
    return dataset


def saved_path(digest: str) -> Path:
    """Where a saved data set is."""
    return data_folder() / "cache" / f"own-{digest}.safetensors"
