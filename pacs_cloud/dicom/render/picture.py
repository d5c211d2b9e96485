"""Shades as the bytes of a picture: JPEG, PNG, or a GIF of many frames."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Final

import imagecodecs
import numpy as np
from PIL import Image

from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.errors import InvalidInstance, Refusal

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
GIF: Final = "image/gif"
MEDIA_TYPES: Final = (JPEG, PNG, GIF)
DEFAULT_QUALITY: Final = 90

_MAX_JPEG_SIDE: Final = 65_500
_FINE_QUALITY: Final = 90
_PNG_LEVEL: Final = 1
_PNG_STRATEGY: Final = 3
"""zlib's run lengths: quicker than its other strategies on images, and smaller at this level."""
_SHORTEST_DELAY_MS: Final = 20
"""Browsers take a shorter one for a mistake, and wait 100 ms."""


def encode(image: Shades, media_type: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """Return one picture.

    Args:
        image: grey or RGB.
        media_type: one of MEDIA_TYPES.
        quality: 1 to 100, of JPEG; colour keeps all its samples from 90 on.

    Raises:
        InvalidInstance: TOO_LARGE, larger than a JPEG can be.
    """
    if media_type == GIF:
        return animate(iter((image,)), (0,))
    image = np.ascontiguousarray(image)
    if media_type == PNG:
        return bytes(imagecodecs.png_encode(image, level=_PNG_LEVEL, strategy=_PNG_STRATEGY))
    if max(image.shape[:2]) > _MAX_JPEG_SIDE:
        raise InvalidInstance("A frame is larger than a JPEG can be.", Refusal.TOO_LARGE)
    if image.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(image, level=quality))
    subsampling = "444" if quality >= _FINE_QUALITY else "420"
    return bytes(imagecodecs.jpeg8_encode(image, level=quality, subsampling=subsampling))


def animate(images: Iterator[Shades], delays_ms: Iterable[float]) -> bytes:
    """Return a GIF that shows the images over and over.

    Args:
        images: at least one, of equal size, all grey or all RGB, taken one at a time.
        delays_ms: how long each is shown, as many as there are images.
    """
    buffer = BytesIO()
    pictures = (Image.fromarray(np.ascontiguousarray(image)) for image in images)
    delays = [max(_SHORTEST_DELAY_MS, round(delay)) for delay in delays_ms]
    first = next(pictures)
    if len(delays) == 1:
        first.save(buffer, "GIF")
    else:
        first.save(
            buffer,
            "GIF",
            save_all=True,
            append_images=pictures,
            duration=delays,
            loop=0,
            disposal=1,
            optimize=False,
        )
    return buffer.getvalue()
