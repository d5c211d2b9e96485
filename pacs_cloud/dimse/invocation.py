"""One request of ours and the peer's answers to it."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, Self

from pacs_cloud.dimse.command import Command
from pacs_cloud.dimse.negotiation import Context
from pacs_cloud.dimse.pdu import ProtocolViolation
from pacs_cloud.dimse.state import AssociationAborted

_MANY_REPLIES: Final = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        command: its command set.
        data_set: as encoded in the context's transfer syntax, or None.
    """

    command: Command
    data_set: bytes | None


class Asker(Protocol):
    """The association, as an invocation needs it."""

    def hold(self) -> None:
        """Read nothing more until `resume`."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    async def send_cancel(self, context: Context, message_id: int, /) -> None:
        """Send a C-CANCEL-RQ."""
        ...

    def give_up(self, detail: str, /) -> AssociationAborted:
        """Abort the association and return the error that says so."""
        ...


class Invocation:
    """Iterates over the replies; the last one is the first that is not pending.

    Whoever does not want them all calls `abandon`, and the rest is dropped as
    it comes.

    Attributes:
        context: where it was asked.
        message_id: of the request.
        finished: whether the last reply has arrived.
    """

    def __init__(self, asker: Asker, context: Context, message_id: int, response_s: float) -> None:
        self.context = context
        self.message_id = message_id
        self.finished = False
        self.abandoned = False
        self._asker = asker
        self._response_s = response_s
        self._arrived: asyncio.Queue[Reply | AssociationAborted] = asyncio.Queue()
        self._taken_last = False
        self._holding = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reply:
        if self._taken_last:
            raise StopAsyncIteration
        return await self.reply()

    async def reply(self) -> Reply:
        """Return the next reply.

        Raises:
            AssociationAborted: the association is over, or was aborted now
                because the peer did not answer in time.
        """
        try:
            async with asyncio.timeout(self._response_s):
                reply = await self._arrived.get()
        except TimeoutError as error:
            raise self._asker.give_up("the peer did not answer in time") from error
        self._let_in()
        if isinstance(reply, AssociationAborted):
            self._arrived.put_nowait(reply)
            raise reply
        self._taken_last = not reply.command.is_pending
        return reply

    async def cancel(self) -> None:
        """Ask the peer to stop; go on reading replies up to the last."""
        await self._asker.send_cancel(self.context, self.message_id)

    def abandon(self) -> None:
        """Drop all further replies."""
        self.abandoned = True
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._let_in()

    def arrived(self, reply: Reply) -> None:
        """Take a reply from the association."""
        self.finished = not reply.command.is_pending
        if self.abandoned:
            return
        self._arrived.put_nowait(reply)
        if self._arrived.qsize() >= _MANY_REPLIES and not self._holding:
            self._holding = True
            self._asker.hold()

    def failed(self, error: AssociationAborted) -> None:
        """Take the association's end."""
        self._arrived.put_nowait(error)

    def _let_in(self) -> None:
        if self._holding and self._arrived.qsize() < _MANY_REPLIES // 2:
            self._holding = False
            self._asker.resume()


class ReplyTaker:
    """Collects the data set of one reply."""

    def __init__(
        self,
        invocations: dict[int, Invocation],
        invocation: Invocation,
        command: Command,
        max_bytes: int,
    ) -> None:
        self._invocations = invocations
        self._invocation = invocation
        self._command = command
        self._max_bytes = max_bytes
        self._data_set = bytearray()

    def take(self, piece: memoryview, /) -> None:
        """Keep the bytes; a reply is an identifier, never an instance."""
        self._data_set += piece
        if len(self._data_set) > self._max_bytes:
            raise ProtocolViolation(f"a response's data set over {self._max_bytes} bytes")

    def end(self) -> None:
        """Hand the reply to who asked."""
        if not self._command.is_pending:
            self._invocations.pop(self._invocation.message_id, None)
        data_set = bytes(self._data_set) if self._command.has_data_set else None
        self._invocation.arrived(Reply(self._command, data_set))

    def abort(self) -> None:
        """Do nothing: the association's end reaches who asked."""
