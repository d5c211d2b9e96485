"""Verification: the answer to C-ECHO (PS3.4 Annex A)."""

from typing import Final

from pacs_cloud.dicom.status import Status
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.negotiation import Offer
from pacs_cloud.dimse.service import Discard, Operation, Response
from pacs_cloud.errors import PacsError

VERIFICATION: Final = "1.2.840.10008.1.1"


class Verification:
    """Says that we are here."""

    def open(self, operation: Operation, /) -> Discard:
        """Return a sink for the data set that a C-ECHO never has."""
        del operation
        return Discard()

    async def complete(self, operation: Operation, sink: Discard, /) -> Response:
        """Return success."""
        del operation, sink
        return Response(Status.SUCCESS)

    def failure(self, error: PacsError, /) -> Response:
        """Return 0110; nothing here raises."""
        del error
        return Response(Status.PROCESSING_FAILURE)


VERIFICATION_OFFER: Final = Offer(
    frozenset((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)),
    {CommandField.C_ECHO: Verification()},
)
