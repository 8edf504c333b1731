"""Decode image files of any kind to pixels. An image's size is read before it is decoded.

Only the first frame or page is read. EXIF orientation is applied, transparent pixels are drawn on white, CMYK
is converted without a colour profile, and 16 bits are scaled to 8. If an RGB PNG of 16 bits declares a colour
transparent, so are the colours that are equal to it in 8.
"""

import contextlib
import ctypes
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin

from horticulture.data.arrays import downscale

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # only these decoders are used
MAX_PIXELS = 2**26  # per file: 8,192 x 8,192
MAX_BYTES = 2**29  # per file: decoders read whole parts of a file into memory
MAX_SCANS = 100  # per JPEG, each of which goes over all pixels: a small file could have millions
MAX_SIDE = 1024  # most pixels, high or wide, of an image to train on

BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # tags of a TIFF, and a value

# In a JPEG: zeros follow 255 within the pixels, which may also be interrupted by D0 to D7.
MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
START_OF_SCAN, END_OF_IMAGE = b"\xda", b"\xd9"  # every other marker is followed by its length

with contextlib.suppress(OSError, AttributeError):  # libtiff prints errors that Pillow raises anyway
    ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler errors go to stderr


class UnusableImage(Exception):
    """Why a file cannot be used, in a few words. Errors of a folder are collected and reported together."""


def measure(path: str, image_size: int = 0) -> tuple[int, int, bool]:
    """Width, height and whether it is grey, from the file's header alone. Raises UnusableImage.

    image_size: height and width, in pixels, to which it will be reduced (0: unchanged).
    """
    with _opened(path) as image:
        width, height = image.size
        if not image_size and max(width, height) > MAX_SIDE:
            raise UnusableImage(f"{width:,} x {height:,} pixels: above {MAX_SIDE:,}, set image_size")
        if min(width, height) < image_size:
            raise UnusableImage(f"{width} x {height} pixels: smaller than image_size {image_size}")
        return width, height, Image.getmodebase(image.mode) == "L"


def decode(path: str, image_size: int = 0, mode: str = "RGB") -> np.ndarray:
    """(channels, height, width) uint8. Raises UnusableImage.

    mode: RGB, or L for one channel of grey. image_size: squares whose side is a multiple of it are reduced to
    area means by `downscale`; others are resized by the shorter side (bilinear, antialiased) and cropped at
    the centre.
    """
    with _opened(path) as image:
        if isinstance(image, JpegImagePlugin.JpegImageFile) and _scans(path) > MAX_SCANS:
            raise UnusableImage(f"more than {MAX_SCANS} scans")
        measured = image.size
        _scale_transparent(image)
        image.load()
        if image.size != measured:
            raise UnusableImage("its pixels have another size than its header says")
        with contextlib.suppress(Exception):  # ignore an unreadable orientation
            ImageOps.exif_transpose(image, in_place=True)
        picture = _opaque(_eight_bits(image))
        if picture.mode != mode:
            picture = picture.convert(mode)
        width, height = picture.size
        if image_size and (width != height or width % image_size):
            picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture).reshape(*picture.size[::-1], -1).transpose(2, 0, 1)
        return downscale(pixels[None], image_size)[0]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Open an image file. Whatever is wrong with it, decoding raises only UnusableImage."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage("not a regular file")
        if status.st_size > MAX_BYTES:
            raise UnusableImage(f"more than {MAX_BYTES:,} bytes")
        # Not by its path: Pillow maps such a TIFF into memory, and scrambles it if it lies on its side.
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except UnusableImage:
        raise
    except Image.DecompressionBombError:
        raise UnusableImage(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # a decoder may raise anything for a damaged file, even MemoryError
        reason = isinstance(error, OSError) and error.strerror
        raise UnusableImage(reason or "not a readable image, or damaged") from error


def _scans(path: str) -> int:
    """How many scans a JPEG has: one, or about ten if it is progressive. Up to the end of its first image."""
    content, position, scans = Path(path).read_bytes(), 2, 0
    while (marker := MARKER.search(content, position)) and marker[1] != END_OF_IMAGE:
        scans += marker[1] == START_OF_SCAN
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    return scans


def _scale_transparent(image: Image.Image) -> None:
    """Scale the value that a PNG declares transparent to 8 bits, as Pillow scales the pixels it loads."""
    value = image.info.get("transparency")
    if value is None or not isinstance(image, PngImagePlugin.PngImageFile):
        return
    stored = image.tile[0].args
    if stored in ("L;2", "L;4"):
        image.info["transparency"] = value * (85 if stored == "L;2" else 17)
    elif stored == "RGB;16B":
        image.info["transparency"] = tuple(part >> 8 for part in value)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale more than eight bits of grey to eight. White is 65,535 for integers, 1 for floats, unless a TIFF
    has twelve bits or white at zero. The value that a PNG declares transparent becomes white."""
    if image.mode[0] not in "IF":
        return image
    values, white = np.array(image, dtype=np.float32), 1 if image.mode == "F" else 65535
    tags = getattr(image, "tag_v2", {})
    if tags.get(BITS_PER_SAMPLE) == (12,):
        white = 4095
    least, most = values.min(), values.max()
    if not 0 <= least <= most <= white:  # also fails for NaN
        raise UnusableImage(f"values from {least:g} to {most:g}, not from 0 to {white}")
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        np.subtract(white, values, out=values)
    values[values == image.info.get("transparency")] = white
    values *= 255 / white
    return Image.fromarray(values.round(out=values).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white
