"""Protocol data units: their types, fixed headers and short bodies (PS3.8 9.3).

Every PDU is a six-byte header (type, reserved, length of what follows) and a
body. P-DATA-TF bodies are sequences of presentation data values, PDVs, which
the receive path reads in place; A-ASSOCIATE bodies live in `associate`.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from pacs_cloud.errors import InvalidRequest, Unavailable


class PduType(IntEnum):
    """The seven PDU types (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortSource(IntEnum):
    """Who aborted (PS3.8 Table 9-26)."""

    USER = 0
    PROVIDER = 2


class AbortReason(IntEnum):
    """Why the provider aborted (PS3.8 Table 9-26); 0 when the user did."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


class ProtocolViolation(InvalidRequest):
    """The peer broke PS3.7 or PS3.8; the association is aborted for it.

    Attributes:
        reason: what the A-ABORT says.
    """

    def __init__(
        self, message: str, reason: AbortReason = AbortReason.INVALID_PARAMETER_VALUE
    ) -> None:
        super().__init__(message)
        self.reason = reason


class RejectResult(IntEnum):
    """Whether trying again later can help (PS3.8 Table 9-21)."""

    PERMANENT = 1
    TRANSIENT = 2


@dataclass(frozen=True, slots=True)
class Rejection:
    """The body of an A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Attributes:
        result: permanent or transient.
        source: 1 service user, 2 provider (ACSE), 3 provider (presentation).
        reason: its meaning depends on `source`.
    """

    result: int
    source: int
    reason: int


NO_REASON_GIVEN: Final = Rejection(RejectResult.PERMANENT, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED: Final = Rejection(RejectResult.PERMANENT, 1, 2)
CALLING_AE_TITLE_NOT_RECOGNIZED: Final = Rejection(RejectResult.PERMANENT, 1, 3)
CALLED_AE_TITLE_NOT_RECOGNIZED: Final = Rejection(RejectResult.PERMANENT, 1, 7)
USER_IDENTITY_NOT_ACCEPTED: Final = Rejection(RejectResult.PERMANENT, 2, 1)
"""PS3.7 D.3.3.7 has a user who is not let in refused so."""
PROTOCOL_VERSION_NOT_SUPPORTED: Final = Rejection(RejectResult.PERMANENT, 2, 2)
TEMPORARY_CONGESTION: Final = Rejection(RejectResult.TRANSIENT, 3, 1)
LOCAL_LIMIT_EXCEEDED: Final = Rejection(RejectResult.TRANSIENT, 3, 2)


class AssociationRejected(Unavailable):
    """An association was refused: by us (a gate raises it) or by the peer.

    Attributes:
        rejection: what the A-ASSOCIATE-RJ said or shall say.
    """

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(
            f"association rejected: result {rejection.result}, "
            f"source {rejection.source}, reason {rejection.reason}"
        )
        self.rejection = rejection


PDU_HEADER: Final = Struct(">BxI")
"""PDU type, length of the body in bytes."""

PDV_HEADER: Final = Struct(">IBB")
"""PDV length (what follows it), presentation context ID, message control header."""

DATA_HEADER: Final = Struct(">BxIIBB")
"""The header of a P-DATA-TF and of its only PDV, as we send them."""

COMMAND_FRAGMENT: Final = 1
"""Message control header bit: the fragment belongs to a command set (PS3.8 E.2)."""

LAST_FRAGMENT: Final = 2
"""Message control header bit: the fragment is its command's or data set's last."""

PDV_OVERHEAD_BYTES: Final = 6
"""What a PDV's header takes of a P-DATA-TF's body."""

RELEASE_RQ: Final = PDU_HEADER.pack(PduType.RELEASE_RQ, 4) + bytes(4)
RELEASE_RP: Final = PDU_HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4)

_FOUR_BYTES: Final = Struct(">xBBB")


def encode_abort(source: int, reason: int) -> bytes:
    """Return a whole A-ABORT PDU (PS3.8 9.3.8)."""
    return PDU_HEADER.pack(PduType.ABORT, 4) + _FOUR_BYTES.pack(0, source, reason)


def decode_abort(body: bytes) -> tuple[int, int]:
    """Return an A-ABORT's source and reason as they came, defined values or not."""
    _, source, reason = _FOUR_BYTES.unpack(body)
    return source, reason


def encode_rejection(rejection: Rejection) -> bytes:
    """Return a whole A-ASSOCIATE-RJ PDU (PS3.8 9.3.4)."""
    return PDU_HEADER.pack(PduType.ASSOCIATE_RJ, 4) + _FOUR_BYTES.pack(
        rejection.result, rejection.source, rejection.reason
    )


def decode_rejection(body: bytes) -> Rejection:
    """Return an A-ASSOCIATE-RJ's content as it came, defined values or not."""
    return Rejection(*_FOUR_BYTES.unpack(body))
