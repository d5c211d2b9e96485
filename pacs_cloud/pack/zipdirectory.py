"""A pack's central directory and end records (PKWARE APPNOTE.TXT 6.3.9, 4.3.12 to 4.3.16)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.zipformat import (
    DOS_DATE,
    DOS_TIME,
    LIMIT32,
    LOCAL_BYTES,
    STORED,
    VERSION,
    VERSION64,
    ZIP64_ID,
    Member,
    extra_fields,
)

END_BYTES = 22
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_CENTRAL_BYTES = 46
_END_SIGNATURE = b"PK\x05\x06"
_END64_SIGNATURE = b"PK\x06\x06"
_END64_BYTES = 56
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_LOCATOR_BYTES = 20

# signature, made by, needed, flags, method, time, date, crc, packed, unpacked,
# name, extra, comment, disk, internal, external, offset
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
# signature, disk, directory's disk, entries here, entries, length, offset, comment
_END = struct.Struct("<4sHHHHIIH")
# signature, size of the rest, made by, needed, disk, directory's disk, entries here,
# entries, length, offset
_END64 = struct.Struct("<4sQHHIIQQQQ")
# signature, disk, offset of the ZIP64 end record, disks
_LOCATOR = struct.Struct("<4sIQI")

_MADE_BY = (3 << 8) | VERSION64  # Unix, so that the mode below counts
_MODE = 0o100644 << 16  # a regular file, rw-r--r--
_LIMIT16 = 0xFFFF


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory is: what the end records say."""

    entries: int
    offset: int
    length_bytes: int


def central_directory(members: Sequence[Member], offset: int) -> bytes:
    """Return the directory of `members` and the end records, to be written at `offset`."""
    entries = b"".join(_central_header(member) for member in members)
    return entries + _end_records(len(members), offset, len(entries))


def _central_header(member: Member) -> bytes:
    """Return one entry (APPNOTE 4.3.12)."""
    size32, offset32, wide = member.length_bytes, member.header_offset, b""
    if size32 >= LIMIT32:
        size32, wide = LIMIT32, struct.pack("<QQ", member.length_bytes, member.length_bytes)
    if offset32 >= LIMIT32:
        offset32, wide = LIMIT32, wide + struct.pack("<Q", member.header_offset)
    extra = struct.pack("<HH", ZIP64_ID, len(wide)) + wide if wide else b""
    fixed = _CENTRAL.pack(
        _CENTRAL_SIGNATURE,
        _MADE_BY,
        VERSION64 if wide else VERSION,
        0,
        STORED,
        DOS_TIME,
        DOS_DATE,
        member.crc32,
        size32,
        size32,
        len(member.name),
        len(extra),
        0,
        0,
        0,
        _MODE,
        offset32,
    )
    return fixed + member.name.encode("ascii") + extra


def _end_records(entries: int, offset: int, length_bytes: int) -> bytes:
    """Return the end record, after its ZIP64 forms where needed (APPNOTE 4.3.14 to 4.3.16)."""
    end = _END.pack(
        _END_SIGNATURE,
        0,
        0,
        min(entries, _LIMIT16),
        min(entries, _LIMIT16),
        min(length_bytes, LIMIT32),
        min(offset, LIMIT32),
        0,
    )
    if entries < _LIMIT16 and length_bytes < LIMIT32 and offset < LIMIT32:
        return end
    end64 = _END64.pack(
        _END64_SIGNATURE,
        _END64_BYTES - 12,
        _MADE_BY,
        VERSION64,
        0,
        0,
        entries,
        entries,
        length_bytes,
        offset,
    )
    locator = _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, offset + length_bytes, 1)
    return end64 + locator + end


