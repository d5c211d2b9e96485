"""The pixel data of an instance: its shape, and where its frames lie."""

from collections.abc import Container, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frame_tables import encapsulated_frames, native_frames
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.pixel_tags import (
    EXTENDED_LENGTHS_TAG,
    EXTENDED_OFFSETS_TAG,
    FLOAT_BITS,
    PIXEL_DATA_TAG,
)
from pacs_cloud.dicom.records import Fragments, LetGo, Record, View
from pacs_cloud.dicom.walk import find

_PIXEL_TAGS: Final = (PIXEL_DATA_TAG, *FLOAT_BITS)
_SAMPLES, _PHOTOMETRIC, _FRAMES = "00280002", "00280004", "00280008"
_ROWS, _COLUMNS, _BITS = "00280010", "00280011", "00280100"
SHAPE_TAGS: Final = frozenset(
    int(tag, 16) for tag in (_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS, _BITS)
)
"""What `pixel_shape` depends on, beside the pixel data's own tag."""


class PixelShape(NamedTuple):
    """What a header says of its pixel data, wherever that lies.

    Attributes:
        tag: of the pixel data.
        rows: as in `PixelData`, like the next four.
        columns: see above.
        samples_per_pixel: see above.
        bits_allocated: see above.
        frame_count: see above.
        subsampled: YBR_FULL_422, if it is not compressed.
    """

    tag: int
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    frame_count: int
    subsampled: bool


def pixel_tag(tags: Container[int]) -> int | None:
    """Return which of a data set's `tags` is its pixel data's, None if there is none."""
    return next((tag for tag in _PIXEL_TAGS if tag in tags), None)


def pixel_shape(tag: int, named: Elements) -> PixelShape:
    """Return the shape of the pixel data `tag`.

    Args:
        tag: of the pixel data.
        named: the attributes that searches return, the shape's among them.
    """
    samples = _number(named, _SAMPLES, 1) or 1
    return PixelShape(
        tag,
        _number(named, _ROWS, 0),
        _number(named, _COLUMNS, 0),
        samples,
        FLOAT_BITS.get(tag) or _number(named, _BITS, 0),
        _number(named, _FRAMES, 1) or 1,
        samples == 3 and _text(named, _PHOTOMETRIC) == "YBR_FULL_422",
    )


def pixel_data(
    view: View, records: list[Record], named: Elements, let_go: LetGo | None = None
) -> PixelData | None:
    """Return shape and place of the pixel data, None if there is none.

    Args:
        view: the data set; of it, only offset tables and fragment starts are read.
        records: of its top level, ascending.
        named: the attributes that searches return, the shape's among them.
        let_go: called now and then while fragments are looked at.
    """
    tag = pixel_tag({record[0] for record in records})
    found = None if tag is None else find(records, tag)
    if found is None:
        return None
    tag, _, _, _, value, stop, inside = found
    shape = pixel_shape(tag, named)
    if not isinstance(inside, Fragments):
        return native_pixels(shape, value, stop - value)
    frame_count, extended = shape.frame_count, _extended(view, records)
    frames = encapsulated_frames(view, inside, frame_count, extended, let_go)
    return PixelData(f"{tag:08X}", *shape[1:6], True, value, stop - 8 - value, frames)


@lru_cache(256)  # a series' slices have their pixels at one place
def native_pixels(shape: PixelShape, offset: int, length: int) -> PixelData:
    """Return the pixel data that has `length` bytes from `offset` on, not in fragments."""
    tag, rows, columns, samples, bits, frame_count, subsampled = shape
    frames = native_frames(
        offset=offset,
        length=length,
        pixels=rows * columns,
        samples_per_pixel=samples,
        bits_allocated=bits,
        frame_count=frame_count,
        subsampled=subsampled,
    )
    return PixelData(
        f"{tag:08X}", rows, columns, samples, bits, frame_count, False, offset, length, frames
    )


def _extended(view: View, records: list[Record]) -> tuple[bytes, bytes] | None:
    offsets = find(records, EXTENDED_OFFSETS_TAG)
    lengths = find(records, EXTENDED_LENGTHS_TAG)
    if offsets is None or lengths is None:
        return None
    return bytes(view[offsets[4] : offsets[5]]), bytes(view[lengths[4] : lengths[5]])


def _first(named: Elements, tag: str) -> Any:
    element = named.get(tag)
    values: Sequence[Any] | None = element.get("Value") if element else None
    return values[0] if values else None


def _number(named: Elements, tag: str, default: int) -> int:
    value = _first(named, tag)
    return int(value) if isinstance(value, (int, float)) and value > 0 else default


def _text(named: Elements, tag: str) -> str:
    value = _first(named, tag)
    return value if isinstance(value, str) else ""
