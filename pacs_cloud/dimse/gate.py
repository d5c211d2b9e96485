"""Who may associate."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.dimse.associate import AssociateRequest
from pacs_cloud.dimse.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    AssociationRejected,
    Rejection,
)
from pacs_cloud.dimse.tls import TlsPeer
from pacs_cloud.security.caller import Caller


@dataclass(frozen=True, slots=True)
class Remote:
    """The other end of a connection.

    Attributes:
        address: its network address.
        tls: what TLS proves of it; None without TLS.
    """

    address: str
    tls: TlsPeer | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What a gate says of a peer it lets in.

    Attributes:
        caller: who it is, for services; None may do nothing but verify.
        identity_response: the positive answer to its user identity, or None
            (PS3.7 D.3.3.7.2); it is sent only when the peer asked for one.
        requests: the command fields of what it may ask for; None: of everything.
        leave: called once when the association is over, or never comes to be; None: nobody
            wants to know.
        still: asked before each request is carried out; raises Denied where the peer would
            not be let in as the same any more. None: nothing changes.
        device: the AE title of a known device; "" for whom nobody knows.
    """

    caller: Caller | None = None
    identity_response: bytes | None = None
    requests: frozenset[int] | None = None
    leave: Callable[[], None] | None = None
    still: Callable[[], Awaitable[None]] | None = None
    device: str = ""


class PeerRefused(AssociationRejected):
    """A peer is not let in.

    Attributes:
        why: for the log and the record, a word or two; the peer is not told.
    """

    def __init__(self, rejection: Rejection, why: str) -> None:
        super().__init__(rejection)
        self.why = why


class Gate(Protocol):
    """Judges requests for an association."""

    async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
        """Let the peer in.

        Args:
            request: its AE titles, its user identity, its contexts.
            remote: where it is, and what proves it.

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
        caller: who each of them is.
    """

    called: frozenset[str] | None = None
    calling: frozenset[str] | None = None
    caller: Caller | None = None

    async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
        """Let the peer in if it calls us by our name and we know its own."""
        del remote
        if self.called is not None and request.called_ae_title not in self.called:
            raise AssociationRejected(CALLED_AE_TITLE_NOT_RECOGNIZED)
        if self.calling is not None and request.calling_ae_title not in self.calling:
            raise AssociationRejected(CALLING_AE_TITLE_NOT_RECOGNIZED)
        return Admission(self.caller)
