"""C-GET: instances sent over the association that asks for them (PS3.4 C.4.3)."""

from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse import suboperations
from pacs_cloud.dimse.identifier import IdentifierSink, read_identifier
from pacs_cloud.dimse.information_models import Model
from pacs_cloud.dimse.refusal import refusal
from pacs_cloud.dimse.selection import Shelf, record_sending, select
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.dimse.transfer import Dispatch, send_over
from pacs_cloud.errors import Offline, PacsError, TooBroad, Unavailable
from pacs_cloud.security.caller import Action


class CGet:
    """Retrieves in one information model."""

    def __init__(self, shelf: Shelf, model: Model) -> None:
        self._shelf = shelf
        self._model = model

    def open(self, operation: Operation, /) -> IdentifierSink:
        """Return what takes the identifier."""
        del operation
        return IdentifierSink()

    async def complete(self, operation: Operation, sink: IdentifierSink, /) -> Response:
        """Send each instance with a C-STORE sub-operation; return the last response.

        Raises:
            Denied: the peer may not search, or not take files away.
            InvalidRequest: the identifier is wrong.
            InvalidInstance: it cannot be decoded.
            TooBroad, Unavailable: what it names could not be found out.
            Offline: some of it lies in a cold class.
            AssociationAborted: the association is over.
        """
        syntax = operation.context.transfer_syntax
        identifier = read_identifier(sink.data, syntax, self._model)
        instances = await select(
            self._shelf, operation.caller, identifier, self._model, Action.DOWNLOAD
        )
        await self._shelf.archive.require(instances)
        await record_sending(self._shelf, operation.caller, "C-GET", instances)
        tally = Tally(len(instances))

        async def on_progress(tally: Tally) -> None:
            if tally.remaining:
                await operation.respond(suboperations.pending(tally))

        dispatch = Dispatch(
            self._shelf.archive, on_progress=on_progress, cancelled=operation.cancelled
        )
        await send_over(operation.association, instances, dispatch, tally)
        return suboperations.final(tally, syntax, cancelled=operation.cancelled.is_set())

    def failure(self, error: PacsError, /) -> Response:
        """Return A900 for a wrong identifier, A701 for too much, A702 for cold, C000 else."""
        if isinstance(error, Offline):
            return suboperations.offline(error)
        is_too_much = isinstance(error, TooBroad | Unavailable)
        return refusal(error, Status.CANNOT_COUNT_MATCHES if is_too_much else None)
