"""Reading a pack from its end, as far as one has it.

`read_directory` and `read_index` do no I/O: they are given an object's last bytes, and
say how many more they need. A pack's index and its directory are its last bytes, so one suffix
read of `SUFFIX_BYTES` answers for nearly every pack.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.writer import checksum
from pacs_cloud.pack.zipdirectory import parse_central_directory, parse_end
from pacs_cloud.pack.zipformat import INDEX_NAME, Member, parse_local_header

T = TypeVar("T")

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""Returns the bytes at an offset, of a length; fewer at the file's end."""

SUFFIX_BYTES = 256 * 1024
"""What to ask for first: the index and the directory of a thousand CT slices."""


@dataclass(frozen=True, slots=True)
class NeedSuffix:
    """The suffix was too short: ask again with the last `length_bytes`."""

    length_bytes: int


def read_directory(suffix: bytes, total_bytes: int) -> tuple[Member, ...] | NeedSuffix:
    """Return a pack's members, in its order, `index.zst` last.

    Each `offset` is the earliest possible: a local header's extra fields move it
    (`zipdirectory.parse_central_directory`).

    Args:
        suffix: the pack's last bytes.
        total_bytes: the pack's size.

    Raises:
        Corrupt: this is not a finished pack.
    """
    directory = parse_end(suffix, total_bytes)
    if isinstance(directory, int):
        return NeedSuffix(directory)
    needed = total_bytes - directory.offset
    if needed > len(suffix):
        return NeedSuffix(needed)
    start = len(suffix) - needed
    members = parse_central_directory(suffix[start : start + directory.length_bytes], directory)
    if not members or members[-1].name != INDEX_NAME:
        raise Corrupt("the last member is not the index")
    return members


def read_index(suffix: bytes, total_bytes: int) -> bytes | NeedSuffix:
    """Return the bytes of `index.zst`, their checksum verified.

    Args:
        suffix: the pack's last bytes.
        total_bytes: the pack's size.

    Raises:
        Corrupt: this is not a finished pack, or its index has changed.
    """
    members = read_directory(suffix, total_bytes)
    if isinstance(members, NeedSuffix):
        return members
    entry = members[-1]
    needed = total_bytes - entry.header_offset
    if needed > len(suffix):
        return NeedSuffix(needed)
    start = len(suffix) - needed
    header = parse_local_header(suffix[start : entry.offset - entry.header_offset + start])
    content = suffix[start + header.header_bytes :][: entry.length_bytes] if header else b""
    if (
        header is None
        or (header.name, header.length_bytes) != (INDEX_NAME, entry.length_bytes)
        or checksum(content) != entry.crc32
    ):
        raise Corrupt("the pack's index is not what was written")
    return content


def read_from_end(
    parse: Callable[[bytes, int], T | NeedSuffix], read_at: ReadAt, length_bytes: int
) -> T:
    """Return what `parse`, one of the above, says of a file, read as far as it needs.

    Raises:
        Corrupt: as `parse`, or the file is shorter than `length_bytes`.
    """
    wanted = SUFFIX_BYTES
    while True:
        wanted = min(wanted, length_bytes)
        answer = parse(read_at(length_bytes - wanted, wanted), length_bytes)
        if not isinstance(answer, NeedSuffix):
            return answer
        if answer.length_bytes <= wanted:
            raise Corrupt("the pack's end records contradict each other")
        wanted = answer.length_bytes
