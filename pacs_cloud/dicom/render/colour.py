"""True colour samples to RGB of 8 bits (PS3.3 C.7.6.3.1.2)."""

from typing import Final

import numpy as np

from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.render.grey_shades import Numbers, Shades
from pacs_cloud.errors import InvalidInstance, Refusal

_AS_RGB: Final = frozenset({"RGB", "YBR_RCT", "YBR_ICT"})
"""JPEG 2000's own transforms are undone by its decoders."""
_CELLS: Final = {8: np.dtype(np.uint8), 16: np.dtype("<u2"), 32: np.dtype("<u4")}
_WHITE: Final = 255
_SUBSAMPLED: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
_PARTIAL: Final = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})


def rgb(data: bytes, pixel_format: PixelFormat) -> Shades:
    """Return a native colour frame as rows, columns and RGB.

    Args:
        data: the frame, little endian.
        pixel_format: its 3 samples; 8 or 16 bits allocated.

    Raises:
        InvalidInstance: UNREADABLE: too short, or in a colour space that is not known.
    """
    photometric = pixel_format.photometric_interpretation
    samples = _samples(data, pixel_format)
    top = _top(samples, pixel_format)
    if photometric in _AS_RGB:
        return samples if top == _WHITE else _spread(samples, top)
    if photometric in {"YBR_FULL", "YBR_FULL_422", *_PARTIAL}:
        return _from_ybr(samples, top, is_partial=photometric in _PARTIAL)
    raise InvalidInstance(
        f"The photometric interpretation {photometric[:16]} cannot be shown.", Refusal.UNREADABLE
    )


def _samples(data: bytes, pixel_format: PixelFormat) -> Shades:
    rows, columns = pixel_format.rows, pixel_format.columns
    cell = _CELLS.get(pixel_format.bits_allocated)
    if cell is None:
        raise InvalidInstance("Colour of such a bit depth cannot be shown.", Refusal.UNREADABLE)
    is_subsampled = pixel_format.photometric_interpretation in _SUBSAMPLED
    if is_subsampled and columns % 2:  # two pixels share their colour (PS3.3 C.7.6.3.1.2)
        raise InvalidInstance("Subsampled colour has an odd width.", Refusal.UNREADABLE)
    count = rows * columns * (2 if is_subsampled else 3)
    whole = cell.itemsize
    cells: Numbers = np.frombuffer(data[: len(data) // whole * whole], cell)[:count]
    if len(cells) < count:
        raise InvalidInstance("A frame is shorter than its pixels.", Refusal.UNREADABLE)
    if pixel_format.bits_stored > 8:
        cells = cells >> pixel_format.bits_stored - 8
    cells = cells.astype(np.uint8, copy=False)
    if is_subsampled:
        # Two pixels in four bytes: Y1, Y2, and the colour they share.
        pairs = cells.reshape(-1, 4)
        luma = pairs[:, :2].reshape(rows, columns)
        chroma = np.repeat(pairs[:, 2:], 2, axis=0).reshape(rows, columns, 2)
        return np.concatenate([luma[..., np.newaxis], chroma], axis=-1)
    if pixel_format.planar_configuration == 1:
        return np.ascontiguousarray(np.moveaxis(cells.reshape(3, rows, columns), 0, -1))
    return cells.reshape(rows, columns, 3)


def _top(samples: Shades, pixel_format: PixelFormat) -> int:
    """Return the sample that is full intensity: the largest that its bits hold."""
    if pixel_format.bits_stored >= 8:
        return _WHITE
    top = (1 << pixel_format.bits_stored) - 1
    # Many a header has the bits wrong: a frame with larger samples has more of them.
    return top if samples.max(initial=0) <= top else _WHITE


def _spread(samples: Shades, top: int) -> Shades:
    table = np.rint(np.arange(top + 1) * (_WHITE / top)).astype(np.uint8)
    return table.take(samples)


def _from_ybr(samples: Shades, top: int, *, is_partial: bool) -> Shades:
    ybr = samples.astype(np.float32)
    middle = (top + 1) // 2
    luma, blue, red = ybr[..., 0], ybr[..., 1] - middle, ybr[..., 2] - middle
    if top != _WHITE:
        luma, blue, red = (one * (_WHITE / top) for one in (luma, blue, red))
    if is_partial:  # ITU-R BT.601 studio range
        luma, blue, red = (luma - 16) * (255 / 219), blue * (255 / 224), red * (255 / 224)
    mixed = np.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue],
        axis=-1,
    )
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
