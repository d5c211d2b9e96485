"""Instances as one ZIP file, straight from the packs: nothing is recompressed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pacs_cloud.pack.zipdirectory import central_directory
from pacs_cloud.pack.zipformat import Member, local_header
from pacs_cloud.retrieve.pieces import Piece


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of a bundle.

    Attributes:
        name: its path in the ZIP, ASCII, "/" between folders.
        content: where its bytes are; its length is known.
        length_bytes: how many.
        crc32: of them.
    """

    name: str
    content: Piece
    length_bytes: int
    crc32: int


class Bundle:
    """A ZIP file of stored members (PKWARE APPNOTE.TXT 6.3.9).

    Its every byte is settled before the first is read, so that its length is known, equal
    files give equal bytes, and any range can be sent again. ZIP64 stands where it must.
    """

    def __init__(self, files: Sequence[BundleFile]) -> None:
        """Lay out `files` in their order."""
        self._files = files
        self._members: list[Member] = []
        at = 0
        for file in files:
            header = local_header(file.name, file.length_bytes, file.crc32)
            member = Member(file.name, at, at + len(header), file.length_bytes, file.crc32)
            self._members.append(member)
            at = member.end
        self._directory = central_directory(self._members, at)
        self.length_bytes = at + len(self._directory)

    def pieces(self) -> Iterator[Piece]:
        """Yield the ZIP file."""
        for file in self._files:
            yield local_header(file.name, file.length_bytes, file.crc32)
            yield file.content
        yield self._directory
