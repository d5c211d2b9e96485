"""From stored values to shades of grey: modality, VOI and presentation LUT (PS3.4 N.2, PS3.3 C.11).

A frame of up to 16 bits under a window is computed in single precision, where that
is enough. Else it is mapped by one table, made once for all frames that look the
same: masking, sign, all three transformations and the padding in it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shades: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[Any]

_TABLES_KEPT: Final = 64
"""Of 64 KiB each."""
_STEEPEST: Final = 4.0
"""Shades from one stored value to the next: at 65,535 single precision is off by 1/64 then."""


class VoiFunction(StrEnum):
    """VOI LUT Function (PS3.3 C.11.2.1.3)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are spread over the shades (PS3.3 C.11.2.1.2), in modality units.

    Attributes:
        center: the middle of them.
        width: at least 1 for LINEAR, more than 0 for the others.
        function: how.
    """

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR

    def spread(self, values: Numbers) -> Numbers:
        """Return the share of white that each value gets, from 0 to 1."""
        match self.function:
            case VoiFunction.SIGMOID:
                steepness = np.clip(-4 * (values - self.center) / self.width, -700, 700)
                return 1 / (1 + np.exp(steepness))
            case VoiFunction.LINEAR if self.width == 1:
                return (values > self.center - 0.5).astype(np.float64)
            case VoiFunction.LINEAR:
                share = (values - (self.center - 0.5)) / (self.width - 1)
            case VoiFunction.LINEAR_EXACT:
                share = (values - self.center) / self.width
        share += 0.5
        return np.clip(share, 0, 1, out=share)


def full_window(low: float, high: float) -> Window:
    """Return the window that spreads `low` to `high` over all shades."""
    width = high - low
    if width <= 0:  # one value alone: it is black
        return Window(low + 0.5, 1, VoiFunction.LINEAR_EXACT)
    return Window(low + width / 2, width, VoiFunction.LINEAR_EXACT)


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table from integers to integers (PS3.3 C.11.1.1, C.11.2.1.1).

    Attributes:
        first: the value that is mapped to the first entry; lower ones too.
        entries: 16 bits each, little endian.
        top: the largest value that an entry can have.
    """

    first: int
    entries: bytes
    top: int

    def look_up(self, values: Numbers) -> Numbers:
        """Return the entries for `values`; those beyond the table get its ends."""
        entries = np.frombuffer(self.entries, "<u2")
        places = np.clip(np.rint(values.astype(np.float64)) - self.first, 0, len(entries) - 1)
        return entries[places.astype(np.intp)].astype(np.float64)

    def share(self, values: Numbers) -> Numbers:
        """Return the entries for `values` as shares of the largest possible one."""
        return self.look_up(values) / self.top


