"""Outgoing messages, cut; pynetdicom reads them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF

from pacs_cloud.dimse.fragments import FileRange, Fragmenter, Source, batches
from pacs_cloud.dimse.reader import PduReader
from pacs_cloud.errors import Corrupt


class Collector:
    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.sizes: list[int] = []
        self.fragments: list[tuple[int, int, bytes]] = []
        self.current = bytearray()

    def pdu_begins(self, pdu_type: int, length: int) -> None:
        assert pdu_type == 4
        assert length <= self.max_length
        self.sizes.append(length)

    def pdu_ended(self, pdu_type: int, body: bytes) -> None:
        raise AssertionError

    def data_arrived(self, context_id: int, control: int, piece: memoryview, ends: bool) -> None:
        self.current += piece
        if ends:
            self.fragments.append((context_id, control, bytes(self.current)))
            self.current.clear()


def read(stream: bytes, max_length: int) -> Collector:
    collector = Collector(max_length)
    reader = PduReader(collector)
    reader.enlarge(len(stream))
    room = reader.room()
    room[: len(stream)] = stream
    reader.received(len(stream))
    assert not reader.mid_pdu
    return collector


@given(st.binary(max_size=200), st.integers(8, 64))
def test_every_fragment_fits_and_only_the_last_says_so(data: bytes, max_length: int) -> None:
    stream = b"".join(Fragmenter(5, max_length).data(data, ends=True))
    fragments = read(stream, max_length).fragments
    assert b"".join(value for _, _, value in fragments) == data
    assert [control for _, control, _ in fragments] == [0] * (len(fragments) - 1) + [2]
    assert all(len(value) % 2 == 0 for _, _, value in fragments[:-1])
    assert {context_id for context_id, _, _ in fragments} == {5}


def test_a_command_is_marked_as_one() -> None:
    stream = b"".join(Fragmenter(1, 16).command(b"0123456789abcdef"))
    assert read(stream, 16).fragments == [(1, 1, b"0123456789"), (1, 3, b"abcdef")]


def test_pynetdicom_reads_our_pdus() -> None:
    theirs = P_DATA_TF()
    theirs.decode(b"".join(Fragmenter(3, 100).data(b"abcd", ends=True)))
    (value,) = theirs.presentation_data_value_items
    assert (value.presentation_context_id, value.presentation_data_value) == (3, b"\x02abcd")


async def pieces_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


DATA = bytes(range(256)) * 10


@pytest.mark.parametrize("length", [0, 1, 10, 40, 41, 80, 2560])
@pytest.mark.parametrize("kind", ["bytes", "bytearray", "view", "range", "rest", "iterator"])
async def test_every_source_gives_the_same_bytes(kind: str, length: int, tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(b"head" + DATA[:length] + (b"" if kind == "rest" else b"tail"))
    sources: dict[str, Source] = {
        "bytes": DATA[:length],
        "bytearray": bytearray(DATA[:length]),
        "view": memoryview(DATA)[:length],
        "range": FileRange(path, 4, length),
        "rest": FileRange(path, 4),
        "iterator": pieces_of(DATA[:length], 7),
    }
    got, ends = bytearray(), []
    async for piece, last in batches(sources[kind], 10, 45):
        got += piece
        ends.append(last)
        assert last or (len(piece) == 40)
    assert got == DATA[:length]
    assert ends == [False] * (len(ends) - 1) + [True]


async def test_a_file_that_ends_early_is_no_data_set(tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(b"short")
    with pytest.raises(Corrupt):
        async for _ in batches(FileRange(path, 0, 6), 10, 40):
            pass
