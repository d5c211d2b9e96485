"""What a service is to the association that calls it.

An operation runs so: once a request's command set is decoded, `open` gives the
sink for its data set; fragments go into the sink straight from the receive
buffer; then `complete` is awaited and its response sent. A broken association
calls the sink's `abort` while the data set is still coming; from the call of
`complete` on the sink is the service's own, and the task is cancelled instead.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from pacs_cloud.dimse.command import Command, Value
from pacs_cloud.errors import Unidentified
from pacs_cloud.security.caller import Caller

if TYPE_CHECKING:
    from pacs_cloud.dimse.association import Association
    from pacs_cloud.dimse.negotiation import Context
    from pacs_cloud.errors import PacsError


class Sink(Protocol):
    """Where a data set goes as it arrives."""

    def write(self, piece: memoryview, /) -> Awaitable[None] | None:
        """Take the next bytes.

        Args:
            piece: a view of the receive buffer; copy it, it is valid during
                this call only.

        Returns:
            None to go on at once, or what must be awaited before the next
            call; reading from the peer pauses until then. It is this sink's
            own: it is cancelled when the association ends.

        Raises:
            PacsError: the instance cannot be taken. The rest is read and
                dropped, `abort` is called and the service's `failure` answers.
        """
        ...

    def abort(self) -> None:
        """Forget what was written: the rest will not come. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of a service.

    Attributes:
        status: (0000,0900); FF00 and FF01 are for `Operation.respond`.
        data_set: encoded in the context's transfer syntax, or None.
        elements: further command elements, as sub-operation counts or an
            error comment, by element number.
    """

    status: int
    data_set: bytes | None = None
    elements: Mapping[int, Value] = field(default_factory=dict[int, Value])


class Operation:
    """One request of the peer while it is carried out.

    Attributes:
        association: where it came from; sub-operations go through it.
        context: its presentation context.
        command: its command set, which lacks nothing its service requires.
    """

    __slots__ = ("_cancelled", "association", "command", "context")

    def __init__(self, association: "Association", context: "Context", command: Command) -> None:
        self.association = association
        self.context = context
        self.command = command
        self._cancelled: asyncio.Event | None = None

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when the peer sends C-CANCEL or asks to release."""
        # Made when first asked for: a C-STORE never asks, and there are so many.
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
        return self._cancelled

    @property
    def caller(self) -> Caller:
        """Who asks; raises Unidentified where the gate let somebody in whom it does not know."""
        caller = self.association.admission.caller
        if caller is None:
            raise Unidentified("the association is nobody's")
        return caller

    async def respond(self, response: Response) -> None:
        """Send a response that is not the last, and wait while the peer does not read.

        Other associations get their turn, and a C-CANCEL its chance.

        Raises:
            AssociationAborted: the association is gone.
        """
        await self.association.respond(self, response)


SinkT = TypeVar("SinkT", bound=Sink)


class Service(Protocol[SinkT]):
    """Carries out one kind of request; registered in an `Offer`."""

    def open(self, operation: Operation, /) -> SinkT:
        """Return the sink for this request's data set.

        It is called for every request; one without a data set writes nothing.

        Raises:
            PacsError: the request is refused. Its data set is read and
                dropped, then `failure` answers.
        """
        ...

    async def complete(self, operation: Operation, sink: SinkT, /) -> Response:
        """Carry out the request and return its last response.

        The task is cancelled when the association ends.

        Raises:
            PacsError: `failure` answers.
        """
        ...

    def failure(self, error: "PacsError", /) -> Response:
        """Return the answer for an error of `open`, the sink or `complete`. Never raises."""
        ...


class Discard:
    """A sink for data sets nobody needs."""

    __slots__ = ()

    def write(self, piece: memoryview, /) -> None:
        """Drop the bytes."""

    def abort(self) -> None:
        """Do nothing."""
