"""Settings become the services that edges and commands use."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pacs_cloud.bootstrap.adapters import open_catalogue, open_objects, open_queue
from pacs_cloud.bootstrap.datalock import own_data, share_data
from pacs_cloud.bootstrap.open_files import allow_open_files
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.rejections.following import FollowedTrash
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.dimse.storage_classes import STORAGE_CLASSES
from pacs_cloud.errors import NotFound, Unavailable
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import Acknowledge, IntakeOptions
from pacs_cloud.ingest.syncer import Syncer
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.witness import NOBODY, Witness
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.counter import AccessCounter, counting
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.surprises import NotingObjects
from pacs_cloud.tiering.recall.times import ArrivalTime, service_arrival_s
from pacs_cloud.workqueue.port import WorkQueue

DICOM_ROOT = "1.2.840.10008."


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of one archive, opened."""

    objects: ObjectStore
    catalogue: Catalogue
    queue: WorkQueue

    async def ready(self) -> None:
        """Return when all answer; raises Unavailable or Denied."""
        await asyncio.gather(self.objects.ready(), self.catalogue.ready())


@dataclass(frozen=True, slots=True)
class Reading:
    """What finds and reads instances."""

    archive: Archive
    search: Search


@asynccontextmanager
async def open_stores(
    settings: Settings,
    *,
    create: bool = False,
    alone: bool = False,
    upgrading: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Stores]:
    """Open the stores the settings name.

    Args:
        settings: which.
        create: make an embedded archive where there is none; else that is an error.
        alone: let no other process use the data directory meanwhile.
        upgrading: called every now and then while an upgrade of the catalogue takes long.

    Raises:
        NotFound: there is no embedded archive at `settings.data`.
        Conflict: the data directory is in use, or being checked or rebuilt.
        Unavailable: a store cannot be used.
    """
    allow_open_files()
    if not create:
        refuse_absent(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context((own_data if alone else share_data)(settings.data))
        yield Stores(
            await stack.enter_async_context(open_objects(settings.objects_url)),
            await stack.enter_async_context(open_catalogue(settings.catalogue_url, upgrading)),
            await stack.enter_async_context(open_queue(settings.queue_url)),
        )


def refuse_absent(settings: Settings) -> None:
    """Return when there may be an archive; raises NotFound where an embedded one is missing."""
    objects = settings.objects_url
    if objects.scheme == "file" and not Path(objects.name).is_dir():
        raise NotFound(
            f"there is no archive at {settings.data}: {objects.name} does not exist; --data says"
            " where it is, `pacs-cloud up` begins one"
        )


@asynccontextmanager
async def open_intake(
    settings: Settings, stores: Stores, *, syncer: Syncer | None = None
) -> AsyncGenerator[Intake]:
    """Open the way in; recovers what a crash has left in the spool first.

    `syncer` makes durable what C-STOREs wait for; None: threads of this process.
    """
    growth = settings.linger_max_s / settings.linger_s if settings.linger_s else 1
    options = IntakeOptions(
        acknowledge=Acknowledge(settings.ack),
        pack_bytes=settings.pack_bytes,
        pack_instances=settings.pack_instances,
        linger_s=settings.linger_s,
        linger_limit_s=settings.linger_max_s,
        age_s=settings.pack_age_s,
        age_limit_s=settings.pack_age_s * growth,
        flush_on_release=settings.is_embedded,
        high_water=settings.spool_high_water,
        backlog_bytes=settings.spool_backlog_bytes,
    )
    intake = Intake(
        settings.spool,
        stores.objects,
        stores.catalogue,
        options,
        policy=policy_of(settings),
        accepts_class=partial(_accepts, private=settings.private_sop_classes),
        syncer=syncer,
        grace_s=settings.commit_grace_s,
    )
    async with intake:
        yield intake


@asynccontextmanager
async def open_reading(
    settings: Settings, stores: Stores, witness: Witness = NOBODY
) -> AsyncGenerator[Reading]:
    """Open the way out; what is read is counted, and the counts are written to the access log.

    `witness` puts on record who sees what.
    """
    counter = AccessCounter(stores.objects, now_us)
    recalls = recalls_of(settings, stores)
    archive = Archive(
        stores.catalogue,
        NotingObjects(stores.objects, counter.read, stores.catalogue, now_us),
        pixel_processes=settings.pixel_processes,
        pixel_cache_bytes=settings.pixel_cache_bytes,
        demand=recalls.demand,
        opened=counter.opened,
        witness=witness,
        at_hand=recalls.can_be_read,
        sensitive=settings.sensitive_labels,
    )
    with closing(archive):
        search = Search(
            stores.catalogue,
            archive.tables,
            budget=settings.search_budget,
            can_be_read=recalls.can_be_read,
            witness=witness,
            sensitive=settings.sensitive_labels,
        )
        async with counting(counter):
            yield Reading(archive, search)


def recalls_of(settings: Settings, stores: Stores) -> Recalls:
    """Return what asks for packs that lie in a cold class."""
    return Recalls(
        stores.objects,
        stores.catalogue,
        now_us,
        wish=wish_of(settings),
        arrival_s=arrival_of(settings),
        reads_cold=reads_cold(settings),
    )


def reads_cold(settings: Settings) -> bool:
    """Return whether the object store reads every class at once: it has no recall."""
    return settings.objects_url.options.get("cold") == "online"


def home_class(settings: Settings) -> str:
    """Return the storage class that new packs lie in."""
    return settings.objects_url.options.get("storage_class") or StorageClass.STANDARD


def wish_of(settings: Settings) -> RecallWish:
    """Return how recalls are wanted."""
    return RecallWish(RecallSpeed(settings.recall_speed), settings.recall_days)


def arrival_of(settings: Settings) -> ArrivalTime:
    """Return how long a recall takes: a file store's cold class only pretends to be slow."""
    url = settings.objects_url
    if url.scheme != "file":
        return service_arrival_s
    delay_s = float(url.options.get("recall_delay_s", 0))
    return lambda *_: delay_s


def repack_folder(settings: Settings) -> Path:
    """Return where merged packs are written before they are stored; made where it is missing."""
    folder = settings.data / "repack"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def trash_of(stores: Stores, archive: Archive) -> Trash:
    """Return what deletes and restores; it reads tables through the cache of `archive`."""
    return FollowedTrash(stores.objects, stores.catalogue, archive.tables.table, now_us)


def policy_of(settings: Settings) -> ConflictPolicy:
    """Return what happens to other content under a stored SOP Instance UID."""
    return ConflictPolicy(settings.conflict_policy)


def now_us() -> int:
    """Return the time, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _accepts(sop_class_uid: str, *, private: bool) -> bool:
    """Say whether STOW-RS and import may bring a class: what C-STORE accepts, too."""
    return sop_class_uid in STORAGE_CLASSES or (
        private and not sop_class_uid.startswith(DICOM_ROOT)
    )
