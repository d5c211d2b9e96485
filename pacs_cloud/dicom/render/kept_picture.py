"""A picture that was made before, smaller or in another form."""

import imagecodecs
import numpy as np

from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import encode
from pacs_cloud.dicom.render.viewport import Region, fitted, resampled
from pacs_cloud.errors import InvalidInstance


def again(jpeg: bytes, wanted: Wanted) -> bytes:
    """Return a JPEG of ours as `wanted`; never larger than it is.

    Args:
        jpeg: grey or RGB.
        wanted: its media type, quality and viewport count.

    Raises:
        InvalidInstance: it cannot be decoded.
    """
    try:
        image = np.asarray(imagecodecs.jpeg8_decode(jpeg))
    except (imagecodecs.Jpeg8Error, ValueError) as error:
        raise InvalidInstance("The thumbnail that was kept is damaged.") from error
    rows, columns = image.shape[:2]
    if wanted.viewport is not None:
        width, height = fitted(columns, rows, wanted.viewport.width, wanted.viewport.height)
        if width < columns:
            image = resampled(image, Region(0, 0, columns, rows), (width, height))
    return encode(image, wanted.media_type, wanted.quality)
