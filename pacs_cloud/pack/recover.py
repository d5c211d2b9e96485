"""What is whole in a pack's file after a crash."""

import re
from dataclasses import dataclass

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.provenance import Provenance, decode_provenance
from pacs_cloud.pack.reader import ReadAt, read_directory, read_from_end, read_index
from pacs_cloud.pack.writer import checksum
from pacs_cloud.pack.zipformat import (
    LOCAL_BYTES,
    LocalHeader,
    Member,
    is_cut_header,
    parse_local_header,
)

_INSTANCE_NAME = re.compile(r"[0-9.]{1,64}\.dcm")
_PIECE_BYTES = 4 << 20
_LONGEST_HEADER_BYTES = LOCAL_BYTES + 2 * 0xFFFF


@dataclass(frozen=True, slots=True)
class RecoveredMember:
    """A complete member.

    Attributes:
        member: where it is.
        sop_instance_uid: from its name.
        provenance: where it came from.
    """

    member: Member
    sop_instance_uid: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a pack's file holds.

    Attributes:
        members: the complete instances, in the file's order.
        good_bytes: where the last of them ends: a torn file is to be cut there.
        is_cut: whether the file ends within a member: an append was under way.
        damaged: members whose sizes are there and whose bytes are not what was
            written: of an append that never was synced, or of a failing disk.
        index: the bytes of `index.zst` of a finished pack, of which every instance that
            it lists is complete; else None.
    """

    members: tuple[RecoveredMember, ...]
    good_bytes: int
    is_cut: bool
    damaged: tuple[Member, ...]
    index: bytes | None

    @property
    def finished(self) -> bool:
        """Whether the pack is complete as it is."""
        return self.index is not None


def recover(read_at: ReadAt, length_bytes: int) -> Recovered:
    """Return every complete member of a pack's file, whatever its end looks like.

    A member counts when its local header is whole and its bytes have the CRC-32 that
    the header says. The walk ends at the first header that is not whole: nothing
    behind it was ever synced, because syncs cover all that was appended before.

    Args:
        read_at: reads the file.
        length_bytes: of the file.
    """
    members: list[RecoveredMember] = []
    damaged: list[Member] = []
    at = 0
    is_cut = False
    while (header := _header_at(read_at, at)) is not None:
        member = Member(
            header.name, at, at + header.header_bytes, header.length_bytes, header.crc32
        )
        if not _INSTANCE_NAME.fullmatch(header.name):
            break
        if member.end > length_bytes:
            is_cut = True
            break
        provenance = _provenance(header)
        if provenance is not None and _crc_at(read_at, member) == member.crc32:
            members.append(RecoveredMember(member, header.name.removesuffix(".dcm"), provenance))
        else:
            damaged.append(member)
        at = member.end
    else:
        is_cut = at < length_bytes and is_cut_header(read_at(at, _LONGEST_HEADER_BYTES))
    good_bytes = members[-1].member.end if members else 0
    index = _finished_index(read_at, length_bytes, members)
    return Recovered(tuple(members), good_bytes, is_cut, tuple(damaged), index)


def _header_at(read_at: ReadAt, at: int) -> LocalHeader | None:
    # Most headers fit the first read; a streamed member's does not.
    first = read_at(at, 1024)
    return parse_local_header(first) or (
        parse_local_header(read_at(at, _LONGEST_HEADER_BYTES)) if len(first) == 1024 else None
    )


def _provenance(header: LocalHeader) -> Provenance | None:
    try:
        return decode_provenance(header.provenance or b"")
    except Corrupt:
        return None


def _crc_at(read_at: ReadAt, member: Member) -> int:
    crc = 0
    for start in range(member.offset, member.end, _PIECE_BYTES):
        crc = checksum(read_at(start, min(_PIECE_BYTES, member.end - start)), crc)
    return crc


def _finished_index(
    read_at: ReadAt, length_bytes: int, members: list[RecoveredMember]
) -> bytes | None:
    """Return the index when the directory lists nothing else than `members` and it.

    What it does not list was left out when an earlier recovery sealed the pack.
    """
    try:
        directory = read_from_end(read_directory, read_at, length_bytes)
        index = read_from_end(read_index, read_at, length_bytes)
    except Corrupt:
        return None
    listed = {(entry.name, entry.header_offset, entry.crc32) for entry in directory[:-1]}
    found = {(m.member.name, m.member.header_offset, m.member.crc32) for m in members}
    return index if listed <= found else None
