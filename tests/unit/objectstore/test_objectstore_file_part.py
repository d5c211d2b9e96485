"""A file's part behaves as a file, and is read by position."""

import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.file_part import FilePart

BODY = os.urandom(3_000_000)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "f").write_bytes(BODY)
    number = os.open(tmp_path / "f", os.O_RDWR)
    yield number
    os.close(number)


@pytest.mark.parametrize(("offset", "length"), [(0, 3_000_000), (100, 2_000_000), (5, 0), (7, 1)])
def test_a_part_reads_as_its_bytes_do(file: int, offset: int, length: int) -> None:
    part, model = FilePart(file, offset, length), io.BytesIO(BODY[offset : offset + length])
    for size in (10, 70_000, -1, 5):
        assert part.read(size) == model.read(size)
        assert part.tell() == model.tell()
    for move in ((3, os.SEEK_SET), (-1, os.SEEK_END), (0, os.SEEK_END), (0, os.SEEK_SET)):
        if length:
            assert part.seek(*move) == model.seek(*move)
            assert part.read(100) == model.read(100)
    assert part.readable()
    assert part.seekable()


def test_two_parts_do_not_disturb_each_other(file: int) -> None:
    one, other = FilePart(file, 0, 10), FilePart(file, 10, 10)
    assert one.read(3) + other.read(3) + one.read(3) == BODY[:3] + BODY[10:13] + BODY[3:6]


def test_checksums_of_the_part_and_of_all_before_it(file: int) -> None:
    running = 0
    for offset in range(0, len(BODY), 1_300_000):
        part = FilePart(file, offset, min(1_300_000, len(BODY) - offset))
        part.read(10)
        own, running = part.crc32(running)
        assert own == zlib.crc32(BODY[offset : offset + 1_300_000])
        assert part.tell() == 0
    assert running == zlib.crc32(BODY)


def test_a_file_that_was_cut(file: int) -> None:
    part = FilePart(file, 0, len(BODY))
    os.ftruncate(file, 1000)
    with pytest.raises(Corrupt):
        part.crc32()
