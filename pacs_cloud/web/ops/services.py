"""What the operations pages need of the rooms below."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.custody.state import ArchiveState
from pacs_cloud.ingest.associations import SeenAssociation
from pacs_cloud.ingest.contents import SpoolFile
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Destination
from pacs_cloud.tiering.cost.prices import PriceTable, Region
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.errands import Errands, Steps
from pacs_cloud.web.ops.traffic import Traffic
from pacs_cloud.web.ops.what_if import Answer, Question
from pacs_cloud.workqueue.port import WorkQueue

Classes: TypeAlias = Mapping[str, Mapping[str, int]]
"""Packs and bytes by storage class."""


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """What is due to move, and what will be.

    Attributes:
        rows: as `tier plan` prints them.
        total: what is due now costs and saves, in a sentence; "" where that is not known.
        words: what keeps it from being carried out, or may.
    """

    rows: Sequence[Mapping[str, Any]]
    total: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class TierServices:
    """What tiers, and what they cost, are seen with.

    Attributes:
        policies: those that are in force, and in which file; None: there are none.
        drift: where the bucket's lifecycle is not as it should be; None: no bucket moves packs.
        plan: what is due to move; a walk through the catalogue.
        report: what `cost report` tells, as plain values; another one.
        prices: a price table, and whose prices of it this archive pays; it reads a file.
        recall_price: what recalling packs costs, in words; "" where nobody knows.
        reads_cold: whether the store reads every class at once, so that nothing is recalled.
        answer: answers a what-if question.
    """

    policies: Callable[[], tuple[Sequence[Policy], str] | None]
    drift: Callable[[], Awaitable[Sequence[str] | None]]
    plan: Callable[[Steps], Awaitable[ShownPlan]]
    report: Callable[[Steps], Awaitable[Mapping[str, Any]]]
    prices: Callable[[], tuple[PriceTable, str, Region]]
    recall_price: Callable[[Sequence[PackRecord]], str]
    reads_cold: bool
    answer: Callable[[Question, Steps], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class OpsServices:
    """What operations are seen and done with.

    Attributes:
        objects: where packs lie.
        catalogue: what is known of them.
        queue: what is done later.
        state: how the archive is, as `status` tells it.
        classes: how much lies in each class, and how many studies are on hold; a walk through
            the whole catalogue.
        spool: what lies in the spool of this host; it reads directories.
        associations: the tenant's at this host that are open, and the last that were; it reads
            files.
        destinations: of the settings, whom instances may be sent to.
        verify: asks a destination whether it answers; returns how many seconds it took.
        tiers: what tiers are seen with.
        traffic: what came in within the last hour.
        errands: does what takes long.
        is_shared: whether other tenants' data goes through the same processes.
        sees_host: whether whoever operates here looks after these processes and their disk: what
            is counted of all tenants together is nobody else's to see.
        custody: what the pages about custody and people need; None: there are none.
    """

    objects: ObjectStore
    catalogue: Catalogue
    queue: WorkQueue
    state: Callable[[], Awaitable[ArchiveState]]
    classes: Callable[[Steps], Awaitable[tuple[Classes | str, int | str]]]
    spool: Callable[[], list[SpoolFile]]
    associations: Callable[[], Sequence[SeenAssociation]]
    destinations: Sequence[Destination]
    verify: Callable[[str], Awaitable[float]]
    tiers: TierServices
    traffic: Traffic
    errands: Errands
    is_shared: bool
    sees_host: bool
    custody: CustodyServices | None = None
