"""An archive on files: real object store, real catalogue, real spool."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.index import PackIndex, PackInstance, decode_table
from pacs_cloud.pack.reader import NeedSuffix, read_index


@dataclass
class Archive:
    """What is behind an intake."""

    root: Path
    objects: LocalObjectStore
    catalogue: SqliteCatalogue

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    def intake(self, *args, **options) -> Intake:
        return Intake(self.spool, self.objects, self.catalogue, *args, **options)

    def spool_files(self) -> list[Path]:
        return sorted(self.spool.glob("[0-9]*/*.zip"))

    def quarantined(self) -> list[str]:
        return sorted(path.name for path in self.spool.glob("quarantine/*"))

    async def packs(self, study: str, tenant: str = "default") -> list[PackRecord]:
        return list(await self.catalogue.packs(tenant, study))

    async def index(self, pack: PackRecord) -> PackIndex:
        key = key_of(pack)
        suffix, total = await self.objects.get_suffix(key.pack, 1 << 20)
        blob = read_index(suffix, total)
        assert not isinstance(blob, NeedSuffix)
        assert blob == await self.objects.get(key.index)
        return decode_table(blob)

    async def instances(self, study: str) -> dict[str, bytes]:
        """Return every visible instance's Part 10 file."""
        found: dict[str, bytes] = {}
        for pack in await self.packs(study):
            for one in (await self.index(pack)).instances:
                if one.sop_instance_uid not in pack.hidden:
                    assert one.sop_instance_uid not in found, "shown twice"
                    found[one.sop_instance_uid] = await self.file(pack, one)
        return found

    async def file(self, pack: PackRecord, one: PackInstance) -> bytes:
        return await self.objects.get(key_of(pack).pack, one.offset, one.offset + one.length_bytes)


def key_of(pack: PackRecord) -> PackKey:
    return PackKey(pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


@pytest.fixture
def open_archive(tmp_path: Path) -> Callable[[], Archive]:
    return lambda: Archive(
        tmp_path,
        LocalObjectStore(tmp_path / "objects"),
        SqliteCatalogue(tmp_path / "catalogue.sqlite"),
    )


@pytest.fixture
async def archive(open_archive) -> AsyncIterator[Archive]:
    archive = open_archive()
    async with archive.objects, archive.catalogue:
        yield archive
