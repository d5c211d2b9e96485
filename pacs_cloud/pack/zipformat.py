"""The few ZIP structures a pack is made of (PKWARE APPNOTE.TXT 6.3.9).

A pack uses one shape only: stored members, sizes and CRC-32 in the local header,
no data descriptors, no comments, one disk. The ZIP64 forms stand where a number
does not fit 32 bits (sizes, offsets) or 16 bits (entries), and in the local header
of a member that was streamed. Times are the format's first moment, 1980-01-01, so
that a pack's bytes depend on nothing but what was appended to it.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from pacs_cloud.errors import Corrupt

INDEX_NAME = "index.zst"
"""The last member: the pack's index (`pack.index`)."""

PROVENANCE_ID = 0x4450
"""The extra field that holds a member's `Provenance`, in local headers only.

"PD" in the file. Outside 0 to 31, which APPNOTE 4.5.2 reserves, and not among the
third-party mappings of 4.6.1.
"""

LOCAL_SIGNATURE = b"PK\x03\x04"
LOCAL_BYTES = 30

# signature, version needed, flags, method, time, date, crc, packed, unpacked, name, extra
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_EXTRA = struct.Struct("<HH")  # a field's ID and length

STORED = 0
DOS_TIME, DOS_DATE = 0, 0x21  # 1980-01-01 00:00:00
VERSION, VERSION64 = 10, 45
ZIP64_ID = 1
LIMIT32 = 0xFFFFFFFF


class Member(NamedTuple):
    """One member of a pack.

    Attributes:
        name: its file name in the ZIP.
        header_offset: of its local header, from the pack's first byte.
        offset: of its content.
        length_bytes: of its content.
        crc32: of its content.
    """

    name: str
    header_offset: int
    offset: int
    length_bytes: int
    crc32: int

    @property
    def end(self) -> int:
        """Where the next local header may stand."""
        return self.offset + self.length_bytes


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """What a local header says.

    Attributes:
        name: the member's name.
        header_bytes: how long the header is: the content follows it.
        length_bytes: of the content.
        crc32: of the content.
        provenance: the private extra field's bytes, None where there is none.
    """

    name: str
    header_bytes: int
    length_bytes: int
    crc32: int
    provenance: bytes | None


def local_header(
    name: str,
    length_bytes: int,
    crc32: int,
    provenance: bytes = b"",
    *,
    total_bytes: int | None = None,
) -> bytes:
    """Return a member's local header (APPNOTE 4.3.7).

    Args:
        name: ASCII.
        length_bytes: of its content.
        crc32: of its content.
        provenance: for the private extra field; left out when empty.
        total_bytes: the space a streamed member reserved: the ZIP64 form is used,
            and blanks after the provenance, which is JSON, fill the space.

    Raises:
        ValueError: the header does not fit `total_bytes`.
    """
    zip64 = total_bytes is not None or length_bytes >= LIMIT32
    extra = b""
    if zip64:  # 4.5.3: a local header's ZIP64 field always has both sizes
        extra = struct.pack("<HHQQ", ZIP64_ID, 16, length_bytes, length_bytes)
    if total_bytes is not None:
        used = LOCAL_BYTES + len(name) + len(extra) + 4
        provenance = provenance.ljust(total_bytes - used)
        if used + len(provenance) != total_bytes:
            raise ValueError(f"a local header of {used + len(provenance)} bytes")
    if provenance:
        extra += _EXTRA.pack(PROVENANCE_ID, len(provenance)) + provenance
    size32 = LIMIT32 if zip64 else length_bytes
    fixed = _LOCAL.pack(
        LOCAL_SIGNATURE,
        VERSION64 if zip64 else VERSION,
        0,
        STORED,
        DOS_TIME,
        DOS_DATE,
        crc32,
        size32,
        size32,
        len(name),
        len(extra),
    )
    return fixed + name.encode("ascii") + extra


def is_cut_header(data: bytes) -> bool:
    """Tell whether `data` is the beginning of a local header and ends within it."""
    if len(data) < LOCAL_BYTES:
        return LOCAL_SIGNATURE.startswith(data[:4])
    name_len, extra_len = _LOCAL.unpack_from(data)[-2:]
    return data.startswith(LOCAL_SIGNATURE) and len(data) < LOCAL_BYTES + name_len + extra_len


def parse_local_header(data: bytes) -> LocalHeader | None:
    """Return the header at the beginning of `data`, None where there is no whole one of ours.

    Args:
        data: from the header's first byte on; 66,000 bytes are always enough.
    """
    if len(data) < LOCAL_BYTES:
        return None
    signature, _, flags, method, time, date, crc32, packed, unpacked, name_len, extra_len = (
        _LOCAL.unpack_from(data)
    )
    end = LOCAL_BYTES + name_len + extra_len
    ours = (signature, flags, method, time, date) == (
        LOCAL_SIGNATURE,
        0,
        STORED,
        DOS_TIME,
        DOS_DATE,
    )
    if not ours or packed != unpacked or len(data) < end:
        return None
    try:
        name = data[LOCAL_BYTES : LOCAL_BYTES + name_len].decode("ascii")
        fields = extra_fields(data[LOCAL_BYTES + name_len : end])
    except (UnicodeDecodeError, Corrupt):
        return None
    length_bytes = unpacked
    if unpacked == LIMIT32:
        sizes = fields.get(ZIP64_ID, b"")
        if len(sizes) != 16 or sizes[:8] != sizes[8:]:
            return None
        length_bytes = int.from_bytes(sizes[:8], "little")
    return LocalHeader(name, end, length_bytes, crc32, fields.get(PROVENANCE_ID))


def extra_fields(data: bytes) -> dict[int, bytes]:
    """Return extra fields by header ID (APPNOTE 4.5.1)."""
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        header = data[at : at + 4]
        size = int.from_bytes(header[2:], "little")
        at += 4 + size
        if len(header) < 4 or at > len(data):
            raise Corrupt("an extra field is cut")
        fields[int.from_bytes(header[:2], "little")] = data[at - size : at]
    return fields
