"""An image file made pixels, however it was stored. Its size is read before it is decoded.

Of several frames or pages the first is read. A photograph is turned as its EXIF orientation says, what is
transparent is laid on white, CMYK is converted without a colour profile, and 16 bits are scaled to 8.
"""

import contextlib
import ctypes
import logging
import os
import stat
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from horticulture.data.arrays import reduced

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no other decoder touches a file
MOST_PIXELS = 2**26  # in a file: 8,192 x 8,192
MOST_SIDE = 1024  # pixels, of an image to train on


with contextlib.suppress(OSError, AttributeError):  # libtiff prints by itself what Pillow raises as well
    ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
logging.getLogger("PIL").addHandler(logging.NullHandler())  # without any handler errors go to stderr


class UnusableImage(Exception):
    """Why a file gives no image, in a few words: whoever reads a folder says all of them at once."""


def measure(path: str, image_size: int = 0) -> tuple[int, int, bool]:
    """Width, height and whether it is grey, from the beginning of the file alone. Raises UnusableImage.

    image_size: pixels that it shall be made high and wide (0: as it is).
    """
    with _opened(path) as image:
        width, height = image.size
        if not image_size and max(width, height) > MOST_SIDE:
            raise UnusableImage(f"{width:,} x {height:,} pixels: above {MOST_SIDE:,} an image_size is needed")
        if min(width, height) < image_size:
            raise UnusableImage(f"{width} x {height} pixels: smaller than image_size {image_size}")
        return width, height, Image.getmodebase(image.mode) == "L"


def decode(path: str, image_size: int = 0, mode: str = "RGB") -> np.ndarray:
    """(channels, height, width) uint8. Raises UnusableImage.

    mode: RGB, or L for one channel of grey. image_size: squares that it divides become area means, as in
    `reduced`; of others the shorter side is resized, bilinear and without aliases, and the centre is cut out.
    """
    with _opened(path) as image:
        image.load()
        with contextlib.suppress(Exception):  # an orientation that cannot be read is none
            ImageOps.exif_transpose(image, in_place=True)
        picture = _opaque(_eight_bits(image))
        if picture.mode != mode:
            picture = picture.convert(mode)
        width, height = picture.size
        if image_size and (width != height or width % image_size):
            picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture).reshape(*picture.size[::-1], -1).transpose(2, 0, 1)
        return reduced(pixels[None], image_size)[0]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """A file whose decoding ends in an image or an UnusableImage, whatever is wrong with it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnusableImage("not a regular file")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except UnusableImage:
        raise
    except Image.DecompressionBombError:
        raise UnusableImage(f"more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:  # a damaged file makes a decoder raise anything, from KeyError to MemoryError
        known = isinstance(error, OSError) and error.strerror
        raise UnusableImage(known or "no image that can be read, or damaged") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """More than eight bits of grey scaled to eight: of whole numbers 65,535 is white, of floats 1."""
    if image.mode[0] not in "IF":
        return image
    values, white = np.array(image, dtype=np.float32), 1 if image.mode == "F" else 65535
    least, most = values.min(), values.max()
    if not 0 <= least <= most <= white:  # nor where there is a NaN
        raise UnusableImage(f"values from {least:g} to {most:g}, not from 0 to {white}")
    values *= 255 / white
    return Image.fromarray(values.round(out=values).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white
