"""Image folders: decoded once, then memory-mapped from a cache file."""

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from horticulture.data.arrays import PAD, hold_out_tenth
from horticulture.data.decoding import EXTENSIONS, MAX_SIDE, decode, measure
from horticulture.data.locations import data_folder
from horticulture.data.reading import read_each
from horticulture.errors import InputError, list_first
from horticulture.system.files import digest, file_digest, write

CACHE_VERSION = 4  # of the names of cache files
MAX_LISTED = 3  # unusable images reported by name; of more, a list is written


class Part(NamedTuple):
    """The training, validation or test part of a folder, as arrays that processes share.

    pixels: (n, channels, height, width) uint8, memory-mapped. labels: (n,) int64.
    """

    pixels: np.ndarray
    labels: np.ndarray


class Folder(NamedTuple):
    """The content of an image folder. pad: how far images may be shifted."""

    name: str
    classes: tuple[str, ...]
    train: Part
    validation: Part
    test: Part
    pad: int


class Listing(NamedTuple):
    """The image files of a folder, before any is opened.

    rows: each file's row; first the training images, then those of validation, then those of the test.
    labels: (n,) int64, by row. counts: images of each part.
    """

    root: Path
    classes: tuple[str, ...]
    rows: dict[str, int]
    labels: np.ndarray
    counts: tuple[int, int, int]


def list_images(path: str) -> Listing:
    """List a folder in ImageFolder layout: `train/<class>/*`, `test/<class>/*`, perhaps `val/<class>/*`.

    Without `val/` a tenth of the training images is held out (see `arrays.hold_out_tenth`). Hidden files and
    folders are ignored. Raises InputError with the problem.
    """
    try:
        root = Path(path).expanduser().absolute()
    except RuntimeError as error:  # ~ of an unknown user
        raise InputError(f"data folder:{path}: no such home folder") from error
    listed = {}
    for part in ("train", "val", "test"):
        try:
            if part != "val" or (root / part).exists():
                listed[part] = _files_by_class(root / part)
        except (OSError, RecursionError) as error:
            raise InputError(
                f"data folder:{path} is not an image folder: it needs {part}/<class>/<image> ({error})"
            ) from error
    classes = _common_classes(path, listed)
    files = [file for part in listed.values() for name in classes for file in part[name]]
    labels = np.array([n for part in listed.values() for n, name in enumerate(classes) for _ in part[name]])
    counts = [sum(map(len, part.values())) for part in listed.values()]
    order = np.arange(len(files))
    if "val" not in listed:
        used, held_out = hold_out_tenth(labels[: counts[0]])
        order[: counts[0]] = np.concatenate([used, held_out])
        counts[:1] = [len(used), len(held_out)]
    rows = dict(zip(files, order.argsort().tolist(), strict=True))
    train, validation, test = counts
    return Listing(root, classes, rows, labels[order], (train, validation, test))


def read(path: str, image_size: int = 0) -> Folder:
    """Read the images that `list_images` lists. They have one channel if all of them are grey.

    image_size: height and width, in pixels, to which `decoding.decode` reduces images (0: unchanged, all of
    one size). Raises InputError with the problem; for unusable images, the first few, their number, and where
    all of them are listed.
    """
    if not 0 <= image_size <= MAX_SIDE:
        raise InputError(f"image_size must be 0 (unchanged) to {MAX_SIDE:,}, not {image_size}")
    root, classes, rows, labels, counts = list_images(path)
    pixels, pad = _decode_once(root, rows, image_size)
    ends = np.cumsum(counts)[:-1]
    split = zip(np.split(pixels, ends), np.split(labels, ends), strict=True)
    train, validation, test = (Part(*part) for part in split)
    height, width = pixels.shape[2:]
    if pad >= min(height, width):
        raise InputError(
            f"data folder:{path}: images of {width} x {height} pixels are too small to be shifted by {pad}"
        )
    present, held = set(train.labels.tolist()), len(validation.labels)
    if rare := [name for n, name in enumerate(classes) if n not in present]:
        raise InputError(
            f"data folder:{path}: with {held} held out, no training image of {_names(rare)} is left"
        )
    return Folder(f"folder:{root.name}", classes, train, validation, test, pad)


def _common_classes(path: str, listed: dict[str, dict[str, list[str]]]) -> tuple[str, ...]:
    """The classes of the training part.

    Raises InputError if there is only one, if other parts differ, or if a name is no text.
    """
    train = listed["train"]
    if odd := [name for name in train if name != name.encode(errors="replace").decode()]:
        raise InputError(f"data folder:{path}: {_names(odd)} has a character that text cannot have")
    for part, classes in listed.items():
        for names, others, only_in in ((train, classes, "train"), (classes, train, part)):
            if missing := [name for name in names if name not in others]:
                raise InputError(f"data folder:{path}: only {only_in} has the classes {_names(missing)}")
    if len(train) < 2:
        raise InputError(f"data folder:{path} needs at least two classes, but has only {_names(train)}")
    return tuple(train)


def _names(names: Iterable[str]) -> str:
    return list_first(map(repr, names), MAX_LISTED)


# --- listing files ---------------------------------------------------------------------------------------


def _files_by_class(part: Path) -> dict[str, list[str]]:
    """The image files of each class, in torchvision's order. Raises OSError if a class has none."""
    with os.scandir(part) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
    if not names:
        raise FileNotFoundError(f"no class in {str(part)!r}")
    by_class = {name: _image_files(part / name) for name in names}
    if empty := [name for name, files in by_class.items() if not files]:
        raise FileNotFoundError(f"no image ({', '.join(EXTENSIONS)}) in {_names(empty)}")
    return by_class


