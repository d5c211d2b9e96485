"""Native pixels as HTJ2K, where nothing is lost by it: looked at bit by bit before it is kept.

Not for what has lost already, which must be seen to be as it came, nor for what is signed:
a MAC is over bytes encoded in a transfer syntax of its own (PS3.3 C.12.1.1.3). The elements
beside the pixels must read as before, and every frame decoded must be what it was: else the
instance stays as it is.
"""

import mmap
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson
from blake3 import blake3

from pacs_cloud.custody.repack.plan import Source
from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.coding.frame_encoding import can_encode
from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import NativeFrames, PixelData
from pacs_cloud.dicom.header import BulkValue, Header, HeaderReader
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.pixel_format import PixelFormat, pixel_format_of
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicom.uid import EXPLICIT_LE, HTJ2K_LOSSLESS_RPCL, IMPLICIT_LE
from pacs_cloud.errors import InvalidInstance
from pacs_cloud.pack.index import decode_headers, split_index
from pacs_cloud.pack.instance import PackInstance
from pacs_cloud.pack.writer import write_all
from pacs_cloud.pack.zipformat import Member

TARGET: Final = HTJ2K_LOSSLESS_RPCL
_SOURCES: Final = frozenset({IMPLICIT_LE, EXPLICIT_LE})
_PHOTOMETRIC: Final = "00280004"
_BECOMES: Final = {"RGB": "YBR_RCT"}
"""What colour is called once it is encoded; decoded it is what it was."""
_PREAMBLE_BYTES: Final = 128
_LOSSY: Final = "00282110"
_SIGNED_OR_LOSSY: Final = frozenset(
    {
        "FFFAFFFA",  # DigitalSignaturesSequence
        "4FFE0001",  # MACParametersSequence
        "00282112",  # LossyImageCompressionRatio
        "00282114",  # LossyImageCompressionMethod
    }
)
_MEMO_BYTES: Final = 4 << 20


def may_recode(source: Source, wanted: Iterable[PackInstance]) -> bool:
    """Return whether one of `wanted` may be recoded, by what is known without its pixels."""
    likely = [one for one in wanted if is_native(one)]
    if not likely:
        return False
    lines = decode_headers(split_index(source.pack.index)[1])
    return any(_format_of(one, header_of(lines, one)) is not None for one in likely)


def header_of(lines: bytes, instance: PackInstance) -> bytes:
    """Return the DICOM JSON of an instance among its pack's header lines."""
    return lines[instance.header_offset : instance.header_offset + instance.header_length]


@dataclass(frozen=True, slots=True)
class RecodedFile:
    """An instance that was encoded anew.

    Attributes:
        file: its Part 10 file.
        dataset_offset: of its data set in that.
        header: what its data set says.
        digest: BLAKE3 of its data set, hex.
    """

    file: memoryview
    dataset_offset: int
    header: Header
    digest: str


class Recoder:
    """Encodes instances anew, one after another; one thread at a time may use it."""

    def __init__(self, folder: Path, *, least_saved_part: float = 0.0) -> None:
        """Write to unnamed files in `folder`; so much of an instance must at least be saved."""
        self._folder = folder
        self._most_left = 1 - least_saved_part
        self._reader = HeaderReader(memo_bytes=_MEMO_BYTES)

    def recode(
        self, fd: int, member: Member, instance: PackInstance, header: bytes
    ) -> RecodedFile | None:
        """Return an instance in `TARGET`; None where it has to stay as it is, or gains nothing.

        Args:
            fd: of the file that it lies in.
            member: where in that.
            instance: what its pack's table says of it.
            header: its DICOM JSON.

        Raises:
            OSError: from the files.
        """
        described = _format_of(instance, header) if is_native(instance) else None
        if described is None:
            return None
        original = _mapped(fd, member.end)[member.offset : member.end]
        if any(original[:_PREAMBLE_BYTES]):  # it is some other program's file as well
            return None
        try:
            return self._recoded(original, instance, header, described)
        except InvalidInstance:
            return None

    def _recoded(
        self, original: memoryview, instance: PackInstance, header: bytes, described: PixelFormat
    ) -> RecodedFile | None:
        dataset = original[instance.dataset_offset :]
        meta = encode_file_meta(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=TARGET,
        )
        syntax = instance.transfer_syntax_uid
        limit_bytes = int(len(original) * self._most_left)
        with tempfile.TemporaryFile(dir=self._folder) as scratch:
            parts = chain((meta,), transcoded_parts(dataset, syntax, TARGET))
            length_bytes = _write(scratch.fileno(), parts, limit_bytes=limit_bytes)
            if length_bytes is None:
                return None
            file = _mapped(scratch.fileno(), length_bytes)
        new = file[len(meta) :]
        read = self._reader.read(new, TARGET)
        before: Elements = orjson.loads(header)
        after: Elements = orjson.loads(read.json)
        pixels = instance.pixels
        assert pixels is not None, "what is native has some"
        if (
            _comparable(before, described) != _comparable(after, None)
            or _others(dataset, instance.bulk) != _others(new, read.bulk)
            or not _has_equal_frames(dataset, pixels, new, read.pixels, pixel_format_of(after))
        ):
            return None
        return RecodedFile(file, len(meta), read, blake3(new).hexdigest())


