"""Where an association stands, and how it ended (PS3.8 9.2).

The states are those of PS3.8 Table 9-10, with the ones that differ only in
whom we wait for inside this process folded together:

    OPENING      Sta4   connecting
    LISTENING    Sta2   waiting for the A-ASSOCIATE-RQ, ARTIM runs
    DECIDING     Sta3   our user decides
    ASKING       Sta5   waiting for the A-ASSOCIATE-AC or -RJ
    ESTABLISHED  Sta6, Sta8
    RELEASING    Sta7, Sta11   waiting for the A-RELEASE-RP
    COLLIDED     Sta10  both asked; the requestor of the association answers first
    CLOSING      Sta13  our last word is sent; waiting for the peer to close
    CLOSED       Sta1
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pacs_cloud.dimse.pdu import PduType, Rejection
from pacs_cloud.errors import Unavailable


class State(Enum):
    """See the module's table."""

    OPENING = auto()
    LISTENING = auto()
    DECIDING = auto()
    ASKING = auto()
    ESTABLISHED = auto()
    RELEASING = auto()
    COLLIDED = auto()
    CLOSING = auto()
    CLOSED = auto()


class EndKind(Enum):
    """How an association ended."""

    RELEASED = auto()
    REJECTED = auto()
    ABORTED_BY_PEER = auto()
    ABORTED_BY_US = auto()
    CONNECTION_LOST = auto()


@dataclass(frozen=True, slots=True)
class End:
    """How and why an association ended.

    Attributes:
        kind: released is the only orderly one.
        detail: a sentence for a log, without patient data.
        source: of the A-ABORT, or None.
        reason: of the A-ABORT, or None.
        rejection: of the A-ASSOCIATE-RJ, or None.
    """

    kind: EndKind
    detail: str = ""
    source: int | None = None
    reason: int | None = None
    rejection: Rejection | None = None


class AssociationAborted(Unavailable):
    """The association is over, without the order of a release.

    Attributes:
        end: how it ended.
    """

    def __init__(self, end: End) -> None:
        super().__init__(f"association over: {end.kind.name.lower()} {end.detail}".rstrip())
        self.end = end


EXPECTED_PDUS: Final[dict[State, frozenset[int]]] = {
    State.OPENING: frozenset(),
    State.LISTENING: frozenset((PduType.ASSOCIATE_RQ, PduType.ABORT)),
    State.DECIDING: frozenset((PduType.ABORT,)),
    State.ASKING: frozenset((PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ, PduType.ABORT)),
    State.ESTABLISHED: frozenset((PduType.P_DATA_TF, PduType.RELEASE_RQ, PduType.ABORT)),
    State.RELEASING: frozenset(
        (PduType.P_DATA_TF, PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT)
    ),
    State.COLLIDED: frozenset((PduType.RELEASE_RP, PduType.ABORT)),
    State.CLOSING: frozenset(),
    State.CLOSED: frozenset(),
}
"""The PDU types that each state takes; any other is answered with an A-ABORT."""
