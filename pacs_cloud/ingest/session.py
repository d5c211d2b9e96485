"""A session: the instances of one sender that belong together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pacs_cloud import metrics, tracing
from pacs_cloud.catalogue.judging import InstanceOutcome
from pacs_cloud.errors import Unavailable
from pacs_cloud.ingest.admission import Claim
from pacs_cloud.ingest.closed import ClosedPack, Outcomes
from pacs_cloud.ingest.desk import Desk
from pacs_cloud.ingest.forms import DatasetForm, FileForm
from pacs_cloud.ingest.open_pack import Arrival, OpenPack, Placed
from pacs_cloud.ingest.options import Acknowledge
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.side_file import SideFile
from pacs_cloud.pack.source import Door, Source

_SEVERITY = ("stored", "duplicate", "variant", "replaced", "kept-first", "quarantined")


class Session:
    """Instances of one sender that belong together."""

    def __init__(self, desk: Desk, tenant: str, source: Source, device: str = "") -> None:
        self.tenant = tenant
        self.source = source
        whence = device or metrics.OTHER, source.door.value
        self.trace: tracing.Context | None = tracing.current()
        self.count = 0
        self._received = metrics.INSTANCES_RECEIVED.labels(*whence)
        self._received_bytes = metrics.BYTES_RECEIVED.labels(*whence)
        self._desk = desk
        self._answers_later = source.door is not Door.DIMSE
        commits = desk.spool.options.acknowledge is Acknowledge.COMMIT
        self.waits_for_sync = not self._answers_later and not commits
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

    def begin_file(
        self, *, study_instance_uid: str | None = None, series: frozenset[str] | None = None
    ) -> Reception:
        """Receive a whole Part 10 file, which is kept byte for byte.

        Args:
            study_instance_uid: the only study accepted; None for any.
            series: of that the only series accepted; None for any.
        """
        return Reception(self._desk, self, FileForm(study_instance_uid, series))

    def side_file(self) -> SideFile:
        """Return an empty file on the spool's disk for what waits beside an instance.

        Raises:
            StorageFull: there is no disk for it.
            Unavailable: the spool cannot be written.
        """
        spool = self._desk.spool
        return SideFile(spool.directory, spool.options.high_water)

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

    def received(self, length_bytes: int) -> None:
        """Count an instance that may be acknowledged (for `Reception`)."""
        self._received.inc()
        self._received_bytes.inc(length_bytes)

    def refused(self, reason: str) -> None:
        """Count one that is turned away (for `Reception`)."""
        metrics.INSTANCES_REFUSED.labels(self.source.door.value, reason).inc()

    async def placed(self, arrival: Arrival, placed: Placed) -> int:
        """Return when an instance in an open pack may be acknowledged (for `Reception`)."""
        pack = placed.pack
        if pack not in self._packs:
            if self.trace is not None:
                pack.traces.append(self.trace)
            is_open = self._desk.spool.is_open
            self._packs = {one for one in (*self._packs, pack) if is_open(one)}
        if self.waits_for_sync:
            await placed.durable()
            return 0
        if not self._answers_later:
            self._desk.spool.await_commit(pack, self)
        return await self._committed(arrival, pack.outcomes, repeated=placed.repeated)

    async def closed(self, arrival: Arrival, pack: ClosedPack) -> int:
        """Return when an instance in a pack of its own may be acknowledged (for `Reception`)."""
        if self.waits_for_sync:
            return 0  # it was synced when it was sealed
        return await self._committed(arrival, pack.outcomes, repeated=False)

    async def _committed(
        self, arrival: Arrival, outcomes: asyncio.Future[Outcomes], *, repeated: bool
    ) -> int:
        """Return when an instance is committed, at once and its number where that is told later."""
        one = _Awaited(arrival.admitted.header.sop_instance_uid, outcomes, repeated)
        if self._answers_later:
            self._awaited.append(one)
            return len(self._awaited) - 1
        await one.outcome()
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
