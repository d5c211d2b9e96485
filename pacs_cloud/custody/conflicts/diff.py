"""In what two instances differ: element by element, and pixel by pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.pixel_format import PixelFormat


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


def differing_pixels(
    newcomer: bytes, newcomer_format: PixelFormat, other: bytes, other_format: PixelFormat
) -> int | None:
    """Return how many pixels of two native frames have other samples.

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
    one, two = _cells(newcomer, newcomer_format), _cells(other, other_format)
    if one.shape != two.shape:
        return None
    return int(np.count_nonzero((one != two).any(axis=1)))


def _layout(pixels: PixelFormat) -> tuple[object, ...]:
    return (
        pixels.rows,
        pixels.columns,
        pixels.samples_per_pixel,
        pixels.bits_allocated,
        pixels.is_signed,
        pixels.photometric_interpretation,
    )


def _cells(frame: bytes, pixels: PixelFormat) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Return a frame's bytes as one row for each pixel (of subsampled colour: for each pair)."""
    data = np.frombuffer(frame, dtype=np.uint8)
    count = pixels.rows * pixels.columns
    if pixels.bits_allocated == 1:
        return np.unpackbits(data, bitorder="little")[:count].reshape(-1, 1)
    width = pixels.bits_allocated // 8
    if pixels.is_subsampled:
        return data[: count * 2 * width].reshape(-1, 4 * width)
    length = count * pixels.samples_per_pixel * width
    if pixels.samples_per_pixel > 1 and pixels.planar_configuration == 1:
        planes = data[:length].reshape(pixels.samples_per_pixel, -1, width)
        return planes.transpose(1, 0, 2).reshape(-1, pixels.samples_per_pixel * width)
    return data[:length].reshape(-1, pixels.samples_per_pixel * width)
