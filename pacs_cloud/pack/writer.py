"""Writing a pack: members one after another into a file, then its index and directory."""

import os
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from isal.isal_zlib import crc32

from pacs_cloud.pack.provenance import Provenance, encode_provenance
from pacs_cloud.pack.zipdirectory import central_directory
from pacs_cloud.pack.zipformat import INDEX_NAME, Member, local_header

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Contiguous bytes."""

STREAMED_HEADER_BYTES = 4096
"""What a streamed member reserves for its local header: one page, so that its content is aligned.

The longest header has 30 + 68 + 20 + 4 bytes and a provenance of 2 KiB.
"""

_CRC_PIECE_BYTES = 1 << 30  # a checksum call takes no more than 32 bits of length


def member_name(sop_instance_uid: str) -> str:
    """Return the name of an instance's member."""
    return f"{sop_instance_uid}.dcm"


class PackWriter:
    """Appends to one pack's file; bytes already there before `length_bytes` stay as they are.

    It writes by position and never syncs: durability is its caller's. One thread at
    a time may use it. A failed write leaves the pack as it was before.
    """

    def __init__(self, fd: int, *, members: Iterable[Member] = (), length_bytes: int = 0) -> None:
        """Write to `fd`, after the `members` that its first `length_bytes` hold."""
        self._fd = fd
        self._members = list(members)
        self._length_bytes = length_bytes

    @property
    def length_bytes(self) -> int:
        """How long the pack is so far."""
        return self._length_bytes

    @property
    def members(self) -> Sequence[Member]:
        """What it holds so far."""
        return self._members

    def append(
        self, sop_instance_uid: str, content: Sequence[Buffer], provenance: Provenance
    ) -> Member:
        """Append an instance, `content` end to end, in one write.

        Raises:
            OSError: from the write; nothing was appended.
        """
        crc, length = 0, 0
        for part in content:
            crc = checksum(part, crc)
            length += len(part)
        name = member_name(sop_instance_uid)
        header = local_header(name, length, crc, encode_provenance(provenance))
        start = self._length_bytes
        self._write([header, *content], start)
        member = Member(name, start, start + len(header), length, crc)
        self._members.append(member)
        self._length_bytes = member.end
        return member

    def stream(self) -> "StreamedMember":
        """Return a member whose name, length and checksum are told at its end.

        Nothing else may be appended until it is closed.
        """
        return StreamedMember(self, self._fd, self._length_bytes)

    def close_streamed(self, member: Member) -> None:
        """Take a streamed member, now complete, into the directory."""
        self._members.append(member)
        self._length_bytes = member.end

    def finish(self, index: bytes) -> int:
        """Append `index` as the last member, and the directory; return the pack's length.

        Raises:
            OSError: from the write; the pack is as before.
        """
        start, crc = self._length_bytes, checksum(index)
        header = local_header(INDEX_NAME, len(index), crc)
        member = Member(INDEX_NAME, start, start + len(header), len(index), crc)
        directory = central_directory([*self._members, member], member.end)
        self._write([header, index, directory], start)
        self._members.append(member)
        self._length_bytes = member.end + len(directory)
        return self._length_bytes

    def _write(self, buffers: Sequence[Buffer], start: int) -> None:
        try:
            write_all(self._fd, buffers, start)
        except OSError:
            os.ftruncate(self._fd, start)
            raise


class StreamedMember:
    """One member in the making, longer than a buffer.

    Its local header stays zeros until `close`, so that a recovery never takes an
    unfinished one for an instance.
    """

    def __init__(self, pack: PackWriter, fd: int, header_offset: int) -> None:
        """Begin at `header_offset` of `fd`."""
        self._pack = pack
        self._fd = fd
        self._header_offset = header_offset
        self._crc = 0
        self.offset = header_offset + STREAMED_HEADER_BYTES
        self.length_bytes = 0

    def write(self, data: Buffer) -> None:
        """Append to the content.

        Raises:
            OSError: from the write; the member can only be abandoned then.
        """
        write_all(self._fd, [data], self.offset + self.length_bytes)
        self._crc = checksum(data, self._crc)
        self.length_bytes += len(data)

    def close(self, sop_instance_uid: str, provenance: Provenance) -> Member:
        """Write the local header; the pack holds the instance then.

        Raises:
            OSError: from the write.
        """
        name = member_name(sop_instance_uid)
        header = local_header(
            name,
            self.length_bytes,
            self._crc,
            encode_provenance(provenance),
            total_bytes=STREAMED_HEADER_BYTES,
        )
        write_all(self._fd, [header], self._header_offset)
        member = Member(name, self._header_offset, self.offset, self.length_bytes, self._crc)
        self._pack.close_streamed(member)
        return member


def write_all(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    """Write `buffers` end to end at `offset`: one system call unless the system writes less.

    Raises:
        OSError: from the write, some bytes may have been written.
    """
    rest = list(buffers)
    while (written := os.pwritev(fd, rest, offset)) < sum(map(len, rest)):
        offset += written
        while written >= len(rest[0]):
            written -= len(rest.pop(0))
        rest[0] = memoryview(rest[0])[written:]


def checksum(data: Buffer, value: int = 0) -> int:
    """Return the CRC-32 of `data` after what `value` covers."""
    if len(data) <= _CRC_PIECE_BYTES:
        return crc32(data, value)
    view = memoryview(data)
    for start in range(0, len(view), _CRC_PIECE_BYTES):
        value = crc32(view[start : start + _CRC_PIECE_BYTES], value)
    return value
