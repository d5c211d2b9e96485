"""Overlay planes: graphics of one bit over an image (PS3.3 C.9.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.grey_shades import Shades

GROUPS: Final = tuple(range(0x6000, 0x6020, 2))
_MAX_SIDE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Overlay:
    """One plane.

    Attributes:
        group: 0x6000 to 0x601E.
        rows: of the plane.
        columns: of the plane.
        top: the image's row under its first row, from 0.
        left: the image's column under its first column, from 0.
        bits: one bit a pixel, the first in the least significant one.
    """

    group: int
    rows: int
    columns: int
    top: int
    left: int
    bits: bytes

    def mask(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """Return where the plane is set, over an image of `rows` and `columns`."""
        plane = np.unpackbits(np.frombuffer(self.bits, np.uint8), bitorder="little")
        plane = plane[: self.rows * self.columns].reshape(self.rows, self.columns)
        mask = np.zeros((rows, columns), np.bool_)
        first_row, first_column = max(self.top, 0), max(self.left, 0)
        last_row, last_column = (
            min(self.top + self.rows, rows),
            min(self.left + self.columns, columns),
        )
        if first_row < last_row and first_column < last_column:
            mask[first_row:last_row, first_column:last_column] = plane[
                first_row - self.top : last_row - self.top,
                first_column - self.left : last_column - self.left,
            ]
        return mask


def read_overlays(image: DataSet, frame: int) -> Iterator[Overlay]:
    """Yield the overlay planes that lie over a frame; one cut short is not among them.

    Args:
        image: the header, with the planes' bulk values.
        frame: 1 for the first.
    """
    for group in GROUPS:
        if f"{group:04X}0010" not in image.elements:
            continue
        rows, columns = (int(image.number(f"{group:04X}{tag}") or 0) for tag in ("0010", "0011"))
        if not (0 < rows < _MAX_SIDE and 0 < columns < _MAX_SIDE):
            continue
        top, left = (*image.numbers(f"{group:04X}0050"), 1, 1)[:2]
        planes = max(1, int(image.number(f"{group:04X}0015") or 1))
        first = int(image.number(f"{group:04X}0051") or 1)
        place = frame - first if planes > 1 else 0
        data = image.binary(f"{group:04X}3000")
        if not 0 <= place < planes or len(data) * 8 < (place + 1) * rows * columns:
            continue
        yield Overlay(
            group, rows, columns, int(top) - 1, int(left) - 1, _plane(data, place, rows * columns)
        )


def _plane(data: bytes, place: int, pixels: int) -> bytes:
    if place == 0:
        return data[: -(-pixels // 8)]
    first, shift = divmod(place * pixels, 8)
    around = np.frombuffer(data[first : first + pixels // 8 + 2], np.uint8)
    bits = np.unpackbits(around, bitorder="little")[shift : shift + pixels]
    return np.packbits(bits, bitorder="little").tobytes()


def burn(image: Shades, overlays: tuple[Overlay, ...], shade: int = 255) -> Shades:
    """Return `image`, grey or RGB, with the planes in `shade`."""
    if not overlays:
        return image
    burnt = image.copy()
    for overlay in overlays:
        burnt[overlay.mask(*image.shape[:2])] = shade
    return burnt
