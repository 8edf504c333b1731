"""Data sets: disjoint parts, the same ones always; batches that can be checked image by image."""

import os
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import sklearn.datasets
import torch
import torchvision

from horticulture import data
from horticulture.data import Batches, Dataset, Images, arrays, digits, downloads, images as of_images
from horticulture.errors import InputError

DOWNLOADED = ("cifar10", "cifar100", "svhn")


@pytest.fixture(scope="module")
def clutter() -> Dataset:
    return data.load("clutter")


def numbered(count: int, channels: int = 1, size: int = 4, pad: int = 2, flip: bool = True) -> Dataset:
    """Image i is of the one colour i, and its label is i."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, channels, size, size)
    images = Images(pixels.contiguous(), torch.arange(count))
    return Dataset("numbered", tuple(map(str, range(count))), images, images, images, pad, flip)


# --- clutter ---------------------------------------------------------------------------------------------


def test_what_is_known_of_clutter_before_it_is_drawn_is_what_is_drawn():
    for arguments in ({}, {"images": 64}, {"image_size": 16}):
        drawn, known = data.load("clutter", **arguments), data.outline("clutter", **arguments)
        assert known == (drawn.image, len(drawn.classes), len(drawn.train))
    with pytest.raises(
        InputError, match="images is 8,193, but clutter has 8,192 training images: 0 means all"
    ):
        data.outline("clutter", 8193)


def test_clutter_has_its_shapes(clutter):
    assert clutter.image == (1, 16, 16)
    assert clutter.classes == tuple("0123456789")
    for part, count in (("train", 8192), ("validation", 1024), ("test", 4096)):
        images = getattr(clutter, part)
        assert images.pixels.shape == (count, 1, 16, 16)
        assert images.labels.shape == (count,)
        assert images.pixels.dtype == torch.uint8
        assert images.labels.dtype == torch.int64


def test_clutter_is_the_same_every_time(clutter):
    again = data.load("clutter")
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(clutter, part).pixels, getattr(again, part).pixels)
        assert torch.equal(getattr(clutter, part).labels, getattr(again, part).labels)
    assert not torch.equal(clutter.train.pixels[:512], clutter.validation.pixels)


def test_clutter_is_roughly_balanced(clutter):
    for part in ("train", "validation", "test"):
        labels = getattr(clutter, part).labels
        share = labels.bincount(minlength=10) / len(labels)
        assert share.min() > 0.04
        assert share.max() < 0.16


def test_the_digits_are_scikit_learns():
    pictures, labels = digits.read_digits()
    expected = sklearn.datasets.load_digits()
    assert torch.equal(pictures, torch.from_numpy(expected.images).float()[:, None] / 16)
    assert torch.equal(labels, torch.from_numpy(expected.target).long())


def test_clutter_parts_come_from_disjoint_digits(clutter):
    """Every image says which digit it shows; its label is that digit's."""
    assert sum(digits for _, digits, _ in digits.CLUTTER_PARTS.values()) == 1797
    labels = torch.from_numpy(sklearn.datasets.load_digits().target).long()
    seen = {}
    for part, (_, count, _) in digits.CLUTTER_PARTS.items():
        images = getattr(clutter, part)
        assert torch.equal(images.labels, labels[images.originals])
        seen[part] = set(images.originals.tolist())
        often = images.originals.bincount()
        assert len(seen[part]) == min(count, len(images))  # each is shown, and about as often
        assert often.max() - often[often > 0].min() <= -(-len(images) // digits.CHUNK)
    assert len(set().union(*seen.values())) == sum(map(len, seen.values()))


def test_an_image_of_clutter_shows_the_digit_that_it_says(monkeypatch):
    """With digits that are one colour each, brighter than any piece of another or the noise."""
    grey = torch.linspace(0, 1, 1797)[:, None, None, None].expand(-1, 1, 8, 8)
    monkeypatch.setattr(digits, "read_digits", lambda: (grey, torch.arange(1797) % 10))
    for part in (data.load("clutter").test, data.load("clutter").validation):
        shown = grey[part.originals, 0, 0, 0]
        bright = shown > 0.9
        assert bright.sum() > 10
        actual = part.pixels[bright].float().flatten(1).topk(12).values.median(dim=1).values / 255
        assert (actual > 0.85).all()


def test_more_images_of_a_part_begin_with_the_same_ones(clutter, monkeypatch):
    """Also where the last chunk is not full, and whatever the other parts are."""
    monkeypatch.setattr(
        digits,
        "CLUTTER_PARTS",
        {"train": (1500, 800, 1), "validation": (300, 297, 2), "test": (3000, 700, 3)},
    )
    other = data.load("clutter")
    assert [len(getattr(other, part)) for part in ("train", "validation", "test")] == [1500, 300, 3000]
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(clutter, part), getattr(other, part)
        shared = min(len(mine), len(theirs))
        for name in ("pixels", "labels", "originals"):
            assert torch.equal(getattr(mine, name)[:shared], getattr(theirs, name)[:shared])
    chunks = other.test.pixels[:2048].split(1024)
    assert not torch.equal(*chunks)


def test_clutter_has_one_size(clutter):
    assert data.load("clutter", image_size=16).digest == clutter.digest
    for size in (8, 32, -1):
        with pytest.raises(InputError, match=rf"image_size must be 0 or 16, not {size}"):
            data.load("clutter", image_size=size)


# --- originals ---------------------------------------------------------------------------------------------


def test_an_image_is_its_own_source_unless_it_is_said():
    pixels, labels = torch.zeros(5, 1, 4, 4, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64)
    assert Images(pixels, labels).originals.tolist() == [0, 1, 2, 3, 4]
    said = Images(pixels, labels, torch.tensor([7, 7, 3, 3, 3]))
    assert said.first(3).originals.tolist() == [7, 7, 3]
    assert said.to(torch.device("meta")).originals.device.type == "meta"
    assert said.first(0) is said


def test_originals_are_no_part_of_what_the_data_is(images):
    """So that the runs on a data set stay the same runs."""
    test = images.test
    renamed = Images(test.pixels, test.labels, torch.zeros(len(test), dtype=torch.int64))
    assert replace(images, test=renamed).digest == images.digest


# --- smaller images --------------------------------------------------------------------------------------


def test_an_area_mean_by_hand():
    """Halfway it is the even number: 1.5 becomes 2, and 2.5 too."""
    square = np.array([[[[1, 2, 255, 255], [1, 2, 255, 255], [2, 3, 0, 1], [2, 3, 1, 1]]]], np.uint8)
    assert data.downscale(square, 2).tolist() == [[[[2, 255], [2, 1]]]]
    assert data.downscale(square, 1).tolist() == [[[[65]]]]  # 1,039 / 16 = 64.9


def test_the_mean_of_more_pixels_than_32_bits_can_add_up():
    white = np.broadcast_to(np.uint8(255), (1, 1, 2**12, 2**12))
    assert data.downscale(white, 1).tolist() == [[[[255]]]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 4999])
