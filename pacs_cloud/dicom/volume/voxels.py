"""What is kept of a slice's values: 16 bits each, and how they are to be read."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.render.grey_shades import StoredBits
from pacs_cloud.dicom.volume.slices import Slice
from pacs_cloud.dicom.volume.stacks import Stack
from pacs_cloud.errors import InvalidInstance

LOWEST: Final = -(1 << 15)
HIGHEST: Final = (1 << 15) - 1
_LOWEST_CT_NUMBER: Final = -1024.0
"""Hounsfield units; air is -1000, and scanners pad with lower ones."""
_LARGEST: Final = 1e30
"""No value means more; what reckons with one may overflow."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the values that are kept mean: `kept * slope + intercept`, in modality units.

    Attributes:
        slope: see above.
        intercept: see above.
        lowest: the least that is kept.
        outside: what lies outside of every slice: air, or nothing.
        shift: how much less than the stored value is kept, where all slices agree on what
            stored values mean: then nothing is rounded. None: they do not.
    """

    slope: float
    intercept: float
    lowest: int
    outside: int
    shift: int | None

    def value(self, kept: float) -> float:
        """Return what a kept value means."""
        return kept * self.slope + self.intercept


def needs_measuring(stack: Stack) -> bool:
    """Tell whether only the values themselves say how large they are."""
    first = stack.slices[0]
    return first.is_float or first.pixel_format.bits_stored > 16


def scale_of(stack: Stack, measured: tuple[float, float] | None = None) -> Scale:
    """Return how a stack's values are kept.

    Args:
        stack: whose.
        measured: the least and the greatest of its values, in modality units, where
            `needs_measuring`.
    """
    first = stack.slices[0]
    least, greatest = first.pixel_format.stored_range
    slopes = {(one.slope, one.intercept) for one in stack.slices}
    is_ct = first.modality == "CT"
    slope, intercept = next(iter(slopes))
    # Where it falls, what is kept shall rise all the same with what is meant.
    if measured is None and len(slopes) == 1 and slope > 0:
        shift = 0 if greatest <= HIGHEST else 1 << 15
        # Kept are stored values, less the shift.
        intercept += shift * slope
        lowest = min(least - shift if least < 0 else -shift, 0)
        if is_ct:
            lowest = max(lowest, round((_LOWEST_CT_NUMBER - intercept) / slope))
        lowest = max(LOWEST, min(lowest, HIGHEST))
        outside = lowest if is_ct else max(lowest, -shift)
        return Scale(slope, intercept, lowest, outside, shift)
    if measured is None:
        ends = [
            one.slope * end + one.intercept for one in stack.slices for end in (least, greatest)
        ]
        measured = min(ends), max(ends)
    low, high = measured
    if is_ct:
        low = max(low, min(_LOWEST_CT_NUMBER, high))
    slope = (high - low) / (HIGHEST - LOWEST) or 1.0
    intercept = low - LOWEST * slope
    outside = LOWEST if is_ct else max(LOWEST, min(round(-intercept / slope), HIGHEST))
    return Scale(slope, intercept, LOWEST, outside, None)


def cells(data: bytes, one: Slice) -> NDArray[Any]:
    """Return a native frame's values as stored, by rows and columns.

    Args:
        data: little endian.
        one: the slice.

    Raises:
        InvalidInstance: it is not of the size that its header says.
    """
    pixel_format = one.pixel_format
    size = pixel_format.rows * pixel_format.columns
    width = pixel_format.bits_allocated // 8
    if len(data) < size * width:
        raise InvalidInstance("A frame is shorter than its pixels.")
    kind = "f" if one.is_float else "u"
    found = np.frombuffer(data, f"<{kind}{width}", size)
    if not one.is_float:
        bits = StoredBits(
            pixel_format.bits_allocated,
            pixel_format.bits_stored,
            one.high_bit,
            pixel_format.is_signed,
        )
        found = bits.values(found)
    return found.reshape(pixel_format.rows, pixel_format.columns)


def value_range(data: bytes, one: Slice) -> tuple[float, float]:
    """Return the least and the greatest value of a native frame, in modality units."""
    stored = cells(data, one)
    finite = stored[np.isfinite(stored)] if one.is_float else stored
    if one.padding is not None:
        finite = finite[~_is_padding(finite, one.padding)]
    if not finite.size:
        return 0.0, 0.0
    ends = [float(end) * one.slope + one.intercept for end in (finite.min(), finite.max())]
    low, high = np.clip(sorted(ends), -_LARGEST, _LARGEST).tolist()
    return low, high


def kept(data: bytes, one: Slice, scale: Scale) -> NDArray[np.int16]:
    """Return a native frame's values as they are kept."""
    stored = cells(data, one)
    found = _scaled(stored, one, scale)
    if one.padding is not None:
        found[_is_padding(stored, one.padding)] = scale.outside
    return found


def _scaled(stored: NDArray[Any], one: Slice, scale: Scale) -> NDArray[np.int16]:
    if scale.shift is not None:
        if scale.shift:
            values = (stored.astype(np.uint16, copy=False) ^ np.uint16(1 << 15)).view(np.int16)
        else:
            values = stored.astype(np.int16)
        return np.maximum(values, np.int16(scale.lowest))
    meant = stored.astype(np.float64) * one.slope + one.intercept
    meant = np.clip(meant, -_LARGEST, _LARGEST)
    meant = np.nan_to_num(meant, nan=scale.value(scale.outside))
    found = np.rint((meant - scale.intercept) / scale.slope)
    return np.clip(found, scale.lowest, HIGHEST).astype(np.int16)


def _is_padding(stored: NDArray[Any], padding: tuple[float, float]) -> NDArray[np.bool_]:
    return (stored >= padding[0]) & (stored <= padding[1])
