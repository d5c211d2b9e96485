"""A real archive with a few instances in it, whose stores tell what they were asked for."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import CHUNK_BYTES
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.caller import system

TENANT = "default"


class CountingStore(LocalObjectStore):
    """Counts ranged reads."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[tuple[str, int, int | None]] = []

    @property
    def reads(self) -> int:
        return len(self.asked)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.asked.append((key, start, end))
        return await super().get(key, start, end)

    def stream(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> AsyncIterator[bytes]:
        self.asked.append((key, start, end))
        return super().stream(key, start, end, chunk_bytes=chunk_bytes)


class CountingCatalogue(SqliteCatalogue):
    """Counts how often packs were looked up."""

    lookups = 0

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> tuple[PackRecord, ...]:
        self.lookups += 1
        return await super().packs(tenant, study_instance_uid, series_instance_uid)


@dataclass
class Shelved:
    """An archive, and what is behind it."""

    archive: Archive
    catalogue: CountingCatalogue
    objects: CountingStore

    async def locate(self, sop_instance_uid: str, study: str = "1.2.3") -> Located:
        (found,) = await self.archive.instances.locate(
            system(TENANT), study, None, sop_instance_uid
        )
        return found

    def pixel_reads(self, located: Located) -> int:
        """Return how often something was read at, or from behind, where its pixel data begins."""
        pixels = located.instance.pixels
        assert pixels is not None
        where = located.data_set(pixels.offset)
        return sum(
            key == where.key and start >= where.start for key, start, _ in self.objects.asked
        )


@asynccontextmanager
async def shelved(
    folder: Path, *files: bytes, objects: type[CountingStore] = CountingStore
) -> AsyncGenerator[Shelved]:
    """Store Part 10 files, and open what reads them."""
    async with (
        CountingCatalogue(folder / "catalogue.sqlite") as catalogue,
        objects(folder / "objects") as store,
    ):
        async with Intake(folder / "spool", store, catalogue) as intake:
            session = intake.session(system(TENANT), Source(Door.STOW))
            for file in files:
                reception = session.begin_file()
                reception.write(file)
                await reception.finish()
            await session.commit()
        archive = Archive(catalogue, store, pixel_processes=1)
        try:
            yield Shelved(archive, catalogue, store)
        finally:
            await archive.workers.aclose()


def part10(dataset: Dataset) -> bytes:
    """Return a made image as a Part 10 file."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def fragmented(dataset: Dataset, codestream: bytes, fragments: int = 1) -> Dataset:
    """Return `dataset`, its one frame an RLE codestream in fragments."""
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.PixelData = encapsulate([codestream], fragments_per_frame=fragments)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def rle(pixels: bytes) -> bytes:
    """Return a frame of 8 bits as an RLE codestream of literal runs (PS3.5 G)."""
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    runs = [pixels[start : start + 128] for start in range(0, len(pixels), 128)]
    return header + b"".join(bytes([len(run) - 1]) + run for run in runs)