def test_what_is_held_out_is_what_torch_would_draw(count):
    """Run keys hang on it."""
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    held = count // 10
    assert arrays.random_order(count, last=held).tolist() == drawn[held:] + drawn[:held]


def test_where_a_random_draw_would_be_unfair_validation_images_are_drawn_by_class():
    """Of each class the first in the same random order: here one of ten, and the rest stays in that order."""
    labels = np.repeat(np.arange(10), 10)
    drawn = np.roll(arrays.random_order(100, last=10), 10).tolist()
    assert len(set(labels[drawn[:10]])) < 10  # unfair
    first = [next(n for n in drawn if labels[n] == label) for label in range(10)]
    held = [n for n in drawn if n in first]
    assert arrays.hold_out(labels, 10).tolist() == [n for n in drawn if n not in first] + held


def test_a_class_holds_out_its_share_however_rare_it_is():
    """Shares of 50.0, 29.9, 14.9, 4.9 and 0.3: three that lose the most get what rounding down leaves."""
    counts = [500, 299, 149, 49, 3]
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), counts))
    held = arrays.hold_out(labels, 100)
    assert sorted(held) == list(range(1000))
    actual = np.bincount(labels[held[900:]], minlength=5).tolist()
    assert actual == [50, 30, 15, 5, 0]


