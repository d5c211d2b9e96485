"""Text drawn into a picture, with the machine's fonts or else Pillow's built-in one.

The built-in font has ASCII letters alone. A line is drawn in the first font
that has all its letters; where none has, an accented letter stands without its
accent, and what no font has stands as a box, so that nobody takes a missing
letter for a space.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pacs_cloud.dicom.render.grey_shades import Shades

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_MACHINE_FONTS: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "wqy-microhei.ttc",
)
"""Looked for where the system keeps its fonts; all under OFL, Bitstream's or Apache's licence."""
_BUILT_IN: Final = ""
_MISSING: Final = "\U0010ffff"
_MARGIN: Final = 0.01
_LINES_A_PICTURE: Final = 36
_SMALLEST, _LARGEST = 9, 64
_MAX_CHARACTERS: Final = 120


def text_font(text: str, pixels: int) -> tuple[str, Font]:
    """Return `text` as it can be drawn, and the font for it.

    Args:
        text: one line; cut to 120 characters.
        pixels: the font's height.
    """
    line = "".join(one if one.isprintable() else " " for one in text[:_MAX_CHARACTERS])
    line = unicodedata.normalize("NFC", line)
    names = _fonts()
    for name in names:
        if all(_has_glyph(name, letter) for letter in line):
            return line, _font(name, pixels)
    best = max(names, key=lambda name: sum(_has_glyph(name, letter) for letter in line))
    return "".join(_letter(best, letter) for letter in line), _font(best, pixels)


def burn_lines(image: Shades, top_left: Sequence[str], top_right: Sequence[str]) -> Shades:
    """Return `image` with lines of text in its upper corners, light with a dark edge.

    Args:
        image: grey or RGB.
        top_left: lines in the left corner.
        top_right: lines in the right corner.
    """
    picture = Image.fromarray(image)
    size = min(_LARGEST, max(_SMALLEST, picture.height // _LINES_A_PICTURE))
    draw = ImageDraw.Draw(picture)
    margin = max(2, round(picture.width * _MARGIN))
    for lines, at, anchor in (
        (top_left, margin, "la"),
        (top_right, picture.width - margin, "ra"),
    ):
        for place, line in enumerate(lines):
            draw_line(draw, (at, margin + place * (size * 5 // 4)), line, size, anchor=anchor)
    return np.asarray(picture)


def draw_line(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    line: str,
    pixels: int,
    *,
    anchor: str = "la",
    fill: int | tuple[int, ...] | None = None,
) -> None:
    """Draw one line of text with a dark edge, so that it can be read on any ground.

    Args:
        draw: onto a grey or RGB picture.
        at: where `anchor` is to be.
        line: what is drawn.
        pixels: the font's height.
        anchor: Pillow's name of a point of the line.
        fill: its shade or colour; white where it is None.
    """
    drawn, font = text_font(line, pixels)
    is_grey = draw.mode == "L"
    draw.text(
        at,
        drawn,
        fill=fill if fill is not None else 255 if is_grey else (255, 255, 255),
        font=font,
        anchor=anchor,
        stroke_width=max(1, pixels // 12),
        stroke_fill=0 if is_grey else (0, 0, 0),
    )


@lru_cache(1)
def _fonts() -> tuple[str, ...]:
    found: list[str] = []
    for name in _MACHINE_FONTS:
        try:
            ImageFont.truetype(name, 16)
        except OSError:
            continue
        found.append(name)
    return (*found, _BUILT_IN)


@lru_cache(64)
def _font(name: str, pixels: int) -> Font:
    return ImageFont.truetype(name, pixels) if name else ImageFont.load_default(pixels)


def _letter(name: str, letter: str) -> str:
    if _has_glyph(name, letter):
        return letter
    decomposed = unicodedata.normalize("NFKD", letter)
    plain = "".join(one for one in decomposed if not unicodedata.combining(one))
    is_drawable = bool(plain) and all(_has_glyph(name, one) for one in plain)
    return plain if is_drawable else _MISSING


@lru_cache(8192)
def _has_glyph(name: str, letter: str) -> bool:
    if letter == " ":
        return True
    font = _font(name, 16)
    return _drawn(font, letter) != _drawn(font, _MISSING)


def _drawn(font: Font, letter: str) -> bytes:
    picture = Image.new("L", (32, 32))
    ImageDraw.Draw(picture).text((4, 4), letter, fill=255, font=font)
    return picture.tobytes()
