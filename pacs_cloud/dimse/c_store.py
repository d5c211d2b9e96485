"""C-STORE: instances taken in as they arrive (PS3.4 Annex B, PS3.7 9.1.1)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Final, NoReturn

from pacs_cloud import metrics, tracing
from pacs_cloud.dicom.status import Status
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dimse.association import Association
from pacs_cloud.dimse.command import Element, Value
from pacs_cloud.dimse.service import Discard, Operation, Response
from pacs_cloud.dimse.state import End
from pacs_cloud.dimse.storage_classes import STORAGE_CLASSES
from pacs_cloud.errors import Denied, InvalidInstance, InvalidUid, PacsError, Refusal, Unavailable
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.security.witness import NOBODY, Witness, refuse

log = logging.getLogger(__name__)

_DRAIN_BYTES: Final = 8 << 20
"""How much is received between two looks at whether the disk keeps up; what a
reception holds in memory, so that an instance which stays there never waits."""

_TRACED_EACH: Final = 100
"""Of so many instances of one association one is traced, the first among them."""

_STORED: Final = Response(Status.SUCCESS)

_REFUSALS: Final[Mapping[Refusal, tuple[Status, str]]] = {
    Refusal.UNREADABLE: (Status.CANNOT_UNDERSTAND, "the data set cannot be decoded"),
    Refusal.UNSUPPORTED_SYNTAX: (Status.CANNOT_UNDERSTAND, "the transfer syntax is unknown"),
    Refusal.TOO_LARGE: (Status.CANNOT_UNDERSTAND, "the header or inflated data set is too large"),
    Refusal.MISSING_UID: (
        Status.CANNOT_UNDERSTAND_UIDS,
        "the data set lacks a study, series, instance or class UID",
    ),
    Refusal.BAD_UID: (Status.CANNOT_UNDERSTAND_UIDS, "a UID of the data set is malformed"),
    Refusal.MISMATCH: (
        Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        "the data set is of another instance or class than named",
    ),
    Refusal.UNSUPPORTED_CLASS: (
        Status.SOP_CLASS_NOT_SUPPORTED,
        "not a storage SOP class",
    ),
}
"""Our reasons as PS3.4 Table B.2-1 and PS3.7 Annex C have them; none of the
comments holds a value of the data set."""


class CStore:
    """Takes instances in; those of one association are one session."""

    def __init__(self, intake: Intake, witness: Witness = NOBODY) -> None:
        """Store into `intake`; `witness` puts on record who has brought what."""
        self._intake = intake
        self._witness = witness
        self._sessions: dict[Association, Session] = {}
        self._flushing: set[asyncio.Task[None]] = set()

    def open(self, operation: Operation, /) -> "Receiver | Refusing":
        """Return what takes the instance, or drops what is refused unseen."""
        try:
            return self._receiver(operation)
        except (Refused, Denied) as error:
            return Refusing(error)

    def _receiver(self, operation: Operation) -> "Receiver":
        """Return what takes the instance.

        Raises:
            Refused: the request names no instance, or no class that is stored.
            Denied: the peer may not store.
        """
        command = operation.command
        try:
            sop_instance_uid = parse_uid(command.affected_sop_instance_uid)
        except InvalidUid as error:
            # PS3.7 C.5.9
            raise Refused(
                Status.INVALID_SOP_INSTANCE, "the Affected SOP Instance UID is malformed"
            ) from error
        sop_class_uid = command.affected_sop_class_uid
        # The context's own class by rule; senders that name a related one in it lose nothing.
        if sop_class_uid != operation.context.abstract_syntax and (
            sop_class_uid not in STORAGE_CLASSES
        ):
            raise Refused(*_REFUSALS[Refusal.UNSUPPORTED_CLASS])
        session = self._session(operation)
        reception = session.begin_dataset(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=operation.context.transfer_syntax,
        )
        receiver = Receiver(reception)
        if session.trace is not None and session.count % _TRACED_EACH == 0:
            receiver.trace = tracing.begin("C-STORE", parent=session.trace)
        session.count += 1
        return receiver

    async def complete(self, operation: Operation, sink: "Receiver | Refusing", /) -> Response:
        """Return success once the instance may be acknowledged.

        Raises:
            Refused: as it was when the request came.
            Denied: the peer may not store, or with some studies only.
            InvalidInstance: it cannot be admitted.
            Unavailable: it could not be made durable, or not be put on record.
        """
        try:
            if isinstance(sink, Refusing):
                await self._refuse(operation, sink.error)
            receipt = await sink.reception.finish()
            operation.association.instances_in += 1
            operation.association.bytes_in += receipt.length_bytes
            recorded = self._witness.saw(
                operation.caller, Kind.STORE, studies=(receipt.study_instance_uid,), instances=1
            )
            if recorded is not None:
                await recorded
        except BaseException as error:
            sink.trace.end(type(error).__name__)
            if isinstance(error, Exception):  # else it is cancelled, and nobody is answered
                metrics.C_STORE_SECONDS.observe(time.perf_counter() - sink.began_s)
            raise
        sink.trace.end()
        metrics.C_STORE_SECONDS.observe(time.perf_counter() - sink.began_s)
        return _STORED

    def failure(self, error: PacsError, /) -> Response:
        """Return the status for `error`, with a comment that says why."""
        if isinstance(error, Refused):
            status, comment = error.status, error.comment
        elif isinstance(error, InvalidInstance):
            status, comment = _REFUSALS.get(
                error.refusal, (Status.PROCESSING_FAILURE, "the instance cannot be stored")
            )
        elif isinstance(error, Denied):
            status, comment = Status.NOT_AUTHORISED, "not for this application entity"
        elif isinstance(error, Unavailable):
            # StorageFull and failed syncs alike: the same instance may be sent again.
            status, comment = Status.OUT_OF_RESOURCES, "no room or no disk now; send it again"
        else:
            log.error("store_failed", exc_info=error)
            status, comment = Status.PROCESSING_FAILURE, "the instance could not be stored"
        if isinstance(error, Refused | Denied):  # of the others the intake has counted each
            metrics.INSTANCES_REFUSED.labels(Door.DIMSE.value, status.name.lower()).inc()
        if not isinstance(error, Unavailable):
            log.warning("instance_refused", extra={"status": f"{status:04x}", "reason": comment})
        elements: dict[int, Value] = {Element.ERROR_COMMENT: comment}
        return Response(status, elements=elements)

    async def _refuse(self, operation: Operation, error: PacsError) -> NoReturn:
        if isinstance(error, Denied):
            await refuse(self._witness, operation.caller, Action.STORE)
        raise error

    def _session(self, operation: Operation) -> Session:
        association = operation.association
        session = self._sessions.get(association)
        if session is None:
            request = association.request
            source = Source(
                Door.DIMSE,
                request.called_ae_title,
                request.calling_ae_title,
                association.peer_address,
            )
            session = self._intake.session(
                operation.caller, source, device=association.admission.device
            )
            session.trace = association.trace.context
            self._sessions[association] = session
            association.on_end(self._ended)
        return session

    def _ended(self, association: Association, end: End) -> None:
        """Let what an association has sent become visible, however it ended."""
        del end
        session = self._sessions.pop(association)
        task = asyncio.get_running_loop().create_task(session.release())
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)


class Receiver:
    """Takes one instance's data set, and holds its sender back while the disk is behind."""

    __slots__ = ("_undrained_bytes", "began_s", "reception", "trace")

    def __init__(self, reception: Reception) -> None:
        self.reception = reception
        self.began_s = time.perf_counter()
        self.trace = tracing.NOTHING
        self._undrained_bytes = 0

    def write(self, piece: memoryview, /) -> Awaitable[None] | None:
        """Copy the bytes; what goes wrong is told at the end."""
        self.reception.write(piece)
        self._undrained_bytes += len(piece)
        if self._undrained_bytes < _DRAIN_BYTES:
            return None
        self._undrained_bytes = 0
        return self.reception.drain()

    def abort(self) -> None:
        """Forget the instance."""
        self.reception.abort()
        self.trace.end("aborted")


class Refusing(Discard):
    """Drops the data set of a request that is refused, which is said once it has come whole."""

    __slots__ = ("began_s", "error", "trace")

    def __init__(self, error: PacsError) -> None:
        self.error = error
        self.began_s = time.perf_counter()
        self.trace = tracing.NOTHING


class Refused(PacsError):
    """A request that is refused before its data set has come.

    Attributes:
        status: the answer.
        comment: why, at most 64 characters.
    """

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment
