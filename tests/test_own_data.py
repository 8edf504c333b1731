"""Data sets that somebody brings: what they may give, and that their content is enough afterwards."""

import math
import random

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors

from horticulture import architecture, data, execution, runs
from horticulture.errors import InputError
from horticulture.execution import loading, parallel, pool
from horticulture.training import TrainingRecipe

PIXELS = np.arange(20 * 8 * 8, dtype=np.uint32).astype(np.uint8).reshape(20, 1, 8, 8)
LABELS = np.arange(20) % 4


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path / "data"))
    before = dict(data.DATASETS)
    yield
    data.DATASETS.clear()
    data.DATASETS.update(before)
    loading.full_dataset.cache_clear()


def mine():
    return (PIXELS, LABELS), (PIXELS[:5], LABELS[:5])


def test_a_tenth_is_held_out_and_sizes_are_reduced():
    data.dataset(flip=True, pad=1)(mine)
    made = data.load("mine", image_size=4)
    assert (len(made.train), len(made.validation), len(made.test)) == (18, 2, 5)
    assert made.image == (1, 4, 4)
    assert (made.classes, made.pad, made.flip) == (("0", "1", "2", "3"), 1, True)
    together = torch.cat([made.train.pixels, made.validation.pixels]).flatten(1).tolist()
    means = PIXELS.reshape(20, 4, 2, 4, 2).mean(axis=(2, 4)).round().reshape(20, 16).tolist()
    assert sorted(together) == sorted(means)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (((PIXELS, LABELS),), "return train and test, or train, validation and test"),
        (7, "return .pixels, labels. for train and test"),
        (((PIXELS / 1.0, LABELS),) * 2, "pixels must be .* uint8, not .20, 1, 8, 8. torch.float64 and .20,."),
        (((PIXELS, LABELS[1:]),) * 2, "pixels must be .* and .19,."),
        (
            ((PIXELS.transpose(0, 2, 3, 1), LABELS),) * 2,
            r"channels come first, but pixels of .20, 8, 8, 1. look as if .* or return a Dataset",
        ),
        (((PIXELS, LABELS), (PIXELS, LABELS + 1)), "train has no image of '4'"),
        (((PIXELS, LABELS), (PIXELS[:3], LABELS[:3])), "test has no image of '3'"),
        (((PIXELS, LABELS * 2),) * 2, "train has no image of '1', '3', '5'"),
        (((PIXELS, LABELS // 3), (PIXELS, LABELS // 3), (PIXELS, LABELS * 0)), "test has no image of '1'"),
        (((PIXELS[:4], LABELS[:4]), (PIXELS, LABELS)), "with 1 held out, train has no image of '[0-3]'"),
        (((PIXELS[:0], LABELS[:0]), (PIXELS, LABELS)), "a part has no images"),
        (((PIXELS, LABELS), (PIXELS, LABELS), (PIXELS[:0], LABELS[:0])), "a part has no images"),
        (((PIXELS, LABELS + 0.5),) * 2, "labels must be whole numbers"),
        (((PIXELS, LABELS * math.nan),) * 2, "labels must be whole numbers"),
        (((PIXELS, LABELS + 0j),) * 2, "labels must be whole numbers"),
        (
            ((PIXELS, LABELS), (PIXELS.repeat(3, 1), LABELS)),
            r"images of all parts need the same shape, not .1, 8, 8. and .3, 8, 8.",
        ),
        (
            ((PIXELS, LABELS), (PIXELS[:, :, 1:], LABELS)),
            r"images of all parts need the same shape, not .1, 8, 8. and .1, 7, 8.",
        ),
        (((PIXELS, LABELS - 1),) * 2, "labels must be 0 to 2, not -1"),
        (((PIXELS, 0 * LABELS),) * 2, "at least two classes are needed, not 1"),
    ],
)
def test_what_is_no_data_set_is_one_line(given, said):
    data.dataset(lambda: given, name="mine")
    with pytest.raises(InputError, match=f"data set mine: {said}"):
        data.load("mine")


@pytest.mark.parametrize(
    ("shape", "refused"),
    [
        *(((32, 32, 3), True), ((28, 28, 1), True), ((224, 180, 3), True), ((8, 8, 4), True)),
        *(((16, 20, 1), True), ((2, 16, 1), False), ((13, 8, 4), False), ((12, 100, 1), False)),
        *(((3, 16, 3), False), ((16, 16, 2), False), ((1, 1, 1), False)),
    ],
)
def test_channels_that_seem_to_be_last_are_refused_unless_a_dataset_is_returned(shape, refused):
    pixels = np.zeros((20, *shape), dtype=np.uint8)
    data.dataset(lambda: ((pixels, LABELS), (pixels, LABELS)), name="mine")
    if refused:
        with pytest.raises(InputError, match="look as if they had them last"):
            data.load("mine")
    else:
        assert data.load("mine").image == shape
    part = data.Images(torch.from_numpy(pixels), torch.from_numpy(LABELS))
    data.dataset(lambda: data.Dataset("mine", tuple("0123"), part, part, part, 0, False), name="mine")
    assert data.load("mine").image == shape


@pytest.mark.parametrize("kind", [float, np.uint8, np.uint16, np.uint32, np.int8])
def test_whole_labels_may_have_any_type(kind):
    data.dataset(lambda: ((PIXELS, LABELS.astype(float)), (PIXELS, LABELS.astype(kind))), name="mine")
    assert data.load("mine").test.labels.tolist() == LABELS.tolist()


def test_a_validation_part_that_is_held_out_may_lack_a_class():
    data.dataset(lambda: ((PIXELS[:12], LABELS[:12]), (PIXELS, LABELS)), name="mine")
    assert data.load("mine").counts["validation"].count(0) > 0


def test_what_a_function_raises_is_one_line_that_names_it():
    def broken():
        raise OSError("no\nfile")

    data.dataset(broken, name="mine")
    with pytest.raises(InputError) as caught:
        data.load("mine")
    assert str(caught.value) == "data set mine: broken failed: OSError: no"


def test_names_of_ours_stay_ours():
    with pytest.raises(InputError, match="a data set 'clutter' is built in"):
        data.dataset(mine, name="clutter")


def test_what_was_kept_is_the_same_and_damage_is_noticed(tmp_path):
    data.dataset(mine)
    whole = execution.load_dataset("mine")
    source = execution.describe_data("mine", 10)
    assert source == {"name": f"kept:{whole.digest}", "images": 10, "image_size": 0, "digest": whole.digest}
    again = data.load(source["name"])
    assert (again.digest, again.classes, again.name) == (whole.digest, whole.classes, "mine")
    (path,) = (tmp_path / "data" / "cache").iterdir()
    content = bytearray(path.read_bytes())
    for place in (-1, 20):
        path.write_bytes(bytes(content[:place]) + b"x" + bytes(content[place + 1 :] if place > 0 else b""))
        with pytest.raises(InputError, match=f"{path.name} is damaged: delete it, and run the notebook"):
            data.load(source["name"])
    path.unlink()
    with pytest.raises(InputError, match=r"is no longer in .*cache: run the notebook that has its code"):
        data.load(source["name"])


def test_a_flipped_bit_of_what_was_kept_is_noticed_wherever_it_is(tmp_path):
    """Also in names, and in the originals, which the digest of the data set leaves out."""
    data.dataset(mine)
    name = execution.describe_data("mine")["name"]
    (path,) = (tmp_path / "data" / "cache").iterdir()
    assert {"test.pixels", "test.labels", "test.sources"} < safetensors.load_file(path).keys()
    content, draw = path.read_bytes(), random.Random(0)
    header = int.from_bytes(content[:8], "little") + 8
    places = [*draw.sample(range(header), 300), *draw.sample(range(header, len(content)), 100)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        if content[place - 1 : place + 1].isalpha() and b"seal" in content[place - 3 : place + 4]:
            continue  # the name of the seal, which says nothing
        with pytest.raises(InputError, match=f"{path.name} is damaged"):
            data.load(name)


def test_parts_may_share_their_images():
    part = data.Images(torch.from_numpy(PIXELS), torch.from_numpy(LABELS))
    whole = data.Dataset("shared", ("0", "1", "2", "3"), part, part, part, pad=0, flip=False)
    assert data.load(data.save(whole)).digest == whole.digest


def test_an_edited_function_gives_other_images_at_once():
    data.dataset(mine)
    first = execution.describe_data("mine")["digest"]
    data.dataset(lambda: ((PIXELS + 1, LABELS), (PIXELS, LABELS)), name="mine")
    assert execution.describe_data("mine")["digest"] != first


def test_two_workers_train_on_it_without_its_code(tmp_path):
    data.dataset(lambda: ((np.repeat(PIXELS, 2, 2).repeat(2, 3), LABELS),) * 2, name="mine")
    shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=4)
    source = execution.describe_data("mine")
    wanted = [
        execution.training_run(shape, TrainingRecipe(1, 0.1, batch_size=6), source, seed) for seed in (0, 1)
    ]
    pool.stop()  # those of another test look for data elsewhere
    parallel.execute_all(wanted, tmp_path / "two", workers=2, device="cpu")
    pool.stop()
    for run in wanted:
        execution.execute(run, tmp_path / "here", "cpu", threads=1)
        weights = [
            (runs.folder(run, tmp_path / at) / "weights.safetensors").read_bytes() for at in ("two", "here")
        ]
        assert weights[0] == weights[1]
