"""`letters`: capital letters of many fonts, placed like the digits of `clutter`. It needs no download."""

import string

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from horticulture.data.digits import check_size, cluttered
from horticulture.data.images import Dataset, Images
from horticulture.data.locations import package_folder

# Every font with Latin letters that all supported versions of matplotlib ship; others have only symbols.
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-BoldItalic", "-Italic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "BolIta", "Italic")),
    "cmb10",
    "cmmi10",
    "cmr10",
    "cmss10",
    "cmtt10",
)
# Images, which of every five fonts they are drawn from, seed.
LETTER_PARTS = {"train": (4096, (0, 1, 3), 4), "validation": (1024, (2,), 5), "test": (4096, (4,), 6)}
POINTS = 96  # at which letters are drawn before they are reduced
SIDE = 8  # pixels, like the digits


def letters(image_size: int = 0) -> Dataset:
    """The capital letters of matplotlib's fonts at random positions, sizes and angles, among fragments.

    The three parts are drawn from disjoint fonts, so that they test styles never seen; the test part has
    every fifth font. An image's original is the index of its font. Raises InputError for an image_size other
    than 16 or 0 (which means 16).
    """
    check_size("letters", image_size)
    parts = {part: _part(*drawn) for part, drawn in LETTER_PARTS.items()}
    return Dataset("letters", tuple(string.ascii_uppercase), **parts, pad=2, flip=False)


def _part(count: int, remainders: tuple[int, ...], seed: int) -> Images:
    """`count` images of the letters of those fonts whose number modulo five is in `remainders`."""
    fonts = [number for number in range(len(FONTS)) if number % 5 in remainders]
    pictures = torch.cat([read_letters(FONTS[number]) for number in fonts])
    pixels, chosen = cluttered(pictures, count, seed)
    classes = len(string.ascii_uppercase)
    return Images(pixels, chosen % classes, torch.tensor(fonts)[chosen // classes])


def read_letters(font: str) -> Tensor:
    """(26, 1, 8, 8) floats from 0 to 1: the capitals of one of `FONTS`, each as large as fits."""
    folder = package_folder("matplotlib") / "mpl-data" / "fonts" / "ttf"
    face = ImageFont.truetype(folder / f"{font}.ttf", POINTS, layout_engine=ImageFont.Layout.BASIC)
    drawn = np.stack([_draw(letter, face) for letter in string.ascii_uppercase])
    return torch.from_numpy(drawn).float()[:, None] / 255


def _draw(letter: str, face: ImageFont.FreeTypeFont) -> np.ndarray:
    """(8, 8) uint8: a letter in the middle of the smallest square around it."""
    left, top, right, bottom = face.getbbox(letter)
    side = round(max(right - left, bottom - top))
    square = Image.new("L", (side, side))
    corner = (side - left - right) // 2, (side - top - bottom) // 2
    ImageDraw.Draw(square).text(corner, letter, 255, face)
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX))