def _write(fd: int, parts: Iterable[bytes], *, limit_bytes: int) -> int | None:
    """Write `parts` end to end; return how long they are, None from `limit_bytes` on."""
    at = 0
    for part in parts:
        if part:
            write_all(fd, [part], at)
        at += len(part)
        if at >= limit_bytes:
            return None
    return at


def is_native(instance: PackInstance) -> bool:
    """Return whether an instance has whole native frames, and nothing behind them."""
    pixels = instance.pixels
    if (
        instance.transfer_syntax_uid not in _SOURCES
        or pixels is None
        or pixels.tag != PIXEL_DATA
        or not isinstance(pixels.frames, NativeFrames)
        or not pixels.frames.is_byte_aligned
        or len(pixels.frames) != pixels.frame_count
    ):
        return False
    length = pixels.frames.stride_bits // 8 * pixels.frame_count
    return length > 0 and pixels.length == length + length % 2


def _format_of(instance: PackInstance, header: bytes) -> PixelFormat | None:
    """Return the format of an instance's pixels; None where it is not to be touched."""
    elements: Elements = orjson.loads(header)
    if _is_signed_or_lossy(elements):
        return None
    try:
        described = pixel_format_of(elements)
    except InvalidInstance:
        return None
    pixels = instance.pixels
    assert pixels is not None
    assert isinstance(pixels.frames, NativeFrames)
    # By plane, or subsampled, it would come back otherwise than it was.
    is_plain = described.samples_per_pixel == 1 or (
        described.planar_configuration == 0 and not described.is_subsampled
    )
    is_whole = described.frame_bits == pixels.frames.stride_bits
    return described if is_plain and is_whole and can_encode(TARGET, described) else None


def _is_signed_or_lossy(elements: Mapping[str, Any]) -> bool:
    for tag, element in elements.items():
        values = element.get("Value", ())
        if tag in _SIGNED_OR_LOSSY or (tag == _LOSSY and "00" not in values):
            return True
        if element.get("vr") == "SQ" and any(_is_signed_or_lossy(item or {}) for item in values):
            return True
    return False


def _comparable(elements: Mapping[str, Any], described: PixelFormat | None) -> dict[str, Any]:
    """Return what must not change: all but the pixels, and what is worked out from lengths.

    Args:
        elements: of a data set, or an item.
        described: of pixels that are not encoded yet: their colour's name will change.
    """
    kept: dict[str, Any] = {}
    for tag, element in elements.items():
        # Group lengths (gggg,0000) are left out by whoever writes anew (PS3.5 7.2).
        if tag == PIXEL_DATA or tag.endswith("0000"):
            continue
        if element.get("vr") == "SQ":
            items = [_comparable(item or {}, None) for item in element.get("Value", ())]
            kept[tag] = {**element, "Value": items}
        else:
            kept[tag] = element
    if described is not None:
        was = described.photometric_interpretation
        kept[_PHOTOMETRIC] = {"vr": "CS", "Value": [_BECOMES.get(was, was)]}
    return kept


def _others(dataset: memoryview, bulk: Sequence[BulkValue]) -> dict[str, tuple[str, str]]:
    """Return, by path, the VR and the digest of every large value but the pixels."""
    return {
        value.path: (
            value.vr,
            blake3(dataset[value.offset : value.offset + value.length]).hexdigest(),
        )
        for value in bulk
        if value.path != PIXEL_DATA
    }


def _has_equal_frames(
    dataset: memoryview,
    pixels: PixelData,
    new: memoryview,
    made: PixelData | None,
    described: PixelFormat,
) -> bool:
    """Return whether every frame, decoded, is bit for bit what it was.

    Args:
        dataset: the original.
        pixels: where its frames are.
        new: the data set that was encoded anew.
        made: where its frames are.
        described: what that says of them.
    """
    frames, encoded = pixels.frames, made.frames if made else None
    if frames is None or encoded is None or len(frames) != len(encoded):
        return False
    stop = pixels.offset
    for n in range(len(frames)):
        ((start, stop),) = frames.ranges(n)
        codestream = b"".join(new[at:end] for at, end in encoded.ranges(n))
        decoded, _ = decode_frame(codestream, TARGET, described)
        if decoded != bytes(dataset[start:stop]):
            return False
    # The pad behind an odd number of bytes is made anew as zero.
    return not any(dataset[stop : pixels.offset + pixels.length])


def _mapped(fd: int, length_bytes: int) -> memoryview:
    """Return the beginning of a file, mapped for as long as somebody refers to it."""
    return memoryview(mmap.mmap(fd, length_bytes, access=mmap.ACCESS_READ))
