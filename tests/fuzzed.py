"""A damaged image file: it ends in pixels or in one line, within a time and a memory limit."""

import io
import os
import random
import resource
import signal
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from horticulture import data
from horticulture.errors import InputError

SECONDS = 60  # for one file, with torch to load before it on a busy machine
MEMORY = 2**30  # bytes that it may take beyond what the process had


def trial(seed: int) -> str:
    """What becomes of one damaged file; each format has its turn."""
    draw, originals = random.Random(seed), [*originals_by_format().items()]
    suffix, content = originals[seed % len(originals)]
    before = peak()
    with tempfile.TemporaryDirectory() as place, within(SECONDS):
        root = Path(place)
        for part in ("train/a/1.png", "train/b/1.png", "train/b/2.png", "train/a/2.png", "test/b/1.png"):
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16)).save(root / part)
        (root / "test" / "a").mkdir()
        (root / "test" / "a" / f"1.{suffix.partition('-')[0]}").write_bytes(damaged(content, draw))
        try:
            with mock.patch.dict(os.environ, HORTICULTURE_DATA=f"{place}/data"):
                actual = data.load(f"folder:{root}", image_size=draw.choice([0, 8, 5]))
            right, outcome = len(actual.test) == 2, "survived"
        except InputError as error:
            right, outcome = "\n" not in str(error), "refused"
    assert right, f"{outcome}: {suffix}"
    assert peak() - before < MEMORY, suffix
    return outcome


def peak() -> int:
    """The most bytes of memory that this process ever had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before, remaining = signal.signal(signal.SIGALRM, stop), signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(remaining)  # of one around it, which then has a little longer
        signal.signal(signal.SIGALRM, before)


@cache
def originals_by_format() -> dict[str, bytes]:
    """A small image in every format, and in the ways of storing it that have code of their own."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    colour, deep = Image.fromarray(noise[..., :3].copy()), Image.fromarray(noise.view("<u2")[..., 0].copy())
    ways = {
        "bmp": (colour, {}),
        "bmp-palette": (colour.convert("P"), {}),
        "gif": (colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        "jpg": (colour, {}),
        "jpg-progressive": (colour.convert("CMYK"), {"progressive": True}),
        "png": (Image.fromarray(noise), {}),
        "png-palette": (colour.convert("P"), {"transparency": 3}),
        "png-deep": (deep, {}),
        "ppm": (colour, {}),
        "pgm": (colour.convert("L"), {}),
        "tif": (colour, {}),
        "tif-deep": (deep, {"compression": "tiff_lzw"}),
        "tif-packed": (colour, {"compression": "tiff_adobe_deflate"}),
        "tif-jpeg": (colour, {"compression": "jpeg"}),
        "webp": (colour, {}),
        "webp-lossless": (Image.fromarray(noise), {"lossless": True}),
    }
    actual = {}
    for name, (image, how) in ways.items():
        file = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(short := name.partition("-")[0], short)
        image.save(file, kind, **how)
        actual[name] = file.getvalue()
    return {**actual, "ppm-text": b"P3 16 16 255\n" + b" ".join(b"%d" % n for n in noise[..., :3].ravel())}


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, mostly near the beginning, or a part cut out, doubled or cut off."""
    actual = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        most = draw.choice([48, len(actual), len(actual)])
        at = draw.randrange(min(most, len(actual)) or 1)
        match draw.randrange(7):
            case 0:
                actual[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                actual[at : at + 1] = bytes([actual[at] ^ 1 << draw.randrange(8)]) if actual else b""
            case 2:
                actual[at : at + 4] = draw.choice(
                    [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"]
                )
            case 3:
                actual[at : at + 2] = struct.pack(
                    draw.choice("<>") + "H", draw.choice([0, 1, 20_000, 65_535])
                )
            case 4:
                del actual[at : at + draw.randrange(1, 64)]
            case 5:
                actual[at:at] = actual[at : at + draw.randrange(1, 64)]
            case _:
                del actual[draw.randrange(len(actual) // 2, len(actual) + 1) :]
        if not actual:
            break
    return bytes(actual)


def deflated(content: bytes) -> bytes:
    """As in a PNG."""
    return zlib.compress(content)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
