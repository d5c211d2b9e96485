"""The copies that links open which leave out who the patient is: made, removed, and tended."""

import asyncio
import secrets
from contextlib import aclosing
from functools import partial
from typing import BinaryIO, Final

from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.deidentifying import broken, deidentified, stored_files
from pacs_cloud.bootstrap.services import Reading, Stores, now_us
from pacs_cloud.custody.deid.copies import remove_tenant, tenants_beginning
from pacs_cloud.custody.deid.escrow import Escrow
from pacs_cloud.custody.deid.projects import project_named
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.project import KEY_BYTES, Project
from pacs_cloud.dicom.deid.report import Report
from pacs_cloud.dicom.deid.result import Result
from pacs_cloud.errors import InvalidInstance, InvalidRequest, PacsError
from pacs_cloud.identity.shares import SHARES, Shares
from pacs_cloud.identity.shares_making import Copied, Copying
from pacs_cloud.identity.shares_record import COPIES, Share, SharedCopy
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.session import Session
from pacs_cloud.objectstore.tenants import tenants_of
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.security.caller import Caller, system
from pacs_cloud.settings import Settings

_NOBODYS: Final = "share"
"""What pseudonyms begin with that no project has made."""
_SHOWN: Final = frozenset({"stored", "duplicate"})
"""What became of a copy that is there."""


def removing(stores: Stores) -> Copying:
    """Return how copies are removed."""
    return Copying(partial(remove_tenant, stores.objects, stores.catalogue))


def copying(settings: Settings, stores: Stores, reading: Reading, intake: Intake) -> Copying:
    """Return how copies are made and removed: what is read by `reading` comes in by `intake`."""
    copies = _Copies(settings, stores, reading, intake)
    return Copying(removing(stores).remove, copies.make)


class _Copies:
    """Makes copies."""

    def __init__(
        self, settings: Settings, stores: Stores, reading: Reading, intake: Intake
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._reading = reading
        self._intake = intake

    async def make(self, caller: Caller, share: Share, tenant: str) -> Copied:
        """Make them, as `MakeCopies`."""
        objects = self._stores.objects
        project = Project(_NOBODYS, secrets.token_bytes(KEY_BYTES))  # a key that nobody keeps
        if share.project:
            project = (await project_named(objects, caller.tenant, share.project)).project
        escrow = Escrow(objects, caller.tenant, project.name) if project.escrow else None
        deidentifier = Deidentifier(project)
        session = self._intake.session(system(tenant), Source(Door.IMPORT, calling=_NOBODYS))
        run = _Run(deidentifier, session, escrow)
        for study in share.studies:
            located = await self._located(caller, share, study)
            files = stored_files(self._settings, self._stores, self._reading, located)
            async with aclosing(files):
                async for file in files:
                    await run.take(study, file)
        return await run.end()

    async def _located(self, caller: Caller, share: Share, study: str) -> list[Located]:
        instances = self._reading.archive.readable.instances
        found: list[Located] = []
        for series in share.series or (None,):
            found += await instances.locate(caller, study, series)
        return found


class _Run:
    """The copies of one share, one after the other."""

    def __init__(self, deidentifier: Deidentifier, session: Session, escrow: Escrow | None) -> None:
        self._deidentifier = deidentifier
        self._session = session
        self._escrow = escrow
        self._report = Report.of(deidentifier)
        self._copies: dict[str, str] = {}

    async def take(self, study: str, file: BinaryIO) -> None:
        """Copy one instance of a study, or leave it out.

        Raises:
            Unavailable: it cannot be read, or the copy not be taken in, now.
        """
        result = await asyncio.to_thread(deidentified, self._deidentifier, file)
        length_bytes = 0
        if result.withheld is None:
            try:
                length_bytes = await self._stored(result)
            except InvalidInstance:
                result.withheld = broken(result)
        result.made = None
        self._report.add(len(self._report.instances) + 1, result, length_bytes=length_bytes)
        if result.withheld is None:
            self._copies[study] = result.study_instance_uid
            if self._escrow is not None:
                await self._escrow.add(result.replaced)

    async def end(self) -> Copied:
        """Return when all copies are there, for good.

        Raises:
            Unavailable: they could not be made durable.
            InvalidRequest: there are two instances of one UID.
        """
        outcomes = await self._session.commit_each() if self._copies else []
        if any(outcome.status not in _SHOWN for outcome in outcomes):
            raise InvalidRequest("two instances of what is shared become one: share them apart")
        if self._escrow is not None:
            await self._escrow.write()
        copies = tuple(SharedCopy(original, copy) for original, copy in self._copies.items())
        return Copied(copies, self._report)

    async def _stored(self, result: Result) -> int:
        """Take a copy in; return how many bytes it has."""
        reception = self._session.begin_file()
        try:
            parts = result.parts()
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                reception.write(part)
                await reception.drain()
            return (await reception.finish()).length_bytes
        finally:
            reception.abort()


class CopiesTending:
    """Removes the copies of links that are over, and what a crash has left of others."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        """Remove them from `stores`."""
        self._settings = settings
        self._stores = stores
        self._shares: dict[str, Shares] = {}

    async def __call__(self, _turn: Turn) -> None:
        """Do it."""
        stores, failures = self._stores, list[PacsError]()
        # Those first: of any that is there by now the link is, too.
        left = await tenants_beginning(stores.objects, COPIES)
        for tenant in await tenants_of(stores.objects, SHARES):
            if tenant not in self._shares:
                self._shares[tenant] = self._of(tenant)
            try:
                left -= await self._shares[tenant].tend(left)
            except PacsError as error:
                failures.append(error)
        if failures:  # which of the others' links nobody knows cannot be told
            raise failures[0]
        for tenant in sorted(left):  # of links that nobody knows any more
            await remove_tenant(stores.objects, stores.catalogue, tenant)

    def _of(self, tenant: str) -> Shares:
        stores = self._stores
        return Shares(
            *(stores.objects, stores.catalogue, tenant, now_us, self._record),
            copying=removing(stores),
        )

    async def _record(self, event: AuditEvent) -> None:
        # Links hardly ever end by themselves before their time.
        async with open_trail(self._settings, self._stores, brief=True) as trail:
            await trail.record(event)