def parse_end(tail: bytes, total_bytes: int) -> Directory | int:
    """Return where the directory is, or how many of the last bytes are needed to tell.

    Args:
        tail: the pack's last bytes, as many as there are at hand.
        total_bytes: the pack's size.

    Raises:
        Corrupt: this is not the end of a pack.
    """
    if total_bytes < END_BYTES:
        raise Corrupt(f"a pack of {total_bytes} bytes")
    if len(tail) < END_BYTES:
        return END_BYTES
    signature, disk, other, here, entries, length, offset, comment = _END.unpack_from(
        tail, len(tail) - END_BYTES
    )
    if signature != _END_SIGNATURE or disk or other or here != entries or comment:
        raise Corrupt("no end of central directory at the end of the pack")
    end_at = total_bytes - END_BYTES
    if entries == _LIMIT16 or LIMIT32 in {length, offset}:
        needed = END_BYTES + _LOCATOR_BYTES + _END64_BYTES
        if len(tail) < needed and total_bytes >= needed:
            return needed
        end_at = total_bytes - needed
        entries, length, offset = _parse_end64(tail[-needed:-END_BYTES], end_at)
    if offset + length != end_at:
        raise Corrupt("the central directory is not where the end record says")
    return Directory(entries, offset, length)


def _parse_end64(records: bytes, at: int) -> tuple[int, int, int]:
    """Return entries, length and offset from the ZIP64 end record and its locator."""
    if len(records) != _END64_BYTES + _LOCATOR_BYTES:
        raise Corrupt("no room for the ZIP64 end record")
    signature, size, _, _, disk, other, here, entries, length, offset = _END64.unpack_from(records)
    locator = _LOCATOR.unpack_from(records, _END64_BYTES)
    if (signature, size, disk, other) != (_END64_SIGNATURE, _END64_BYTES - 12, 0, 0):
        raise Corrupt("the ZIP64 end record is malformed")
    if here != entries or locator != (_LOCATOR_SIGNATURE, 0, at, 1):
        raise Corrupt("the ZIP64 locator points elsewhere")
    return entries, length, offset


def parse_central_directory(data: bytes, directory: Directory) -> tuple[Member, ...]:
    """Return the members, each `offset` still that of its local header's end at the earliest.

    A central entry does not say how long the local header is; content begins at the
    local header's own end (`parse_local_header`).

    Raises:
        Corrupt: an entry is malformed, or points into the directory.
    """
    members: list[Member] = []
    at = 0
    for _ in range(directory.entries):
        if at + _CENTRAL_BYTES > len(data):
            raise Corrupt("the central directory is too short")
        fields = _CENTRAL.unpack_from(data, at)
        signature, _, _, flags, method, _, _, crc32, packed, unpacked = fields[:10]
        name_len, extra_len, comment_len, disk, _, _, offset = fields[10:]
        if (signature, flags, method, comment_len, disk) != (_CENTRAL_SIGNATURE, 0, 0, 0, 0):
            raise Corrupt("a central directory entry is malformed")
        name_at = at + _CENTRAL_BYTES
        at = name_at + name_len + extra_len
        if packed != unpacked or at > len(data):
            raise Corrupt("a central directory entry is malformed")
        try:
            name = data[name_at : name_at + name_len].decode("ascii")
        except UnicodeDecodeError as error:
            raise Corrupt("a member's name is not ASCII") from error
        wide = extra_fields(data[name_at + name_len : at]).get(ZIP64_ID, b"")
        if unpacked == LIMIT32:
            unpacked, wide = _wide(wide), wide[16:]
        if offset == LIMIT32:
            offset = _wide(wide)
        earliest = offset + LOCAL_BYTES + name_len
        if earliest + unpacked > directory.offset:
            raise Corrupt("a member reaches into the central directory")
        members.append(Member(name, offset, earliest, unpacked, crc32))
    if at != len(data):
        raise Corrupt("the central directory is too long")
    return tuple(members)


def _wide(field: bytes) -> int:
    if len(field) < 8:
        raise Corrupt("a ZIP64 extra field is too short")
    return int.from_bytes(field[:8], "little")
