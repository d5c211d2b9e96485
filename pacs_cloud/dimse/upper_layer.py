"""The DICOM upper layer: one TCP connection and its association (PS3.8 9.2)."""

import asyncio
import contextlib
import socket
from typing import Any, Final, Protocol

from pacs_cloud.dimse.associate import AssociateAccept, AssociateRequest
from pacs_cloud.dimse.associate_codec import (
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.pdu import (
    RELEASE_RP,
    RELEASE_RQ,
    AbortReason,
    AbortSource,
    PduType,
    ProtocolViolation,
    Rejection,
    decode_abort,
    decode_rejection,
    encode_abort,
    encode_rejection,
)
from pacs_cloud.dimse.reader import PduReader
from pacs_cloud.dimse.state import EXPECTED_PDUS, AssociationAborted, End, EndKind, State
from pacs_cloud.dimse.tls import TlsPeer, tls_peer

_FIXED_BODY_BYTES: Final = 4
_PROGRESS_BYTES: Final = 1024
_PDU_TYPES: Final = frozenset[int](PduType)
# An enumeration's member costs a call wherever it is named; these are asked for with each piece.
_P_DATA_TF: Final = PduType.P_DATA_TF
_ESTABLISHED: Final = State.ESTABLISHED
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""


class UpperLayerUser(Protocol):
    """What an upper layer tells; named after the primitives of PS3.8 7."""

    @property
    def mid_message(self) -> bool:
        """Whether the peer owes the rest of a message."""
        ...

    @property
    def occupied(self) -> bool:
        """Whether either side works for the other, so that silence is no idleness."""
        ...

    def associate_indication(self, request: AssociateRequest, /) -> None:
        """The peer asks; answer with `accept`, `reject` or `abort`."""
        ...

    def associate_confirm(self, accept: AssociateAccept, /) -> None:
        """The peer accepted our request."""
        ...

    def data_indication(
        self, context_id: int, control: int, piece: memoryview, fragment_ends: bool, /
    ) -> None:
        """The next bytes of a fragment; see `PduListener.data_arrived`."""
        ...

    def release_indication(self) -> None:
        """The peer asks to release; answer with `confirm_release` when done."""
        ...

    def ended(self, end: End, /) -> None:
        """The association is over. Called once, and nothing after it."""
        ...


class UpperLayer(asyncio.BufferedProtocol):
    """One end of one connection.

    Args:
        user: whom it tells.
        limits: times and sizes.
        request: what to ask for, as the requestor; None as the acceptor.
    """

    def __init__(
        self, user: UpperLayerUser, limits: Limits, request: AssociateRequest | None = None
    ) -> None:
        self._user = user
        self._limits = limits
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._reader = PduReader(self)
        self._state = State.OPENING
        self._transport: asyncio.Transport | None = None
        self._socket: Any = None
        self._holds = 0
        self._heard_at = self._loop.time()
        self._heard_bytes = 0
        self._progress_at = self._heard_at
        self._progress_bytes = 0
        self._deadline: float | None = None
        self._drained: asyncio.Future[None] | None = None
        self._unread_bytes = 0
        self._unread_since = 0.0
        self._tick_s = max(0.02, min(limits.artim_s, limits.network_s, limits.idle_s) / 8)
        self._ticker: asyncio.TimerHandle | None = None
        self._end: End | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is closed."""

    # What the user asks for

    @property
    def state(self) -> State:
        """The association's state."""
        return self._state

    @property
    def is_requestor(self) -> bool:
        """Whether this end asked for the association."""
        return self._request is not None

    @property
    def peer_address(self) -> str:
        """The peer's address, or "" before there is one."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if isinstance(name, tuple) and name else ""

    @property
    def tls_peer(self) -> TlsPeer | None:
        """What TLS proves of the peer; None without TLS."""
        connection = self._transport.get_extra_info("ssl_object") if self._transport else None
        return None if connection is None else tls_peer(connection)

    def accept(self, accept: AssociateAccept) -> None:
        """Answer the request with an A-ASSOCIATE-AC (AE-7)."""
        if self._state is State.DECIDING:
            self._establish()
            self._write(encode_accept(accept))

    def reject(self, rejection: Rejection) -> None:
        """Answer the request with an A-ASSOCIATE-RJ (AE-8)."""
        if self._state is State.DECIDING:
            self._write(encode_rejection(rejection))
            self._close(End(EndKind.REJECTED, rejection=rejection))

    def send(self, pdus: bytes) -> None:
        """Write whole P-DATA-TF PDUs; await `drain` before the next.

        Raises:
            AssociationAborted: the association is over.
        """
        self._check()
        self._write(pdus)

    async def drain(self) -> None:
        """Wait while the peer does not read.

        Raises:
            AssociationAborted: the association is over.
        """
        self._check()
        if self._drained is not None:
            await asyncio.shield(self._drained)
            self._check()

    def hold(self) -> None:
        """Read nothing more from the peer until as many calls of `resume`."""
        self._holds += 1
        if self._holds == 1 and self._state is _ESTABLISHED:
            self._reader.hold()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    def resume(self) -> None:
        """Undo one `hold`."""
        self._holds -= 1
        if self._holds or self._state in (State.CLOSING, State.CLOSED):
            return
        self._heard_at = self._loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        try:
            self._reader.resume()
        except ProtocolViolation as violation:
            self._violated(violation)

    def release(self) -> None:
        """Ask for the release (AR-1); the answer shows as the end."""
        if self._state is _ESTABLISHED:
            self._state = State.RELEASING
            self._deadline = self._loop.time() + self._limits.artim_s
            self._write(RELEASE_RQ)

    def confirm_release(self) -> None:
        """Answer the peer's release (AR-4)."""
        if self._state is _ESTABLISHED:
            self._write(RELEASE_RP)
            self._close(End(EndKind.RELEASED))

    def abort(
        self,
        detail: str,
        source: AbortSource = AbortSource.USER,
        reason: AbortReason = AbortReason.NOT_SPECIFIED,
    ) -> None:
        """Send an A-ABORT (AA-1, AA-8) and end.

        Args:
            detail: why, for a log.
            source: of the A-ABORT.
            reason: of the A-ABORT; only the provider gives one.
        """
        if self._state is State.CLOSED or self._state is State.CLOSING:
            return
        end = End(EndKind.ABORTED_BY_US, detail, source, reason)
        if self._state is State.OPENING or self._drained is not None:
            # Nobody there, or somebody who does not read.
            self._drop(end)
        else:
            self._write(encode_abort(source, reason))
            self._close(end)

    def drop(self, detail: str) -> None:
        """Close the connection without a word."""
        self._drop(End(EndKind.ABORTED_BY_US, detail))

    def not_connected(self, detail: str) -> None:
        """End: there never was a connection, or no TLS came to be over it."""
        self.drop(detail)
        self.connection_lost(None)

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start as the requestor or the acceptor (AE-2, AE-5)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=self._limits.send_bytes)
        self._socket = transport.get_extra_info("socket")
        _tune(self._socket)
        self._deadline = self._loop.time() + self._limits.artim_s
        self._ticker = self._loop.call_later(self._tick_s, self._tick)
        if self._end is not None:
            transport.abort()
        elif self._request is not None:
            self._state = State.ASKING
            self._write(encode_request(self._request))
        else:
            self._state = State.LISTENING

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self._reader.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Cut what has arrived into PDUs."""
        if self._state is State.CLOSING:
            self._reader.discard()
            return
        self._heard_at = self._loop.time()
        self._heard_bytes += nbytes
        try:
            self._reader.received(nbytes)
        except ProtocolViolation as violation:
            self._violated(violation)
        else:
            if self._socket is not None and (self._reader.mid_pdu or self._user.mid_message):
                _acknowledge(self._socket)

    def eof_received(self) -> bool:
        """Close this side too: a peer that sends no more is gone (AA-4)."""
        if self._state is not State.CLOSING:
            self._close(End(EndKind.CONNECTION_LOST, "closed by peer"))
        return False

    def pause_writing(self) -> None:
        """Remember that the peer does not read."""
        self._drained = self._loop.create_future()
        self._unread_bytes = 0
        self._unread_since = self._loop.time()

    def resume_writing(self) -> None:
        """Wake who waits in `drain`."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, if nothing ended the association before (AA-4)."""
        self._state = State.CLOSED
        if self._ticker is not None:
            self._ticker.cancel()
        self.resume_writing()
        # Associations are cycles: without this their buffers wait for the garbage collector.
        self._reader.shrink()
        if not self.closed.done():
            self.closed.set_result(None)
        self._finish(End(EndKind.CONNECTION_LOST, type(exc).__name__ if exc else "closed by peer"))

    # PduListener

    def pdu_begins(self, pdu_type: int, length: int) -> None:
        """Judge a PDU by its header, before any of its body is read."""
        if pdu_type != _P_DATA_TF or self._state is not _ESTABLISHED:
            self._check_expected(pdu_type)
        if pdu_type == _P_DATA_TF:
            if length > self._limits.max_length:
                raise ProtocolViolation(f"a P-DATA-TF of {length} bytes, over what we offered")
        elif pdu_type in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
            if length > self._limits.max_associate_bytes:
                raise ProtocolViolation(f"an A-ASSOCIATE PDU of {length} bytes")
        elif length != _FIXED_BODY_BYTES:
            raise ProtocolViolation(f"PDU type {pdu_type} of {length} bytes, not 4")

    def pdu_ended(self, pdu_type: int, body: bytes) -> None:
        """Act on a whole PDU."""
        if pdu_type == PduType.ASSOCIATE_RQ:
            request = decode_request(body)
            self._state = State.DECIDING
            # The gate is ours: it gets the time that the peer's silence got.
            self._deadline = self._loop.time() + self._limits.artim_s
            self._user.associate_indication(request)
        elif pdu_type == PduType.ASSOCIATE_AC:
            accept = decode_accept(body)
            self._establish()
            self._user.associate_confirm(accept)
        elif pdu_type == PduType.ASSOCIATE_RJ:
            self._drop(End(EndKind.REJECTED, rejection=decode_rejection(body)))
        elif pdu_type == PduType.ABORT:
            source, reason = decode_abort(body)
            self._drop(End(EndKind.ABORTED_BY_PEER, "", source, reason))
        elif pdu_type == PduType.RELEASE_RQ:
            self._release_requested()
        elif self._state is State.COLLIDED:
            # Sta10 → Sta12: the requestor answered first, now it is our turn.
            self._write(RELEASE_RP)
            self._close(End(EndKind.RELEASED))
        else:
            self._drop(End(EndKind.RELEASED))

    def data_arrived(
        self, context_id: int, control: int, piece: memoryview, fragment_ends: bool
    ) -> None:
        """Hand on a piece; while we wait for our release it has no reader left (AR-6)."""
        if self._state is _ESTABLISHED:
            self._user.data_indication(context_id, control, piece, fragment_ends)

    # Inside

    def _establish(self) -> None:
        self._state = _ESTABLISHED
        self._deadline = None
        self._reader.enlarge(self._limits.receive_buffer_bytes)

    def _release_requested(self) -> None:
        if self._state is _ESTABLISHED:
            self._user.release_indication()
        elif self.is_requestor:
            # Release collision, Sta9 → Sta11: the requestor answers first (AR-8, AR-9).
            self._write(RELEASE_RP)
        else:
            self._state = State.COLLIDED

    def _violated(self, violation: ProtocolViolation) -> None:
        if self._state is State.LISTENING:
            # AA-1: before there is an association there is no provider to speak for.
            self.abort(str(violation))
        else:
            self.abort(str(violation), AbortSource.PROVIDER, violation.reason)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _check_expected(self, pdu_type: int) -> None:
        if pdu_type not in _PDU_TYPES:
            raise ProtocolViolation(f"PDU type {pdu_type}", AbortReason.UNRECOGNIZED_PDU)
        if pdu_type not in EXPECTED_PDUS[self._state]:
            raise ProtocolViolation(
                f"PDU type {pdu_type} in state {self._state.name}", AbortReason.UNEXPECTED_PDU
            )

    def _check(self) -> None:
        if self._state is not _ESTABLISHED:
            raise AssociationAborted(
                self._end or End(EndKind.CONNECTION_LOST, f"in state {self._state.name.lower()}")
            )

    def _close(self, end: End) -> None:
        """Wait for the peer to close, which lets it read our last word first."""
        self._state = State.CLOSING
        self._deadline = self._loop.time() + self._limits.artim_s
        self._stop_reading_pdus()
        self._finish(end)

    def _drop(self, end: End) -> None:
        if self._state is not State.CLOSED:
            self._state = State.CLOSING
            self._stop_reading_pdus()
            if self._transport is not None:
                self._transport.abort()
        self._finish(end)

    def _stop_reading_pdus(self) -> None:
        self._reader.hold()
        self._reader.discard()
        if self._holds and self._transport is not None and not self._transport.is_closing():
            # To see the peer's closing one has to read.
            self._transport.resume_reading()

    def _finish(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self.resume_writing()
            self._user.ended(end)

    def _tick(self) -> None:
        now = self._loop.time()
        self._ticker = self._loop.call_later(self._tick_s, self._tick)
        if self._deadline is not None:
            if now >= self._deadline:
                self._expired()
        elif self._drained is not None:
            self._watch_writing(now)
        elif not self._holds and (self._reader.mid_pdu or self._user.mid_message):
            self._watch_reading(now)
            return
        elif not self._user.occupied and now - self._heard_at >= self._limits.idle_s:
            self.abort("idle", AbortSource.PROVIDER)
        self._progress_bytes, self._progress_at = self._heard_bytes, now

    def _expired(self) -> None:
        state = self._state
        if state is State.LISTENING or state is State.CLOSING:
            # AA-2: whoever says nothing is told nothing.
            self._drop(End(EndKind.ABORTED_BY_US, "ARTIM expired"))
        else:
            self.abort(f"no progress in state {state.name.lower()}")

    def _watch_reading(self, now: float) -> None:
        # A byte now and then is no progress: it would hold a sink for ever.
        if self._heard_bytes - self._progress_bytes >= _PROGRESS_BYTES:
            self._progress_bytes, self._progress_at = self._heard_bytes, now
        elif now - self._progress_at >= self._limits.network_s:
            self.abort("the peer fell silent within a message", AbortSource.PROVIDER)

    def _watch_writing(self, now: float) -> None:
        unread = self._transport.get_write_buffer_size() if self._transport else 0
        if unread != self._unread_bytes:
            self._unread_bytes, self._unread_since = unread, now
        elif now - self._unread_since >= self._limits.network_s:
            self._drop(End(EndKind.ABORTED_BY_US, "the peer does not read"))


def _acknowledge(connection: Any) -> None:
    """Tell the kernel to acknowledge now what has come of a message.

    A sender that leaves Nagle's algorithm on, as most devices do, holds the rest of it
    back until then: 40 ms a message. The kernel forgets this, so it is told again.
    """
    if _QUICK_ACK is not None:
        try:  # noqa: SIM105 - `suppress` would cost more than the call does
            connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        except OSError:
            pass


def _tune(connection: Any) -> None:
    """Send at once (Nagle and delayed ACK cost 40 ms a message) and notice dead peers."""
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
