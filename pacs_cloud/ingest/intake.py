"""The one way in: every door opens sessions here, and receives instances through them."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pacs_cloud.catalogue.commit import ConflictPolicy, InstanceOutcome
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.ingest.admission import Admission, Claim, any_class
from pacs_cloud.ingest.backlog import Backlog
from pacs_cloud.ingest.buffers import Buffers
from pacs_cloud.ingest.closed import ClosedPack, Outcomes
from pacs_cloud.ingest.committer import Committer
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.desk import Desk
from pacs_cloud.ingest.directory import abandoned_directories, take_spool_directory
from pacs_cloud.ingest.forms import DatasetForm, FileForm
from pacs_cloud.ingest.long_instance import LongAdmission
from pacs_cloud.ingest.open_pack import Arrival, OpenPack, Placed
from pacs_cloud.ingest.options import Acknowledge, IntakeOptions
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.recovery import Recovery
from pacs_cloud.ingest.sealing import SyncFile
from pacs_cloud.ingest.spool import Spool
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.pack.provenance import NAME_CHARACTERS, clipped

log = logging.getLogger(__name__)

_LONG_MEMO_BYTES = 4 << 20  # long instances are few
_SEVERITY = ("stored", "duplicate", "variant", "replaced", "kept-first", "quarantined")


def wall_clock_us() -> int:
    """Return the time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Intake:
    """Takes instances in for one process, and commits them; owns a spool directory.

    Used as an async context: entering it recovers what a crash has left in the
    spool, leaving it seals every open pack and commits what it can.
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
            grace_s: how long leaving waits for commits.

        Raises:
            Unavailable: the spool cannot be written.
        """
        self.options = options or IntakeOptions()
        self.counters = Counters()
        self._directory = take_spool_directory(spool)
        self._backlog = Backlog(self.options, self.counters)
        self._grace_s = grace_s
        self._committer = Committer(
            self._directory,
            objects,
            catalogue,
            self.options,
            self.counters,
            self._backlog,
            policy=policy,
            now_us=now_us,
        )
        self._spool = Spool(
            self._directory,
            self.options,
            self.counters,
            self._backlog,
            submit=self._committer.submit,
            now_us=now_us,
            sync_file=sync_file,
        )
        admission = Admission(HeaderReader(), accepts_class)
        for_long = Admission(HeaderReader(memo_bytes=_LONG_MEMO_BYTES), accepts_class)
        self._desk = Desk(
            spool=self._spool,
            admission=admission,
            long_admission=LongAdmission(for_long, threading.Lock()),
            buffers=Buffers(self.options.buffer_bytes),
            counters=self.counters,
            now_us=now_us,
        )
        self._recovery = Recovery(self._directory, self.counters, sync_file=sync_file)
        self._adopting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._recover(self._directory.packs())
            await self._adopt()
        except BaseException:
            self._directory.release()
            raise
        self._committer.start()
        self._adopting = asyncio.get_running_loop().create_task(self._adopt_now_and_then())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._adopting is not None:
            self._adopting.cancel()
            with suppress(asyncio.CancelledError):
                await self._adopting
        await self._spool.aclose()
        await self._committer.aclose(self._grace_s)
        self._directory.release()

    def session(self, tenant: str, source: Source) -> "Session":
        """Return a new session: of an association, a STOW request, or an import.

        Args:
            tenant: whose the instances are, at most 64 characters.
            source: who sends them; its names are shortened to 64 characters.

        Raises:
            InvalidRequest: the tenant's name is longer.
        """
        if len(tenant) > NAME_CHARACTERS:
            raise InvalidRequest(f"a tenant's name of {len(tenant)} characters")
        return Session(self._desk, tenant, clipped(source))

    async def drained(self) -> None:
        """Return when every closed pack is committed; open ones do not count."""
        await self._spool.sealed()
        await self._committer.drained()

    async def _recover(self, paths: list[Path]) -> None:
        for path in paths:
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

    async def _adopt_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.options.adopt_s)
            try:
                await self._adopt()
            except OSError as error:
                log.error("spool_adoption_failed", extra={"reason": error.strerror})


