"""Cutting the byte stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dimse.pdu import DATA_HEADER, PDU_HEADER, PDV_HEADER, ProtocolViolation
from pacs_cloud.dimse.reader import PduReader


class Recorder:
    """Keeps what it is told; fragments are put together, for pieces are cut by chance."""

    def __init__(self) -> None:
        self.reader = PduReader(self)
        self.events: list[tuple[object, ...]] = []
        self.fragment = bytearray()
        self.hold_after: int | None = None

    def pdu_begins(self, pdu_type: int, length: int) -> None:
        if pdu_type == 9:
            raise ProtocolViolation("nine")
        self.events.append(("begins", pdu_type, length))

    def pdu_ended(self, pdu_type: int, body: bytes) -> None:
        self.events.append(("ended", pdu_type, body))
        if pdu_type == 2:
            self.reader.enlarge(1 << 14)

    def data_arrived(self, context_id: int, control: int, piece: memoryview, ends: bool) -> None:
        self.fragment += piece
        if ends:
            self.events.append(("fragment", context_id, control, bytes(self.fragment)))
            self.fragment.clear()
        if self.hold_after is not None:
            self.hold_after -= 1
            if not self.hold_after:
                self.reader.hold()

    def feed(self, data: bytes) -> None:
        while data:
            room = self.reader.room()
            assert len(room)
            part, data = data[: len(room)], data[len(room) :]
            room[: len(part)] = part
            self.reader.received(len(part))


def data_pdu(*values: tuple[int, int, bytes]) -> bytes:
    body = b"".join(
        PDV_HEADER.pack(len(value) + 2, context_id, control) + value
        for context_id, control, value in values
    )
    return PDU_HEADER.pack(4, len(body)) + body


STREAM = (
    PDU_HEADER.pack(1, 5)
    + b"hello"
    + PDU_HEADER.pack(2, 3)
    + b"big"
    + data_pdu((1, 3, b"command"), (1, 0, b"some data"))
    + data_pdu((3, 2, b""), (255, 1, bytes(5000)))
    + PDU_HEADER.pack(5, 0)
)
EVENTS = [
    ("begins", 1, 5),
    ("ended", 1, b"hello"),
    ("begins", 2, 3),
    ("ended", 2, b"big"),
    ("begins", 4, 28),
    ("fragment", 1, 3, b"command"),
    ("fragment", 1, 0, b"some data"),
    ("begins", 4, 5012),
    ("fragment", 3, 2, b""),
    ("fragment", 255, 1, bytes(5000)),
    ("begins", 5, 0),
    ("ended", 5, b""),
]


def test_a_stream_cut_at_every_byte_reads_alike() -> None:
    for cut in range(len(STREAM) + 1):
        recorder = Recorder()
        recorder.feed(STREAM[:cut])
        recorder.feed(STREAM[cut:])
        assert recorder.events == EVENTS
        assert not recorder.reader.mid_pdu


@given(st.lists(st.integers(1, 60), max_size=200))
def test_a_stream_in_any_pieces_reads_alike(sizes: list[int]) -> None:
    recorder = Recorder()
    rest = STREAM
    for size in sizes:
        recorder.feed(rest[:size])
        rest = rest[size:]
    recorder.feed(rest)
    assert recorder.events == EVENTS


def test_bytes_one_at_a_time_read_alike() -> None:
    recorder = Recorder()
    for byte in STREAM:
        recorder.feed(bytes((byte,)))
    assert recorder.events == EVENTS


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_what_is_held_waits_and_then_reads_alike(after: int) -> None:
    recorder = Recorder()
    recorder.hold_after = after
    room = recorder.reader.room()
    head = STREAM[:100]
    room[: len(head)] = head
    recorder.reader.received(len(head))
    if recorder.hold_after == 0:
        held = list(recorder.events)
        assert len(held) < len(EVENTS)
        recorder.reader.resume()
    recorder.feed(STREAM[100:])
    if recorder.hold_after == 0 and after == 4:
        recorder.reader.resume()
    assert recorder.events == EVENTS


def test_mid_pdu_tells_what_is_owed() -> None:
    recorder = Recorder()
    assert not recorder.reader.mid_pdu
    recorder.feed(STREAM[:3])
    assert recorder.reader.mid_pdu
    recorder.feed(STREAM[3:11])
    assert not recorder.reader.mid_pdu


@pytest.mark.parametrize(
    "stream",
    [
        PDU_HEADER.pack(4, 0),  # no PDV
        PDU_HEADER.pack(4, 5) + bytes(5),  # no room for a PDV's header
        PDU_HEADER.pack(4, 8) + PDV_HEADER.pack(1, 1, 0) + b"ab",  # a PDV without its context
        PDU_HEADER.pack(4, 8) + PDV_HEADER.pack(5, 1, 0) + b"ab",  # one byte over
        PDU_HEADER.pack(4, 8) + PDV_HEADER.pack(2**32 - 1, 1, 0) + b"ab",
        PDU_HEADER.pack(4, 10) + PDV_HEADER.pack(4, 1, 0) + b"ab" + b"cd",  # two left over
        PDU_HEADER.pack(9, 4),
    ],
)
def test_lengths_that_do_not_fit_are_violations(stream: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Recorder().feed(stream)


def test_a_single_value_has_the_header_we_send() -> None:
    recorder = Recorder()
    recorder.feed(DATA_HEADER.pack(4, 9, 5, 7, 3) + b"abc")
    assert recorder.events == [("begins", 4, 9), ("fragment", 7, 3, b"abc")]
