"""An association as services see it: messages both ways over one upper layer (PS3.7).

One request of the peer is carried out at a time, as the operations window we
answer says. While it runs the peer is still read, so that its C-CANCEL, its
answers to our sub-operations and its abort are seen; a further request is
parked, and reading stops until its turn, so a peer that ignores the window
cannot make us hold more than a receive buffer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud import metrics, tracing
from pacs_cloud.dimse.associate import (
    APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    AssociateAccept,
    AssociateRequest,
)
from pacs_cloud.dimse.command import Command, CommandField, Element, Value
from pacs_cloud.dimse.fragments import Source
from pacs_cloud.dimse.gate import Admission, Gate, Remote
from pacs_cloud.dimse.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from pacs_cloud.dimse.inbound import DataSetTaker, Dropped, MessageReader
from pacs_cloud.dimse.invocation import Invocation, ReplyTaker
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Context, Proposal, Repertoire, agreed, answer
from pacs_cloud.dimse.outbound import SMALLEST_MAX_LENGTH, Outbox
from pacs_cloud.dimse.pdu import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    NO_REASON_GIVEN,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    TEMPORARY_CONGESTION,
    AssociationRejected,
    ProtocolViolation,
)
from pacs_cloud.dimse.performer import Performer
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.dimse.state import AssociationAborted, End, EndKind, State
from pacs_cloud.dimse.upper_layer import UpperLayer

_log: Final = logging.getLogger(__name__)
_DROPPED: Final = Dropped()
_MESSAGE_IDS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Acceptor:
    """What an association needs to answer a request for it."""

    repertoire: Repertoire
    gate: Gate


@dataclass(frozen=True, slots=True)
class Requestor:
    """What an association needs to ask for itself."""

    request: AssociateRequest
    proposals: Sequence[Proposal]


class Association:
    """One association, asked for by us or by the peer.

    Args:
        side: which of the two, with what it needs.
        limits: times and sizes.

    Attributes:
        upper: the connection; `asyncio` gets it as the protocol.
        contexts: the accepted presentation contexts by ID.
        admission: what the gate said, as the acceptor.
        trace: the span of the whole of it.
        instances_in: how many instances it has brought that were taken in.
        bytes_in: of their Part 10 files.
    """

    def __init__(self, side: Acceptor | Requestor, limits: Limits) -> None:
        self._side = side
        self._limits = limits
        self._request = side.request if isinstance(side, Requestor) else None
        self.upper = UpperLayer(self, limits, self._request)
        self.contexts: Mapping[int, Context] = {}
        self.admission = Admission()
        self.trace = tracing.NOTHING
        self.instances_in = self.bytes_in = 0
        self._reader = MessageReader(self._command_arrived, limits.max_command_bytes)
        self._outbox = Outbox(self.upper, limits.send_bytes)
        self._performer = Performer(self, self.upper, self._outbox)
        self._invocations: dict[int, Invocation] = {}
        self._last_message_id = 0
        self._window = asyncio.Lock()
        self._deciding: asyncio.Task[None] | None = None
        self._established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end: End | None = None
        self._at_end: list[Callable[[Association, End], None]] = []

    # For services and their callers

    @property
    def request(self) -> AssociateRequest:
        """The A-ASSOCIATE-RQ: AE titles, user identity, extended negotiation.

        Raises:
            LookupError: the peer has not sent it yet.
        """
        if self._request is None:
            raise LookupError("no A-ASSOCIATE-RQ yet")
        return self._request

    @property
    def peer_address(self) -> str:
        """The peer's network address."""
        return self.upper.peer_address

    @property
    def remote(self) -> Remote:
        """The peer's end of the connection."""
        return Remote(self.upper.peer_address, self.upper.tls_peer)

    @property
    def has_begun(self) -> bool:
        """Whether the peer has asked, or we have."""
        return self._request is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._end is not None

    @property
    def busy(self) -> bool:
        """Whether a message is coming or an operation of either side runs."""
        return self.mid_message or self.occupied

    def on_end(self, callback: Callable[["Association", End], None]) -> None:
        """Call `callback` once when the association ends; at once if it has."""
        if self._end is not None:
            callback(self, self._end)
        else:
            self._at_end.append(callback)

    async def respond(self, operation: Operation, response: Response) -> None:
        """Send a pending response; see `Operation.respond`."""
        await self._outbox.respond(operation.context, operation.command, response)
        await asyncio.sleep(0)

    async def invoke(
        self, context: Context, elements: Mapping[int, Value], source: Source | None = None
    ) -> Invocation:
        """Send a request; its message ID is added.

        The caller sees to it that one runs at a time (PS3.7 D.3.3.3); `ask` does.

        Args:
            context: one whose `invokes` is true.
            elements: its command set, with the command field.
            source: its data set, or None.

        Returns:
            What iterates over the replies.

        Raises:
            AssociationAborted: the association is over.
            ValueError: `context` does not let us ask.
        """
        if not context.invokes:
            raise ValueError(f"we are no SCU in context {context.context_id}")
        message_id = self._next_message_id()
        invocation = Invocation(self, context, message_id, self._limits.response_s)
        self._invocations[message_id] = invocation
        try:
            await self._outbox.send(context, {**elements, Element.MESSAGE_ID: message_id}, source)
        except BaseException:
            invocation.abandon()
            raise
        return invocation

    async def ask(
        self, context: Context, elements: Mapping[int, Value], source: Source | None = None
    ) -> Command:
        """Send a request that has one reply, and return that reply's command set.

        Several callers take turns, as the operations window asks.

        Raises:
            AssociationAborted: the association is over, or the peer did not
                answer in time and was aborted.
        """
        async with self._window:
            invocation = await self.invoke(context, elements, source)
            try:
                return (await invocation.reply()).command
            finally:
                invocation.abandon()

    async def release(self) -> None:
        """Release, and return when the connection is closed."""
        self.upper.release()
        await asyncio.shield(self.upper.closed)

    def abort(self, detail: str = "") -> None:
        """Abort."""
        self.upper.abort(detail)

    async def established(self) -> None:
        """Return when the peer has accepted.

        Raises:
            AssociationRejected: it has not.
            AssociationAborted: it aborted, or did not answer in time.
        """
        await asyncio.shield(self._established)

    async def wait_closed(self) -> None:
        """Return when the connection is closed and no service runs any more."""
        await asyncio.shield(self.upper.closed)
        await self._performer.wait()

    # UpperLayerUser

    @property
    def mid_message(self) -> bool:
        """Whether the peer owes the rest of a message."""
        return self._reader.mid_message

    @property
    def occupied(self) -> bool:
        """Whether an operation of either side runs."""
        return self._performer.busy or any(
            not invocation.abandoned for invocation in self._invocations.values()
        )

    def associate_indication(self, request: AssociateRequest, /) -> None:
        """Judge what needs no gate, then ask the gate."""
        self._request = request
        if not request.protocol_version & PROTOCOL_VERSION:
            self.upper.reject(PROTOCOL_VERSION_NOT_SUPPORTED)
        elif request.application_context != APPLICATION_CONTEXT:
            self.upper.reject(APPLICATION_CONTEXT_NOT_SUPPORTED)
        elif 0 < request.max_length < SMALLEST_MAX_LENGTH:
            self.upper.reject(NO_REASON_GIVEN)
        else:
            loop = asyncio.get_running_loop()
            self._deciding = loop.create_task(self._decide(request))

    def associate_confirm(self, accept: AssociateAccept, /) -> None:
        """Take over what the peer accepted."""
        assert isinstance(self._side, Requestor)
        if 0 < accept.max_length < SMALLEST_MAX_LENGTH:
            raise ProtocolViolation(f"the peer takes no more than {accept.max_length} bytes")
        self.contexts = agreed(self._side.proposals, accept)
        self._outbox.set_max_length(accept.max_length)
        if not self._established.done():
            self._established.set_result(None)

    def data_indication(
        self, context_id: int, control: int, piece: memoryview, fragment_ends: bool, /
    ) -> None:
        """Hand the piece to the message it belongs to."""
        self._reader.fragment(context_id, control, piece, fragment_ends)

    def release_indication(self) -> None:
        """Agree, once what runs has ended."""
        if self._reader.mid_message:
            raise ProtocolViolation("a release within a message")
        self._performer.release()

    def ended(self, end: End, /) -> None:
        """Let nothing half-done remain, and tell who waits."""
        self._end = end
        self._reader.abort()
        self._performer.end()
        if self._deciding is not None:
            self._deciding.cancel()
        error = AssociationAborted(end)
        for invocation in self._invocations.values():
            invocation.failed(error)
        if not self._established.done():
            rejection = end.rejection
            self._established.set_exception(
                error if rejection is None else AssociationRejected(rejection)
            )
            # Nobody waits for it on the acceptor's side.
            self._established.exception()
        _log.info("association_ended", extra={"how": end.kind.name, "detail": end.detail})
        if isinstance(self._side, Acceptor):
            metrics.ASSOCIATIONS_ENDED.labels(end.kind.name.lower()).inc()
        callbacks, self._at_end = self._at_end, []
        for callback in callbacks:
            try:
                callback(self, end)
            except Exception:  # noqa: BLE001 - the outermost edge: the others must still know
                _log.exception("end_callback_failed")

    # Asker

    def hold(self) -> None:
        """Keep the peer back: replies come faster than they are taken."""
        self.upper.hold()

    def resume(self) -> None:
        """Let it go on."""
        self.upper.resume()

    async def send_cancel(self, context: Context, message_id: int, /) -> None:
        """Send a C-CANCEL-RQ (PS3.7 9.3.2.3)."""
        await self._outbox.send(
            context,
            {Element.COMMAND_FIELD: CommandField.C_CANCEL, Element.RESPONDED_TO: message_id},
            None,
        )

    def give_up(self, detail: str, /) -> AssociationAborted:
        """Abort and return the error for it."""
        self.upper.abort(detail)
        return AssociationAborted(self._end or End(EndKind.ABORTED_BY_US, detail))

    # Inside

    async def _decide(self, request: AssociateRequest) -> None:
        assert isinstance(self._side, Acceptor)
        try:
            self.admission = await self._side.gate.admit(request, self.remote)
            if (leave := self.admission.leave) is not None:
                self.on_end(lambda _association, _end: leave())
            if self.upper.state is not State.DECIDING:
                return
            agreement = answer(request, self._side.repertoire, self.admission.requests)
        except AssociationRejected as error:
            self.upper.reject(error.rejection)
            return
        except Exception:  # noqa: BLE001 - the outermost edge: the peer must get an answer
            _log.exception("gate_failed")
            self.upper.reject(TEMPORARY_CONGESTION)
            return
        self.contexts = agreement.contexts
        self._outbox.set_max_length(request.max_length)
        is_open = metrics.ASSOCIATIONS_OPEN.labels(self.admission.device or metrics.OTHER)
        is_open.inc()
        self.on_end(lambda _association, _end: is_open.dec())
        self.trace = tracing.begin("association", device=self.admission.device or metrics.OTHER)
        self.on_end(lambda association, end: association.trace.say(end=end.kind.name.lower()))
        self.on_end(lambda association, _end: association.trace.end())
        wants_answer = request.identity is not None and request.identity.response_requested
        self._established.set_result(None)
        self.upper.accept(
            AssociateAccept(
                request.called_ae_title,
                request.calling_ae_title,
                agreement.answers,
                self._limits.max_length,
                IMPLEMENTATION_CLASS_UID,
                IMPLEMENTATION_VERSION,
                (1, 1) if request.operations_window is not None else None,
                agreement.roles,
                agreement.extended,
                self.admission.identity_response if wants_answer else None,
            )
        )

    def _command_arrived(self, context_id: int, command: Command) -> DataSetTaker:
        context = self.contexts.get(context_id)
        if context is None:
            raise ProtocolViolation(f"presentation context {context_id} was not accepted")
        if command.is_response:
            return self._reply_arrived(command)
        if command.field == CommandField.C_CANCEL:
            self._performer.cancel(command.responded_to)
            return _DROPPED
        return self._performer.request_arrived(context, command)

    def _reply_arrived(self, command: Command) -> DataSetTaker:
        invocation = self._invocations.get(command.responded_to)
        if invocation is None:
            raise ProtocolViolation(f"a response to message {command.responded_to}, never asked")
        return ReplyTaker(self._invocations, invocation, command, self._limits.max_data_set_bytes)

    def _next_message_id(self) -> int:
        message_id = self._last_message_id
        for _ in range(_MESSAGE_IDS):
            message_id = (message_id + 1) % _MESSAGE_IDS
            if message_id and message_id not in self._invocations:
                self._last_message_id = message_id
                return message_id
        raise AssociationAborted(
            End(EndKind.ABORTED_BY_US, "no message ID is free: the peer answers nothing")
        )
