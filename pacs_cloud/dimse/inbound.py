"""Fragments put together to messages: a command set, then its data set (PS3.8 Annex E)."""

from collections.abc import Callable
from typing import Protocol

from pacs_cloud.dimse.command import Command, decode_command
from pacs_cloud.dimse.pdu import COMMAND_FRAGMENT, LAST_FRAGMENT, ProtocolViolation


class DataSetTaker(Protocol):
    """What becomes of one message after its command set."""

    def take(self, piece: memoryview, /) -> None:
        """Take the next bytes of the data set; the view is valid during this call only."""
        ...

    def end(self) -> None:
        """Act on the whole message, with or without a data set."""
        ...

    def abort(self) -> None:
        """Forget the message: its rest will not come."""
        ...


class Dropped:
    """Takes a data set that nobody wants."""

    __slots__ = ()

    def take(self, piece: memoryview, /) -> None:
        """Drop it."""

    def end(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""


class MessageReader:
    """Puts together one message at a time; fragments of two never mix.

    Args:
        command_arrived: called with each command set and its context ID;
            returns what takes the rest of the message.
        max_command_bytes: the longest command set taken.
    """

    def __init__(
        self, command_arrived: Callable[[int, Command], DataSetTaker], max_command_bytes: int
    ) -> None:
        self._command_arrived = command_arrived
        self._max_command_bytes = max_command_bytes
        self._command = bytearray()
        self._context_id = 0
        self._taker: DataSetTaker | None = None

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id != 0

    def fragment(self, context_id: int, control: int, piece: memoryview, ends: bool) -> None:
        """Take the next bytes of a fragment; see `PduListener.data_arrived`.

        Raises:
            ProtocolViolation: it is not what must follow, or the command set
                is malformed or too long.
        """
        if context_id != self._context_id and self._context_id:
            raise ProtocolViolation("fragments of two presentation contexts mix")
        taker = self._taker
        if control & COMMAND_FRAGMENT:
            if taker is not None:
                raise ProtocolViolation("a command set within a data set")
            if len(self._command) + len(piece) > self._max_command_bytes:
                raise ProtocolViolation(f"a command set over {self._max_command_bytes} bytes")
            self._command += piece
            self._context_id = context_id
            if ends and control & LAST_FRAGMENT:
                self._command_ended(context_id)
            return
        if taker is None:
            raise ProtocolViolation("a data set before its command set")
        if piece:
            taker.take(piece)
        if ends and control & LAST_FRAGMENT:
            self._taker = None
            self._context_id = 0
            taker.end()

    def abort(self) -> None:
        """Forget a message that has not ended."""
        taker, self._taker = self._taker, None
        self._context_id = 0
        self._command.clear()
        if taker is not None:
            taker.abort()

    def _command_ended(self, context_id: int) -> None:
        command = decode_command(bytes(self._command))
        self._command.clear()
        taker = self._command_arrived(context_id, command)
        if command.has_data_set:
            self._taker = taker
        else:
            self._context_id = 0
            taker.end()
