"""The CRC-32 of a file whose beginning is another one."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.pack.crc32 import with_other_beginning


@given(st.binary(), st.binary(), st.binary())
def test_it_is_that_of_the_whole_new_file(before: bytes, after: bytes, rest: bytes) -> None:
    known = zlib.crc32(before), zlib.crc32(after)
    found = with_other_beginning(zlib.crc32(before + rest), *known, len(rest))
    assert found == zlib.crc32(after + rest)


@pytest.mark.parametrize("length", [1, 65_535, 1 << 20, (1 << 20) + 7])
def test_of_long_files_too(length: int) -> None:
    rest = bytes(length)
    before, after = zlib.crc32(b"old"), zlib.crc32(b"another")
    assert with_other_beginning(zlib.crc32(b"old" + rest), before, after, length) == zlib.crc32(
        b"another" + rest
    )