class Session:
    """Instances of one sender that belong together."""

    def __init__(self, desk: Desk, tenant: str, source: Source) -> None:
        self.tenant = tenant
        self.source = source
        self._desk = desk
        self._answers_later = source.door is not Door.DIMSE
        self._commits = desk.spool.options.acknowledge is Acknowledge.COMMIT
        self.waits_for_sync = not self._answers_later and not self._commits
        self._packs: set[OpenPack] = set()
        self._awaited: list[_Awaited] = []

    def begin_dataset(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Reception:
        """Receive a C-STORE's data set; the file meta information before it will be ours.

        Args:
            sop_class_uid: Affected SOP Class UID (0000,0002).
            sop_instance_uid: Affected SOP Instance UID (0000,1000).
            transfer_syntax_uid: of the presentation context.
        """
        claim = Claim(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        return Reception(self._desk, self, DatasetForm(claim))

    def begin_file(self, *, study_instance_uid: str | None = None) -> Reception:
        """Receive a whole Part 10 file, which is kept byte for byte.

        Args:
            study_instance_uid: the only study accepted; None for any.
        """
        return Reception(self._desk, self, FileForm(study_instance_uid))

    async def flush(self) -> None:
        """Close the packs that this session contributed to; their commits begin."""
        packs, self._packs = self._packs, set()
        for pack in packs:
            self._desk.spool.close(pack)

    async def release(self) -> None:
        """Tell that the sender has gone away: flushes where the options say so."""
        if self._desk.spool.options.flush_on_release:
            await self.flush()

    async def commit(self) -> Mapping[str, InstanceOutcome]:
        """Return what became of the instances since the last commit, by SOP Instance UID.

        Where one UID came more than once the gravest outcome is given.

        Raises:
            Unavailable: an instance could not be made durable, or the archive stops.
            Corrupt: a pack could not be committed at all, and was put aside.
        """
        awaited = self._awaited
        result: dict[str, InstanceOutcome] = {}
        for one, outcome in zip(awaited, await self.commit_each(), strict=True):
            known = result.get(one.sop_instance_uid)
            if known is None or _gravity(outcome) > _gravity(known):
                result[one.sop_instance_uid] = outcome
        return result

    async def commit_each(self) -> list[InstanceOutcome]:
        """Return what became of each instance since the last commit, by `Receipt.number`.

        Raises:
            Unavailable: as `commit`.
            Corrupt: as `commit`.
        """
        await self.flush()
        awaited, self._awaited = self._awaited, []
        return [await one.outcome() for one in awaited]

    async def placed(self, arrival: Arrival, placed: Placed) -> int:
        """Return when an instance in an open pack may be acknowledged (for `Reception`)."""
        pack = placed.pack
        if pack not in self._packs:
            is_open = self._desk.spool.is_open
            self._packs = {one for one in (*self._packs, pack) if is_open(one)}
        return await self._acknowledge(arrival, placed, pack.outcomes)

    async def closed(self, arrival: Arrival, pack: ClosedPack) -> int:
        """Return when an instance in a pack of its own may be acknowledged (for `Reception`)."""
        return await self._acknowledge(arrival, None, pack.outcomes)

    async def _acknowledge(
        self, arrival: Arrival, placed: Placed | None, outcomes: asyncio.Future[Outcomes]
    ) -> int:
        uid = arrival.admitted.header.sop_instance_uid
        one = _Awaited(uid, outcomes, repeated=placed is not None and placed.repeated)
        if self._answers_later:
            self._awaited.append(one)
            return len(self._awaited) - 1
        if self._commits:
            if placed is not None:
                self._desk.spool.await_commit(placed.pack, self)
            await one.outcome()
        elif placed is not None:
            await placed.durable()
        return 0


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An instance whose commit somebody waits for."""

    sop_instance_uid: str
    outcomes: asyncio.Future[Outcomes]
    repeated: bool

    async def outcome(self) -> InstanceOutcome:
        outcome = (await asyncio.shield(self.outcomes)).get(self.sop_instance_uid)
        if outcome is None:
            raise Unavailable("an instance was lost with the sync of its pack")
        if self.repeated and outcome.status == "stored":
            return InstanceOutcome("duplicate")
        return outcome


def _gravity(outcome: InstanceOutcome) -> int:
    return _SEVERITY.index(outcome.status)
