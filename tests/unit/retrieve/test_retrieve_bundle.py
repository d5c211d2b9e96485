"""The ZIP writer at its limits: members and files over 4 GiB, more members than 16 bits count."""

import io
import zipfile
from bisect import bisect_right
from itertools import accumulate

import pytest

from pacs_cloud.pack.writer import checksum
from pacs_cloud.retrieve.bundle import Bundle, BundleFile
from pacs_cloud.retrieve.pieces import Piece, Slice, length_of

GIB = 1 << 30


class Sparse(io.RawIOBase):
    """A bundle as a file: what its slices hold reads as zeros."""

    def __init__(self, bundle: Bundle) -> None:
        self._pieces = list(bundle.pieces())
        self._starts = [0, *accumulate(map(length, self._pieces))]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._starts[-1])[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        if self._at >= self._starts[-1]:
            return 0
        place = bisect_right(self._starts, self._at) - 1
        piece, within = self._pieces[place], self._at - self._starts[place]
        count = min(len(buffer), length(piece) - within)
        data = piece[within : within + count] if isinstance(piece, bytes) else bytes(count)
        buffer[:count] = data
        self._at += count
        return count


def length(piece: Piece) -> int:
    return length_of([piece]) or 0


def sparse(name: str, length_bytes: int) -> BundleFile:
    """Return a file of zeros; a long one is never read to its end, where its checksum counts."""
    crc32 = checksum(bytes(length_bytes)) if length_bytes < 100 else 0
    return BundleFile(name, Slice("k", 0, length_bytes), length_bytes, crc32)


def real(name: str, content: bytes) -> BundleFile:
    return BundleFile(name, content, len(content), checksum(content))


@pytest.mark.parametrize(
    "sizes",
    [
        (),
        (0,),
        (5 * GIB,),
        (4 * GIB - 1,),
        (4 * GIB - 2, 7),
        (3 * GIB, 3 * GIB, 3 * GIB),
        (1, 9 * GIB, 1),
    ],
)
def test_beyond_four_gib(sizes: tuple[int, ...]) -> None:
    files = [sparse(f"1.2/3.4/{place}.dcm", size) for place, size in enumerate(sizes)]
    files.append(real("last.dcm", b"the last member"))
    bundle = Bundle(files)
    assert length_of(bundle.pieces()) == bundle.length_bytes
    opened = zipfile.ZipFile(io.BufferedReader(Sparse(bundle)))
    assert [info.file_size for info in opened.infolist()] == [*sizes, 15]
    assert opened.read("last.dcm") == b"the last member"
    for file in files[:-1]:
        with opened.open(file.name) as member:  # reads the local header, and checks its name
            assert member.read(100) == bytes(min(100, file.length_bytes))


def test_more_members_than_sixteen_bits_count() -> None:
    bundle = Bundle([real(f"{number}", b"%d" % number) for number in range(70_000)])
    whole = b"".join(piece for piece in bundle.pieces() if isinstance(piece, bytes))
    assert len(whole) == bundle.length_bytes
    opened = zipfile.ZipFile(io.BytesIO(whole))
    assert len(opened.namelist()) == 70_000
    assert opened.read("69999") == b"69999"


def test_a_wrong_checksum_is_seen() -> None:
    bundle = Bundle([BundleFile("x", b"abc", 3, 1)])
    whole = b"".join(piece for piece in bundle.pieces() if isinstance(piece, bytes))
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() == "x"
