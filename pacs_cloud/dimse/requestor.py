"""The asking end: connect to a peer, echo, store (PS3.7 9.1.1, 9.1.5)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pacs_cloud.dimse.associate import AssociateRequest, UserIdentity
from pacs_cloud.dimse.association import Association, Requestor
from pacs_cloud.dimse.command import Command, CommandField, Element, Value
from pacs_cloud.dimse.fragments import Source
from pacs_cloud.dimse.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Proposal, context_to_invoke, propose
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.dimse.verification import VERIFICATION
from pacs_cloud.errors import Unavailable

_MEDIUM_PRIORITY = 0
_GOODBYE_S = 5.0
"""How long a peer may take to answer that TLS ends."""


@dataclass(frozen=True, slots=True)
class PeerTls:
    """How a peer is called over TLS.

    Attributes:
        contexts: whom we believe, and what proves us.
        name: what its certificate must be for; "" for the host that is called.
    """

    contexts: TlsContexts
    name: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """An application entity to call.

    Attributes:
        ae_title: its title, at most 16 characters.
        host: its host name or address.
        port: its TCP port.
        tls: how over TLS; None: without.
    """

    ae_title: str
    host: str
    port: int
    tls: PeerTls | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance to send.

    Attributes:
        sop_class_uid: its class.
        sop_instance_uid: its name.
        transfer_syntax: what `data_set` is encoded in.
        data_set: its bytes, without Part 10 preamble and file meta.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    data_set: Source


@dataclass(frozen=True, slots=True)
class MoveOriginator:
    """Whose C-MOVE a C-STORE serves (PS3.7 9.1.1.1.6)."""

    ae_title: str
    message_id: int


async def connect(
    peer: Peer,
    calling_ae_title: str,
    proposals: Sequence[Proposal],
    *,
    identity: UserIdentity | None = None,
    extended: Sequence[tuple[str, bytes]] = (),
    limits: Limits | None = None,
) -> Association:
    """Return an association with `peer`.

    Args:
        peer: whom to call.
        calling_ae_title: who we are.
        proposals: at most 128; what was accepted shows in `contexts`.
        identity: who the user is, or None.
        extended: SOP class UID and service-class application information.
        limits: times and sizes.

    Raises:
        AssociationRejected: the peer refused.
        AssociationAborted: the peer aborted or did not answer in time.
        Unavailable: there is no connection.
        ValueError: more than 128 proposals.
    """
    limits = limits or Limits()
    contexts, roles = propose(proposals)
    request = AssociateRequest(
        peer.ae_title,
        calling_ae_title,
        contexts,
        limits.max_length,
        IMPLEMENTATION_CLASS_UID,
        IMPLEMENTATION_VERSION,
        roles=roles,
        extended=tuple(extended),
        identity=identity,
    )
    association = Association(Requestor(request, proposals), limits)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.artim_s):
            if (tls := peer.tls) is None:
                await loop.create_connection(lambda: association.upper, peer.host, peer.port)
            else:
                await loop.create_connection(
                    lambda: association.upper,
                    peer.host,
                    peer.port,
                    ssl=tls.contexts.current(),
                    server_hostname=tls.name or peer.host,
                    ssl_handshake_timeout=limits.tls_s,
                    ssl_shutdown_timeout=_GOODBYE_S,
                )
    except (OSError, TimeoutError) as error:
        association.upper.drop("no connection")
        raise Unavailable(f"no connection to {peer.ae_title}: {type(error).__name__}") from error
    try:
        await association.established()
    except BaseException:
        association.abort("not wanted any more")
        raise
    return association


async def echo(association: Association) -> Command:
    """Send a C-ECHO and return the response.

    Raises:
        NotFound: Verification was not accepted.
        AssociationAborted: the association is over.
    """
    context = context_to_invoke(association.contexts.values(), VERIFICATION)
    return await association.ask(
        context,
        {
            Element.COMMAND_FIELD: CommandField.C_ECHO,
            Element.AFFECTED_SOP_CLASS_UID: VERIFICATION,
        },
    )


async def store(
    association: Association, instance: Instance, originator: MoveOriginator | None = None
) -> Command:
    """Send an instance with C-STORE and return the response; see its `status`.

    Args:
        association: one of ours, or a peer's C-GET with the SCP role.
        instance: what to send.
        originator: the C-MOVE it belongs to, or None.

    Raises:
        NotFound: no context was accepted for its class and transfer syntax.
        AssociationAborted: the association is over.
    """
    context = context_to_invoke(
        association.contexts.values(), instance.sop_class_uid, instance.transfer_syntax
    )
    elements: dict[int, Value] = {
        Element.COMMAND_FIELD: CommandField.C_STORE,
        Element.PRIORITY: _MEDIUM_PRIORITY,
        Element.AFFECTED_SOP_CLASS_UID: instance.sop_class_uid,
        Element.AFFECTED_SOP_INSTANCE_UID: instance.sop_instance_uid,
    }
    if originator is not None:
        elements[Element.MOVE_ORIGINATOR_AE_TITLE] = originator.ae_title
        elements[Element.MOVE_ORIGINATOR_MESSAGE_ID] = originator.message_id
    return await association.ask(context, elements, instance.data_set)