def test_a_fair_draw_stays_as_it_was():
    """Run keys hang on it: of 5,000 each within a fifth."""
    labels = np.arange(50_000) % 10
    assert arrays.hold_out(labels, 5000).tolist() == arrays.random_order(50_000, last=5000).tolist()


@pytest.mark.parametrize(("size", "pool"), [(16, 2), (8, 4), (4, 8), (1, 32)])
def test_reduced_images_are_those_of_a_pooling(generator, size, pool):
    pixels = torch.randint(256, (500, 3, 32, 32), generator=generator, dtype=torch.uint8)
    expected = torch.nn.functional.avg_pool2d(pixels.double(), pool).round().to(torch.uint8)
    actual = data.downscale(pixels.numpy(), size)
    assert actual.dtype == np.uint8
    assert np.array_equal(actual, expected)


def test_images_of_the_size_asked_for_are_left_alone():
    pixels = np.zeros((3, 1, 6, 6), np.uint8)
    assert data.downscale(pixels, 0) is pixels
    assert data.downscale(pixels, 6) is pixels
    oblong = pixels[:, :, :5]
    assert data.downscale(oblong, 0) is oblong


@pytest.mark.parametrize("size", [5, 24, -2])
def test_a_size_that_does_not_divide_is_refused_with_those_that_do(size):
    pixels = np.zeros((1, 1, 12, 12), np.uint8)
    with pytest.raises(
        InputError, match=rf"image_size {size} .*12 x 12: choose from 1, 2, 3, 4, 6, 12, or 0"
    ):
        data.downscale(pixels, size)
    with pytest.raises(InputError, match="only square images can be reduced, but these are 12 x 6"):
        data.downscale(pixels[:, :, :6], 6)


# --- normalising -----------------------------------------------------------------------------------------


def test_the_training_part_is_normalised_to_mean_0_and_spread_1(clutter):
    x = clutter.normalise(clutter.train.pixels)
    assert x.mean().item() == pytest.approx(0, abs=1e-3)
    assert x.std().item() == pytest.approx(1, abs=1e-3)
    assert x.dtype == torch.float32


