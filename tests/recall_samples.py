"""Cold archives: stores that count what they are asked for, and studies put into a cold class."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from catalogue_samples import NOW_US, TENANT
from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import CHUNK_BYTES, ObjectInfo, ObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.tiering.recall.marks import key_of

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND_US)


class CountingStore(LocalObjectStore):
    """Counts what it is asked for, by verb and key."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: Counter[tuple[str, str]] = Counter()

    def count(self, verb: str, tree: str = "") -> int:
        return sum(
            count
            for (asked, key), count in self.asked.items()
            if asked == verb and key.startswith(tree)
        )

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.asked["get", key] += 1
        return await super().get(key, start, end)

    async def get_suffix(self, key: str, length_bytes: int) -> tuple[bytes, int]:
        self.asked["get", key] += 1
        return await super().get_suffix(key, length_bytes)

    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        self.asked["get", key] += 1
        return super().stream(key, start, end, chunk_bytes=chunk_bytes)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        self.asked["list", prefix] += 1
        async for info in super().list(prefix, after=after):
            yield info

    async def head(self, key: str) -> ObjectInfo:
        self.asked["head", key] += 1
        return await super().head(key)

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        self.asked["recall", key] += 1
        return await super().recall(key, days, speed)


async def chill(
    objects: ObjectStore,
    catalogue: Catalogue,
    study: str,
    storage_class: StorageClass = StorageClass.GLACIER,
    *,
    series: str | None = None,
    tenant: str = TENANT,
) -> tuple[PackRecord, ...]:
    """Put the packs of a study, or of one series, into a class; return all of its packs."""
    moved = {
        pack.pack_id: key_of(pack).pack
        for pack in await catalogue.packs(tenant, study)
        if series in {None, pack.series_instance_uid}
    }
    for key in moved.values():
        await objects.move(key, storage_class)

    def noted(pack: PackRecord) -> PackRecord:
        return replace(pack, storage_class=storage_class) if pack.pack_id in moved else pack

    await note_packs(catalogue, tenant, study, noted, now_us=NOW_US)
    return await catalogue.packs(tenant, study)
