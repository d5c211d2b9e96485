"""The peer's requests carried out, one at a time and in their order."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from pacs_cloud import tracing
from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse.command import Command, CommandField, Element
from pacs_cloud.dimse.negotiation import Context
from pacs_cloud.dimse.outbound import Outbox
from pacs_cloud.dimse.service import Discard, Operation, Response, Service, Sink
from pacs_cloud.dimse.state import AssociationAborted
from pacs_cloud.dimse.upper_layer import UpperLayer
from pacs_cloud.errors import PacsError

if TYPE_CHECKING:
    from pacs_cloud.dimse.association import Association

_log: Final = logging.getLogger(__name__)
_DISCARD: Final = Discard()


class Performer:
    """Carries out the requests of one association's peer.

    Args:
        association: for the operations.
        upper: to hold the peer back.
        outbox: for the responses.
    """

    def __init__(self, association: "Association", upper: UpperLayer, outbox: Outbox) -> None:
        self._association = association
        self._upper = upper
        self._outbox = outbox
        self._current: _Request | None = None
        self._parked: _Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._release_waits = False
        self._over = False

    @property
    def busy(self) -> bool:
        """Whether a request has come whose last response is not sent."""
        return self._current is not None

    def request_arrived(self, context: Context, command: Command) -> "_Request":
        """Begin a request, or park it while another runs; return what takes its data set."""
        request = _Request(self, Operation(self._association, context, command))
        if self._current is None:
            self._current = request
            request.open()
        else:
            self._parked = request
            self._upper.hold()
        return request

    def cancel(self, message_id: int) -> None:
        """Tell the running operation that the peer wants no more (C-CANCEL-RQ)."""
        current = self._current
        if current is not None and current.operation.command.message_id == message_id:
            current.operation.cancelled.set()

    def release(self) -> None:
        """Let the association be released, once what runs has ended."""
        if self._current is None:
            self._upper.confirm_release()
        else:
            self._release_waits = True
            self._current.operation.cancelled.set()

    def end(self) -> None:
        """Drop everything: the association is over."""
        self._over = True
        self._parked = None
        if self._task is not None:
            self._task.cancel()
        current, self._current = self._current, None
        if current is not None and not current.handed_over:
            current.abort()

    async def wait(self) -> None:
        """Return when no service runs any more."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def hold(self) -> None:
        """Keep the peer back while a sink is not ready."""
        self._upper.hold()

    def resume(self) -> None:
        """Let it go on."""
        self._upper.resume()

    def start(self, request: "_Request") -> None:
        """Carry out a request whose message has come whole, when it is its turn."""
        if request is self._current:
            self._task = asyncio.get_running_loop().create_task(self._carry_out(request))

    async def _carry_out(self, request: "_Request") -> None:
        operation = request.operation
        still = self._association.admission.still
        try:
            if still is not None:
                await still()
        except PacsError:
            # It may associate anew, and is told then; what it has sent is not acknowledged.
            self._upper.abort("it is not let in any more")
            return
        try:
            with self._traced(operation):
                response = await request.answer()
            await self._outbox.respond(operation.context, operation.command, response)
        except AssociationAborted:
            pass  # Nobody is left to answer: `answer` itself raises none.
        except asyncio.CancelledError:
            if not self._over:
                # Something the service waited for was cancelled, not the service.
                self._upper.abort("an operation was cancelled")
            raise
        except Exception:  # noqa: BLE001 - the outermost edge: a peer must not wait forever
            _log.exception("response_not_sent", extra={"command": operation.command.field})
            self._upper.abort("a response could not be sent")
        self._next()

    def _traced(self, operation: Operation) -> AbstractContextManager[object]:
        """Give the operation's span; of C-STOREs, of which there are many, their service does."""
        parent = self._association.trace.context
        if parent is None or operation.command.field == CommandField.C_STORE:
            return nullcontext()
        return tracing.span(CommandField(operation.command.field).name, parent=parent)

    def _next(self) -> None:
        if self._over:
            return
        self._task = None
        request, self._parked = self._parked, None
        self._current = request
        if request is not None:
            request.open()
            if request.ended:
                self.start(request)
            self._upper.resume()
        elif self._release_waits:
            self._upper.confirm_release()


class _Request:
    """One request while its message comes: a `DataSetTaker`."""

    __slots__ = (
        "_performer",
        "_refusal",
        "_service",
        "_sink",
        "_waiting",
        "ended",
        "handed_over",
        "operation",
    )

    def __init__(self, performer: Performer, operation: Operation) -> None:
        self.operation = operation
        self.ended = False
        self.handed_over = False
        self._performer = performer
        self._service: Service[Any] | None = None
        self._sink: Sink = _DISCARD
        self._refusal: Response | None = None
        self._waiting: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Find the service and its sink."""
        context, command = self.operation.context, self.operation.command
        service = context.offer.services.get(command.field) if context.performs else None
        if service is None:
            self._refusal = Response(Status.UNRECOGNISED_OPERATION)
            return
        missing = command.missing()
        if missing is not None:
            self._refusal = _incomplete(command, missing)
            return
        self._service = service
        try:
            self._sink = service.open(self.operation)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a service
            self._refusal = self._answer_to(error)

    def take(self, piece: memoryview, /) -> None:
        """Hand the bytes to the sink."""
        try:
            ready = self._sink.write(piece)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a service
            self._sink_failed(error)
        else:
            if ready is not None:
                self._performer.hold()
                self._waiting = asyncio.get_running_loop().create_task(self._wait(ready))

    def end(self) -> None:
        """Carry out the request, now or when the sink has caught up or its turn has come."""
        self.ended = True
        if self._waiting is None:
            self._performer.start(self)

    def abort(self) -> None:
        """Drop what has come."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._drop_sink()

    async def answer(self) -> Response:
        """Return the service's last response, or why there is none."""
        if self._refusal is not None:
            return self._refusal
        service = self._service
        assert service is not None
        self.handed_over = True
        try:
            return await service.complete(self.operation, self._sink)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a service
            return self._answer_to(error)

    async def _wait(self, ready: Awaitable[None]) -> None:
        try:
            await ready
        except Exception as error:  # noqa: BLE001 - the outermost edge of a service
            self._sink_failed(error)
        self._waiting = None
        if self.ended:
            self._performer.start(self)
        self._performer.resume()

    def _sink_failed(self, error: Exception) -> None:
        self._drop_sink()
        self._refusal = self._answer_to(error)

    def _drop_sink(self) -> None:
        sink, self._sink = self._sink, _DISCARD
        try:
            sink.abort()
        except Exception:  # noqa: BLE001 - the outermost edge of a service: the end must go on
            _log.exception("sink_not_aborted")

    def _answer_to(self, error: Exception) -> Response:
        """Return the service's answer to an expected error; any other is a defect of ours."""
        if isinstance(error, PacsError) and self._service is not None:
            return self._service.failure(error)
        _log.error(
            "operation_failed", exc_info=error, extra={"command": self.operation.command.field}
        )
        return Response(Status.PROCESSING_FAILURE)


def _incomplete(command: Command, missing: Element) -> Response:
    composite = command.field < CommandField.N_EVENT_REPORT
    return Response(
        Status.CANNOT_UNDERSTAND if composite else Status.MISSING_ATTRIBUTE,
        elements={Element.ERROR_COMMENT: f"({0:04X},{missing:04X}) is missing"},
    )