def test_each_colour_is_normalised_by_the_training_part_alone(images):
    x = images.normalise(images.test.pixels)
    for colour in range(2):
        train = images.train.pixels[:, colour].double()
        expected = (images.test.pixels[:, colour].double() - train.mean()) / train.std(correction=0)
        torch.testing.assert_close(x[:, colour], expected.float(), rtol=1e-5, atol=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_images_are_summed_a_few_at_a_time_with_the_same_result(images, monkeypatch):
    whole = [found.clone() for found in images.mean_and_std]
    monkeypatch.setattr(of_images, "AT_A_TIME", 300)  # two images of 2 x 8 x 8
    assert all(map(torch.equal, replace(images).mean_and_std, whole))


def test_the_images_of_each_class_are_counted(images):
    counts = images.counts
    assert list(counts) == ["train", "validation", "test"]
    assert [sum(actual) for actual in counts.values()] == [40, 12, 12]
    assert counts["test"] == [images.test.labels.tolist().count(label) for label in range(3)]


def test_images_of_one_colour_are_normalised_without_dividing_by_zero():
    blank = Images(torch.full((4, 1, 8, 8), 7, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    assert (Dataset("blank", ("a",), blank, blank, blank, 1, False).normalise(blank.pixels) == 0).all()


def test_fewer_training_images_have_statistics_of_their_own(clutter):
    few = data.load("clutter", images=50)
    assert len(few.train) == 50
    assert len(few.test) == 4096
    assert torch.equal(few.train.pixels, clutter.train.pixels[:50])
    assert few.normalise(few.train.pixels).mean().item() == pytest.approx(0, abs=1e-5)


# --- batches ---------------------------------------------------------------------------------------------


def test_crop_and_flip_equal_a_loop_over_images(generator):
    image, pad, count = (3, 5, 7), 2, 40
    pixels = torch.randint(256, (9, *image), generator=generator, dtype=torch.uint8)
    padded = torch.nn.functional.pad(pixels.float(), (pad,) * 4, mode="reflect").to(torch.uint8)
    order = torch.randint(9, (count,), generator=generator)
    shifts = torch.randint(2 * pad + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    actual = data.crop(pixels, order, shifts, flips, pad)
    assert actual.shape == (count, *image)
    assert 0 < flips.sum() < count
    for i in range(count):
        down, right = shifts[i].tolist()
        window = padded[order[i]][:, down : down + 5, right : right + 7]
        assert torch.equal(actual[i], window.flip(2) if flips[i] else window), i


def test_batches_are_windows_of_the_padded_images(images, generator):
    x, y = next(Batches(images, 40, generator))
    padded = torch.nn.functional.pad(images.train.pixels.float(), (1, 1, 1, 1), mode="reflect")
    unused = list(range(40))
    for actual, label in zip(x, y, strict=True):
        matches = [
            i
            for i in unused
            for window in (padded[i, :, a : a + 8, b : b + 8] for a in range(3) for b in range(3))
            for seen in (window, window.flip(2))
            if images.train.labels[i] == label
            and torch.equal(images.normalise(seen[None].to(torch.uint8))[0], actual)
        ]
        assert matches
        unused.remove(matches[0])


@pytest.mark.parametrize("batch_size", [6, 7, 24])
def test_every_image_comes_at_most_once_an_epoch_and_in_another_order_the_next(batch_size, generator):
    batches = Batches(numbered(24), batch_size, generator)
    assert batches.steps_per_epoch == 24 // batch_size
    epochs = [[next(batches) for _ in range(24 // batch_size)] for _ in range(2)]
    orders = [torch.cat([y for _, y in epoch]).tolist() for epoch in epochs]
    for order in orders:
        assert len(order) == 24 // batch_size * batch_size
        assert max(Counter(order).values()) == 1
    assert orders[0] != orders[1]
    for x, y in epochs[0]:  # an image and its label stay together
        assert torch.equal(x, numbered(24).normalise(y.to(torch.uint8)[:, None, None, None].expand_as(x)))


def test_only_data_that_may_be_mirrored_are(generator):
    slope = torch.arange(8, dtype=torch.uint8).expand(16, 1, 8, 8).contiguous()
    images = Images(slope, torch.zeros(16, dtype=torch.int64))
    for flip in (True, False):
        x, _ = next(Batches(Dataset("slope", ("a",), images, images, images, 0, flip), 16, generator))
        rising = (x.diff(dim=3) > 0).all(dim=(1, 2, 3))
        assert rising.any()
        assert rising.all() == (not flip)


@pytest.mark.parametrize("taken", [0, 1, 3, 4, 5, 8, 11])
def test_a_stream_goes_on_where_another_stood(images, taken):
    """Four batches an epoch: before the first, within an epoch, and exactly at the end of one."""
    first = Batches(images, 10, torch.Generator().manual_seed(1))
    for _ in range(taken):
        next(first)
    state = first.state_dict()
    expected = [next(first) for _ in range(9)]
    second = Batches(images, 10, torch.Generator().manual_seed(99))
    second.load_state_dict(state)
    for (x, y), (actual, label) in zip(expected, (next(second) for _ in range(9)), strict=True):
        assert torch.equal(label, y)
        assert torch.equal(actual, x)


@pytest.mark.parametrize(("width", "pad"), [(4, 4), (3, 4), (1, 1)])
def test_images_smaller_than_their_padding_are_refused(width, pad):
    images = Images(torch.zeros(2, 1, 8, width, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(InputError, match=rf"images of {width} x 8 pixels .* shifted by {pad}"):
        Dataset("narrow", ("a", "b"), images, images, images, pad, flip=False)


@pytest.mark.parametrize("batch_size", [0, -1, 41])
def test_a_batch_size_that_cannot_be_is_refused(images, generator, batch_size):
    with pytest.raises(InputError, match=rf"batch_size must be 1 to 40 .* not {batch_size}"):
        Batches(images, batch_size, generator)


# --- names, and what torchvision has ---------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r"'cifar'.*clutter, cifar10.*folder:PATH.*did you mean"):
        data.load("cifar")


def test_a_negative_number_of_images_is_refused():
    with pytest.raises(InputError, match="images must be 0"):
        data.load("clutter", images=-1)


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_data_set_that_was_not_downloaded_is_refused_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path))
    with pytest.raises(
        InputError, match=rf"'{name}' is missing from {tmp_path}.*horticulture download {name}.*clutter"
    ):
        data.load(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_pickle_that_is_not_cifars_is_never_read(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path))
    kind = getattr(torchvision.datasets, name.upper())
    for file, _ in [*kind.train_list, *kind.test_list, (kind.meta["filename"], "")]:
        path = tmp_path / kind.base_folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(InputError, match=rf"'{name}' is missing from {tmp_path} or damaged"):
        data.load(name)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "sprung").exists()


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", DOWNLOADED)
def test_torchvisions_data_are_split_into_three_disjoint_parts(name, tmp_path, monkeypatch):
    """With a stand-in for the download: image i has i in its two first pixels, and a mark below them."""

    class Stand:
        def __init__(self, root, train=None, split=None, download=False):
            begin, count = (0, 5020) if train or split == "train" else (6000, 30)
            pixels = np.zeros((count, 6, 6, 3), dtype=np.uint8)
            numbers = np.arange(begin, begin + count)
            pixels[:, 0, 0, 0], pixels[:, 0, 1, 0], pixels[:, 1, 0, 2] = numbers // 256, numbers % 256, 9
            self.data = pixels.transpose(0, 3, 1, 2) if split else pixels
            self.targets = (numbers % 10).tolist()
            self.labels, self.classes = numbers % 10, list("abcdefghij")

    monkeypatch.setattr(f"torchvision.datasets.{name.upper()}", Stand)
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path))
    actual = data.load(name)
    assert actual.image == (3, 6, 6)
    small = data.load(name, image_size=3)
    assert (small.image, small.pad, actual.pad) == ((3, 3, 3), 2, 4)
    assert np.array_equal(small.test.pixels, data.downscale(actual.test.pixels.numpy(), 3))
    assert (len(actual.train), len(actual.validation), len(actual.test)) == (20, 5000, 30)
    assert actual.flip == (name != "svhn")  # house numbers have no mirror
    numbers = []
    for part in (actual.train, actual.validation, actual.test):
        pixels = part.pixels.long()
        numbers.append((256 * pixels[:, 0, 0, 0] + pixels[:, 0, 0, 1]).tolist())
        assert part.labels.tolist() == [n % 10 for n in numbers[-1]]
        assert part.labels.dtype == torch.int64
        assert (pixels[:, 2, 1, 0] == 9).all()
    assert sorted(numbers[0] + numbers[1]) == list(range(5020))
    assert numbers[2] == list(range(6000, 6030))


def test_only_torchvisions_data_sets_can_be_downloaded():
    with pytest.raises(InputError, match=r"data set to download 'clutter'.*cifar10, cifar100, svhn"):
        data.download("clutter")


def test_data_lies_beside_the_library_and_not_in_it(monkeypatch):
    monkeypatch.delenv("HORTICULTURE_DATA", raising=False)
    assert (downloads.data_folder().parent / "pyproject.toml").is_file()
    assert downloads.data_folder().name == "data"  # which git ignores
