"""No pack goes where it has to be recalled from before its series has a thumbnail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.errors import Conflict, Denied, NotAcceptable, NotFound, Offline, Unavailable
from pacs_cloud.objectstore.hot_keys import ThumbKey, parse_thumb_key
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, needs_recall
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import system
from pacs_cloud.tiering.mover import Fate, Moved, move_due
from pacs_cloud.tiering.policy import Policy, Step
from unit.custody.custody_house import STUDY, Dying, House
from unit.custody.custody_packs import Sample
from unit.custody.test_custody_repack_faults import Died, Fuse, Mortal

COLD = (Policy("p", steps=(Step(StorageClass.GLACIER, 30),)),)
COOL = (Policy("p", steps=(Step(StorageClass.GLACIER_IR, 30),)),)
YEAR_US = 365 * 86_400_000_000
SERIES = [f"{STUDY}.1", f"{STUDY}.2"]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        yield House(objects, catalogue)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made:
        yield made


async def fill(house: House) -> None:
    """Store two series, the first of two packs."""
    await house.store(Sample(f"{SERIES[0]}.1"), series=SERIES[0])
    await house.store(Sample(f"{SERIES[0]}.2"), Sample(f"{SERIES[0]}.3"), series=SERIES[0])
    await house.store(Sample(f"{SERIES[1]}.1"), series=SERIES[1])


def archive_of(house: House, objects: Any = None, catalogue: Any = None) -> Archive:
    return Archive(
        catalogue or house.catalogue,
        objects or house.objects,
        pixel_processes=1,
        at_hand=lambda pack: not needs_recall(pack.storage_class),
    )


async def moved(
    house: House, *, objects: Any = None, catalogue: Any = None, policies: Any = COLD
) -> list[Moved]:
    archive = archive_of(house, objects, catalogue)
    due = move_due(
        objects or house.objects,
        catalogue or house.catalogue,
        policies,
        now_us=house.clock.tick() + YEAR_US,
        last_read_us=lambda _: None,
        least_bytes=0,
        keep=archive.thumbnails.keep,
    )
    try:
        return [one async for one in due]
    finally:
        await archive.workers.aclose()


async def thumbs(house: House) -> list[ThumbKey]:
    found = [parse_thumb_key(key) for key in await house.keys("thumbs/")]
    return [one for one in found if one is not None]


async def chosen(house: House, series: str | None = None, sop: str | None = None) -> Any:
    archive = archive_of(house)
    located = await archive.instances.locate(system("default"), STUDY, series, sop)
    return await archive.thumbnails.chosen(system("default"), located, None)


async def test_each_series_has_one_when_it_is_cold(house: House) -> None:
    await fill(house)
    assert await moved(house, policies=COOL)
    assert await thumbs(house) == []  # what is read at once needs none
    assert {one.fate for one in await moved(house)} == {Fate.MOVED}
    kept = await thumbs(house)
    names = [(one.pack.series_instance_uid, one.sop_instance_uid, one.frame) for one in kept]
    assert names == [(SERIES[0], f"{SERIES[0]}.2", 1), (SERIES[1], f"{SERIES[1]}.1", 1)]
    assert {(await house.objects.head(one.key)).storage_class for one in kept} == {"STANDARD"}
    assert await chosen(house) == await chosen(house, SERIES[0]) == kept[0]
    assert await chosen(house, SERIES[0], f"{SERIES[0]}.2") == kept[0]
    with pytest.raises(Offline):
        await chosen(house, SERIES[0], f"{SERIES[0]}.1")


@pytest.mark.parametrize("error", [Denied, Unavailable])
async def test_without_one_a_pack_stays_and_the_next_look_moves_it(
    house: House, error: type[Denied | Unavailable]
) -> None:
    await fill(house)

    def fails(key: str, *_args: object, **_options: object) -> bool:
        return key.startswith("thumbs/") and f"/{SERIES[0]}/" in key

    done = await moved(house, objects=Dying(house.objects, "put_new", fails, error))
    assert [one.fate for one in done] == [Fate.LEFT, Fate.LEFT, Fate.MOVED]
    assert "thumbnail" in done[0].reason
    assert [one.fate for one in await moved(house)] == [Fate.MOVED] * 2
    assert len(await thumbs(house)) == 2


async def test_what_cannot_be_shown_is_noted_once_and_goes(house: House, tmp_path: Path) -> None:
    made = await house.store(Sample(f"{SERIES[0]}.1"), series=SERIES[0])
    await house.store(Sample(f"{SERIES[1]}.1"), series=SERIES[1])
    (path,) = tmp_path.rglob(f"{made.key.pack_id}.zip")
    path.chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[: made.table.instances[0].offset + 100])
    assert {one.fate for one in await moved(house)} == {Fate.MOVED}
    blank, picture = await thumbs(house)
    assert not blank.is_picture
    with pytest.raises(NotAcceptable):
        await chosen(house, SERIES[0])
    assert await chosen(house) == picture


async def test_one_that_another_process_has_made_is_as_good(house: House) -> None:
    await fill(house)
    conflict = Dying(
        house.objects, "put_new", lambda key, *_, **__: key.startswith("thumbs/"), Conflict
    )
    assert {one.fate for one in await moved(house, objects=conflict)} == {Fate.MOVED}


async def test_a_series_that_grew_after_it_went_shows_what_is_kept(house: House) -> None:
    await fill(house)
    await moved(house)
    kept = await chosen(house, SERIES[0])
    for number in (4, 5, 6):
        await house.store(Sample(f"{SERIES[0]}.{number}"), series=SERIES[0])
    # Now the one in the middle has come lately, and is hot.
    shown = await chosen(house, SERIES[0])
    assert shown.located.instance.sop_instance_uid == f"{SERIES[0]}.4"
    await house.trash.delete(Scope("default", STUDY, SERIES[0], f"{SERIES[0]}.6"))
    await house.trash.delete(Scope("default", STUDY, SERIES[0], f"{SERIES[0]}.4"))
    # Now it is one that went without a thumbnail.
    assert await chosen(house, SERIES[0]) == kept
    await house.trash.delete(Scope("default", STUDY, SERIES[0], kept.sop_instance_uid))
    with pytest.raises(Offline):
        await chosen(house, SERIES[0])


async def test_it_goes_with_its_pack_and_no_other_does(house: House) -> None:
    await fill(house)
    await moved(house)
    await house.trash.delete(Scope("default", STUDY, SERIES[1]))
    assert len(await thumbs(house)) == 2
    await house.purge()
    assert [one.pack.series_instance_uid for one in await thumbs(house)] == [SERIES[0]]
    assert {one.kind for one in await house.findings()} == {FindingKind.COLD}


async def test_one_of_a_pack_that_is_removed_meanwhile_does_not_stay(house: House) -> None:
    await house.store(Sample(f"{SERIES[0]}.1"), series=SERIES[0])

    async def goes() -> None:
        await house.trash.delete(Scope("default", STUDY))
        await house.purge()

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

        async def put_new(self, key: str, data: bytes, **options: Any) -> Any:
            if key.startswith("thumbs/"):
                await goes()
            return await house.objects.put_new(key, data, **options)

    assert [one.fate for one in await moved(house, objects=Racing())] == [Fate.LEFT]
    assert await thumbs(house) == []
    assert await house.keys("packs/") == []


@pytest.mark.parametrize("answers", [False, True])
async def test_a_purge_that_dies_at_any_step_leaves_none(tmp_path: Path, *, answers: bool) -> None:
    for at in count():
        async with opened(tmp_path / str(at)) as house:
            await house.store(Sample(f"{SERIES[0]}.1"), series=SERIES[0])
            await moved(house)
            (key,) = await house.keys("packs/")
            await house.objects.recall(key, 1, RecallSpeed.STANDARD)  # a sweep may have to read it
            await house.trash.delete(Scope("default", STUDY))
            fuse = Fuse(at, answers=answers)
            mortal = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
            with suppress(Died):
                await house.purge(objects=mortal[0], catalogue=mortal[1])
            await house.purge()
            await house.sweep()
            assert await house.keys("packs/") == []
            assert await thumbs(house) == []
            if not fuse.is_burnt:
                break


async def test_it_is_served_as_it_is_or_smaller(house: House) -> None:
    await fill(house)
    await moved(house)
    archive = archive_of(house)
    kept = await chosen(house)
    stored = await house.objects.get(kept.key)
    assert await archive.thumbnails.picture(kept, Wanted(is_thumbnail=True)) == stored
    with pytest.raises(NotFound):
        gone = ThumbKey(kept.pack, "1.2", 1)
        await archive.thumbnails.picture(gone, Wanted(is_thumbnail=True))


@pytest.mark.parametrize("answers", [False, True])
async def test_a_process_that_dies_at_any_step_leaves_no_cold_pack_without_one(
    tmp_path: Path, *, answers: bool
) -> None:
    for at in count():
        async with opened(tmp_path / str(at)) as house:
            await fill(house)
            before = await house.digest()
            fuse = Fuse(at, answers=answers)
            mortal = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
            with suppress(Died):
                await moved(house, objects=mortal[0], catalogue=mortal[1])
            cold = {
                info.key.split("/")[4]
                async for info in house.objects.list("packs/")
                if needs_recall(info.storage_class)
            }
            have = {one.pack.series_instance_uid for one in await thumbs(house)}
            assert cold <= have
            await moved(house)
            assert len(await thumbs(house)) == 2
            packs = await house.catalogue.packs("default", STUDY)
            assert {one.storage_class for one in packs} == {"GLACIER"}
            assert {one.kind for one in await house.findings()} <= {FindingKind.COLD}
            assert await house.digest() == before
            assert await house.rebuilt() == before
            if not fuse.is_burnt:
                assert at > 20
                break
