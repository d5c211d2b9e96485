"""Which frames can be shown at all: their header tells, before any of their pixels is read."""

from typing import Final

from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.errors import InvalidInstance, Refusal

MAX_PIXELS: Final = 1 << 28
"""Of a frame that is shown: 16,384 by 16,384."""


def check_showable(pixel_format: PixelFormat) -> None:
    """Return where such a frame can be shown.

    Raises:
        InvalidInstance: UNREADABLE, it is no image's, or of other than 1 or 3 samples per pixel;
            TOO_LARGE, it has more than MAX_PIXELS.
    """
    is_shaped = pixel_format.rows > 0 and pixel_format.columns > 0
    if not is_shaped or not 0 < pixel_format.bits_stored <= pixel_format.bits_allocated:
        raise InvalidInstance("The Image Pixel module is not that of an image.", Refusal.UNREADABLE)
    if pixel_format.rows * pixel_format.columns > MAX_PIXELS:
        raise InvalidInstance("A frame is too large to be rendered.", Refusal.TOO_LARGE)
    if pixel_format.samples_per_pixel not in {1, 3}:
        raise InvalidInstance("Such samples per pixel cannot be shown.", Refusal.UNREADABLE)