@dataclass(frozen=True, slots=True)
class GreyTransform:
    """What stored values go through until they are shades.

    Attributes:
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        modality_lut: in place of the two.
        window: in modality units; None, with no `voi_lut`: all values of the frame are shown.
        voi_lut: outranks `window`.
        presentation_lut: from the VOI LUT's range to presentation values.
        is_inverse: low values are bright: MONOCHROME1, or Presentation LUT Shape INVERSE.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookupTable | None = None
    window: Window | None = None
    voi_lut: LookupTable | None = None
    presentation_lut: LookupTable | None = None
    is_inverse: bool = False

    def modality_values(self, stored: Numbers) -> Numbers:
        """Return `stored` in modality units."""
        if self.modality_lut is not None:
            return self.modality_lut.look_up(stored)
        values = stored.astype(np.float64)
        values *= self.slope
        values += self.intercept
        return values

    def windowed(self, window: Window) -> "GreyTransform":
        """Return this with another window in place of its VOI LUT or window."""
        return replace(self, window=window, voi_lut=None)

    def showing(self, low: float, high: float) -> "GreyTransform":
        """Return this with the stored values `low` to `high` spread over all shades."""
        stored = np.array([low, high])
        if self.modality_lut is not None:  # which need not rise all the way
            table = self.modality_lut
            last = table.first + len(table.entries) // 2 - 1
            inner = np.arange(max(int(low), table.first), min(int(high), last) + 1)
            stored = np.concatenate([stored, inner])
        ends = self.modality_values(stored)
        return self.windowed(full_window(float(ends.min()), float(ends.max())))

    @property
    def needs_range(self) -> bool:
        """Whether it shows all of a frame's values, whatever they are."""
        return self.window is None and self.voi_lut is None

    @property
    def ramp(self) -> "Ramp | None":
        """The same as one line through the shades; None where it is none, or too steep a one."""
        window = self.window
        is_line = not (self.modality_lut or self.voi_lut or self.presentation_lut)
        if window is None or not is_line or window.function is VoiFunction.SIGMOID:
            return None
        is_linear = window.function is VoiFunction.LINEAR
        width = window.width - 1 if is_linear else window.width
        center = window.center - 0.5 if is_linear else window.center
        if not width > 0:
            return None
        scale = self.slope / width * 255
        offset = (self.intercept - center) / width * 255 + 127.5
        if self.is_inverse:
            scale, offset = -scale, 255 - offset
        if not abs(scale) <= _STEEPEST or not abs(offset) <= _STEEPEST * 65_536:
            return None
        return Ramp(scale, offset)

    def shades(self, stored: Numbers) -> Shades:
        """Return the shades of `stored`; `needs_range` must not hold."""
        values = self.modality_values(stored)
        if self.voi_lut is not None:
            share = self.voi_lut.share(values)
        else:
            assert self.window is not None
            share = self.window.spread(values)
        if self.presentation_lut is not None:
            entries = len(self.presentation_lut.entries) // 2
            share = self.presentation_lut.share(share * (entries - 1) + self.presentation_lut.first)
        if self.is_inverse:
            share = 1 - share
        share *= 255
        share += 0.5
        return share.astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Shades that rise or fall evenly with the stored value, between black and white.

    Attributes:
        scale: shades from one stored value to the next.
        offset: the shade of 0, which may lie beyond black or white.
    """

    scale: float
    offset: float

    def shades(self, stored: Numbers) -> Shades:
        """Return the shades of integers of up to 16 bits."""
        values = stored.astype(np.float32)
        values *= self.scale
        values += self.offset + 0.5
        return np.clip(values, 0, 255, out=values).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class StoredBits:
    """How an integer lies in its cell (PS3.5 8.1.1).

    Attributes:
        allocated: 8, 16 or 32.
        stored: bits of the value.
        high_bit: the place of its most significant bit.
        is_signed: two's complement.
    """

    allocated: int
    stored: int
    high_bit: int
    is_signed: bool

    def values(self, cells: Numbers) -> Numbers:
        """Return the values in unsigned `cells`, which may hold other bits around them."""
        above, others = self.allocated - 1 - self.high_bit, self.allocated - self.stored
        values = cells << above if above else cells
        if self.is_signed:
            values = values.view(values.dtype.str.replace("u", "i"))
        return values >> others if others else values


@lru_cache(_TABLES_KEPT)
def shade_table(
    bits: StoredBits, transform: GreyTransform, padding: tuple[float, float] | None
) -> Shades:
    """Return the shade for every content of a cell, to be looked up by its unsigned integer.

    Args:
        bits: of the cell, at most 16.
        transform: `needs_range` must not hold.
        padding: stored values, first and last, that stand for no value and are black.
    """
    shift = bits.high_bit + 1 - bits.stored
    cell = np.uint8 if bits.allocated == 8 else np.uint16
    stored = bits.values(np.arange(1 << bits.stored, dtype=cell) << shift)
    table = transform.shades(stored)
    if padding is not None:
        table[(stored >= padding[0]) & (stored <= padding[1])] = 0
    # A value looks the same whatever the bits below and above it are.
    table = np.tile(table.repeat(1 << shift), 1 << bits.allocated - bits.high_bit - 1)
    table.flags.writeable = False
    return table