def _image_files(folder: Path) -> list[str]:
    """Image files in a folder, its subfolders and links. Raises OSError if a link leads to a known folder."""
    listed: list[tuple[str, list[str]]] = []
    part, start = Path(os.path.realpath(folder.parent)), Path(os.path.realpath(folder))
    known = {str(above) for above in (part, *part.parents, *start.parents)}
    for directory, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(directory)
        if real in known:
            raise OSError(f"{directory!r} leads to {real!r}, which contains it or has already been read")
        known.add(real)
        folders[:] = [name for name in folders if name[0] != "."]
        images = [name for name in names if name[0] != "." and name.lower().endswith(EXTENSIONS)]
        listed.append((directory, sorted(images)))
    return [os.path.join(directory, name) for directory, names in sorted(listed) for name in names]


def _raise(error: OSError) -> None:
    raise error


# --- decoded once ----------------------------------------------------------------------------------------


def _decode_once(root: Path, rows: dict[str, int], image_size: int) -> tuple[np.ndarray, int]:
    """(n, channels, height, width) uint8, and how far images may be shifted. rows: each file's row.

    The pixels are memory-mapped from a cache file, so that all processes share them. The file is identified
    by the names, sizes and times of the images. Its name ends in a digest of its content, which is checked.
    """
    cache, key = data_folder() / "cache", _key(rows, image_size)
    for path in cache.glob(f"{key}-*.npy"):
        named = re.fullmatch(r"-(\d{1,4})-\w+", path.stem.removeprefix(key), re.ASCII)
        if not named or path.is_dir():
            continue  # not ours
        pad = int(named[1])
        with contextlib.suppress(FileNotFoundError):  # another process may remove it too
            if path.is_file() and path.name == _cache_name(key, pad, path):
                return _map(path), pad
            print(f"{path} is damaged: reading the images of {root} again")
            path.unlink()
    cache.mkdir(parents=True, exist_ok=True)
    temporary = cache / f"{key}.{os.getpid()}.tmp"
    try:
        sizes = _decode_all(root, rows, image_size, temporary)
        reach = _pad(sizes, image_size)
        final = cache / _cache_name(key, reach, temporary)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    return _map(final), reach


def _cache_name(key: str, pad: int, path: Path) -> str:
    """The name of a cache file with the content of that file; it vouches for the content and for `pad`."""
    return f"{key}-{pad}-{digest(f'{pad} {file_digest(path)}'.encode())}.npy"


def _key(rows: dict[str, int], image_size: int) -> str:
    listed = hashlib.sha256(f"{CACHE_VERSION}\n{image_size}\n".encode())
    for file, row in rows.items():
        with contextlib.suppress(OSError):  # reported later, with all other unreadable files
            status = os.stat(file)
            listed.update(os.fsencode(f"{row} {file} {status.st_size} {status.st_mtime_ns}\n"))
    return listed.hexdigest()[:16]


def _map(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="c")


def _pad(sizes: set[tuple[int, int]], image_size: int) -> int:
    """How far images of these original sizes may be shifted: 4 pixels if unchanged, else 4 of 32."""
    (width, height), *others = sizes
    if not image_size:
        return PAD
    by_means = not others and width == height and width % image_size == 0
    return PAD * image_size // width if by_means else image_size // 8


def _decode_all(root: Path, rows: dict[str, int], image_size: int, target: Path) -> set[tuple[int, int]]:
    """Write every image to its row of an array file. Return the original sizes.

    Raises InputError, listing the files that cannot be used.
    """
    unusable: dict[str, str] = {}
    pixels: np.ndarray | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damage that it can handle
        read_header = partial(measure, image_size=image_size)
        measured = dict(read_each(read_header, list(rows), unusable, f"headers of {root.name}"))
        sizes = {file: (width, height) for file, (width, height, _) in measured.items()}
        mode = "L" if all(grey for _, _, grey in measured.values()) else "RGB"
        read = partial(decode, image_size=image_size, mode=mode)
        for file, image in read_each(read, list(sizes), unusable, f"images of {root.name}", sizes):
            if pixels is None:
                pixels = _new_array(target, (len(rows), *image.shape))
            if image.shape == pixels.shape[1:]:
                pixels[rows[file]] = image
            else:
                size, first = (f"{shape[2]} x {shape[1]}" for shape in (image.shape, pixels[:1].shape[1:]))
                unusable[file] = f"{size} pixels, but the first has {first}: set image_size"
    if unusable:
        raise _refusal(root, rows, unusable)
    return set(sizes.values())


def _refusal(root: Path, files: Collection[str], unusable: dict[str, str]) -> InputError:
    """An error of one line for files that cannot be used; if there are many, a file lists all of them."""
    lines = [f"{os.path.relpath(file, root)!r} ({unusable[file]})" for file in files if file in unusable]
    listed = ""
    if len(lines) > MAX_LISTED:
        path = data_folder() / "cache" / f"unusable-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}.txt"
        write(path, "\n".join([str(root), *lines, ""]).encode(errors="backslashreplace"))
        listed = f"; all are listed in {path}"
    counted = f"{len(lines):,} of {len(files):,} images cannot be used"
    return InputError(f"data folder:{root}: {counted}: {list_first(lines, MAX_LISTED)}{listed}")


def _new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A memory-mapped array with its disk space allocated, so that a full disk is noticed here."""
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return pixels
