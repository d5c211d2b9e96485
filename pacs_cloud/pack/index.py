"""A pack's index: what is where in it, so that nobody parses a header again.

The index is zstd-compressed JSON lines in two zstd frames, so that neither read
pays for the other: the first frame is one line, the *table* (this module's
`PackIndex`); the second holds the *headers*, one full DICOM JSON object a line,
in the table's order. `zstd -dc index.zst` prints them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from orjson import Fragment

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import FrameTable, PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.instance import PackInstance, Recoded
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.pack.zstd_frames import compress, decompress, frame_end

T = TypeVar("T")

FORMAT_VERSION = 1

TABLE_LIMIT_BYTES = 256 << 20
"""The longest table that is read, uncompressed: 16 million frames."""

HEADERS_LIMIT_BYTES = 1 << 30
"""The longest header lines that are read, uncompressed: 1 MiB for each of 1,000 instances."""


@dataclass(frozen=True, slots=True)
class PackIndex:
    """The table of one pack.

    Attributes:
        pack_id: a version 7 UUID, so that packs sort by age.
        tenant: whose.
        study_instance_uid: of every instance in it.
        series_instance_uid: of every instance in it.
        sources: who sent them.
        common: searched attributes that are the same in all instances.
        instances: in the pack's order.
        replaces: ids of the packs that this one was merged from.
        merged_rev: the study's `rev` as of which it was; a decision about this pack that is
            later proves that it was committed. None for what was never merged.
        version: of this format.
    """

    pack_id: str
    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    sources: tuple[Source, ...]
    common: Elements
    instances: tuple[PackInstance, ...]
    replaces: tuple[str, ...] = ()
    merged_rev: int | None = None
    version: int = FORMAT_VERSION

    def attributes_of(self, instance: PackInstance) -> Elements:
        """Return every searched attribute of `instance`."""
        return {**self.common, **instance.attributes}


def encode_index(index: PackIndex, headers: Iterable[bytes]) -> bytes:
    """Return the bytes of `index.zst`: the table's frame, then the headers' frame.

    Args:
        index: the table.
        headers: each instance's DICOM JSON, without line breaks, in the table's order.
    """
    table = orjson.dumps(_table_json(index), option=orjson.OPT_APPEND_NEWLINE)
    lines = b"\n".join([*headers, b""])
    return compress(table) + compress(lines)


def split_index(blob: bytes) -> tuple[bytes, bytes]:
    """Return the table's frame and the headers' frame, still compressed; raises Corrupt."""
    middle = frame_end(blob, 0)
    if frame_end(blob, middle) != len(blob):
        raise Corrupt("an index is two zstd frames, and nothing behind them")
    return blob[:middle], blob[middle:]


def decode_table(frame: bytes) -> PackIndex:
    """Return the table; `frame` may also be the whole `index.zst`. Raises Corrupt."""
    try:
        return _table_from_json(orjson.loads(decompress(frame, TABLE_LIMIT_BYTES)))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise Corrupt("a pack's table cannot be read") from error


def decode_headers(frame: bytes) -> bytes:
    """Return the header lines, uncompressed; instances find theirs by offset. Raises Corrupt."""
    return decompress(frame, HEADERS_LIMIT_BYTES)


def _table_json(index: PackIndex) -> dict[str, Any]:
    """Return the table as JSON; equal pixel data stand once, as the slices of a series have."""
    places: dict[bytes, int] = {}
    known: dict[int, int] = {}  # by identity: slices mostly share one `PixelData`
    instances = [_instance_json(instance, places, known) for instance in index.instances]
    merged = {} if index.merged_rev is None else {"merged_rev": index.merged_rev}
    return {
        "version": index.version,
        "pack_id": index.pack_id,
        "tenant": index.tenant,
        "study_instance_uid": index.study_instance_uid,
        "series_instance_uid": index.series_instance_uid,
        "replaces": index.replaces,
        **merged,
        "sources": [source.as_json() for source in index.sources],
        "common": index.common,
        "pixels": [Fragment(pixels) for pixels in places],
        "instances": instances,
    }


def _instance_json(
    instance: PackInstance, places: dict[bytes, int], known: dict[int, int]
) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(instance, name) for name in _REQUIRED}
    if instance.attributes:
        row["attributes"] = instance.attributes
    if (pixels := instance.pixels) is not None:
        place = known.get(id(pixels))
        if place is None:
            text = orjson.dumps(_pixels_json(pixels))
            place = known[id(pixels)] = places.setdefault(text, len(places))
        row["pixels"] = place
    for name in ("bulk", "inflated_bytes", "flags", "recoded"):
        if value := getattr(instance, name):
            row[name] = value
    return row


def _pixels_json(pixels: PixelData) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(pixels, name) for name in _PIXELS}
    row["frames"] = None if pixels.frames is None else pixels.frames.to_json()
    return row


_PIXELS: dict[str, type] = {
    "tag": str,
    "rows": int,
    "columns": int,
    "samples_per_pixel": int,
    "bits_allocated": int,
    "frame_count": int,
    "encapsulated": bool,
    "offset": int,
    "length": int,
}

_REQUIRED: dict[str, type] = {
    "sop_instance_uid": str,
    "sop_class_uid": str,
    "transfer_syntax_uid": str,
    "offset": int,
    "length_bytes": int,
    "dataset_offset": int,
    "digest": str,
    "received_us": int,
    "source": int,
    "header_offset": int,
    "header_length": int,
}


def _table_from_json(fields: dict[str, Any]) -> PackIndex:
    """Return the table that `_table_json` wrote; raises as missing and odd values do."""
    version = fields["version"]
    if version != FORMAT_VERSION:
        raise Corrupt(f"a pack index of version {version!r}; this program reads {FORMAT_VERSION}")
    names = ("pack_id", "tenant", "study_instance_uid", "series_instance_uid")
    pack_id, tenant, study, series = (_checked(fields[name], str) for name in names)
    merged_rev = fields.get("merged_rev")
    sources = tuple(
        Source(
            Door(row["door"]),
            *(_checked(row[name], str) for name in _SOURCE_TEXTS),
            yields=_checked(row.get("yields", False), bool),
        )
        for row in fields["sources"]
    )
    pixels = [_pixels_from_json(row) for row in fields["pixels"]]
    instances = tuple(_instance_from_json(row, pixels) for row in fields["instances"])
    if any(instance.source >= len(sources) for instance in instances):
        raise Corrupt("an instance of no known source")
    return PackIndex(
        pack_id=pack_id,
        tenant=tenant,
        study_instance_uid=study,
        series_instance_uid=series,
        sources=sources,
        common=_checked(fields["common"], dict),
        instances=instances,
        replaces=_texts(fields["replaces"]),
        merged_rev=None if merged_rev is None else _checked(merged_rev, int),
        version=version,
    )


_SOURCE_TEXTS = ("called", "calling", "address")
_RECODED: dict[str, type] = {"digest": str, "received_syntax_uid": str}


def _instance_from_json(row: dict[str, Any], pixels: list[PixelData]) -> PackInstance:
    place = row.get("pixels")
    inflated_bytes = row.get("inflated_bytes")
    return PackInstance(
        **_typed(row, _REQUIRED),
        attributes=_checked(row["attributes"], dict) if "attributes" in row else {},
        pixels=None if place is None else pixels[_place(place)],
        bulk=tuple(map(_bulk_from_json, row["bulk"])) if "bulk" in row else (),
        inflated_bytes=None if inflated_bytes is None else _checked(inflated_bytes, int),
        flags=_texts(row["flags"]) if "flags" in row else (),
        recoded=Recoded(**_typed(row["recoded"], _RECODED)) if "recoded" in row else None,
    )


def _place(value: Any) -> int:
    if _checked(value, int) < 0:
        raise Corrupt(f"a place of {value}")
    return value


def _pixels_from_json(row: dict[str, Any]) -> PixelData:
    frames = row["frames"]
    table = None if frames is None else FrameTable.from_json(frames)
    return PixelData(**_typed(row, _PIXELS), frames=table)


def _typed(row: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    """Return the values named by `kinds`, each of its type, numbers not negative."""
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = values[name] = row[name]
        if type(value) is not kind or (kind is int and value < 0):
            raise Corrupt(f"a table's {name} is {value!r}")
    return values


def _bulk_from_json(value: dict[str, Any]) -> BulkValue:
    return BulkValue(
        _checked(value["path"], str),
        _checked(value["vr"], str),
        _checked(value["offset"], int),
        _checked(value["length"], int),
    )


def _checked(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:
        raise Corrupt(f"a {kind.__name__} was expected, not {type(value).__name__}")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_checked(value, str) for value in _checked(values, list))
