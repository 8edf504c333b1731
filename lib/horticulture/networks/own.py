"""Networks by name that are not of our families: torchvision's, and those of a function in somebody's file.

Code in a file runs only where somebody said so: see `user_code`.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from horticulture import user_code
from horticulture.architecture import Architecture
from horticulture.errors import InputError, check_choice
from horticulture.networks.describing import Origin, assemble, found_in
from horticulture.networks.labels import Watched
from horticulture.networks.redrawing import redraw
from horticulture.networks.traced import TracedNetwork, cut
from horticulture.networks.tracing import watch
from horticulture.user_code import is_code

SIZES = (
    8,
    16,
    32,
    48,
    64,
    96,
    128,
    224,
    299,
)  # pixels, at which a network is tried that fails at the wanted one
RGB = 3  # channels that torchvision's networks take


def digest(name: str) -> str:
    """What defines the network of that name: torchvision's version, or the content of the file.

    Raises InputError if there is no such file.
    """
    if not is_code(name):
        from torchvision import __version__

        return f"torchvision {__version__.partition('+')[0]}"
    return user_code.digest(name)


def traced(
    name: str, *, image: tuple[int, int, int], classes: int, residual_sets: bool = False
) -> TracedNetwork:
    """The whole network of that name with its groups found and tried; its code runs.

    name: `torchvision:NAME`, or `FILE.py:FUNCTION`, a function (image, classes) -> nn.Module.
    image: (channels, height, width). Raises InputError for a name that there is not, a network that does not
    take such images (with the smallest size that it takes), or one with no group.
    """
    if is_code(name):
        name = user_code.whole(name)
        user_code.allow({digest(name)})
    try:
        return found_in(make(name, image, classes), _origin(name, image, classes, residual_sets))
    except InputError as error:
        short = Path(name).name if is_code(name) else name
        raise InputError(f"{short}: {error}{_smallest(name, image, classes)}") from error


def _origin(name: str, image: tuple[int, int, int], classes: int, residual_sets: bool) -> Origin:
    channels, height, width = image
    return Origin(
        (channels, height, width), classes, _channels(name, image), residual_sets, name, digest(name)
    )


@lru_cache(maxsize=8)
def _named(name: str, digest: str, image: tuple[int, int, int], classes: int, sets: bool) -> Architecture:
    return traced(name, image=image, classes=classes, residual_sets=sets).architecture


def named(
    name: str, *, image: tuple[int, int, int], classes: int, residual_sets: bool = False
) -> Architecture:
    """The architecture of the whole network of that name, as for `traced`."""
    if is_code(name):
        name = user_code.whole(name)
    return _named(name, digest(name), tuple(image), classes, residual_sets)


def build(architecture: Architecture, generator: torch.Generator | None = None) -> TracedNetwork:
    """A network of that architecture, from scratch: made whole by its code, and drawn for its own widths.

    Raises InputError if its code may not run here, is not what it was, or the module was only described.
    """
    table = architecture.table
    assert table is not None
    if not table.network:
        raise InputError("a module that was described cannot be made again: give its code a file and a name")
    if is_code(table.network) and table.digest not in user_code.allowed():
        raise InputError(
            f"{table.network} is code in a file, which runs only if you say so: allow_code (--allow-code)"
        )
    if digest(table.network) != table.digest:
        raise InputError(
            f"{table.network} is not what it was: {table.digest} then, {digest(table.network)} now"
        )
    generator = generator or torch.Generator()
    module = make(table.network, architecture.image, architecture.classes, generator)
    origin = _origin(table.network, architecture.image, architecture.classes, table.residual_sets)
    network = assemble(module, _watched(origin, table.groups, module), origin)
    if network.architecture.table != table:
        raise InputError(f"{table.network} makes another network than it did: does it draw its shape?")
    whole = {name: tuple(tensor.shape) for name, tensor in network.module.named_parameters()}
    for group, width in zip(network.groups, architecture.widths, strict=True):
        if width < group.width:
            cut(group, list(range(width)))
    if network.architecture.widths != table.full:
        redraw(network, whole)
    network.reseed(generator)
    network.remake = partial(build, architecture)
    return network


_seen: dict[tuple[Origin, tuple[str, ...]], Watched] = {}


def _watched(origin: Origin, names: tuple[str, ...], module: nn.Module) -> Watched:
    """The groups of these names, which were tried when the table was made; each network is watched once."""
    if (origin, names) not in _seen:
        watched = watch(module, origin.images)
        found = [group for group in watched.found if group.name in names]
        _seen[origin, names] = watched._replace(found=found)
    return _seen[origin, names]


def make(
    name: str, image: tuple[int, int, int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """The module as its code makes it, in its default initialisation, on the CPU.

    What it draws comes from the generator (a fixed one if none is given). Raises InputError if there is no
    such network or function, or it does not give a module.
    """
    build = user_code.function(name) if is_code(name) else _torchvision(name)
    generator = generator or torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    torch.set_rng_state(
        torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator))).get_state()
    )
    try:
        module = build(image, classes)
    except InputError:
        raise
    except Exception as error:  # somebody's code
        raise InputError(
            f"it cannot be made for images of {tuple(image)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        torch.set_rng_state(before)
    if not isinstance(module, nn.Module):
        raise InputError(f"it gives {type(module).__name__}, not an nn.Module")
    return module


def _torchvision(name: str) -> Callable[[tuple[int, int, int], int], Any]:
    from torchvision import models

    known = models.list_models(module=models)
    model = check_choice(name.partition(":")[2], known, "network of torchvision")
    special: dict[str, Any] = {}
    if model in ("googlenet", "inception_v3"):
        special = {"aux_logits": False, "init_weights": True}

    def build(image: tuple[int, int, int], classes: int) -> nn.Module:
        if model.startswith("vit_"):
            if image[1] != image[2]:
                raise InputError(f"it takes square images, not {image[1]} x {image[2]}")
            special["image_size"] = image[1]
        return models.get_model(model, weights=None, num_classes=classes, **special)

    return build


def _channels(name: str, image: tuple[int, int, int]) -> int:
    """To which grey images are repeated."""
    return RGB if not is_code(name) and image[0] == 1 else 0


@torch.no_grad()
def _smallest(name: str, image: tuple[int, int, int], classes: int) -> str:
    """For a message: the smallest square image that the network takes, if the given one is too small."""

    def works(size: int) -> bool:
        shape = (image[0], size, size)
        try:
            module = make(name, shape, classes).eval()
            answer = module(torch.zeros(2, _channels(name, shape) or image[0], size, size))
        except Exception:  # whatever it is, this size does not work
            return False
        return isinstance(answer, torch.Tensor) and answer.shape == (2, classes)

    if is_code(name) or works(image[1]) or name.partition(":")[2].startswith("inception_v3_"):
        return ""
    low = min(image[1:])
    high = next((size for size in SIZES if size > low and works(size)), None)
    if high is None:
        return ""
    if not name.partition(":")[2].startswith(("vit_", "swin")):  # theirs are multiples of a patch
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if works(middle) else (middle, high)
    return f" (image_size={high} works)"
