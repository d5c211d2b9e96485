"""Display shutters: what lies outside of them is hidden (PS3.3 C.7.6.11, C.7.6.15)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.dicom.render.overlays import Overlay, read_overlays

_FARTHEST: Final = 1 << 16
_MAX_CORNERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Shutter:
    """One shutter; of its forms one is given.

    Attributes:
        shade: of what it hides.
        rectangle: left, top, right and bottom of the opening; columns and rows from 1, which
            are open themselves.
        circle: row, column and radius of the opening, in pixels from 1.
        polygon: rows and columns of the opening's corners, from 1.
        bitmap: where it is set, the image is hidden.
    """

    shade: int
    rectangle: tuple[float, float, float, float] | None = None
    circle: tuple[float, float, float] | None = None
    polygon: tuple[float, ...] = ()
    bitmap: Overlay | None = None

    def hides(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """Return which pixels of an image of such a size it hides."""
        if self.bitmap is not None:
            return self.bitmap.mask(rows, columns)
        if self.polygon:
            opening = Image.new("1", (columns, rows))
            near = [max(-_FARTHEST, min(edge - 1, _FARTHEST)) for edge in self.polygon]
            corners = list(zip(near[1::2], near[::2], strict=False))
            ImageDraw.Draw(opening).polygon(corners, fill=1)
            return ~np.asarray(opening)
        row, column = np.ogrid[1 : rows + 1, 1 : columns + 1]
        if self.rectangle is not None:
            left, top, right, bottom = self.rectangle
            return (column < left) | (column > right) | (row < top) | (row > bottom)
        assert self.circle is not None
        middle_row, middle_column, radius = self.circle
        return (row - middle_row) ** 2 + (column - middle_column) ** 2 > radius**2


def read_shutters(state: DataSet) -> Iterator[Shutter]:
    """Yield the shutters in a state, or in an image; one without its edges is none."""
    shapes = {str(shape).strip() for shape in state.elements.get("00181600", {}).get("Value", ())}
    shade = int(state.number("00181622") or 0) >> 8 & 0xFF
    edges = [state.number(tag) for tag in ("00181602", "00181606", "00181604", "00181608")]
    if "RECTANGULAR" in shapes and None not in edges:
        left, top, right, bottom = (edge or 0.0 for edge in edges)
        yield Shutter(shade, rectangle=(left, top, right, bottom))
    center, radius = state.numbers("00181610"), state.number("00181612")
    if "CIRCULAR" in shapes and len(center) >= 2 and radius:
        yield Shutter(shade, circle=(center[0], center[1], radius))
    corners = state.numbers("00181620")[: 2 * _MAX_CORNERS]
    if "POLYGONAL" in shapes and len(corners) >= 6:
        yield Shutter(shade, polygon=corners)
    if "BITMAP" in shapes:
        group = int(state.number("00181623") or 0)
        for overlay in read_overlays(state, 1):
            if overlay.group == group:
                yield Shutter(shade, bitmap=overlay)


def shut(image: Shades, shutters: tuple[Shutter, ...]) -> Shades:
    """Return `image`, grey or RGB, with what the shutters hide in their shade."""
    if not shutters:
        return image
    hidden = image.copy()
    for shutter in shutters:
        hidden[shutter.hides(*image.shape[:2])] = shutter.shade
    return hidden
