"""A data set's header, read once at ingest: UIDs, JSON, bulk values, frames.

The reader keeps what it learnt from earlier instances (see `dataset_json`), so
there is one per process.
"""

import mmap
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.deflate import DEFAULT_LIMIT_BYTES, inflate
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.identity import (
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    readable_uid,
    required_uids,
)
from pacs_cloud.dicom.layouts import Layouts, Series
from pacs_cloud.dicom.memo import Fragment, Memo
from pacs_cloud.dicom.pixels import pixel_data
from pacs_cloud.dicom.records import LetGo, Record, View
from pacs_cloud.dicom.runs import Reading
from pacs_cloud.dicom.span_memo import SpanMemo
from pacs_cloud.dicom.uid import is_deflated
from pacs_cloud.dicom.walk import Scope, Walk
from pacs_cloud.errors import InvalidInstance

DEFAULT_MEMO_BYTES: Final = 32 * 1024 * 1024

_LAYOUTS_SHARE: Final = 8
"""One part in so many of the memory is for layouts."""


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value the JSON only points at.

    Attributes:
        path: `7FE00010`, or within sequences `00081140/0/00081150` (tag, item
            number from 0, tag); the JSON's URI ends with it.
        vr: of the value.
        offset: of its first byte, from the data set's start.
        length: in bytes; of an encapsulated value from its first item header to
            before its sequence delimiter.
    """

    path: str
    vr: str
    offset: int
    length: int


class Header(NamedTuple):
    """What an archive needs to know of an instance.

    Attributes:
        transfer_syntax_uid: as given to `read`.
        sop_class_uid: path-safe, like the other UIDs.
        sop_instance_uid: path-safe.
        study_instance_uid: path-safe.
        series_instance_uid: path-safe.
        json: the data set as compact UTF-8 DICOM JSON (PS3.18 Annex F), tags
            ascending, groups 0000 and 0002 left out. Bulk values are URIs
            relative to the series resource:
            `instances/{sop_instance_uid}/bulkdata/{path}`.
        attributes: the elements of `attributes.SEARCH_TAGS` among them, shared
            with other headers: read only.
        bulk: the values behind those URIs.
        pixels: shape and place of the pixel data, None if there is none.
        length: of the data set as received, in bytes.
        inflated_length: of a deflated data set, after inflating: all offsets are
            into the inflated bytes; else None.
    """

    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    json: bytes
    attributes: Elements
    bulk: tuple[BulkValue, ...]
    pixels: PixelData | None
    length: int
    inflated_length: int | None


class HeaderReader:
    """Reads headers, faster each time it sees what it has seen before.

    Not thread-safe: one per process, used by one thread at a time.
    """

    def __init__(
        self,
        *,
        memo_bytes: int = DEFAULT_MEMO_BYTES,
        max_inflated_bytes: int = DEFAULT_LIMIT_BYTES,
        let_go: LetGo | None = None,
    ) -> None:
        """Make a reader.

        Args:
            memo_bytes: about the most memory its memory takes.
            max_inflated_bytes: the largest data set a deflated one may become.
            let_go: called now and then while the fragments of encapsulated pixel data
                are counted: each touches a page, so whoever reads from a mapped file
                can give the pages back.
        """
        self._let_go = let_go
        self._memo = Memo(memo_bytes)
        self._spans = SpanMemo()
        self._layouts = Layouts(memo_bytes // _LAYOUTS_SHARE)
        self._max_inflated_bytes = max_inflated_bytes

    def read(
        self,
        dataset: bytes | bytearray | memoryview | mmap.mmap,
        transfer_syntax_uid: str,
    ) -> Header:
        """Return the header of `dataset`.

        Args:
            dataset: the whole data set without file meta information; of a large
                mmap only the pages of the header and of fragment headers are
                touched.
            transfer_syntax_uid: a private or unknown one is read as Explicit VR
                Little Endian.

        Raises:
            InvalidInstance: UNREADABLE (cut short, or lengths that do not fit),
                MISSING_UID, or TOO_LARGE (the JSON over 16 MiB, or inflated
                over the limit); with the instance's UIDs as far as they were read.
            InvalidUid: one of the four UIDs is malformed.
        """
        length = len(dataset)
        if is_deflated(transfer_syntax_uid):
            inflated = inflate(_as_view(dataset), self._max_inflated_bytes)
            return self._read(inflated, transfer_syntax_uid, length, len(inflated))
        view = _as_view(dataset)
        try:
            return self._read(view, transfer_syntax_uid, length, None)
        finally:
            if isinstance(view, memoryview):
                view.release()

    def _read(
        self, view: View, transfer_syntax_uid: str, length: int, inflated_length: int | None
    ) -> Header:
        walk = Walk(view, transfer_syntax_uid, self._spans, self._let_go)
        records: list[Record] | None = None
        try:
            series, start = self._layouts.series_of(view, transfer_syntax_uid)
            reading = series.match(walk, self._memo, start)
            if reading is None:
                scope = walk.top()
                records = scope.records
                reading = self._convert(walk, scope, series)
        except InvalidInstance as refused:
            records = walk.structure.top if records is None else records
            refused.sop_class_uid = readable_uid(view, records, SOP_CLASS_UID)
            refused.sop_instance_uid = readable_uid(view, records, SOP_INSTANCE_UID)
            raise
        uids, json, attributes, bulk, pixels = reading
        _, sop_instance_uid, _, _ = uids
        return Header(
            transfer_syntax_uid,
            *uids,
            json.replace(b"\0", sop_instance_uid.encode("ascii")),
            attributes,
            tuple([_bulk_value(*part) for part in bulk]),
            pixels,
            length,
            inflated_length,
        )

    def _convert(self, walk: Walk, scope: Scope, series: Series) -> Reading:
        uids = required_uids(walk.view, scope.records)
        fragments = list[Fragment]()
        wanted = fragments if series.is_learning else None
        converted = Conversion(walk, self._memo).convert(scope, wanted)
        self._layouts.learn(series, walk, scope, fragments, converted, uids)
        pixels = pixel_data(walk.view, scope.records, converted.named, self._let_go)
        return uids, converted.json, converted.named, converted.bulk, pixels


_bulk_value = lru_cache(1024)(BulkValue)  # a series' slices have their pixels at one place


def _as_view(dataset: bytes | bytearray | memoryview | mmap.mmap) -> View:
    if isinstance(dataset, (bytes, mmap.mmap)):
        return dataset
    return memoryview(dataset).cast("B")
