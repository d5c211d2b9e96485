"""The audit trail of a process: where it is written, sealed and sent, as the settings say."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Final, Protocol

from pacs_cloud.audit.forwarding import Forwarder
from pacs_cloud.audit.patients import PatientsOf
from pacs_cloud.audit.sealing import Sealer, SealTerms
from pacs_cloud.audit.syslog_peer import SyslogPeer, SyslogTarget
from pacs_cloud.audit.trail import Trail, TrailOptions, open_journals
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.errors import PacsError
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.audit_message import AuditSource
from pacs_cloud.settings import Settings, SyslogUrl

log = logging.getLogger(__name__)

_CLOSE_S: Final = 5.0
"""What cannot be sealed by then the next start seals."""
_MANY_PARTS: Final = 32
"""So many a command leaves to the worker, which may not run."""


class AuditStores(Protocol):
    """What a trail needs of an archive's stores."""

    @property
    def objects(self) -> ObjectStore:
        """Where it is sealed."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """What says whose studies are."""
        ...


@asynccontextmanager
async def open_trail(
    settings: Settings, stores: AuditStores, *, brief: bool = False
) -> AsyncGenerator[Trail]:
    """Open the audit trail of this process; what crashes have left is seen to meanwhile.

    Args:
        settings: of the archive.
        stores: its stores: what is sealed goes there, and says whose studies are.
        brief: for a command: what it writes is on record on the disk, and sealed by whoever
            serves, or by a later command.

    Raises:
        Unavailable: the trail's disk refuses.
    """
    terms = SealTerms(settings.audit_retain_days, keeps=settings.audit_syslog is not None)
    sealer = Sealer(stores.objects, terms, now_us)
    trail = await asyncio.to_thread(
        open_journals,
        settings.audit_journals,
        sealer,
        TrailOptions(
            part_age_us=round(settings.audit_seal_s * 1e6),
            seals_at_once=settings.audit_durable == "store",
            required=settings.audit_required,
            keeps=terms.keeps,
            seals_at_end=not brief,
        ),
        now_us,
        patients=PatientsOf(stores.catalogue, now_us),
    )
    tasks = [] if brief else [_task(trail.run(settings.audit_journals))]
    if settings.audit_syslog is not None and not brief:
        tasks.append(_task(_forwarder(settings, settings.audit_syslog, trail).run()))
    try:
        yield trail
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if brief:
            await _seal_many(settings, trail)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await trail.aclose()
        except TimeoutError:
            log.warning("audit_not_sealed", extra={"reason": "the process is stopping"})


def source_of(settings: Settings) -> AuditSource:
    """Return how audit messages name us."""
    name = settings.audit_source or f"{settings.aet}@{socket.gethostname()}"
    return AuditSource(name, settings.aet)


async def _seal_many(settings: Settings, trail: Trail) -> None:
    """Seal what commands have left, where that has become much and nobody serves."""
    waiting = sum([len(await asyncio.to_thread(one.ended)) for one in trail.journals])
    if waiting >= _MANY_PARTS:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await trail.tend(settings.audit_journals)
        except (PacsError, TimeoutError) as error:
            log.warning("audit_not_sealed", extra={"error": type(error).__name__})


def _forwarder(settings: Settings, url: SyslogUrl, trail: Trail) -> Forwarder:
    target = SyslogTarget(
        url.address.host,
        url.address.port,
        ca=settings.audit_syslog_ca,
        certificate=settings.audit_syslog_certificate,
        key=settings.audit_syslog_key,
        is_plain=url.scheme == "tcp",
    )
    return Forwarder(
        lambda: trail.journals,
        trail.directory.path,
        SyslogPeer(target),
        source_of(settings),
        socket.gethostname(),
    )


def _task(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Begin what goes on beside; a defect is logged at once: nobody waits for it."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell_defect)
    return task


def _tell_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("audit_chore_failed", exc_info=error)
