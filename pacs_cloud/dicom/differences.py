"""In what two instances differ: element by element, and pixel by pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.pixel_format import PixelFormat

_WIDTHS: Final = frozenset({1, 2, 4})
_FAINTEST: Final = 64
"""The shade of what differs least."""
_BLOCK: Final = 1 << 16
"""Pixels that are compared at a time, whole bytes of single bits: a frame may have a GiB."""


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
    blocks = _most_by_pixel(newcomer, newcomer_format, other, other_format)
    if blocks is None:
        return None
    pixels = largest = 0
    for most in blocks:
        pixels += int(np.count_nonzero(most))
        largest = max(largest, int(most.max(initial=0)))
    return PixelDifference(pixels, largest)


def difference_shades(
    newcomer: bytes, newcomer_format: PixelFormat, other: bytes, other_format: PixelFormat
) -> "np.ndarray[Any, np.dtype[np.uint8]] | None":
    """Return a grey picture of where two native frames differ, the brighter the more.

    Black is where they are the same; what differs least can still be seen.

    Args:
        newcomer: as `differing_pixels`; so the others.
        newcomer_format: likewise.
        other: likewise.
        other_format: likewise.

    Returns:
        None where they cannot be laid upon each other.
    """
    frames = (newcomer, newcomer_format, other, other_format)
    found, blocks = differing_pixels(*frames), _most_by_pixel(*frames)
    if found is None or blocks is None:
        return None
    shades = np.zeros((newcomer_format.rows, newcomer_format.columns), dtype=np.uint8)
    # Of subsampled colour both pixels of a pair are as bright.
    cells, start = shades.reshape(-1, 2 if newcomer_format.is_subsampled else 1), 0
    for most in blocks:
        bright = _FAINTEST + (255 - _FAINTEST) * most // max(found.largest, 1)
        cells[start : start + len(most)] = np.where(most > 0, bright, 0)[:, np.newaxis]
        start += len(most)
    return shades


def _most_by_pixel(
    newcomer: bytes, newcomer_format: PixelFormat, other: bytes, other_format: PixelFormat
) -> "Iterator[np.ndarray[Any, np.dtype[np.int64]]] | None":
    """Return by how much the sample of each pixel differs that does most, a block at a time.

    None: the frames are no match.
    """
    if _layout(newcomer_format) != _layout(other_format):
        return None
    one, two = _samples(newcomer, newcomer_format), _samples(other, other_format)
    if one is None or two is None or one.shape != two.shape:
        return None
    count = newcomer_format.rows * newcomer_format.columns
    cells = count // 2 if newcomer_format.is_subsampled else count
    return (
        np.abs(_values(one, newcomer_format, block) - _values(two, other_format, block)).max(axis=1)
        for block in (range(start, min(start + _BLOCK, cells)) for start in range(0, cells, _BLOCK))
    )


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


def _samples(frame: bytes, pixels: PixelFormat) -> "np.ndarray[Any, np.dtype[Any]] | None":
    """Return a frame's samples as they are stored, never copied, one row for each pixel.

    Of subsampled colour there is one for each pair; single bits stay in their bytes. None for
    samples of a size that no integer of this machine has.
    """
    count = pixels.rows * pixels.columns
    if pixels.bits_allocated == 1:
        return np.frombuffer(frame, dtype=np.uint8)[: -(-count // 8)]
    width = pixels.bits_allocated // 8
    if width not in _WIDTHS:
        return None
    values = np.frombuffer(frame, dtype=pixels.words, count=len(frame) // width)
    if pixels.is_subsampled:
        return values[: count * 2].reshape(-1, 4)
    values = values[: count * pixels.samples_per_pixel]
    if pixels.samples_per_pixel > 1 and pixels.planar_configuration == 1:
        return values.reshape(pixels.samples_per_pixel, -1).transpose(1, 0)
    return values.reshape(-1, pixels.samples_per_pixel)


def _values(
    samples: "np.ndarray[Any, np.dtype[Any]]", pixels: PixelFormat, block: range
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the values of a block of pixels, one row for each."""
    if pixels.bits_allocated == 1:
        octets = samples[block.start // 8 : -(-block.stop // 8)]
        bits = np.unpackbits(octets, count=len(block), bitorder="little")
        return bits.reshape(-1, 1).astype(np.int64)
    unused = pixels.bits_allocated - pixels.bits_stored
    # Shifted up and down again, the sign takes the place of whatever stood there.
    shifted = samples[block.start : block.stop] << unused
    return (shifted >> unused).astype(np.int64)
