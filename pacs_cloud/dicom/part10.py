"""DICOM Part 10 files: the file meta information before a data set (PS3.10 7.1)."""

import mmap
from dataclasses import dataclass
from functools import lru_cache
from struct import error, pack, unpack_from
from typing import Final, TypeAlias

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidInstance, Refusal

IMPLEMENTATION_CLASS_UID: Final = "2.25.237198403128466217320895432607591842063"
IMPLEMENTATION_VERSION_NAME: Final = "PACS_CLOUD"

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap

_PREAMBLE_BYTES: Final = 128
_PREFIX: Final = b"DICM"
_START: Final = bytes(_PREAMBLE_BYTES) + _PREFIX
_MAX_META_BYTES: Final = 1_048_576
_SHORT: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
_LONG: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
_SOP_CLASS: Final = 0x0002
_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the file meta information says.

    Attributes:
        sop_class_uid: Media Storage SOP Class UID; "" where it is absent or malformed,
            for the data set decides.
        sop_instance_uid: Media Storage SOP Instance UID, likewise.
        transfer_syntax_uid: of the data set.
        dataset_offset: byte at which the data set begins.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int


def read_file_meta(buffer: Buffer) -> FileMeta:
    """Return the file meta information at the start of `buffer`.

    The group length (0002,0000) is not believed: the group ends where another
    group begins.

    Args:
        buffer: a Part 10 file, or its beginning as far as the data set's.

    Raises:
        InvalidInstance: UNREADABLE without preamble and prefix, or when the group
            is broken; UNSUPPORTED_SYNTAX without a transfer syntax.
        InvalidUid: the transfer syntax is no UID.
    """
    if len(buffer) < _PREAMBLE_BYTES + 4 or bytes(buffer[128:132]) != _PREFIX:
        raise InvalidInstance(
            "This is no DICOM Part 10 file: 'DICM' does not stand at byte 128.",
            Refusal.UNREADABLE,
        )
    values, offset = _group_2(buffer)
    sop_class_uid = _uid_or_nothing(values.get(_SOP_CLASS, b""))
    sop_instance_uid = _uid_or_nothing(values.get(_SOP_INSTANCE, b""))
    syntax = values.get(_TRANSFER_SYNTAX, b"").rstrip(b"\0 ")
    if not syntax:
        raise InvalidInstance(
            "The file meta information names no transfer syntax (0002,0010).",
            Refusal.UNSUPPORTED_SYNTAX,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
        )
    return FileMeta(sop_class_uid, sop_instance_uid, parse_uid(syntax), offset)


def encode_file_meta(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
) -> bytes:
    """Return preamble, prefix and file meta information for a data set.

    The same arguments give the same bytes: there is no time and no peer in them.

    Args:
        sop_class_uid: of the instance.
        sop_instance_uid: of the instance.
        transfer_syntax_uid: of the data set that will follow.
    """
    uid = sop_instance_uid.encode("ascii")
    before, after = _around_instance_uid(sop_class_uid, len(uid), transfer_syntax_uid)
    return before + uid + after


@lru_cache(1024)
def _around_instance_uid(
    sop_class_uid: str, uid_length: int, transfer_syntax_uid: str
) -> tuple[bytes, bytes]:
    """Return what stands before and after a SOP Instance UID of so many characters."""
    before = (
        pack("<HH2sHL2s", 2, 1, b"OB", 0, 2, b"\x00\x01"),
        _ui(_SOP_CLASS, sop_class_uid),
        pack("<HH2sH", 2, _SOP_INSTANCE, b"UI", uid_length + uid_length % 2),
    )
    after = (
        bytes(uid_length % 2),
        _ui(_TRANSFER_SYNTAX, transfer_syntax_uid),
        _ui(0x0012, IMPLEMENTATION_CLASS_UID),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" "),
    )
    length_bytes = sum(map(len, before)) + uid_length + sum(map(len, after))
    length = pack("<HH2sHL", 2, 0, b"UL", 4, length_bytes)
    return b"".join((_START, length, *before)), b"".join(after)


def _ui(element: int, uid: str) -> bytes:
    return _element(element, b"UI", uid.encode("ascii"), b"\0")


def _element(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    value += pad * (len(value) % 2)
    return pack("<HH2sH", 2, element, vr, len(value)) + value


def _uid_or_nothing(raw: bytes) -> str:
    try:
        return parse_uid(raw)
    except InvalidInstance:
        return ""


def _group_2(buffer: Buffer) -> tuple[dict[int, bytes], int]:
    """Return the values of group 2 by element number, and where the group ends."""
    values: dict[int, bytes] = {}
    pos = _PREAMBLE_BYTES + 4
    try:
        while pos + 8 <= len(buffer):
            group, element, vr, length = unpack_from("<HH2sH", buffer, pos)
            if group != 2:
                break
            value = pos + 8
            if vr in _LONG:
                (length,) = unpack_from("<L", buffer, value)
                value += 4
            elif vr not in _SHORT:  # a few old writers encode group 2 in implicit VR
                (length,) = unpack_from("<L", buffer, pos + 4)
            pos = value + length
            if pos > len(buffer) or pos > _MAX_META_BYTES:
                raise InvalidInstance(
                    f"The file meta information is cut short in (0002,{element:04X}).",
                    Refusal.UNREADABLE,
                )
            values[element] = bytes(buffer[value:pos])
    except error as problem:
        raise InvalidInstance(
            "The file meta information is cut short.", Refusal.UNREADABLE
        ) from problem
    return values, pos
