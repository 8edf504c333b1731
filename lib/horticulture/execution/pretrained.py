"""Load weights that were trained elsewhere into a network, without running any code."""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from horticulture import networks
from horticulture.architecture import Architecture
from horticulture.errors import InputError, list_first
from horticulture.networks import Network
from horticulture.system import files

INSIDE = ("state_dict", "model_state_dict", "model")  # keys under which training scripts store the weights
COUNT = "num_batches_tracked"  # of norms; older files lack it, and nothing depends on it


def digest(file: str) -> str:
    """A digest of a weights file. Raises InputError if it cannot be read, or is larger than the memory."""
    path = files.local_path(file)
    files.check_loadable(path, "weights file")
    try:
        return files.file_digest(path)
    except OSError as error:  # which need not name the file
        raise InputError(f"weights file {path} cannot be read: {error.strerror}") from error


def network(architecture: Architecture, file: str) -> Network:
    """Build a network of that architecture with weights from a safetensors file or a torch state dict.

    Raises InputError for a file that cannot be read, or whose weights do not fit the network.
    """
    built, name = networks.build(architecture), Path(file).name
    expected = {key.removeprefix(_before(built)): tensor for key, tensor in built.state_dict().items()}
    weights = _read(str(files.local_path(file)))
    weights |= {key: expected[key] for key in expected.keys() - weights.keys() if key.endswith(COUNT)}
    unequal = {
        key: (tuple(weights[key].shape), tuple(tensor.shape))
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    }
    problems = [
        *(f"{key} is missing" for key in expected if key not in weights),
        *(f"the network has no {key}" for key in weights if key not in expected),
        *(f"{key} has shape {given}, not {needed}" for key, (given, needed) in unequal.items()),
        *(f"{key} is not finite" for key, tensor in weights.items() if not tensor.isfinite().all()),
    ]
    if problems:
        remedy = ""
        if len(unequal) == len(problems) and all(
            given and needed == (architecture.classes, *given[1:]) for given, needed in unequal.values()
        ):
            classes = architecture.classes
            remedy = f"; replace the classifier by one for your {classes} classes and train it first"
        raise InputError(f"the weights of {name} do not fit the network: {list_first(problems, 1)}{remedy}")
    built.load_state_dict({_before(built) + key: tensor for key, tensor in weights.items()})
    return built


def _before(built: Network) -> str:
    """The prefix of a user's own module in the names of the network that wraps it."""
    return "module." if built.architecture.table is not None else ""


def _read(file: str) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, on pickles that it then refuses
            content: Any = (
                load_file(file)
                if file.endswith(".safetensors")
                else torch.load(file, map_location="cpu", weights_only=True)
            )
    except FileNotFoundError as error:
        raise InputError(f"no weights file {file}") from error
    except Exception as error:  # torch raises many kinds
        if type(error).__name__ == "UnpicklingError":
            remedy = "save network.state_dict(), or take a .safetensors file"
            what = "is damaged, or has more in it than tensors, which is not read"
            raise InputError(f"{file} {what}: {remedy}") from error
        formats = "a .safetensors file, or what torch.save made of a state dict"
        raise InputError(f"{file} cannot be read as weights: it is damaged, or not {formats}") from error
    for name in INSIDE:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise InputError(f"{file} contains no state dict (tensors by name)")
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise InputError(f"{file} contains no state dict: {name!r} is no name of a tensor")
        if tensor.is_meta or tensor.is_quantized or tensor.is_sparse or tensor.is_complex():
            raise InputError(f"{file}: {name} is not a tensor of plain real numbers")
    if content and all(key.startswith("module.") for key in content):  # of DataParallel
        content = {key.removeprefix("module."): tensor for key, tensor in content.items()}
    return dict(content)
