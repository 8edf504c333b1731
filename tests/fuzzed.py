"""Damaged image files by the thousand: each ends in pixels or in one line, within a time and a memory limit.

`python -m tests.fuzzed [COUNT]`: 1,500 files take 10 seconds on two cores.
"""

import io
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from horticulture import data
from horticulture.errors import InputError

SECONDS = 10  # for one file
MEMORY = 2**30  # bytes that all files together may take beyond what the process had


def check(count: int, seed: int = 0) -> Counter:
    """How many of so many damaged files gave pixels and how many one line.

    Raises AssertionError with the file's format and number for any other end.
    """
    draw = random.Random(seed)
    originals = [*originals_by_format().items()]
    ends: Counter = Counter()
    before = signal.signal(signal.SIGALRM, _too_long)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            for part in ("train/a/1.png", "train/b/1.png", "train/b/2.png", "train/a/2.png", "test/b/1.png"):
                (root / part).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16)).save(root / part)
            for number in range(count):
                suffix, content = originals[number % len(originals)]
                path = root / "test" / "a" / f"{number}.{suffix.partition('-')[0]}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(damaged(content, draw))
                end = _end(root, draw.choice([0, 8, 5]))
                assert end in ("pixels", "one line"), f"{suffix} {number} (seed {seed}): {end}"
                ends[end] += 1
                path.unlink()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
    assert grown < MEMORY, f"{grown / 2**20:.0f} MiB"
    return ends


def _end(root: Path, image_size: int) -> str:
    signal.alarm(SECONDS)
    try:
        found = data.load(f"folder:{root}", image_size=image_size)
    except InputError as error:
        return "one line" if "\n" not in str(error) else repr(error)
    except BaseException as error:
        return repr(error)
    finally:
        signal.alarm(0)
        for path in data.data_folder().rglob("*.npy"):
            path.unlink()
    return "pixels" if len(found.test) == 2 else f"{len(found.test)} images"


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


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
    found = {}
    for name, (image, how) in ways.items():
        file = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(short := name.partition("-")[0], short)
        image.save(file, kind, **how)
        found[name] = file.getvalue()
    return {**found, "ppm-text": b"P3 16 16 255\n" + b" ".join(b"%d" % n for n in noise[..., :3].ravel())}


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, mostly near the beginning, or a part cut out, doubled or cut off."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        most = draw.choice([48, len(found), len(found)])
        at = draw.randrange(min(most, len(found)) or 1)
        match draw.randrange(7):
            case 0:
                found[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                found[at : at + 1] = bytes([found[at] ^ 1 << draw.randrange(8)]) if found else b""
            case 2:
                found[at : at + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
            case 3:
                found[at : at + 2] = struct.pack(draw.choice("<>") + "H", draw.choice([0, 1, 20_000, 65_535]))
            case 4:
                del found[at : at + draw.randrange(1, 64)]
            case 5:
                found[at:at] = found[at : at + draw.randrange(1, 64)]
            case _:
                del found[draw.randrange(len(found) // 2, len(found) + 1) :]
        if not found:
            break
    return bytes(found)


def deflated(content: bytes) -> bytes:
    """As in a PNG."""
    return zlib.compress(content)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as kept:
        os.environ["HORTICULTURE_DATA"] = kept
        ends = check(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
    print(", ".join(f"{count:,} in {end}" for end, count in ends.items()))
