"""A pack that instances are being appended to.

What is made anew for every instance is a tuple, here and on the way here: a frozen
dataclass takes up to four times as long to make.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pacs_cloud import tracing
from pacs_cloud.ingest.admission import Admitted
from pacs_cloud.ingest.closed import Outcomes, outcomes_to_come
from pacs_cloud.ingest.group_sync import GroupSync
from pacs_cloud.ingest.sealing import SeriesKey
from pacs_cloud.pack.build import Entry
from pacs_cloud.pack.index import Source
from pacs_cloud.pack.provenance import Provenance
from pacs_cloud.pack.writer import Buffer, PackWriter
from pacs_cloud.pack.zipformat import Member


class Arrival(NamedTuple):
    """One admitted instance on its way into a pack.

    Attributes:
        admitted: what its data set says.
        content: its Part 10 file, end to end.
        dataset_offset: where the data set begins in it.
        digest: returns the BLAKE3 of the data set, hex; may take as long as a sync.
        tenant: whose.
        source: its sender.
        received_us: when it was complete, microseconds since 1970 UTC.
    """

    admitted: Admitted
    content: Sequence[Buffer]
    dataset_offset: int
    digest: Callable[[], str]
    tenant: str
    source: Source
    received_us: int

    @property
    def series(self) -> SeriesKey:
        """Whose pack it goes into."""
        header = self.admitted.header
        return SeriesKey(self.tenant, header.study_instance_uid, header.series_instance_uid)

    @property
    def provenance(self) -> Provenance:
        """What its local header says of its origin."""
        return Provenance(self.tenant, self.source, self.received_us)

    @property
    def length_bytes(self) -> int:
        """How long its Part 10 file is."""
        return sum(map(len, self.content))

    def entry(self, member: Member) -> Entry:
        """Return its line in the index of the pack that holds it as `member`."""
        header = self.admitted.header
        return Entry(
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            offset=member.offset,
            length_bytes=member.length_bytes,
            dataset_offset=self.dataset_offset,
            digest=self.digest(),
            received_us=self.received_us,
            source=self.source,
            header=header.json,
            attributes=header.attributes,
            pixels=header.pixels,
            bulk=header.bulk,
            inflated_bytes=header.inflated_length,
            flags=self.admitted.flags,
        )


@dataclass(slots=True, eq=False)
class OpenPack:
    """A spool file and what it holds so far.

    Attributes:
        series: of its instances.
        pack_id: its name.
        path: its file.
        fd: its file's descriptor; -1 once that is closed.
        writer: appends to it.
        sync: makes it durable.
        linger_s: how long it may be idle.
        closes_at: when it is too old, by the loop's clock.
        touched_at: when it was appended to.
        entries: its instances.
        places: their numbers in `entries`, by SOP Instance UID.
        contributors: who appended to it.
        awaiting: who of those waits for its commit.
        outcomes: set by its commit.
        timer: ends its idleness.
        header_bytes: of the entries' DICOM JSON, which is in memory until it is sealed.
        before: set by the commit that this one's must follow, None for none.
        traces: what brought its instances, where that is traced.
    """

    series: SeriesKey
    pack_id: str
    path: Path
    fd: int
    writer: PackWriter
    sync: GroupSync
    linger_s: float
    closes_at: float
    touched_at: float
    entries: list[Entry] = field(default_factory=list[Entry])
    places: dict[str, int] = field(default_factory=dict[str, int])
    contributors: set[Hashable] = field(default_factory=set[Hashable])
    awaiting: set[Hashable] = field(default_factory=set[Hashable])
    outcomes: asyncio.Future[Outcomes] = field(default_factory=outcomes_to_come)
    timer: asyncio.TimerHandle | None = None
    header_bytes: int = 0
    before: asyncio.Future[Outcomes] | None = None
    traces: list[tracing.Context] = field(default_factory=list[tracing.Context])

    def append(self, arrival: Arrival, *, sync: bool) -> None:
        """Append an instance that it does not hold yet.

        Args:
            arrival: the instance.
            sync: begin at once to make it durable: the disk works while this hashes.

        Raises:
            OSError: from the write; nothing was appended.
        """
        header = arrival.admitted.header
        member = self.writer.append(header.sop_instance_uid, arrival.content, arrival.provenance)
        if sync:
            self.sync.begin(len(self.writer.members))
        self.places[header.sop_instance_uid] = len(self.entries)
        self.entries.append(arrival.entry(member))
        self.header_bytes += len(header.json)


class Placed(NamedTuple):
    """Where an instance went.

    Attributes:
        pack: which pack.
        appended: how many instances that pack holds up to and with this one.
        repeated: whether the pack held it already, with the same content.
    """

    pack: OpenPack
    appended: int
    repeated: bool

    @property
    def digest(self) -> str:
        """BLAKE3 of its data set, hex."""
        return self.pack.entries[self.appended - 1].digest

    def durable(self) -> Awaitable[None]:
        """Return when it would survive a power cut; raises Unavailable."""
        return self.pack.sync.wait(self.appended)
