"""Whether a destination answers: C-ECHO over an association of its own."""

import asyncio
import time
from typing import Final

from pacs_cloud.bootstrap.dimse_doors import Destinations
from pacs_cloud.dicom.status import Status
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Proposal
from pacs_cloud.dimse.requestor import connect, echo
from pacs_cloud.dimse.verification import VERIFICATION
from pacs_cloud.errors import NotFound, PacsError

_LIMIT_S: Final = 10.0
"""People wait for it."""


async def verify(destinations: Destinations, our_title: str, tenant: str, title: str) -> float:
    """Return how many seconds a destination took to answer a C-ECHO (PS3.4 Annex A).

    Args:
        destinations: whom instances may be sent to.
        our_title: who calls.
        tenant: whose destination.
        title: its AE title.

    Raises:
        NotFound: nothing may be sent to it, or it accepts no Verification.
        Unavailable: it cannot be reached, or does not let us in.
        Unverified: it does not answer in time, or something else than success.
    """
    peer = await destinations.find(tenant, title)
    if peer is None:
        raise NotFound(f"{title} is none of our destinations")
    proposal = Proposal(VERIFICATION, (IMPLICIT_LE, EXPLICIT_LE))
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(_LIMIT_S):
            association = await connect(
                peer, our_title, [proposal], limits=Limits(network_s=_LIMIT_S)
            )
            try:
                answer = await echo(association)
                took_s = time.monotonic() - began_s
                await association.release()
            finally:
                if not association.is_over:
                    association.abort("not wanted any more")
    except TimeoutError as error:
        raise Unverified(f"{title} did not answer within {_LIMIT_S:.0f} seconds") from error
    if answer.status != Status.SUCCESS:
        raise Unverified(f"{title} answered with status {answer.status:04X}")
    return took_s


class Unverified(PacsError):
    """A destination does not answer as it should."""
