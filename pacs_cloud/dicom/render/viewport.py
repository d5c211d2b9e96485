"""A region of an image, flipped and scaled to fit a reader's viewport (PS3.18 8.3.5.1.3)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.errors import InvalidRequest

MAX_SIDE: Final = 8192
"""Pixels of a viewport's width and height: two of the largest displays there are, side by side."""
_MIN_REGION: Final = 1e-3
_GAP: Final = 2.0
"""What is much smaller is first averaged over whole pixels, then resampled by at least this."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the source image, in its pixels from its top left corner, half-open."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In columns."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In rows."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Viewport:
    """What is shown, and how large.

    Attributes:
        width: of the viewport, in pixels, at most MAX_SIDE.
        height: likewise.
        left: first column of the source that is shown.
        top: first row of the source that is shown.
        region_width: in columns; None: up to the right edge.
        region_height: in rows; None: up to the bottom.
        flips_horizontally: left and right are exchanged.
        flips_vertically: top and bottom are exchanged.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    region_width: float | None = None
    region_height: float | None = None
    flips_horizontally: bool = False
    flips_vertically: bool = False

    def region(self, rows: int, columns: int) -> Region:
        """Return what it shows of an image of so many rows and columns.

        Raises:
            InvalidRequest: nothing of the image.
        """
        right = columns if self.region_width is None else self.left + self.region_width
        bottom = rows if self.region_height is None else self.top + self.region_height
        region = Region(self.left, self.top, min(right, columns), min(bottom, rows))
        if min(region.width, region.height) < _MIN_REGION:
            raise InvalidRequest("The viewport's region lies outside the image.")
        return region


def fitted(
    width: float, height: float, viewport_width: int, viewport_height: int
) -> tuple[int, int]:
    """Return the largest size with the shape of `width` by `height` that fits, at least 1 by 1."""
    scale = min(viewport_width / width, viewport_height / height)
    return (
        max(1, min(viewport_width, round(width * scale))),
        max(1, min(viewport_height, round(height * scale))),
    )


def scaled(image: Shades, viewport: Viewport, pixel_height: float) -> Shades:
    """Return what a viewport shows of an image, as large as fits, not distorted.

    Args:
        image: grey or RGB.
        viewport: as asked for.
        pixel_height: of a pixel that is 1 wide.

    Raises:
        InvalidRequest: the viewport shows nothing of the image.
    """
    region = viewport.region(*image.shape[:2])
    size = fitted(region.width, region.height * pixel_height, viewport.width, viewport.height)
    shown = resampled(image, region, size)
    if viewport.flips_horizontally:
        shown = shown[:, ::-1]
    if viewport.flips_vertically:
        shown = shown[::-1]
    return np.ascontiguousarray(shown)


def resampled(image: Shades, region: Region, size: tuple[int, int]) -> Shades:
    """Return `region` of `image` at `size` (width, height): averaged when smaller, else smooth."""
    rows, columns = image.shape[:2]
    if size == (columns, rows) == (region.width, region.height):
        return image
    is_smaller = size[0] < region.width and size[1] < region.height
    method = Image.Resampling.HAMMING if is_smaller else Image.Resampling.BICUBIC
    box = (region.left, region.top, region.right, region.bottom)
    return np.asarray(Image.fromarray(image).resize(size, method, box=box, reducing_gap=_GAP))
