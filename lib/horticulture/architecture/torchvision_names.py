"""torchvision's classification networks: names, sizes, and the images each accepts. Nothing is loaded."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from horticulture.architecture.network_type import ImageShape
from horticulture.errors import InputError

REGISTERED = re.compile(r"^@register_model\(\)\n(?:[@ )].*\n)*def (\w+)", re.MULTILINE)
WEIGHTS = re.compile(  # the first published weights of a network, and how many there are
    r'^class (\w+)_Weights\(WeightsEnum\):\n(?:(?!class ).*\n)*? +"num_params": (\d+)', re.MULTILINE
)
MOST = 100_000  # pixels: more than any data set has in a row

# Heights and widths that networks accept, by how their names begin; others accept any.
SIDES = {
    "alexnet": range(63, MOST),
    "convnext": range(32, MOST),
    "densenet": range(29, MOST),
    "googlenet": range(15, MOST),
    "inception_v3": range(75, MOST),
    "maxvit_t": range(221, 225),
    "squeezenet1_0": range(21, MOST),
    "squeezenet1_1": range(17, MOST),
    "swin": range(4, MOST),
    "vgg": range(32, MOST),
    "vit_b_16": range(16, MOST, 16),
    "vit_b_32": range(32, MOST, 32),
    "vit_h_14": range(14, MOST, 14),
    "vit_l_16": range(16, MOST, 16),
    "vit_l_32": range(32, MOST, 32),
}


@cache
def parameter_counts() -> dict[str, int]:
    """The number of parameters of every network, with the 1,000 classes of ImageNet (0: not stated there).

    It is read from torchvision's source, because loading it takes seconds.
    """
    spec = find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    sources = [path.read_text() for folder in folders or () for path in Path(folder, "models").glob("*.py")]
    params = {name.lower(): int(count) for source in sources for name, count in WEIGHTS.findall(source)}
    names = sorted(name for source in sources for name in REGISTERED.findall(source))
    return {name: params.get(name, 0) for name in names}


def check_image(model: str, image: ImageShape, name: str) -> None:
    """Raise InputError for images that a network does not accept. name: what the user calls it."""
    _, height, width = image
    if model.startswith("vit_") and height != width:
        raise InputError(f"{name}: it takes only square images, not {height} x {width}")
    for start, sides in SIDES.items():
        if model.startswith(start) and not (height in sides and width in sides):
            side = next((side for side in sides if side > min(height, width)), sides[-1])
            what = f"{height} x {width} pixels ({side} x {side} works; image_size only makes images smaller)"
            raise InputError(f"{name}: it does not accept images of {what}")
