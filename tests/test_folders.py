"""Folders of images: what is read, what is refused by name, and that no file can do harm."""

import io
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin, TiffImagePlugin

from horticulture import data
from horticulture.data import arrays, decoding, folders, reading
from horticulture.errors import InputError
from tests import fuzzed

RED, BLUE = (200, 50, 0), (0, 50, 200)
STORED = {  # by EXIF orientation: how a picture that stands upright is stored
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.fixture
def pictures(tmp_path):
    """An image folder of two classes, three training images and a test image each, 8 x 8 pixels."""
    root = tmp_path / "pictures"
    for name, colour in (("ash", RED), ("oak", BLUE)):
        for place in (*(f"train/{name}/{n}.png" for n in range(3)), f"test/{name}/0.png"):
            painted(root / place, colour=colour)
    return root


def painted(path, size: tuple[int, int] = (8, 8), colour=RED, mode: str = "RGB", **how) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **how)


def load(root, image_size: int = 0) -> data.Dataset:
    return data.load(f"folder:{root}", image_size=image_size)


def refused(root, image_size: int = 0) -> str:
    """The one line with which it is refused."""
    with pytest.raises(InputError) as found:
        load(root, image_size)
    said = str(found.value)
    assert "\n" not in said
    return said


def read(root, path, *, image_size: int = 0) -> np.ndarray:
    """(height, width, channels) of one file, read as the only test image of its class."""
    for earlier in (root / "test" / "ash").iterdir():
        earlier.unlink()
    path.rename(root / "test" / "ash" / path.name)
    return load(root, image_size).test.pixels[0].permute(1, 2, 0).numpy()


# --- what is read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "threads"), [(1, 1), (2, 2), (64, 4)])
def test_as_many_images_are_decoded_at_once_as_there_are_processors(pictures, monkeypatch, allowed, threads):
    made = []

    def pool(count: int) -> ThreadPoolExecutor:
        made.append(count)
        return ThreadPoolExecutor(count)

    monkeypatch.setattr(reading, "processors", lambda: allowed)  # by affinity and the container's limit
    monkeypatch.setattr(reading, "ThreadPoolExecutor", pool)
    load(pictures)
    assert made == [threads] * 2  # for the headers, and for the images


def test_an_image_folder_is_read_whole_with_a_part_held_out(png_folder):
    actual = load(png_folder)
    assert actual.classes == ("ash", "oak")
    assert actual.image == (3, 8, 8)
    assert (len(actual.train), len(actual.validation), len(actual.test)) == (18, 2, 6)
    assert actual.train.pixels.dtype == torch.uint8
    seen = []
    for part in (actual.train, actual.validation, actual.test):
        colour = part.pixels[:, 0, 4, 4]
        assert torch.equal(colour, torch.where(part.labels == 0, 50, 200).to(torch.uint8))
        assert (part.pixels[:, 2, 0, 0] == 255).all()  # the marked corner: nothing is transposed or mirrored
        assert part.pixels[:, 2].sum() == 255 * len(part)
        seen.append([(int(p[0, 4, 4]), int(p[1, 4, 4])) for p in part.pixels])
    train = seen[0] + seen[1]
    assert sorted(train) == [(colour, n) for colour in (50, 200) for n in range(10)]
    again = load(png_folder)
    assert torch.equal(again.validation.pixels, actual.validation.pixels)


def test_an_image_folder_is_what_it_was_when_runs_were_described(png_folder, monkeypatch):
    """Their keys hold this digest. The random draw, which stays where it is fair, has both of one class."""
    assert load(png_folder).digest == "9d3b3732401c"
    monkeypatch.setattr(arrays, "hold_out", lambda labels, held: arrays.random_order(len(labels), last=held))
    assert load(png_folder).digest == "2ed8db2c7a4e"


