"""C-MOVE: instances sent to a third party over associations of our own (PS3.4 C.4.2)."""

from collections.abc import Awaitable, Callable

from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse import suboperations
from pacs_cloud.dimse.command import Element
from pacs_cloud.dimse.identifier import IdentifierSink, read_identifier
from pacs_cloud.dimse.information_models import Model
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.patience import Patience
from pacs_cloud.dimse.refusal import refusal
from pacs_cloud.dimse.requestor import MoveOriginator, Peer
from pacs_cloud.dimse.selection import Shelf, record_sending, select
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.dimse.transfer import Dispatch, transfer
from pacs_cloud.errors import NotFound, Offline, PacsError, TooBroad, Unavailable
from pacs_cloud.security.caller import Action
from pacs_cloud.security.witness import require


class CMove:
    """Retrieves in one information model, to peers whom the settings name."""

    def __init__(
        self,
        shelf: Shelf,
        model: Model,
        find_peer: Callable[[str, str], Awaitable[Peer | None]],
        ae_title: str,
        limits: Limits,
        patience: Patience | None = None,
    ) -> None:
        """Send from `shelf`.

        Args:
            shelf: the archive, and whose part of it.
            model: which levels there are.
            find_peer: the peer of a tenant with an AE title, None where it is unknown.
            ae_title: our own, that the destination is called with.
            limits: of the associations with it.
            patience: how to wait for what lies in a cold class; None: refuse it.
        """
        self._shelf = shelf
        self._model = model
        self._find_peer = find_peer
        self._ae_title = ae_title
        self._limits = limits
        self._patience = patience

    def open(self, operation: Operation, /) -> IdentifierSink:
        """Return what takes the identifier."""
        del operation
        return IdentifierSink()

    async def complete(self, operation: Operation, sink: IdentifierSink, /) -> Response:
        """Send each instance to the destination; return the last response.

        Raises:
            Denied: the peer may send nothing.
            NotFound: the destination is not one we know.
            InvalidRequest: the identifier is wrong.
            InvalidInstance: it cannot be decoded.
            TooBroad, Unavailable: what it names could not be found out.
            Offline: some of it lies in a cold class, and that does not change in time.
        """
        await require(self._shelf.witness, operation.caller, Action.SEND)
        syntax = operation.context.transfer_syntax
        identifier = read_identifier(sink.data, syntax, self._model)
        destination, archive = await self._destination(operation), self._shelf.archive
        instances = await select(
            self._shelf, operation.caller, identifier, self._model, Action.SEND
        )
        if self._patience is None:
            await archive.require(instances)
        # Before the wait: what is cold then is sent without whoever asked, by a worker.
        await record_sending(
            self._shelf, operation.caller, "C-MOVE", instances, destination.ae_title
        )
        if self._patience is not None:
            await self._patience.wait(operation, archive, instances, destination.ae_title)

        async def on_progress(tally: Tally) -> None:
            if tally.remaining:
                await operation.respond(suboperations.pending(tally))

        dispatch = Dispatch(
            archive,
            MoveOriginator(
                operation.association.request.calling_ae_title, operation.command.message_id
            ),
            on_progress,
            operation.cancelled,
        )
        tally = await transfer(
            destination, self._ae_title, instances, dispatch, limits=self._limits
        )
        return suboperations.final(tally, syntax, cancelled=operation.cancelled.is_set())

    def failure(self, error: PacsError, /) -> Response:
        """Return A801 for an unknown destination, else as C-GET does."""
        if isinstance(error, NotFound):
            return refusal(error, Status.MOVE_DESTINATION_UNKNOWN)
        if isinstance(error, Offline):
            return suboperations.offline(error)
        is_too_much = isinstance(error, TooBroad | Unavailable)
        return refusal(error, Status.CANNOT_COUNT_MATCHES if is_too_much else None)

    async def _destination(self, operation: Operation) -> Peer:
        title = operation.command.text(Element.MOVE_DESTINATION)
        peer = await self._find_peer(operation.caller.tenant, title)
        if peer is None:
            raise NotFound("the move destination is not one of ours")
        return peer
