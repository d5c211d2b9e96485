"""Instances in another transfer syntax than they are stored in (PS3.5 Annex A).

The SOP Instance UID stays. A lossless change of syntax makes no new instance
(PS3.4 B.4.1.3, PS3.5 8.2); what Lossy Image Compression says of earlier losses
remains true and stays. Whoever makes and keeps a lossy version has to give it a
new UID and call it DERIVED (PS3.3 C.7.6.1.1.5). Nothing is kept here: PS3.18 8.7.3
names JPEG Baseline among the transfer syntaxes that an instance is retrieved in,
under the UID it was asked for by. That it has lost is said in it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import orjson

from pacs_cloud.dicom.coding.enclosure import NATIVE_TARGETS, emptied
from pacs_cloud.dicom.coding.frame_decoding import LOSSY_JPEG, can_decode
from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, can_encode
from pacs_cloud.dicom.coding.recoding import (
    Recoding,
    StoredFrame,
    begun,
    check_sampling,
    recodable,
    recoded,
)
from pacs_cloud.dicom.dataset_json import Conversion
from pacs_cloud.dicom.deflate import DEFAULT_LIMIT_BYTES, inflate
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import NativeFrames, extract_bits
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.pixel_format import PixelFormat, pixel_format_of
from pacs_cloud.dicom.pixels import pixel_data, pixel_tag
from pacs_cloud.dicom.records import Fragments, Record, View
from pacs_cloud.dicom.rewrite import Rewriter
from pacs_cloud.dicom.uid import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    is_deflated,
    is_encapsulated,
)
from pacs_cloud.dicom.walk import Scope, Walk, find
from pacs_cloud.errors import InvalidRequest

TARGETS: Final = (EXPLICIT_LE, IMPLICIT_LE, *ENCODABLE)
"""The transfer syntaxes that instances can be had in, where their pixels allow it."""
_BECOME_RGB: Final = frozenset({"YBR_ICT", "YBR_RCT"})
_MAX_MODULE_VALUE_BYTES: Final = 1024


def can_transcode(source: str, target: str, pixel_format: PixelFormat) -> bool:
    """Tell whether an image in `source` can be had in `target`.

    Args:
        source: transfer syntax it is stored in.
        target: one of `TARGETS`; where it is `source`, nothing has to be done.
        pixel_format: what its data set says of its pixels.
    """
    if target == source:
        return True
    is_decodable = can_decode(
        source, bits_allocated=pixel_format.bits_allocated, bits_stored=pixel_format.bits_stored
    )
    if not is_decodable or target in NATIVE_TARGETS:
        return is_decodable and target in TARGETS
    native = pixel_format
    if is_encapsulated(source):
        photometric = pixel_format.photometric_interpretation
        if photometric in _BECOME_RGB or (source in LOSSY_JPEG and photometric.startswith("YBR")):
            native = replace(pixel_format, photometric_interpretation="RGB")
    return can_encode(target, native)


def transcoded_parts(
    dataset: View | bytearray, transfer_syntax_uid: str, target: str
) -> Iterator[bytes]:
    """Yield the data set in `target` in pieces, one frame or a few megabytes at a time.

    The first frame is decoded and encoded before anything is yielded; of later
    ones a broken codestream raises in the midst.

    Args:
        dataset: the whole data set without file meta information.
        transfer_syntax_uid: how it is encoded, natively or not.
        target: one of `TARGETS`, or `transfer_syntax_uid` itself, which changes nothing.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX without a decoder or where `target`
            cannot hold such pixels, UNREADABLE for a broken data set or codestream,
            TOO_LARGE for 4 GiB of native pixels or more.
        InvalidRequest: another target.
    """
    if target == transfer_syntax_uid:
        return iter((bytes(dataset),))
    if target not in TARGETS:
        raise InvalidRequest(f"{target} is not a transfer syntax this system transcodes to.")
    view = dataset if isinstance(dataset, bytes) else memoryview(dataset).cast("B")
    if is_deflated(transfer_syntax_uid):
        view, transfer_syntax_uid = inflate(view, DEFAULT_LIMIT_BYTES), EXPLICIT_LE
    walk = Walk(view, transfer_syntax_uid)
    scope = walk.top()
    tag = pixel_tag({record[0] for record in scope.records})
    found = None if tag is None else find(scope.records, tag)
    is_fragmented = found is not None and isinstance(found[6], Fragments)
    if found is None or not (is_fragmented or is_encapsulated(target)):
        return Rewriter(walk, implicit=target == IMPLICIT_LE).parts(scope, {})
    if transfer_syntax_uid == EXPLICIT_BE and not is_fragmented:
        # Words may lie across frames: all are swapped before frames are looked at.
        swapped = b"".join(Rewriter(walk, implicit=False).parts(scope, {}))
        return transcoded_parts(swapped, EXPLICIT_LE, target)
    return _recoded_parts(walk, scope, found, transfer_syntax_uid, target)


def _recoded_parts(
    walk: Walk, scope: Scope, found: Record, source: str, target: str
) -> Iterator[bytes]:
    """Return the pieces around and of the pixel data `found`, whose frames are made anew."""
    view, module = walk.view, _image_pixel_module(walk, scope)
    pixels = pixel_data(view, scope.records, module)
    assert pixels is not None
    table = recodable(pixels, source, target)
    described = pixel_format_of(module)
    check_sampling(pixels, described)

    def stored(n: int) -> StoredFrame:
        data = b"".join(bytes(view[start:stop]) for start, stop in table.ranges(n))
        if not isinstance(table, NativeFrames):
            return StoredFrame(data, source, described)
        if not table.is_byte_aligned:
            data = extract_bits(data, *table.bits(n))
        return StoredFrame(data, EXPLICIT_LE, described)

    tag, _, _, _, value, stop, _ = found
    empty = emptied(bytes(view[:value]), bytes(view[stop:]), encapsulated=pixels.encapsulated)
    start = begun(empty, source, target, tag, stored(0), len(table))
    return _joined(Recoding(start, target, len(table)), stored, len(table), target)


def _joined(
    recoding: Recoding, stored: Callable[[int], StoredFrame], count: int, target: str
) -> Iterator[bytes]:
    yield from recoding.beginning()
    for n in range(1, count):
        yield recoding.add(*recoded(stored(n), target))
    if end := recoding.end():
        yield end


def _image_pixel_module(walk: Walk, scope: Scope) -> Elements:
    small = [
        record
        for record in scope.records
        if record[0] >> 16 == 0x0028 and record[5] - record[3] <= _MAX_MODULE_VALUE_BYTES
    ]
    converted = Conversion(walk, Memo(0)).convert(replace(scope, records=small))
    return orjson.loads(converted.json.replace(b"\0", b""))
