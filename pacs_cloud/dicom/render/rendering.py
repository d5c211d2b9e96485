"""One native frame as it is seen: shades of grey, or RGB, of 8 bits (PS3.4 N.2)."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.render.appearance import Appearance
from pacs_cloud.dicom.render.colour import rgb
from pacs_cloud.dicom.render.grey_shades import Numbers, Shades, shade_table
from pacs_cloud.errors import InvalidInstance, Refusal

_UNSIGNED: Final = {8: np.dtype(np.uint8), 16: np.dtype("<u2"), 32: np.dtype("<u4")}
_FLOATS: Final = {32: np.dtype("<f4"), 64: np.dtype("<f8")}


def render(data: bytes, appearance: Appearance) -> Shades:
    """Return a native frame as rows and columns of shades, with RGB where it is in colour.

    Where the image has no window, all values of the frame are shown, or those in `shown`.

    Args:
        data: the frame, little endian.
        appearance: how it looks, with the format that `data` has.

    Raises:
        InvalidInstance: UNREADABLE: too short, or of a kind that cannot be shown.
    """
    pixel_format = appearance.pixel_format
    if pixel_format.samples_per_pixel == 3:
        return rgb(data, pixel_format)
    cells = _cells(data, pixel_format, is_float=appearance.is_float)
    if appearance.palette is not None:
        return appearance.palette.colours(appearance.bits.values(cells))
    if cells.dtype.itemsize > 2:
        return _computed(cells, appearance)
    transform = appearance.grey
    if transform.needs_range:
        transform = transform.showing(*(appearance.shown or _range_of_cells(cells, appearance)))
    ramp = transform.ramp
    if ramp is None:
        return shade_table(appearance.bits, transform, appearance.padding).take(cells)
    values = appearance.bits.values(cells)
    return _without_padding(ramp.shades(values), values, appearance)


def value_range(
    frames: Iterable[tuple[bytes, PixelFormat]], appearance: Appearance
) -> tuple[float, float]:
    """Return the lowest and the highest stored value of native grey frames."""
    ranges = [
        _range_of_cells(_cells(data, one, is_float=appearance.is_float), appearance)
        for data, one in frames
    ]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _cells(data: bytes, pixel_format: PixelFormat, *, is_float: bool) -> Numbers:
    rows, columns, bits = pixel_format.rows, pixel_format.columns, pixel_format.bits_allocated
    if bits == 1:
        plane = np.unpackbits(
            np.frombuffer(data, np.uint8), bitorder="little", count=rows * columns
        )
        return plane.reshape(rows, columns)
    cell = (_FLOATS if is_float else _UNSIGNED).get(bits)
    if cell is None:
        raise InvalidInstance("Pixels of such a bit depth cannot be shown.", Refusal.UNREADABLE)
    if len(data) < rows * columns * cell.itemsize:
        raise InvalidInstance("A frame is shorter than its pixels.", Refusal.UNREADABLE)
    return np.frombuffer(data, cell, rows * columns).reshape(rows, columns)


def _range_of_cells(cells: Numbers, appearance: Appearance) -> tuple[float, float]:
    values = _values(cells, appearance)
    kept = np.isfinite(values) if appearance.is_float else np.ones((), np.bool_)
    if appearance.padding is not None:
        low, high = appearance.padding
        kept = kept & ((values < low) | (values > high))
    if kept.ndim:
        values = values[kept]
    if values.size == 0:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if appearance.lowest is not None and low < appearance.lowest < high:
        low = appearance.lowest
    return low, high


def _values(cells: Numbers, appearance: Appearance) -> Numbers:
    return cells if appearance.is_float else appearance.bits.values(cells)


def _computed(cells: Numbers, appearance: Appearance) -> Shades:
    """Return the shades of cells that have too many values for a table."""
    values = _values(cells, appearance)
    transform = appearance.grey
    if transform.needs_range:
        transform = transform.showing(*(appearance.shown or _range_of_cells(cells, appearance)))
    if not appearance.is_float:
        shades = transform.shades(values)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            shades = transform.shades(np.nan_to_num(values))
        shades[~np.isfinite(values)] = 0
    return _without_padding(shades, values, appearance)


def _without_padding(shades: Shades, values: Numbers, appearance: Appearance) -> Shades:
    """Return the shades, black where a value stands for none."""
    if appearance.padding is not None:
        low, high = appearance.padding
        shades[(values >= low) & (values <= high)] = 0
    return shades
