"""Instances sent by C-STORE: what C-MOVE, C-GET and the command line share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pacs_cloud.dimse.association import Association
from pacs_cloud.dimse.consignment import Consignment, consignments
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.outgoing import Outgoing, Routes, outgoing
from pacs_cloud.dimse.pdu import AssociationRejected
from pacs_cloud.dimse.requestor import Instance, MoveOriginator, Peer, connect, store
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

Progress = Callable[[Tally], Awaitable[None]]


async def no_progress(tally: Tally) -> None:
    """Tell nobody."""
    del tally


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How instances are sent.

    Attributes:
        archive: where they are read.
        originator: the C-MOVE they are sent for, or None.
        on_progress: told after each; what it raises ends the transfer.
        cancelled: once set, no further one is sent.
    """

    archive: Archive
    originator: MoveOriginator | None = None
    on_progress: Progress = no_progress
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


async def transfer(
    peer: Peer,
    calling_ae_title: str,
    instances: Sequence[Located],
    dispatch: Dispatch,
    *,
    limits: Limits | None = None,
) -> Tally:
    """Send instances to a peer over associations of our own; return what became of them.

    There are as many associations, one after the other, as the instances' contexts
    need. One that breaks is opened again for what is left, as long as that gets
    anything across; the instance that was on its way then counts as not sent.
    """
    tally = Tally(len(instances))
    for consignment in consignments(instances):
        left = consignment.instances
        while left and not dispatch.cancelled.is_set():
            tried, stored = tally.done, tally.stored
            once_more = Consignment(left, consignment.proposals)
            reason = await _deliver(peer, calling_ae_title, once_more, dispatch, tally, limits)
            left = left[tally.done - tried :]
            if tally.stored == stored and not dispatch.cancelled.is_set():
                log.warning("instances_not_sent", extra={"count": len(left), "reason": reason})
                for located in left:
                    tally.lost(located.instance.sop_instance_uid, reason)
                await dispatch.on_progress(tally)
                break
    return tally


async def send_over(
    association: Association, instances: Sequence[Located], dispatch: Dispatch, tally: Tally
) -> None:
    """Send instances in their order over an association, and count them in `tally`.

    Returns early when `dispatch` is cancelled, or when the association is over: the
    instance on its way then is counted as not sent, those after it are not counted.
    """
    routes = Routes(association.contexts.values(), dispatch.archive)
    async with aclosing(outgoing(dispatch.archive, instances, routes)) as ready:
        async for one in ready:
            if association.is_over or dispatch.cancelled.is_set():
                return
            await _send(association, one, dispatch.originator, tally)
            await dispatch.on_progress(tally)


async def _deliver(
    peer: Peer,
    calling_ae_title: str,
    consignment: Consignment,
    dispatch: Dispatch,
    tally: Tally,
    limits: Limits | None,
) -> str:
    """Send over one association of its own; return why what is left was not sent."""
    try:
        association = await connect(peer, calling_ae_title, consignment.proposals, limits=limits)
    except (AssociationRejected, Unavailable) as error:
        log.warning("peer_not_reached", extra={"peer": peer.ae_title, "reason": error})
        return str(error)
    try:
        await send_over(association, consignment.instances, dispatch, tally)
        await association.release()
    finally:
        if not association.is_over:
            association.abort("not wanted any more")
    return "the association broke"


async def _send(
    association: Association, one: Outgoing, originator: MoveOriginator | None, tally: Tally
) -> None:
    context, instance = one.context, one.located.instance
    if context is None or one.problem:
        _lose(tally, one.located, one.problem)
        return
    sent = Instance(
        instance.sop_class_uid, instance.sop_instance_uid, context.transfer_syntax, one.source
    )
    try:
        answer = await store(association, sent, originator)
    except PacsError as error:
        # The peer's end, or what could not be read to its own: a store, or a codestream.
        _lose(tally, one.located, str(error))
    else:
        tally.answered(instance.sop_instance_uid, answer.status)


def _lose(tally: Tally, located: Located, reason: str) -> None:
    uid = located.instance.sop_instance_uid
    log.warning("instance_not_sent", extra={"instance": hashed(uid), "reason": reason})
    tally.lost(uid, reason)