def test_images_are_found_in_folders_below_and_behind_links_but_not_where_they_are_hidden(tmp_path, pictures):
    painted(tmp_path / "elsewhere" / "0.png", colour=(9, 9, 9))
    (pictures / "test" / "ash" / "more").symlink_to(tmp_path / "elsewhere")
    for hidden in ("ash/.ipynb_checkpoints/0-checkpoint.png", "ash/._0.png", ".ipynb_checkpoints/1.png"):
        painted(pictures / "train" / hidden)
    (pictures / "train" / "ash" / "notes.txt").write_text("no image")
    actual = load(pictures)
    assert actual.classes == ("ash", "oak")
    assert [len(part) for part in (actual.train, actual.validation, actual.test)] == [5, 1, 3]
    assert actual.test.pixels[:, 2, 0, 0].tolist() == [0, 9, 200]


def test_images_have_one_channel_if_all_of_them_are_grey(pictures):
    greys = [("1.png", "1", 1), ("2.png", "L", 90), ("3.png", "LA", (90, 255)), ("4.png", "I;16", 23130)]
    for path in sorted(pictures.rglob("*.png")):
        for name, mode, colour in [*greys, ("5.tif", "F", 90 / 255)]:
            painted(path.with_name(name), colour=colour, mode=mode)
        path.unlink()
    painted(pictures / "test" / "oak" / "6.png")
    assert load(pictures).test.pixels[0, :, 0, 0].tolist() == [255, 255, 255]
    assert load(pictures).test.pixels[1:5, :, 0, 0].tolist() == [[90, 90, 90]] * 4
    (pictures / "test" / "oak" / "6.png").unlink()
    actual = load(pictures)
    assert actual.image == (1, 8, 8)
    assert actual.test.pixels[:5, 0, 0, 0].tolist() == [255, 90, 90, 90, 90]
    assert load(pictures, 3).image == (1, 3, 3)


def test_without_one_every_class_gives_a_tenth(tmp_path):
    """Ten images each of six classes: a draw of six from sixty hardly ever has one of each."""
    for label in range(6):
        for place in (*(f"train/{label}/{n}.png" for n in range(10)), f"test/{label}/0.png"):
            painted(tmp_path / place)
    actual = load(tmp_path)
    assert actual.counts == {"train": [9] * 6, "validation": [1] * 6, "test": [1] * 6}


def test_a_part_for_validation_is_taken_where_there_is_one(pictures):
    for number, name in enumerate(("ash", "oak")):
        painted(pictures / "val" / name / "0.png", colour=(7, number, 0))
    actual = load(pictures)
    assert [len(part) for part in (actual.train, actual.validation, actual.test)] == [6, 2, 2]
    assert actual.validation.pixels[:, :, 0, 0].tolist() == [[7, 0, 0], [7, 1, 0]]
    assert actual.train.pixels[:, 0, 0, 0].tolist() == [200, 200, 200, 0, 0, 0]
    assert actual.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    (pictures / "val" / "ash").rename(pictures / "val" / "elm")
    assert refused(pictures).endswith("only train has the classes 'ash'")


# --- smaller images --------------------------------------------------------------------------------------


def test_a_folder_of_smaller_images(png_folder):
    whole, small = load(png_folder), load(png_folder, image_size=4)
    assert small.image == (3, 4, 4)
    assert (whole.pad, small.pad) == (4, 2)
    assert small.digest != whole.digest
    for part in ("train", "validation", "test"):
        mine, theirs = getattr(small, part), getattr(whole, part)
        assert torch.equal(mine.labels, theirs.labels)
        assert np.array_equal(mine.pixels, data.downscale(theirs.pixels.numpy(), 4))
        assert (mine.pixels[:, 2, 0, 0] == 64).all()  # 255 / 4 in the marked corner
    same = load(png_folder, image_size=8)
    assert (same.digest, same.pad) == (whole.digest, 4)


