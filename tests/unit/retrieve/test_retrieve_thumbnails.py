"""Thumbnails that are kept: found without a cold byte, smaller as wanted, damaged ones told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from retrieve_making import TENANT, CountingStore, Shelved, part10, shelved

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import GIF, JPEG
from pacs_cloud.dicom.render.viewport import Viewport
from pacs_cloud.errors import Corrupt, Offline
from pacs_cloud.objectstore.hot_keys import ThumbKey
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import system
from recall_samples import chill
from rendering_samples import make_image

STUDY = "1.2.3"
GREY = (np.arange(300 * 400) % 251).astype(np.uint8).reshape(300, 400)


def at_hand(pack: PackRecord) -> bool:
    return not needs_recall(pack.storage_class)


def series_of(number: int, pixels: np.ndarray = GREY, **more: Any) -> bytes:
    image = make_image(
        pixels,
        SeriesInstanceUID=f"{STUDY}.{number}",
        SOPInstanceUID=f"{STUDY}.{number}.1",
        SeriesNumber=number,
        StudyDate="20240101",
        PatientID="P1",
        Modality="CT",
        **more,
    )
    return part10(image)


@asynccontextmanager
async def kept_and_cold(folder: Path, *files: bytes) -> AsyncIterator[tuple[Shelved, Archive]]:
    """Store images, keep thumbnails of their series, and put all into a cold class."""
    async with shelved(folder, *files) as made:
        for number in range(1, len(files) + 1):
            await made.archive.thumbnails.keep(TENANT, STUDY, f"{STUDY}.{number}")
        await chill(made.objects, made.catalogue, STUDY, StorageClass.GLACIER)
        # Another process, which has nothing in memory.
        archive = Archive(made.catalogue, made.objects, pixel_processes=1, at_hand=at_hand)
        made.objects.asked.clear()
        try:
            yield made, archive
        finally:
            await archive.workers.aclose()


async def chosen(archive: Archive, series: str | None = None) -> ThumbKey:
    located = await archive.instances.locate(system(TENANT), STUDY, series)
    found = await archive.thumbnails.chosen(system(TENANT), located, None)
    assert isinstance(found, ThumbKey)
    return found


def packs_read(objects: CountingStore) -> list[str]:
    return [key for key, _, _ in objects.asked if key.startswith("packs/")]


async def test_it_is_found_and_scaled_without_a_byte_of_the_pack(tmp_path: Path) -> None:
    async with kept_and_cold(tmp_path, series_of(1)) as (made, archive):
        kept = await chosen(archive)
        whole = await archive.thumbnails.picture(kept, Wanted(JPEG, is_thumbnail=True))
        assert Image.open(BytesIO(whole)).size == (256, 192)
        small = Wanted(GIF, viewport=Viewport(100, 100), is_thumbnail=True)
        picture = Image.open(BytesIO(await archive.thumbnails.picture(kept, small)))
        assert (picture.size, picture.format) == ((100, 75), "GIF")
        large = Wanted(JPEG, viewport=Viewport(1000, 200), is_thumbnail=True)
        picture = Image.open(BytesIO(await archive.thumbnails.picture(kept, large)))
        assert picture.size == (256, 192)
        assert packs_read(made.objects) == []


async def test_colour_stays_colour(tmp_path: Path) -> None:
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[..., 0] = 200
    async with kept_and_cold(tmp_path, series_of(1, pixels)) as (_, archive):
        small = Wanted(JPEG, viewport=Viewport(10, 10), is_thumbnail=True)
        picture = Image.open(
            BytesIO(await archive.thumbnails.picture(await chosen(archive), small))
        )
        assert picture.mode == "RGB"
        red, green, _ = picture.getpixel((5, 4))  # type: ignore[misc]
        assert red > 190
        assert green < 10


async def test_one_that_is_damaged_is_told(tmp_path: Path) -> None:
    async with kept_and_cold(tmp_path, series_of(1)) as (made, archive):
        kept = await chosen(archive)
        await made.objects.delete(kept.key)
        await made.objects.put_new(kept.key, b"no picture")
        with pytest.raises(Corrupt):
            await archive.thumbnails.picture(kept, Wanted(JPEG, viewport=Viewport(9, 9)))


async def test_a_header_whose_tables_are_cold_hides_no_thumbnail(tmp_path: Path) -> None:
    """Which of two series is a localizer, and which frame is in the middle, it would say."""
    table = np.arange(65536, dtype=np.uint16)
    more: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        more[f"{colour}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
        more[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
    pixels = (np.arange(100, dtype=np.uint16) * 600).reshape(10, 10)
    files = series_of(1, pixels, **more), series_of(2, pixels, **more)
    async with kept_and_cold(tmp_path, *files) as (_, archive):
        located = await archive.instances.locate(system(TENANT), STUDY)
        with pytest.raises(Offline):
            _ = [
                one
                async for one in archive.renderer.shown.standing_for(system(TENANT), located, None)
            ]
        assert (await chosen(archive)).sop_instance_uid == f"{STUDY}.1.1"
        assert (await chosen(archive, f"{STUDY}.2")).sop_instance_uid == f"{STUDY}.2.1"
