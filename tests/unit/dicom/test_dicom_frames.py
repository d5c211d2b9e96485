"""Frame tables: every way the fragments of a frame are found."""

from array import array
from struct import pack

import numpy as np
import orjson
import pytest
from dicom_making import encapsulated, explicit, image
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.frames import (
    EncapsulatedFrames,
    FrameTable,
    NativeFrames,
    extract_bits,
)
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.uid import EXPLICIT_LE, JPEG_BASELINE
from pacs_cloud.errors import Corrupt

SOI = b"\xff\xd8\xff\xe0"


def frames_of(
    *fragments: bytes, frames: int, table: bytes = b"", extended: tuple[bytes, bytes] | None = None
) -> list[bytes] | None:
    tables = []
    if extended is not None:
        tables = [
            explicit(0x7FE00001, "OV", extended[0]),
            explicit(0x7FE00002, "OV", extended[1]),
        ]
    data = image(*tables, encapsulated(*fragments, table=table), frames=frames)
    pixels = HeaderReader().read(data, JPEG_BASELINE).pixels
    assert pixels is not None
    assert pixels.encapsulated
    if pixels.frames is None:
        return None
    return [
        b"".join(data[a:b] for a, b in pixels.frames.ranges(n)) for n in range(len(pixels.frames))
    ]


def test_one_frame_of_many_fragments() -> None:
    assert frames_of(b"AA", b"BB", b"CC", frames=1) == [b"AABBCC"]


def test_one_fragment_a_frame() -> None:
    assert frames_of(b"AA", b"BBBB", frames=2) == [b"AA", b"BBBB"]


def test_a_basic_offset_table() -> None:
    assert frames_of(b"AA", b"BB", b"CC", frames=2, table=pack("<LL", 0, 20)) == [b"AABB", b"CC"]
    assert frames_of(b"AA", b"BB", b"CC", frames=2, table=pack("<LL", 0, 10)) == [b"AA", b"BBCC"]


@pytest.mark.parametrize(
    "table",
    [
        pack("<LL", 0, 11),  # not on an item
        pack("<LL", 0, 999_999),  # outside
        pack("<LL", 10, 20),  # not from the first
        pack("<LLL", 0, 10, 20),  # another number of frames
        pack("<LL", 0, 0),  # not ascending
        b"\0\0\0\0\1\1",  # no table at all
    ],
)
def test_a_bad_offset_table_is_ignored(table: bytes) -> None:
    assert frames_of(SOI, b"BB", SOI, frames=2, table=table) == [SOI + b"BB", SOI]


def test_an_extended_offset_table() -> None:
    extended = pack("<QQ", 0, 20), pack("<QQ", 4, 2)
    assert frames_of(b"AA", b"BB", b"CC", frames=2, extended=extended) == [b"AABB", b"CC"]


def test_a_bad_extended_offset_table_is_ignored() -> None:
    extended = pack("<QQ", 0, 21), pack("<QQ", 4, 2)
    assert frames_of(SOI, b"BB", SOI, frames=2, extended=extended) == [SOI + b"BB", SOI]


@pytest.mark.parametrize(
    "start", [SOI, b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\xd8\xff\xf7"]
)
def test_frames_begin_with_their_codestream(start: bytes) -> None:
    assert frames_of(start, b"B1", b"C1", start, b"D1", frames=2) == [
        start + b"B1C1",
        start + b"D1",
    ]


def test_frames_that_cannot_be_told_apart() -> None:
    assert frames_of(b"AA", b"BB", b"CC", frames=2) is None
    assert frames_of(b"AA", frames=2) is None
    assert frames_of(SOI, SOI, SOI, frames=2) is None


def test_no_fragments() -> None:
    assert frames_of(frames=1) is None


def test_one_bit_frames_that_share_bytes() -> None:
    pixels = np.arange(3 * 3 * 3) % 2
    data = image(
        explicit(0x7FE00010, "OB", np.packbits(pixels, bitorder="little").tobytes()),
        rows=3,
        columns=3,
        bits=1,
        frames=3,
    )
    read = HeaderReader().read(data, EXPLICIT_LE).pixels
    assert read is not None
    table = read.frames
    assert isinstance(table, NativeFrames)
    assert not table.is_byte_aligned
    for n in range(3):
        ((start, stop),) = table.ranges(n)
        frame = extract_bits(data[start:stop], *table.bits(n))
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
        assert bits[:9].tolist() == pixels.reshape(3, 9)[n].tolist()
        assert not bits[9:].any()


def test_there_is_no_frame_before_the_first_or_after_the_last() -> None:
    table = NativeFrames(0, 8, 2)
    for n in (-1, 2):
        with pytest.raises(IndexError):
            table.ranges(n)


def tables() -> st.SearchStrategy[FrameTable]:
    native = st.builds(
        NativeFrames, st.integers(0, 2**40), st.integers(1, 2**34), st.integers(0, 9999)
    )

    @st.composite
    def fragments(draw: st.DrawFn) -> FrameTable:
        lengths = draw(st.lists(st.integers(0, 2**33), max_size=20))
        gaps = draw(st.lists(st.integers(8, 9), min_size=len(lengths), max_size=len(lengths)))
        at, offsets = 1000, []
        for length, gap in zip(lengths, gaps, strict=True):
            offsets.append(at)
            at += length + gap
        cuts = (
            draw(st.sets(st.integers(1, max(1, len(lengths) - 1)))) if len(lengths) > 1 else set()
        )
        firsts = [0, *sorted(cuts), len(lengths)] if lengths else [0]
        return EncapsulatedFrames(array("Q", offsets), array("Q", lengths), array("Q", firsts))

    return st.one_of(native, fragments())


@given(tables())
def test_a_table_survives_json(table: FrameTable) -> None:
    again = FrameTable.from_json(orjson.loads(orjson.dumps(table.to_json())))
    assert again == table
    assert [again.ranges(n) for n in range(min(5, len(again)))] == [
        table.ranges(n) for n in range(min(5, len(table)))
    ]


def test_a_long_table_is_small() -> None:
    lengths = array("Q", [50_000 + n % 200 for n in range(1000)])
    offsets, at = array("Q"), 2000
    for length in lengths:
        offsets.append(at)
        at += length + 8
    table = EncapsulatedFrames(offsets, lengths, array("Q", range(1001)))
    assert len(orjson.dumps(table.to_json())) < 3_000


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"stride": 1},
        {"at": 0, "lengths": [1, 1], "runs": [1]},
        {"at": 0, "lengths": [-1]},
        {"at": 0, "lengths": "x"},
    ],
)
def test_what_is_no_table_is_corrupt(table: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        FrameTable.from_json(table)


@pytest.mark.parametrize(
    ("vr", "swapped"),
    [
        ("OB", b"\1\2\3\4\5\6\7\10\11"),
        ("OW", b"\2\1\4\3\6\5\10\7\11"),
        ("OF", b"\4\3\2\1\10\7\6\5\11"),
        ("OD", b"\10\7\6\5\4\3\2\1\11"),
    ],
)
def test_words_are_swapped(vr: str, swapped: bytes) -> None:
    assert swap_words(b"\1\2\3\4\5\6\7\10\11", vr) == swapped


def test_pixel_cells_of_32_bits_are_swapped_whole() -> None:
    assert swap_words(b"\1\2\3\4", "OW", 32) == b"\4\3\2\1"
