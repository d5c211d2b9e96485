"""Messages put together from fragments."""

import pytest

from pacs_cloud.dimse.command import Command, CommandField, Element, encode_command
from pacs_cloud.dimse.inbound import MessageReader
from pacs_cloud.dimse.pdu import ProtocolViolation


class Taker:
    def __init__(self, events: list[object]) -> None:
        self.events = events

    def take(self, piece: memoryview) -> None:
        self.events.append(bytes(piece))

    def end(self) -> None:
        self.events.append("end")

    def abort(self) -> None:
        self.events.append("abort")


class Messages:
    def __init__(self, max_command_bytes: int = 1000) -> None:
        self.events: list[object] = []
        self.reader = MessageReader(self.command_arrived, max_command_bytes)

    def command_arrived(self, context_id: int, command: Command) -> Taker:
        self.events.append((context_id, command.message_id))
        return Taker(self.events)

    def feed(self, context_id: int, control: int, value: bytes, ends: bool = True) -> None:
        self.reader.fragment(context_id, control, memoryview(value), ends)


def command(message_id: int, data_set_type: int) -> bytes:
    return encode_command(
        {
            Element.COMMAND_FIELD: CommandField.C_STORE,
            Element.MESSAGE_ID: message_id,
            Element.DATA_SET_TYPE: data_set_type,
        }
    )


def test_a_command_then_its_data_set() -> None:
    messages = Messages()
    encoded = command(7, 1)
    messages.feed(1, 1, encoded[:5])
    messages.feed(1, 3, encoded[5:9], ends=False)
    assert messages.reader.mid_message
    messages.feed(1, 3, encoded[9:])
    messages.feed(1, 0, b"ab")
    messages.feed(1, 2, b"cd", ends=False)
    messages.feed(1, 2, b"ef")
    assert messages.events == [(1, 7), b"ab", b"cd", b"ef", "end"]
    assert not messages.reader.mid_message


def test_a_command_without_a_data_set_is_a_message() -> None:
    messages = Messages()
    messages.feed(3, 3, command(8, 0x0101))
    messages.feed(5, 3, command(9, 0x0101))
    assert messages.events == [(3, 8), "end", (5, 9), "end"]


def test_an_empty_last_fragment_ends_a_data_set() -> None:
    messages = Messages()
    messages.feed(1, 3, command(7, 0))
    messages.feed(1, 0, b"ab")
    messages.feed(1, 2, b"")
    assert messages.events == [(1, 7), b"ab", "end"]


def test_reserved_control_bits_are_not_looked_at() -> None:
    messages = Messages()
    messages.feed(1, 0xFF, command(7, 0x0101))
    assert messages.events == [(1, 7), "end"]


def test_abort_reaches_who_takes_the_data_set() -> None:
    messages = Messages()
    messages.reader.abort()
    messages.feed(1, 3, command(7, 1))
    messages.feed(1, 0, b"ab")
    messages.reader.abort()
    assert messages.events == [(1, 7), b"ab", "abort"]
    assert not messages.reader.mid_message


@pytest.mark.parametrize(
    "fragments",
    [
        [(1, 0, b"data first")],
        [(1, 3, command(1, 0x0101)), (1, 2, b"none announced")],
        [(1, 3, command(1, 1)), (3, 0, b"another context")],
        [(1, 3, command(1, 1)), (1, 1, b"a command within")],
        [(1, 1, command(1, 1)[:8]), (3, 3, command(1, 1)[8:])],
        [(1, 1, command(1, 1)[:8]), (1, 0, b"data within a command")],
        [(1, 3, b"rubbish")],
        [(1, 1, bytes(600)), (1, 1, bytes(600))],
    ],
)
def test_what_cannot_follow_is_a_violation(fragments: list[tuple[int, int, bytes]]) -> None:
    messages = Messages()
    with pytest.raises(ProtocolViolation):
        for fragment in fragments:
            messages.feed(*fragment)
