"""Which instances were acknowledged is told from the bytes alone."""

import struct

from crash.dimse_answers import Answers

ACCEPT = struct.pack(">BBI", 2, 0, 68) + bytes(68)
TCP = "TCP:[127.0.0.1:11112->127.0.0.1:40000]"


def response(uid: bytes, status: int, code: int = 0x8001) -> bytes:
    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    command = (
        element(0x0100, struct.pack("<H", code))
        + element(0x0120, b"\1\0")
        + element(0x0900, struct.pack("<H", status))
        + element(0x1000, uid)
    )
    item = struct.pack(">IBB", len(command) + 2, 1, 3) + command
    return struct.pack(">BBI", 4, 0, len(item)) + item


def test_a_success_acknowledges() -> None:
    answers = Answers()
    assert not answers.feed(TCP, ACCEPT)
    assert answers.feed(TCP, response(b"1.2.3", 0))
    assert answers.acknowledged == {"1.2.3"}


def test_a_failure_does_not() -> None:
    answers = Answers()
    answers.feed(TCP, ACCEPT)
    assert not answers.feed(TCP, response(b"1.2.3", 0xA700))
    assert not answers.feed(TCP, response(b"1.2.3", 0, code=0x8030))
    assert answers.acknowledged == frozenset()


def test_an_answer_counts_once_its_last_byte_is_out() -> None:
    answers = Answers()
    stream = ACCEPT + response(b"1.2.3", 0) + response(b"1.2.4", 0)
    found = [answers.feed(TCP, stream[:2]), *(answers.feed(TCP, bytes([b])) for b in stream[2:])]
    assert [at for at, acknowledged in enumerate(found) if acknowledged] == [
        len(ACCEPT + response(b"1.2.3", 0)) - 2,
        len(stream) - 2,
    ]


def test_http_is_not_dimse() -> None:
    answers = Answers()
    assert not answers.feed(TCP, b"HTTP/1.1 200 OK\r\n\r\n")
    assert not answers.feed(TCP, response(b"1.2.3", 0))
    assert answers.acknowledged == frozenset()
