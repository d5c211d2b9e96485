"""In what two instances differ: element by element, and pixel by pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.pixel_format import PixelFormat

_WIDTHS: Final = frozenset({1, 2, 4})


@dataclass(frozen=True, slots=True)
class TagDifference:
    """One element that differs.

    Attributes:
        path: keywords, or tags, from the data set down: `RequestAttributesSequence[0].…`.
        tag: the element's own tag, eight hex digits.
        newcomer: its value in DICOM JSON, None where it is absent; so the other one.
        other: likewise.
    """

    path: str
    tag: str
    newcomer: Any
    other: Any


def tag_differences(newcomer: Elements, other: Elements) -> Iterator[TagDifference]:
    """Yield the elements of two headers (DICOM JSON) that differ, by tag.

    Of sequences the items are compared, first with first. A value that is kept as bulk
    data is equal to another one here: its bytes are not in the header.
    """
    yield from _differences("", newcomer, other)


def _differences(above: str, newcomer: Elements, other: Elements) -> Iterator[TagDifference]:
    for tag in sorted({*newcomer, *other}):
        one, two = newcomer.get(tag), other.get(tag)
        if one == two:
            continue
        path = f"{above}{keyword_of(tag)}"
        items, others = _items(one), _items(two)
        if items is None or others is None:
            yield TagDifference(path, tag, _value(one), _value(two))
            continue
        for number in range(max(len(items), len(others))):
            below = f"{path}[{number}]"
            if number < len(items) and number < len(others):
                yield from _differences(f"{below}.", items[number] or {}, others[number] or {})
            else:
                first = items[number] if number < len(items) else None
                second = others[number] if number < len(others) else None
                yield TagDifference(below, tag, first, second)


def _items(element: Element | None) -> list[Any] | None:
    """Return the items of a sequence; None for what is none, or absent."""
    if element is None or element["vr"] != "SQ":
        return None
    return list(element.get("Value", ()))


def _value(element: Element | None) -> Any:
    if element is None:
        return None
    for name in ("Value", "InlineBinary", "BulkDataURI"):
        if name in element:
            return element[name]
    return []


@dataclass(frozen=True, slots=True)
class PixelDifference:
    """In what two frames differ.

    Attributes:
        pixels: how many have other samples (of subsampled colour: pairs of pixels).
        largest: by how much the sample does that differs most; 0 where none does.
    """

    pixels: int
    largest: int


def differing_pixels(
    newcomer: bytes, newcomer_format: PixelFormat, other: bytes, other_format: PixelFormat
) -> PixelDifference | None:
    """Return in how many pixels two native frames differ, and by how much.

    What is compared are sample values: bits above Bits Stored are none of them.

    Args:
        newcomer: one frame, little endian.
        newcomer_format: what its pixels are.
        other: the other one.
        other_format: likewise.

    Returns:
        None where they cannot be laid upon each other: of other sizes, or of samples
        that mean something else.
    """
    if _layout(newcomer_format) != _layout(other_format):
        return None
    one, two = _samples(newcomer, newcomer_format), _samples(other, other_format)
    if one is None or two is None or one.shape != two.shape:
        return None
    distance = np.abs(one - two)
    pixels = int(np.count_nonzero(distance.any(axis=1)))
    return PixelDifference(pixels, int(distance.max(initial=0)))


def _layout(pixels: PixelFormat) -> tuple[object, ...]:
    return (
        pixels.rows,
        pixels.columns,
        pixels.samples_per_pixel,
        pixels.bits_allocated,
        pixels.bits_stored,
        pixels.is_signed,
        pixels.photometric_interpretation,
    )


def _samples(frame: bytes, pixels: PixelFormat) -> "np.ndarray[Any, np.dtype[np.int64]] | None":
    """Return a frame's samples, one row for each pixel (of subsampled colour: for each pair).

    None for samples of a size that no integer of this machine has.
    """
    count = pixels.rows * pixels.columns
    if pixels.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, dtype=np.uint8), bitorder="little")
        return bits[:count].reshape(-1, 1).astype(np.int64)
    width = pixels.bits_allocated // 8
    if width not in _WIDTHS:
        return None
    values = np.frombuffer(
        frame, dtype=f"<{'i' if pixels.is_signed else 'u'}{width}", count=len(frame) // width
    )
    unused = pixels.bits_allocated - pixels.bits_stored
    # Shifted up and down again, the sign takes the place of whatever stood there.
    values = ((values << unused) >> unused).astype(np.int64)
    if pixels.is_subsampled:
        return values[: count * 2].reshape(-1, 4)
    values = values[: count * pixels.samples_per_pixel]
    if pixels.samples_per_pixel > 1 and pixels.planar_configuration == 1:
        return values.reshape(pixels.samples_per_pixel, -1).transpose(1, 0)
    return values.reshape(-1, pixels.samples_per_pixel)