@pytest.mark.parametrize(("size", "white"), [((96, 32), (32, 0, 64, 32)), ((33, 99), (0, 33, 33, 66))])
def test_of_oblong_images_the_shorter_side_is_resized_and_the_centre_cut_out(size, white, tmp_path, pictures):
    """Black, white, black, each a square: the white one is left, but for what its edges are mixed with."""
    stripes = Image.new("RGB", size)
    stripes.paste((255, 255, 255), white)
    stripes.save(tmp_path / "stripes.png")
    actual = read(pictures, tmp_path / "stripes.png", image_size=8)
    assert actual.shape == (8, 8, 3)
    assert actual[1:-1, 1:-1].min() == 255
    assert actual.min() > 200


def test_images_of_many_sizes_may_be_shifted_as_far_as_4_of_32(pictures):
    painted(pictures / "train" / "ash" / "0.png", (20, 30))
    assert load(pictures, 8).pad == 1


def test_a_square_that_does_not_divide_is_resized_without_aliases(tmp_path, pictures):
    """A chessboard of single pixels becomes grey, not a pattern."""
    board = np.indices((48, 48)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "board.png")
    actual = read(pictures, tmp_path / "board.png", image_size=7)[1:-1, 1:-1]
    assert abs(actual.astype(int) - 127).max() <= 6


def test_a_class_whose_name_is_no_text_is_refused(pictures):
    for part in ("train", "test"):
        os.rename(pictures / part / "ash", os.fsencode(pictures / part) + b"/\xff\xfe")
    assert r"'\udcff\udcfe' has a character that text cannot have" in refused(pictures)


def test_images_are_made_smaller_only(pictures):
    assert "image_size must be 0 (unchanged) to 1,024, not -2" in refused(pictures, -2)
    assert "not 1025" in refused(pictures, 1025)
    assert "8 of 8 images cannot be used" in refused(pictures, 16)
    assert "'train/ash/0.png' (8 x 8 pixels: smaller than image_size 16)" in refused(pictures, 16)


# --- how images are stored -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "white", "suffix"),
    [
        ("<u2", 65535, "png"),
        ("<u2", 65535, "tif"),
        (">u2", 65535, "tif"),
        ("<u2", 65535, "pgm"),
        ("<i4", 65535, "tif"),
        ("<f4", 1, "tif"),
    ],
)
def test_more_than_eight_bits_are_scaled(dtype, white, suffix, tmp_path, pictures):
    """Sixty-four steps from black to white, with the mean of 255 / 2."""
    ramp = (np.linspace(0, white, 64).reshape(8, 8)).astype(dtype)
    path = tmp_path / f"ramp.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 8 8 65535\n" + ramp.astype(">u2").tobytes())
    else:
        Image.fromarray(ramp).save(path)
    actual = read(pictures, path)
    expected = np.linspace(0, 255, 64).round().reshape(8, 8)
    assert abs(actual - expected[..., None]).max() <= 1
    assert actual.mean() == pytest.approx(127.5, abs=0.3)
    assert (actual.min(), actual.max()) == (0, 255)


