"""The pixel data of an instance: its shape, and where its frames lie."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frame_tables import encapsulated_frames, native_frames
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.records import Fragments, LetGo, Record, View
from pacs_cloud.dicom.walk import find

_PIXEL_TAGS: Final = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_FLOAT_BITS: Final = {0x7FE00008: 32, 0x7FE00009: 64}
_EXTENDED_OFFSETS: Final = 0x7FE00001
_EXTENDED_LENGTHS: Final = 0x7FE00002


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
    for tag in _PIXEL_TAGS:
        found = find(records, tag)
        if found is not None:
            break
    else:
        return None
    tag, _, _, _, value, stop, inside = found
    rows, columns = _number(named, "00280010", 0), _number(named, "00280011", 0)
    samples = _number(named, "00280002", 1) or 1
    bits = _FLOAT_BITS.get(tag) or _number(named, "00280100", 0)
    frame_count = _number(named, "00280008", 1) or 1
    shape = (rows, columns, samples, bits, frame_count)
    if isinstance(inside, Fragments):
        frames = encapsulated_frames(view, inside, frame_count, _extended(view, records), let_go)
        return PixelData(f"{tag:08X}", *shape, True, value, stop - 8 - value, frames)
    subsampled = samples == 3 and _text(named, "00280004") == "YBR_FULL_422"
    return _native(tag, shape, value, stop - value, subsampled=subsampled)


@lru_cache(256)  # a series' slices have their pixels at one place
def _native(
    tag: int, shape: tuple[int, int, int, int, int], offset: int, length: int, *, subsampled: bool
) -> PixelData:
    rows, columns, samples, bits, frame_count = shape
    frames = native_frames(
        offset=offset,
        length=length,
        pixels=rows * columns,
        samples_per_pixel=samples,
        bits_allocated=bits,
        frame_count=frame_count,
        subsampled=subsampled,
    )
    return PixelData(f"{tag:08X}", *shape, False, offset, length, frames)


def _extended(view: View, records: list[Record]) -> tuple[bytes, bytes] | None:
    offsets, lengths = find(records, _EXTENDED_OFFSETS), find(records, _EXTENDED_LENGTHS)
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
