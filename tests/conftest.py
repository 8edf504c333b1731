"""What the tests share: a tiny architecture, 64 tiny images, a folder of tiny PNGs."""

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, settings
from PIL import Image

from horticulture import architecture
from horticulture.architecture import Architecture, vit
from horticulture.data import Dataset, Images, digits
from horticulture.execution import loading
from tests import fuzzed

# A small member of every network type: 16 x 16 images and few channels.
SMALL = {
    "wide_resnet": "wrn-10-1",
    "vgg": "vgg-8-8",
    "resnet": "resnet-8-4",
    "preresnet": "preresnet-11-4",
    "densenet": "densenet-13-4",
    "densenet_bc": "densenet-bc-16-4",
    "vit": "vit-2-24",
}


def small(network_type: str, image: tuple[int, int, int] = (1, 16, 16)) -> Architecture:
    """The whole small network of that type, for three classes; a ViT's image has only whole patches."""
    if network_type == "vit":
        channels, *sides = image
        image = (channels, *(-(-side // vit.PATCH) * vit.PATCH for side in sides))
    return architecture.named(SMALL[network_type], image=image, classes=3)


def clutter_parts(train: int, validation: int, test: int) -> dict[str, tuple[int, int, int]]:
    """So many images of each part, for `digits.CLUTTER_PARTS`, drawn from as many digits as ever."""
    return {"train": (train, 800, 1), "validation": (validation, 297, 2), "test": (test, 700, 3)}


def cut_at_random(whole: Architecture, seed: int) -> Architecture:
    """The same with every group somewhere between its least width and its own."""
    draw = random.Random(seed)
    return whole.with_widths(
        tuple(draw.randint(least, n) for least, n in zip(whole.min_widths, whole.widths, strict=True))
    )


def without_channel(a: Architecture, group: int) -> Architecture:
    """The same with one channel less in that group."""
    return a.with_widths(tuple(n - (i == group) for i, n in enumerate(a.widths)))


# In the background of a shell SIGINT is ignored, and so it would be by the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time: a red test must stay red until somebody mends it.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)  # explaining a failure takes minutes here
settings.register_profile(
    "house", deadline=None, derandomize=True, database=None, max_examples=20, phases=PHASES
)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def no_test_waits_for_ever():
    """Beside others on a busy machine the longest takes some minutes."""
    with fuzzed.within(1800):
        yield


@pytest.fixture(autouse=True)
def a_data_folder_of_its_own(tmp_path_factory, monkeypatch):
    """So that no test finds what another, or a person, has downloaded or decoded."""
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def little_clutter(request):
    """`clutter` with as few images of each part as the test module's `CLUTTER_IMAGES` says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "CLUTTER_PARTS", clutter_parts(*request.module.CLUTTER_IMAGES))
        loading.full_dataset.cache_clear()
        yield
    loading.full_dataset.cache_clear()


@pytest.fixture
def tiny() -> Architecture:
    """Three groups of 3, 4 and 5 channels, a stem that differs from the first stage, and 8 x 8 images."""
    return Architecture("wide_resnet", 10, 3, (2, 8, 8), (3, 4, 5, 6), (3, 4, 5))


def drawn(count: int, seed: int) -> Images:
    """Noise of three brightnesses, one a class: easy, so that a few steps of training show."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=draw)
    noise = torch.randint(100, (count, 2, 8, 8), generator=draw)
    return Images((noise + 70 * labels[:, None, None, None]).to(torch.uint8), labels)


@pytest.fixture
def images() -> Dataset:
    """64 images: 40 to train on, 12 to decide by, 12 to report."""
    return Dataset(
        "tiny", ("dark", "grey", "light"), drawn(40, 0), drawn(12, 1), drawn(12, 2), pad=1, flip=True
    )


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def png_folder(tmp_path_factory) -> Path:
    """An image folder: 2 classes, 10 training and 3 test images each; every pixel tells class and number."""
    root = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 10), ("test", 3)):
        for red, name in ((50, "ash"), (200, "oak")):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.zeros((8, 8, 3), dtype=np.uint8)
                pixels[:, :, 0], pixels[:, :, 1], pixels[0, 0, 2] = red, number, 255
                Image.fromarray(pixels).save(root / part / name / f"{number:02}.png")
    return root
