"""The byte stream cut into PDUs, without ever holding a whole P-DATA-TF.

The reader owns the receive buffer. A PDV's bytes are handed on as views of it,
as they arrive; only PDU bodies other than P-DATA-TF are collected, and their
length has been judged before. It knows no sockets, so tests feed it by hand.
"""

from typing import Final, Protocol

from pacs_cloud.dimse.pdu import PDU_HEADER, PDV_HEADER, PduType, ProtocolViolation

_P_DATA_TF: Final = PduType.P_DATA_TF
_PDU_HEADER_BYTES: Final = PDU_HEADER.size
_PDV_HEADER_BYTES: Final = PDV_HEADER.size
_PDV_LENGTH_FIELD: Final = 4
_PDV_CONTEXT_AND_CONTROL: Final = 2
_SMALL_BUFFER_BYTES: Final = 4096
_NOTHING: Final = memoryview(b"")


class PduListener(Protocol):
    """What takes the pieces."""

    def pdu_begins(self, pdu_type: int, length: int) -> None:
        """Judge a PDU by its header.

        Args:
            pdu_type: its type, defined or not.
            length: of its body, in bytes.

        Raises:
            ProtocolViolation: it is unrecognised, unexpected now, or too long.
        """
        ...

    def pdu_ended(self, pdu_type: int, body: bytes) -> None:
        """Take a whole PDU that is not a P-DATA-TF."""
        ...

    def data_arrived(
        self, context_id: int, control: int, piece: memoryview, fragment_ends: bool
    ) -> None:
        """Take the next bytes of a PDV's fragment.

        Args:
            context_id: the PDV's presentation context.
            control: its message control header.
            piece: valid during this call only.
            fragment_ends: whether these are the PDV's last bytes.
        """
        ...


class PduReader:
    """Cuts the bytes of one connection.

    A listener may call `hold` from within any of its methods: what has been
    received but not yet handed on then waits for `resume`.
    """

    def __init__(self, listener: PduListener) -> None:
        self._listener = listener
        self._buffer = bytearray(_SMALL_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._held = False
        self._pdu_type = 0
        self._pdu_left = 0
        self._pdv_left = 0
        self._context_id = 0
        self._control = 0
        self._body: bytearray | None = None

    @property
    def mid_pdu(self) -> bool:
        """Whether a PDU has begun and not ended."""
        return bool(self._pdu_left or self._pdv_left or self._end > self._start)

    def enlarge(self, size_bytes: int) -> None:
        """Receive into a buffer of `size_bytes` from now on.

        A connection that has not been let in yet costs a small one.
        """
        waiting = self._view[self._start : self._end]
        buffer = bytearray(max(size_bytes, len(waiting) + _SMALL_BUFFER_BYTES))
        buffer[: len(waiting)] = waiting
        self._start, self._end = 0, len(waiting)
        self._buffer = buffer
        self._view = memoryview(buffer)

    def shrink(self) -> None:
        """Give the buffer back; nothing is received any more."""
        self._start = self._end = 0
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)

    def room(self) -> memoryview:
        """Return where the next bytes of the connection go; never empty unless held."""
        start, end = self._start, self._end
        if start == end:
            self._start = self._end = 0
            return self._view
        if start:
            # What waits is less than a header, or was held back.
            self._view[: end - start] = bytes(self._view[start:end])
            self._start, self._end = 0, end - start
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """Hand on the `count` bytes that now stand in `room`.

        Raises:
            ProtocolViolation: as the listener raises it, or a PDV's length
                leaves its PDU.
        """
        self._end += count
        self._cut()

    def hold(self) -> None:
        """Hand on nothing more until `resume`."""
        self._held = True

    def resume(self) -> None:
        """Hand on what has waited.

        Raises:
            ProtocolViolation: as `received`.
        """
        self._held = False
        self._cut()

    def discard(self) -> None:
        """Forget all that has been received; for a connection that only closes."""
        self._start = self._end = 0

    def _cut(self) -> None:
        while not self._held:
            start = self._start
            available = self._end - start
            due = self._pdv_left
            if due:
                if not available:
                    return
                taken = min(due, available)
                self._start = start + taken
                self._pdv_left = due - taken
                self._pdu_left -= taken
                self._listener.data_arrived(
                    self._context_id,
                    self._control,
                    self._view[start : start + taken],
                    taken == due,
                )
            elif self._body is not None:
                if self._pdu_left and not available:
                    return
                self._collect(self._body, start, min(self._pdu_left, available))
            elif self._pdu_left:
                if self._pdu_left < _PDV_HEADER_BYTES:
                    raise ProtocolViolation("a PDV's header is cut off by its PDU's end")
                if available < _PDV_HEADER_BYTES:
                    return
                self._begin_pdv(start)
            else:
                if available < _PDU_HEADER_BYTES:
                    return
                self._begin_pdu(start)

    def _begin_pdu(self, start: int) -> None:
        pdu_type, length = PDU_HEADER.unpack_from(self._buffer, start)
        self._listener.pdu_begins(pdu_type, length)
        self._start = start + _PDU_HEADER_BYTES
        self._pdu_type, self._pdu_left = pdu_type, length
        if pdu_type != _P_DATA_TF:
            self._body = bytearray()
        elif not length:
            raise ProtocolViolation("a P-DATA-TF without a PDV")

    def _begin_pdv(self, start: int) -> None:
        length, self._context_id, self._control = PDV_HEADER.unpack_from(self._buffer, start)
        if length < _PDV_CONTEXT_AND_CONTROL or length > self._pdu_left - _PDV_LENGTH_FIELD:
            raise ProtocolViolation(f"a PDV of {length} bytes does not fit its PDU")
        self._start = start + _PDV_HEADER_BYTES
        self._pdu_left -= _PDV_HEADER_BYTES
        self._pdv_left = length - _PDV_CONTEXT_AND_CONTROL
        if not self._pdv_left:
            self._listener.data_arrived(self._context_id, self._control, _NOTHING, True)

    def _collect(self, body: bytearray, start: int, count: int) -> None:
        body += self._view[start : start + count]
        self._start = start + count
        self._pdu_left -= count
        if not self._pdu_left:
            self._body = None
            self._listener.pdu_ended(self._pdu_type, bytes(body))