def png(bits: int, kind: int, row: bytes, transparent: bytes = b"") -> bytes:
    """By hand, for Pillow does not write all kinds: eight times the same row of eight pixels."""
    header = struct.pack(">IIBBBBB", 8, 8, bits, kind, 0, 0, 0)
    declared = [(b"tRNS", transparent)] if transparent else []
    chunks = ((b"IHDR", header), *declared, (b"IDAT", fuzzed.deflated((b"\0" + row) * 8)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(fuzzed.chunk(*chunk) for chunk in chunks)


def test_sixteen_bits_of_each_colour_are_scaled(tmp_path, pictures):
    """Four columns, red of 0, 1/3, 2/3 and 1."""
    row = b"".join(struct.pack(">HHH", 21845 * n, 0, 65535) for n in range(4)) * 2
    (tmp_path / "deep.png").write_bytes(png(16, 2, row))
    actual = read(pictures, tmp_path / "deep.png")
    assert actual[0, :4].tolist() == [[0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255]]


@pytest.mark.parametrize(("dtype", "value"), [("i4", 70000), ("i4", -1), ("f4", 1.5), ("f4", np.nan)])
def test_numbers_that_have_no_brightness_are_refused(dtype, value, tmp_path, pictures):
    odd = np.zeros((8, 8), dtype)
    odd[3, 3] = value
    Image.fromarray(odd).save(pictures / "test" / "ash" / "0.tif")
    assert "'test/ash/0.tif' (values from" in refused(pictures)


def grey_tiff(bits: int, photometric: int, pixels: bytes) -> bytes:
    """By hand: 8 x 8 pixels of one channel, uncompressed, little-endian."""
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 8, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", 9) + entries + bytes(4)


@pytest.mark.parametrize(
    ("bits", "photometric", "pixels", "expected"),
    [
        (12, 1, "fff", 255),
        (12, 1, "808000", (128, 0)),  # 2,056 and 0 of 4,095
        (16, 0, "ffff", 0),
        (16, 0, "0000", 255),
        (16, 1, "ffff", 255),
    ],
)
def test_what_is_white_in_a_tiff_is_what_it_says(pictures, tmp_path, bits, photometric, pixels, expected):
    repeated = bytes.fromhex(pixels * (16 * bits // len(pixels)))
    (tmp_path / "grey.tif").write_bytes(grey_tiff(bits, photometric, repeated))
    actual = read(pictures, tmp_path / "grey.tif")[..., 0]
    assert (actual == np.resize(expected, (8, 8))).all()


def test_a_transparent_grey_of_sixteen_bits_is_drawn_on_white(pictures, tmp_path):
    grey = np.full((8, 8), 32768, np.uint16)
    grey[0] = 32769
    Image.fromarray(grey).save(tmp_path / "grey.png", transparency=32768)
    actual = read(pictures, tmp_path / "grey.png")[..., 0]
    assert (actual[0] == 128).all()
    assert (actual[1:] == 255).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_photograph_stands_upright(suffix, tmp_path, pictures):
    """Stored lying, the sky to the right, with the orientation 8: a quarter turn against the clock."""
    lying = Image.new("RGB", (8, 8))
    lying.paste((255, 255, 255), (4, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 8
    lying.save(tmp_path / f"photo.{suffix}", exif=exif)
    actual = read(pictures, tmp_path / f"photo.{suffix}").astype(int)
    assert actual[:4].min() > 240
    assert actual[4:].max() < 15


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_uncompressed_tiff_stands_upright(mode, orientation, tmp_path):
    upright = np.arange(32, dtype=np.uint8).reshape(8, 4) * 8
    stored = STORED[orientation](upright)
    values = {
        "L": stored,
        "I;16": stored * np.uint16(257),
        "RGBA": np.dstack([stored] * 3 + [stored * 0 + 255]),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values[mode]).save(tmp_path / "photo.tif", exif=exif)
    assert decoding.measure(tmp_path / "photo.tif")[:2] == (4, 8)
    assert (decoding.decode(tmp_path / "photo.tif", mode="L")[0] == upright).all()


def test_pixels_of_another_size_than_the_header_are_refused(pictures, monkeypatch):
    painted(pictures / "test" / "ash" / "0.tif")
    (pictures / "test" / "ash" / "0.png").unlink()
    monkeypatch.setattr(
        TiffImagePlugin.TiffImageFile, "load_end", lambda image: setattr(image, "_size", (4, 8))
    )
    assert "'test/ash/0.tif' (its pixels have another size" in refused(pictures)


def test_an_orientation_that_cannot_be_read_is_none(tmp_path, pictures):
    fields = PngImagePlugin.PngInfo()
    fields.add(b"eXIf", b"no exif at all")
    Image.new("RGB", (8, 8), RED).save(tmp_path / "photo.png", pnginfo=fields)
    assert (read(pictures, tmp_path / "photo.png") == RED).all()


def test_what_is_transparent_is_laid_on_white(tmp_path, pictures):
    Image.new("RGBA", (8, 8), (*RED, 0)).save(tmp_path / "clear.png")
    assert (read(pictures, tmp_path / "clear.png") == 255).all()
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(0, (0, 0, 4, 8))
    for name, clear in (("number.png", 0), ("bytes.png", b"\0\xff"), ("number.gif", 0)):
        palette.save(tmp_path / name, transparency=clear)
        actual = read(pictures, tmp_path / name)
        assert (actual[:, :4] == 255).all()
        assert (actual[:, 4:] == RED).all()


@pytest.mark.parametrize(
    ("bits", "kind", "row", "transparent", "expected"),
    [
        (1, 0, "55", "0000", [255, 255]),
        (2, 0, "4444", "0001", [255, 0]),
        (2, 0, "8484", "0002", [255, 0, 85, 0]),
        (4, 0, "50505050", "0005", [255, 0]),
        (4, 0, "5f5f5f5f", "000f", [85, 255]),
        (8, 0, "0708" * 4, "0007", [255, 8]),
        (8, 2, "010203040404" * 4, "000100020003", [255, 4]),
        (16, 2, "800080008000400040004000" * 4, "800080008000", [255, 64]),
        (16, 2, "800080008000400040004000" * 4, "800080008100", [128, 64]),
    ],
)
def test_the_colour_that_a_png_declares_transparent_is_laid_on_white(
    bits, kind, row, transparent, expected, tmp_path
):
    (tmp_path / "one.png").write_bytes(png(bits, kind, bytes.fromhex(row), bytes.fromhex(transparent)))
    assert (decoding.decode(tmp_path / "one.png", mode="L") == np.resize(expected, 8)).all()


def test_of_an_animation_or_many_pages_the_first_is_read(tmp_path, pictures):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE))
    for suffix in ("gif", "tif", "png", "webp"):
        path = tmp_path / f"many.{suffix}"
        first.save(
            path, save_all=True, append_images=[second], **({"lossless": True} if suffix == "webp" else {})
        )
        assert (read(pictures, path) == RED).all(), suffix


def test_colours_of_print_become_colours_of_light(tmp_path, pictures):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert (read(pictures, tmp_path / "print.tif") == (255, 0, 0)).all()


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["nothing", "train only", "no classes", "no images", "a link to itself"])
def test_what_is_no_image_folder_is_refused_by_its_name(tmp_path, png_folder, kept):
    root = tmp_path / "pictures"
    if kept == "train only":
        root.mkdir()
        (root / "train").symlink_to(png_folder / "train")
    elif kept == "no classes":
        (root / "train").mkdir(parents=True)
    elif kept == "no images":
        (root / "train" / "ash").mkdir(parents=True)
    elif kept == "a link to itself":
        (root / "train").mkdir(parents=True)
        (root / "train" / "ash").symlink_to("ash")
    with pytest.raises(InputError, match=r"pictures.*(train|test)/<class>/<image>"):
        load(root)


def test_every_file_that_is_no_good_is_said_at_once(pictures):
    """Those that are no image from the first byte, and those that are found damaged only when decoded."""
    ash = pictures / "train" / "ash"
    (ash / "0.png").write_text("no picture")
    (ash / "1.png").write_bytes((ash / "1.png").read_bytes()[:50])
    painted(pictures / "train" / "oak" / "2.png", (9, 8))
    painted(pictures / "test" / "oak" / "new\nline.png", (2000, 8))
    said = refused(pictures)
    assert "4 of 9 images cannot be used" in said
    assert "'train/ash/0.png' (not a readable image, or damaged), 'train/ash/1.png' (" in said
    said, listed = said.split("; all are listed in ")
    assert said.endswith(
        "'train/oak/2.png' (9 x 8 pixels, but the first has 8 x 8: set image_size) and 1 more"
    )
    root, *lines = Path(listed).read_text().splitlines()
    assert root == str(pictures)
    assert [line.split(" (")[0] for line in lines] == [
        *("'train/ash/0.png'", "'train/ash/1.png'", "'train/oak/2.png'", r"'test/oak/new\nline.png'")
    ]
    for path in (ash / "0.png", ash / "1.png", pictures / "train" / "oak" / "2.png"):
        path.unlink()
    assert r"'test/oak/new\nline.png' (2,000 x 8 pixels: above 1,024, set image_size)" in refused(pictures)


def test_files_that_are_not_regular_are_refused_by_their_names(pictures, tmp_path, monkeypatch):
    ash = pictures / "train" / "ash"
    os.mkfifo(ash / "pipe.png")
    (ash / "null.png").symlink_to("/dev/zero")
    (ash / "self.png").symlink_to("self.png")
    said = refused(pictures)
    for name, why in (
        ("null", "not a regular file"),
        ("pipe", "not a regular file"),
        ("self", "Too many levels"),
    ):
        assert f"'train/ash/{name}.png' ({why}" in said
        (ash / f"{name}.png").unlink()
    monkeypatch.chdir(ash)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.png")
        (ash / "gone.png").symlink_to("nowhere")
        assert (
            "'train/ash/gone.png' (No such file or directory), 'train/ash/socket.png' (not a reg"
            in refused(pictures)
        )


@pytest.mark.parametrize("target", [".", "..", "../..", "/", "below"])
def test_a_folder_that_is_linked_into_itself_is_refused(target, pictures):
    """Followed, two such links in one folder would take for ever."""
    ash = pictures / "train" / "ash"
    painted(ash / "below" / "4.png")
    for name in ("one", "two"):
        (ash / name).symlink_to(target)
    assert f"ash/{'one' if target != 'below' else ''}" in refused(pictures)
    assert "has already been read" in refused(pictures)


def test_folders_that_are_very_deep_are_read_or_refused(pictures):
    """Python 3.11 goes down by recursion."""
    subprocess.run(["mkdir", "-p", f"{pictures}/train/ash/{'d/' * 1500}"], check=True)
    try:
        with suppress(InputError):
            load(pictures)
    finally:
        subprocess.run(["rm", "-r", pictures / "train"], check=True)


def test_a_class_that_is_a_link_to_what_holds_it_is_refused(pictures):
    for target in ("/", "..", "."):
        (pictures / "train" / "elm").symlink_to(target)
        assert "train/elm' leads to" in refused(pictures)
        (pictures / "train" / "elm").unlink()


def huge_png(width: int, height: int) -> bytes:
    """Its header alone, which is all that may be read."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + fuzzed.chunk(b"IHDR", header) + fuzzed.chunk(b"IDAT", b"")


def test_huge_images_are_refused_by_their_headers(pictures):
    for number in range(12):
        (pictures / "train" / "ash" / f"{number}.png").write_bytes(huge_png(20_000, 20_000))
    assert "12 of 17 images cannot be used: 'train/ash/0.png' (more than 67,108,864 pixels)" in refused(
        pictures, 8
    )
    for number in range(12):
        (pictures / "train" / "ash" / f"{number}.png").write_bytes(huge_png(8193, 8192))
    assert "'train/ash/0.png' (more than 67,108,864 pixels)" in refused(pictures, 8)


def test_a_part_without_a_class_or_an_image_of_each_is_refused(tmp_path, pictures):
    painted(pictures / "train" / "elm" / "1.png")
    assert refused(pictures).endswith("only train has the classes 'elm'")
    (pictures / "train" / "elm").rename(pictures / "test" / "elm")
    assert refused(pictures).endswith("only test has the classes 'elm'")
    first = tmp_path / "one"
    for part in ("train", "test"):
        painted(first / part / "a" / "1.png")
    assert refused(first).endswith("needs at least two classes, but has only 'a'")
    for part in ("train", "test"):
        painted(first / part / "b" / "1.png")
    assert "with 1 held out, no training image of '" in refused(first)


def test_images_smaller_than_their_padding_are_refused(tmp_path):
    for name in ("a", "b"):
        for place in (*(f"train/{name}/{n}.png" for n in range(5)), f"test/{name}/0.png"):
            painted(tmp_path / place, (9, 4))
    assert f"data folder:{tmp_path}: images of 9 x 4 pixels are too small to be shifted by 4" in refused(
        tmp_path
    )
    assert load(tmp_path, 4).image == (3, 4, 4)


# --- decoded once ----------------------------------------------------------------------------------------


def test_images_are_decoded_once_and_again_when_they_change(pictures, tmp_path, monkeypatch, capsys):
    cache = tmp_path / "cache"
    monkeypatch.setenv("HORTICULTURE_DATA", str(cache))
    opened, open_image = [], Image.open

    def decoded(size: int = 0) -> tuple[data.Dataset, int]:
        opened.clear()
        return load(pictures, size), len(set(opened))

    monkeypatch.setattr(
        Image, "open", lambda file, **how: opened.append(file.name) or open_image(file, **how)
    )
    first, count = decoded()
    assert count == 8
    again, count = decoded()
    assert (again.digest, count) == (first.digest, 0)
    assert capsys.readouterr() == ("", "")
    smaller, count = decoded(4)
    assert (smaller.image, count) == ((3, 4, 4), 8)
    smaller, count = decoded(4)
    assert (smaller.image, count) == ((3, 4, 4), 0)
    painted(pictures / "test" / "oak" / "3.png")
    changed, count = decoded()
    assert (len(changed.test), count) == (3, 9)
    assert not list(cache.rglob("*.tmp"))


@pytest.mark.parametrize(
    "damage", ["a byte of a pixel", "a byte of the header", "cut short", "empty", "a FIFO"]
)
def test_damaged_pixels_are_noticed_and_read_again(damage, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path / "cache"))
    before = load(pictures).digest
    (kept,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    content = bytearray(kept.read_bytes())
    if damage == "cut short":
        del content[-5:]
    elif damage == "empty":
        content.clear()
    else:
        content[-100 if "pixel" in damage else 30] ^= 4
    if damage == "a FIFO":
        kept.unlink()
        os.mkfifo(kept)
    else:
        kept.write_bytes(content)
    assert load(pictures).digest == before
    said = capsys.readouterr().out
    assert said == f"{kept} is damaged: reading the images of {pictures} again\n"
    assert load(pictures).digest == before
    assert capsys.readouterr().out == ""


def test_the_name_of_cached_pixels_is_not_believed_either(pictures, tmp_path, monkeypatch, capsys):
    """It says how far images may be shifted in training."""
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path / "cache"))
    before = load(pictures)
    (kept,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    key, pad, digest = kept.stem.split("-")
    renamed = kept.rename(kept.with_name(f"{key}-{int(pad) - 1}-{digest}.npy"))
    (kept.parent / f"{key}-a-b-c.npy").write_bytes(b"")  # not ours
    (kept.parent / f"{key}-1-folder.npy").mkdir()
    after = load(pictures)
    assert (after.pad, after.digest) == (before.pad, before.digest)
    assert capsys.readouterr().out == f"{renamed} is damaged: reading the images of {pictures} again\n"
    assert kept.exists()


def test_pixels_are_mapped_and_can_be_written_to_without_harm(pictures, capsys):
    """Every process shares the memory; what one of them changes is its own."""
    actual = load(pictures)
    actual.train.pixels[:] = 0
    assert load(pictures).train.pixels.max() == 200
    assert capsys.readouterr().out == ""  # the file is whole


def test_reading_many_images_shows_how_far_it_is(pictures, monkeypatch, capsys):
    load(pictures)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(reading, "PROGRESS_FROM_PIXELS", 8 * 64 - 1)  # eight images of 64 pixels
    monkeypatch.setattr(reading, "PROGRESS_FROM_IMAGES", 7)
    load(pictures, 4)
    headers, images = (line for line in capsys.readouterr().err.splitlines() if "100%" in line)
    assert headers.startswith("headers of pictures")
    assert images.startswith("images of pictures")
    assert headers.endswith("8 of 8")
    assert images.endswith("8 of 8")


@pytest.mark.parametrize(("free", "beside"), [(4 * 1112, 4), (2 * 1112, 2), (1112, 1), (100, 1)])
def test_what_threads_have_in_memory_at_a_time_is_limited(pictures, monkeypatch, free, beside):
    """By hand: 64 pixels of 16 bytes, and a file of less than 88. Without a limit, four threads at a time."""
    assert all(path.stat().st_size < 88 for path in pictures.rglob("*.png"))
    monkeypatch.setattr(reading, "IN_FLIGHT", free)
    monkeypatch.setattr(reading, "processors", lambda: 4)
    changed, inside, most = threading.Condition(), 0, 0

    def noted(path: str, **how):
        nonlocal inside, most
        with changed:
            inside += 1
            most = max(most, inside)
            changed.notify_all()
            changed.wait_for(lambda: most > beside, timeout=0.05)  # whether one more comes in
        image = decoding.decode(path, **how)
        with changed:
            inside -= 1
        return image

    monkeypatch.setattr(folders, "decode", noted)
    load(pictures, 4)
    assert most == beside


def test_no_file_is_read_without_a_limit(pictures):
    """A file with holes takes no room on the disk: of one of 4 GB a decoder may read all into memory."""
    held = pictures / "train" / "ash" / "0.tif"
    held.write_bytes(b"II*\0\x08\0\0\0" + b"\0" * 8)
    os.truncate(held, decoding.MAX_BYTES + 1)
    assert "1 of 9 images cannot be used: 'train/ash/0.tif' (more than 536,870,912 bytes)" in refused(
        pictures
    )


def test_a_jpeg_of_very_many_scans_is_refused(pictures):
    """Each goes over all pixels: at 8,192 x 8,192, a hundred more of 99 bytes each took 4 seconds."""
    path, content = pictures / "train" / "ash" / "0.jpg", io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 200)).save(content, "JPEG", progressive=True)
    first, *more = content.getvalue().removesuffix(b"\xff\xd9").split(b"\xff\xda")
    for added, usable in ((decoding.MAX_SCANS - len(more), True), (1, False)):
        more += [more[-1]] * added
        path.write_bytes(b"\xff\xda".join([first, *more]) + b"\xff\xd9" + b"\xff\xda" * 200)  # as of a film
        if usable:
            assert load(pictures).train.pixels.shape[0] == 6
        else:
            assert "'train/ash/0.jpg' (more than 100 scans)" in refused(pictures)


def test_what_a_folder_is_like_is_known_without_torch(pictures):
    code = (
        "import sys\nfrom horticulture import data\nprint(data.outline(sys.argv[1]), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, f"folder:{pictures}"], capture_output=True, text=True)
    assert done.stdout == "Outline(image=(3, 8, 8), classes=2, images=5) False\n", done.stderr
    actual = load(pictures)
    assert data.outline(f"folder:{pictures}") == (actual.image, len(actual.classes), len(actual.train))


def test_more_images_than_there_are_are_refused_before_any_is_decoded(pictures, monkeypatch):
    monkeypatch.setattr(folders, "_decode_once", None)
    with pytest.raises(
        InputError, match=r"^images is 6, but folder:.*pictures has 5 training images: 0 means"
    ):
        data.outline(f"folder:{pictures}", images=6)


def test_a_disk_without_room_is_noticed_before_pixels_are_written(pictures, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        load(pictures)
    assert [path for path in data.data_folder().rglob("*") if path.is_file()] == []


# --- whatever a file holds -------------------------------------------------------------------------------


def test_damaged_files_end_in_pixels_or_in_one_line(capfd):
    actual = Counter(map(fuzzed.trial, range(68)))
    assert min(actual["survived"], actual["refused"]) > 10
    assert "".join(capfd.readouterr()) == ""  # of decoders that print by themselves
