"""Who may associate."""

from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.dimse.associate import AssociateRequest
from pacs_cloud.dimse.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    AssociationRejected,
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a gate says of a peer it lets in.

    Attributes:
        principal: who it is, for services; "" when nobody asked.
        identity_response: the positive answer to its user identity, or None
            (PS3.7 D.3.3.7.2); it is sent only when the peer asked for one.
    """

    principal: str = ""
    identity_response: bytes | None = None


class Gate(Protocol):
    """Judges requests for an association."""

    async def admit(self, request: AssociateRequest, peer_address: str, /) -> Admission:
        """Let the peer in.

        Args:
            request: its AE titles, its user identity, its contexts.
            peer_address: its network address.

        Raises:
            AssociationRejected: it may not come in.
        """
        ...


@dataclass(frozen=True, slots=True)
class AeTitleGate:
    """Looks at AE titles alone; user identities pass unread.

    Attributes:
        called: the titles we answer to, or None for any.
        calling: the titles that may call, or None for any.
    """

    called: frozenset[str] | None = None
    calling: frozenset[str] | None = None

    async def admit(self, request: AssociateRequest, peer_address: str, /) -> Admission:
        """Let the peer in if it calls us by our name and we know its own."""
        del peer_address
        if self.called is not None and request.called_ae_title not in self.called:
            raise AssociationRejected(CALLED_AE_TITLE_NOT_RECOGNIZED)
        if self.calling is not None and request.calling_ae_title not in self.calling:
            raise AssociationRejected(CALLING_AE_TITLE_NOT_RECOGNIZED)
        return Admission()
