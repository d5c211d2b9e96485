"""The one way in: every door opens sessions here, and receives instances through them."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.ingest.admission import Admission, any_class
from pacs_cloud.ingest.backlog import Backlog
from pacs_cloud.ingest.buffers import Buffers
from pacs_cloud.ingest.closed import ClosedPack
from pacs_cloud.ingest.committer import Committer
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.deflated_admission import DeflatedAdmission
from pacs_cloud.ingest.desk import Desk
from pacs_cloud.ingest.directory import abandoned_directories, take_spool_directory
from pacs_cloud.ingest.just_sealed import JustSealed
from pacs_cloud.ingest.long_instance import LongAdmission
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.ingest.recovery import Recovery
from pacs_cloud.ingest.sealing import SyncFile
from pacs_cloud.ingest.session import Session
from pacs_cloud.ingest.spool import Spool
from pacs_cloud.ingest.syncer import Syncer
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import Source
from pacs_cloud.pack.provenance import NAME_CHARACTERS, clipped
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller

log = logging.getLogger(__name__)


def wall_clock_us() -> int:
    """Return the time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Intake:
    """Takes instances in for one process, and commits them; owns a spool directory.

    Used as an async context: once entered it takes instances in, and recovers what a
    crash or an outage has left in the spool, of any size, meanwhile; leaving it seals
    every open pack and commits what it can.
    """

    def __init__(
        self,
        spool: Path,
        objects: ObjectStore,
        catalogue: Catalogue,
        options: IntakeOptions | None = None,
        *,
        policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST,
        accepts_class: Callable[[str], bool] = any_class,
        now_us: Callable[[], int] = wall_clock_us,
        sync_file: SyncFile = os.fdatasync,
        syncer: Syncer | None = None,
        grace_s: float = 10.0,
    ) -> None:
        """Lock a directory under `spool`, which all processes of an archive share.

        Args:
            spool: made if it is not there.
            objects: where packs go.
            catalogue: what makes them visible.
            options: sizes, times and bounds.
            policy: for other content under a SOP Instance UID that is there already.
            accepts_class: which SOP classes STOW and import may bring.
            now_us: the clock, microseconds since 1970 UTC.
            sync_file: makes an open file durable.
            syncer: makes durable what a C-STORE waits for; None: `sync_file` does, on
                threads.
            grace_s: how long leaving waits for commits.

        Raises:
            Unavailable: the spool cannot be written.
        """
        self.options = options or IntakeOptions()
        self.counters = Counters()
        self._directory = take_spool_directory(spool)
        self._backlog = Backlog(self.options, self.counters)
        self._grace_s = grace_s
        just_sealed = JustSealed()
        self._committer = Committer(
            self._directory,
            objects,
            catalogue,
            self.options,
            self.counters,
            self._backlog,
            just_sealed,
            policy=policy,
            now_us=now_us,
        )
        self._spool = Spool(
            self._directory,
            self.options,
            self.counters,
            self._backlog,
            just_sealed,
            submit=self._committer.submit,
            now_us=now_us,
            sync_file=sync_file,
            syncer=syncer,
        )
        admission = Admission(HeaderReader(), accepts_class)
        self._desk = Desk(
            spool=self._spool,
            admission=admission,
            deflated_admission=DeflatedAdmission(accepts_class),
            long_admission=LongAdmission(accepts_class),
            buffers=Buffers(self.options.buffer_bytes),
            counters=self.counters,
            now_us=now_us,
        )
        self._recovery = Recovery(self._directory, self.counters, sync_file=sync_file)
        self._recovering: asyncio.Task[None] | None = None
        self._recovered = asyncio.Event()
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        left = self._directory.packs()  # before there are any of our own
        self._committer.start()
        self._recovering = asyncio.get_running_loop().create_task(self._tend(left))
        return self

    async def __aexit__(self, *exc: object) -> None:
        # Recovery ends with the file it is at: no thread of ours may still write to
        # one when the lock is gone.
        self._stopping.set()
        try:
            try:
                if self._recovering is not None:
                    await self._recovering
            finally:
                await self._spool.aclose()
                await self._committer.aclose(self._grace_s)
                await asyncio.to_thread(self._desk.deflated_admission.close)
        finally:
            self._directory.release()

    def session(
        self, caller: Caller, source: Source, *, is_admitted: bool = False, device: str = ""
    ) -> Session:
        """Return a new session: of an association, a STOW request, or an import.

        Args:
            caller: who brings the instances, and whose they are; a tenant's name has at most
                64 characters.
            source: where they come from; its names are shortened to 64 characters.
            is_admitted: whether the caller was let at the one study that is brought.
            device: under which name it is counted; "" for whom nobody knows.

        Whoever may store with some studies only adds to them: nothing that they bring takes
        the place of what is there, whatever the archive's policy is.

        Raises:
            Denied: the caller may not store, or with some studies only.
            InvalidRequest: the tenant's name is longer.
        """
        access.require(caller, Action.STORE)
        is_bounded = access.is_bounded(caller, Action.STORE)
        if is_bounded and not is_admitted:
            raise Denied(f"{caller.subject} may bring instances to some studies only")
        tenant = caller.tenant
        if len(tenant) > NAME_CHARACTERS:
            raise InvalidRequest(f"a tenant's name of {len(tenant)} characters")
        return Session(self._desk, tenant, clipped(replace(source, yields=is_bounded)), device)

    async def drained(self) -> None:
        """Return when every closed or recovered pack is committed; open ones do not count."""
        await self._recovered.wait()
        await self._spool.sealed()
        await self._committer.drained()

    async def _tend(self, left: list[Path]) -> None:
        """Recover what this directory held, then what dead processes leave, until the stop."""
        await self._recover(left)
        while not self._stopping.is_set():
            try:
                await self._adopt()
            except OSError as error:
                log.error("spool_adoption_failed", extra={"reason": error.strerror})
            self._recovered.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.adopt_s):
                    await self._stopping.wait()
        self._recovered.set()

    async def _recover(self, paths: list[Path]) -> None:
        for path in paths:
            if self._stopping.is_set():
                return  # the next start recovers the rest
            found = await asyncio.to_thread(self._recovery.recover, path)
            if found is not None:
                self._committer.submit(ClosedPack(*found))

    async def _adopt(self) -> None:
        """Take over what processes that died have left in their directories."""
        moved: list[Path] = []
        for directory in abandoned_directories(self._directory.spool):
            try:
                moved += await asyncio.to_thread(self._directory.take_over, directory)
            finally:
                directory.release()
        await self._recover(moved)
