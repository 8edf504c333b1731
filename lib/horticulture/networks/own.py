"""Networks by name that are of none of our types: torchvision's, and those made by a user's function.

Code in a file runs only where the user allowed it: see `code_files`.
"""

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from horticulture.architecture import TORCHVISION, Architecture, ImageShape, check_traced
from horticulture.data.decoding import MAX_SIDE
from horticulture.errors import InputError, first_line
from horticulture.networks.channel_labels import Trace
from horticulture.networks.channel_tracing import trace_module
from horticulture.networks.group_discovery import ModuleSpec, assemble, find_groups
from horticulture.networks.random_streams import RandomStreams
from horticulture.networks.rescaling import rescale
from horticulture.networks.traced_network import NO_CODE, TracedNetwork, cut
from horticulture.system import code_files
from horticulture.system.code_files import is_code
from horticulture.system.progress import remark

RGB = 3  # input channels of torchvision's networks
LARGE = 1_000_000  # parameters of a network that may take many seconds to trace


def digest(name: str) -> str:
    """Identify the code of a named network: torchvision's version, or a digest of the file.

    Raises InputError if there is no such file.
    """
    if not is_code(name):
        from torchvision import __version__

        return f"torchvision {__version__.partition('+')[0]}"
    return code_files.digest(name)


def trace_named(name: str, *, image: ImageShape, classes: int, residual_sets: bool = False) -> TracedNetwork:
    """Build the whole network of that name, then find and test its groups. Runs the network's code.

    name: `torchvision:NAME`, or `FILE.py:FUNCTION`, a function (image, classes) -> nn.Module.
    image: (channels, height, width). Raises InputError for an unknown name, a network that does not accept
    such images (naming the smallest size that it does accept), or a network without a group.
    """
    check_traced(name, image)
    if is_code(name):
        name = code_files.absolute(name)
        code_files.ALLOWED.add(digest(name))
    short = Path(name).name if is_code(name) else name
    try:
        module = make(name, image, classes)
        if (params := sum(weight.numel() for weight in module.parameters())) >= LARGE:
            what = f"{short} ({params / 1e6:,.0f} million parameters) to find what can be pruned"
            remark(f"tracing {what}: this takes seconds to minutes", sys.stderr)
        return find_groups(module, _spec(name, image, classes, residual_sets))
    except InputError as error:
        raise InputError(f"{short}: {error}") from error


def _spec(name: str, image: ImageShape, classes: int, residual_sets: bool) -> ModuleSpec:
    channels, height, width = image
    return ModuleSpec(
        (channels, height, width), classes, _channels(name, image), residual_sets, name, digest(name)
    )


@lru_cache(maxsize=8)
def _named(name: str, digest: str, image: ImageShape, classes: int, sets: bool) -> Architecture:
    return trace_named(name, image=image, classes=classes, residual_sets=sets).architecture


def named(name: str, *, image: ImageShape, classes: int, residual_sets: bool = False) -> Architecture:
    """The architecture of the whole network of that name. Arguments and errors are those of `traced`."""
    if is_code(name):
        name = code_files.absolute(name)
    return _named(name, digest(name), tuple(image), classes, residual_sets)


def build(architecture: Architecture, generator: torch.Generator | None = None) -> TracedNetwork:
    """Build a network of that architecture from scratch.

    Its code makes the whole network, which is then cut and initialised for its own widths. Raises InputError
    if the code may not run here, has changed, or is unknown because the module was only passed to `describe`.
    """
    table = architecture.table
    assert table is not None
    if not table.network:
        raise InputError(NO_CODE)
    if is_code(table.network) and table.digest not in code_files.ALLOWED:
        raise code_files.refusal(table.network, "allow_code (--allow-code)")
    if digest(table.network) != table.digest:
        raise InputError(
            f"{table.network} has changed: its digest was {table.digest} and is now {digest(table.network)}"
        )
    generator = generator or torch.Generator()
    module = make(table.network, architecture.image, architecture.classes, generator)
    spec = _spec(table.network, architecture.image, architecture.classes, table.residual_sets)
    network = assemble(module, _trace(spec, table.groups, module), spec)
    if network.architecture.table != table:
        raise InputError(f"{table.network} now makes a different network: is its shape random?")
    full_shapes = {name: tuple(tensor.shape) for name, tensor in network.module.named_parameters()}
    for group, width in zip(network.groups, architecture.widths, strict=True):
        if width < group.width:
            cut(group, list(range(width)))
    if network.architecture.widths != table.full:
        rescale(network, full_shapes)
    network.reseed(generator)
    network.remake = partial(build, architecture)
    return network


_seen: dict[tuple[ModuleSpec, tuple[str, ...]], Trace] = {}


def _trace(spec: ModuleSpec, names: tuple[str, ...], module: nn.Module) -> Trace:
    """The groups with these names, which were tested when the table was made. Each network is traced once."""
    if (spec, names) not in _seen:
        trace = trace_module(module, spec.images)
        groups = [group for group in trace.groups if group.name in names]
        _seen[spec, names] = trace._replace(groups=groups)
    return _seen[spec, names]


def make(name: str, image: ImageShape, classes: int, generator: torch.Generator | None = None) -> nn.Module:
    """Make the module by its own code, with its default initialisation, on the CPU.

    Random numbers come from the generator (by default one with a fixed seed). Raises InputError if there is
    no such network or function, or if it does not return a module.
    """
    if max(image) > MAX_SIDE:  # from anywhere, such as an exported network
        raise InputError(f"images have at most {MAX_SIDE:,} channels, rows and columns, not {tuple(image)}")
    build = code_files.function(name) if is_code(name) else _torchvision(name)
    generator = generator or torch.Generator().manual_seed(0)
    draws = RandomStreams(int(torch.randint(2**62, (), generator=generator)))
    try:
        with draws.used(torch.device("cpu")):
            module = build(image, classes)
    except InputError:
        raise
    except Exception as error:  # users' code may raise anything
        raise InputError(
            f"it cannot be made for images of shape {tuple(image)}: {first_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"it returned {type(module).__name__}, not an nn.Module")
    for layer, part in module.named_modules():
        if any(map(is_lazy, part.parameters(recurse=False))):
            what = f"its layer {layer}" if layer else "it"
            raise InputError(f"{what} is a {type(part).__name__}: state the number of its inputs")
    return module


def _torchvision(name: str) -> Callable[[ImageShape, int], Any]:
    from torchvision import models

    check_traced(name)
    model = name.removeprefix(TORCHVISION)
    special: dict[str, Any] = {}
    if model in ("googlenet", "inception_v3"):
        special = {"aux_logits": False, "init_weights": True}

    def build(image: ImageShape, classes: int) -> nn.Module:
        if model.startswith("vit_"):
            special["image_size"] = image[1]
        return models.get_model(model, weights=None, num_classes=classes, **special)

    return build


def _channels(name: str, image: ImageShape) -> int:
    """The channels to which grey images are repeated (0: not repeated)."""
    return RGB if not is_code(name) and image[0] == 1 else 0
