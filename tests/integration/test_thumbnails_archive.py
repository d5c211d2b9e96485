"""Thumbnails of cold studies: kept before they go, answered without a recall."""

import asyncio
from collections.abc import AsyncGenerator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from test_recall_archive import INSTANCE, NEVER_S, SERIES, SOON_S, STUDY, House, house, problem_of

from catalogue_samples import TENANT
from pacs_cloud.bootstrap.chores import chores_of
from pacs_cloud.bootstrap.tiers import moved
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.policy import Policy, Step
from recall_samples import chill

POLICIES = (Policy("cold", steps=(Step(StorageClass.GLACIER, 30),)),)
SERIES_URL = f"/studies/{STUDY}/series/{SERIES[0]}/thumbnail"
STUDY_URL = f"/studies/{STUDY}/thumbnail"
SHOWN = f"{INSTANCE[:-2]}.2/thumbnail"
"""The middle one of two."""


async def frozen(made: House) -> None:
    """Carry a policy out, as a worker does."""
    fates = [one.fate async for one in moved(made.settings, made.stores, POLICIES)]
    assert fates == [Fate.MOVED] * 2
    made.objects.asked.clear()


@pytest.fixture
async def made(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path, NEVER_S) as opened:
        yield opened


async def kept(made: House) -> list[str]:
    return [info.key async for info in made.objects.list("thumbs/")]


def size_of(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    return Image.open(BytesIO(response.content)).size


async def test_a_cold_study_shows_the_thumbnail_that_it_showed_before(made: House) -> None:
    async with made.web() as client:
        hot = [await client.get(url) for url in (SERIES_URL, STUDY_URL, SHOWN)]
    await frozen(made)
    assert len(await kept(made)) == 2
    async with made.web() as client:
        for url, before in zip((SERIES_URL, STUDY_URL, SHOWN), hot, strict=True):
            cold = await client.get(url)
            assert (cold.status_code, cold.content) == (200, before.content)
            assert cold.headers["content-type"] == "image/jpeg"
            assert cold.headers["cache-control"] == before.headers["cache-control"]
            again = await client.get(url, headers={"if-none-match": cold.headers["etag"]})
            assert again.status_code == 304
            head = await client.head(url)
            assert (head.status_code, head.headers["etag"]) == (200, cold.headers["etag"])
        frame = SHOWN.replace("/thumbnail", "/frames/1/thumbnail")
        assert (await client.get(frame)).content == hot[2].content
    assert not made.objects.count("recall")
    assert not made.objects.count("get", "packs/")


async def test_it_is_scaled_down_and_never_up(made: House) -> None:
    await frozen(made)
    async with made.web() as client:
        small = await client.get(f"{SERIES_URL}?viewport=16,20")
        assert size_of(small) == (16, 16)
        large = await client.get(f"{SERIES_URL}?viewport=500,500")
        assert size_of(large) == (32, 32)
        png = await client.get(SERIES_URL, headers={"accept": "image/png"})
        assert Image.open(BytesIO(png.content)).format == "PNG"
        marks = {one.headers["etag"] for one in (small, large, png)}
        assert len(marks) == 3
    assert not made.objects.count("recall")


async def test_another_instance_of_it_is_503_and_starts_nothing(made: House) -> None:
    await frozen(made)
    async with made.web() as client:
        answer = await client.get(f"{INSTANCE}/thumbnail")
        assert problem_of(answer)["state"] == "offline"
        assert int(answer.headers["retry-after"]) > 0
    assert not made.objects.count("recall")


async def test_what_is_hot_of_a_study_is_shown_as_it_is(made: House) -> None:
    """The first series is cold and has none, the second can be read."""
    await made.freeze(SERIES[0])
    async with made.web() as client:
        problem_of(await client.get(SERIES_URL))
        assert size_of(await client.get(STUDY_URL)) == (32, 32)
    assert not made.objects.count("recall")


async def test_what_was_cold_before_has_one_after_its_next_recall(tmp_path: Path) -> None:
    async with house(tmp_path, SOON_S) as made:
        await chill(made.objects, made.stores.catalogue, STUDY)
        async with made.web() as client:
            problem_of(await client.get(STUDY_URL))
            problem_of(await client.get(f"{INSTANCE}/rendered"))
            tend = chores_of(made.settings, made.stores)["recalls"]
            while len(await kept(made)) < 2:
                await tend()
                await asyncio.sleep(0.1)
            await made.freeze()
            assert size_of(await client.get(SERIES_URL)) == (32, 32)


async def test_a_thumbnail_made_is_no_reading_of_the_study(made: House) -> None:
    await frozen(made)
    # Serving counted the study's arrival and nothing else: no pack was read of it.
    assert [key async for key in made.objects.list(f"access/{TENANT}/")] == []
