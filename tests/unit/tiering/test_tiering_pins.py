"""A pinned study goes nowhere colder, and comes back where that was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.errors import Corrupt, Denied
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.bringing_back import Brought, bring_back
from pacs_cloud.tiering.mover import Fate, Moved, move_due
from pacs_cloud.tiering.pins import Pin, pin_of, pins, write_pin
from pacs_cloud.tiering.planning import moves
from pacs_cloud.tiering.policy import Policy, Step
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.listing import recall_of
from pacs_cloud.tiering.recall.tending import tend_recalls
from pacs_cloud.tiering.staying import stay_all
from recall_samples import Clock
from unit.custody.custody_house import STUDY, Dying, House
from unit.custody.custody_packs import Sample
from unit.custody.test_custody_repack_faults import Died, Fuse, Mortal

COLD = (Policy("p", steps=(Step(StorageClass.GLACIER, 30),)),)
YEAR_US = 365 * 86_400_000_000
OTHER = "1.2.4"
PIN = Pin("default", STUDY, is_set=True, reason="a study group", who="ana")
DELAY_S = 3600


class Place(House):
    """An archive whose cold class takes an hour, by a clock that passes when it is told to."""

    def __init__(self, objects: LocalObjectStore, catalogue: SqliteCatalogue, time: Clock) -> None:
        super().__init__(objects, catalogue)
        self.time = time


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    time = Clock()
    async with (
        LocalObjectStore(folder / "objects", recall_delay_s=DELAY_S, now_us=time) as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        made = Place(objects, catalogue, time)
        for study in (STUDY, OTHER):
            await made.store(Sample(f"{study}.1.1"), study=study)
        time.now_us = made.clock.now_us
        yield made


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(tmp_path) as made:
        yield made


async def moved(house: Place, objects: Any = None) -> list[Moved]:
    due = move_due(
        objects or house.objects,
        house.catalogue,
        COLD,
        now_us=house.time() + YEAR_US,
        last_read_us=lambda _: None,
        least_bytes=0,
    )
    return [one async for one in due]


async def brought(house: Place, *, objects: Any = None, catalogue: Any = None) -> Brought:
    objects, catalogue = objects or house.objects, catalogue or house.catalogue
    recalls = Recalls(objects, catalogue, house.time, arrival_s=lambda *_: DELAY_S)
    return await bring_back(
        objects, catalogue, recalls, RecallWish(), "default", STUDY, now_us=house.time()
    )


async def tend(house: Place) -> None:
    await tend_recalls(house.objects, house.catalogue, now_us=house.time())


async def lies_in(house: Place, study: str = STUDY) -> tuple[str, str]:
    """Return where a study's pack lies: by the catalogue, and by the store."""
    (pack,) = await house.catalogue.packs("default", study)
    (key,) = [key for key in await house.keys("packs/") if f"/{study}/" in key]
    return pack.storage_class, (await house.objects.head(key)).storage_class


async def test_a_pinned_study_stays_until_it_is_unpinned(house: Place) -> None:
    await write_pin(house.objects, PIN, now_us=1)
    fates = {one.move.pack.study_instance_uid: one.fate for one in await moved(house)}
    assert fates == {STUDY: Fate.PINNED, OTHER: Fate.MOVED}
    assert await lies_in(house) == ("STANDARD", "STANDARD")
    await write_pin(house.objects, replace(PIN, is_set=False), now_us=1)
    assert [one.fate for one in await moved(house)] == [Fate.MOVED]
    assert await lies_in(house) == ("GLACIER", "GLACIER")


async def test_a_plan_shows_what_a_pin_keeps(house: Place) -> None:
    due = moves(
        house.catalogue,
        COLD,
        now_us=house.time() + YEAR_US,
        last_read_us=lambda _: None,
        least_bytes=0,
        pinned={("default", STUDY)},
    )
    assert {one.pack.study_instance_uid: one.is_pinned async for one in due} == {
        STUDY: True,
        OTHER: False,
    }


async def test_the_latest_entry_stands_whatever_the_clocks_say(house: Place) -> None:
    objects = house.objects
    late = await write_pin(objects, PIN, now_us=1000)
    early = await write_pin(objects, replace(PIN, is_set=False), now_us=5)
    assert early.entered_us > late.entered_us == 1000
    assert await pin_of(objects, "default", STUDY, now_us=2000) is None
    again = await write_pin(objects, replace(PIN, until_us=3000), now_us=2000)
    other = await write_pin(objects, replace(PIN, study_instance_uid=OTHER), now_us=2000)
    assert await pin_of(objects, "default", STUDY, now_us=2999) == again
    assert {pin.key async for pin in pins(objects, "default", now_us=2999)} == {
        again.key,
        other.key,
    }
    assert [pin async for pin in pins(objects, "default", now_us=3000)] == [other]
    assert await pin_of(objects, "default", STUDY, now_us=3000) is None
    assert [pin async for pin in pins(objects, "elsewhere", now_us=0)] == []
    assert len(await house.keys("pins/")) == 4


async def test_two_who_pin_in_one_moment_both_have_done_it(house: Place) -> None:
    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

        async def put_new(self, key: str, data: bytes) -> Any:
            if not await house.keys("pins/"):
                await write_pin(house.objects, replace(PIN, who="ben"), now_us=7)
            return await house.objects.put_new(key, data)

    mine = await write_pin(Racing(), PIN, now_us=7)  # type: ignore[arg-type]
    assert mine.entered_us == 8
    assert len(await house.keys("pins/")) == 2


async def test_one_that_cannot_be_read_is_never_taken_for_none(house: Place) -> None:
    entry = await write_pin(house.objects, PIN, now_us=7)
    written = await house.objects.get(entry.key)
    moved_pin = written.replace(b'"ana"', b'"bob"').replace(b'"entered_us":7', b'"entered_us":9')
    for other in (b"", b"[]", written.replace(b'"version":1', b'"version":2'), moved_pin, b"{}"):
        await house.objects.delete(entry.key)
        await house.objects.put_new(entry.key, other)
        with pytest.raises(Corrupt):
            await pin_of(house.objects, "default", STUDY, now_us=8)
    with pytest.raises(Corrupt):
        await pin_of(house.objects, "default", STUDY, now_us=8)
    fates = {one.move.pack.study_instance_uid: one.fate for one in await moved(house)}
    assert fates == {STUDY: Fate.LEFT, OTHER: Fate.MOVED}
    assert await lies_in(house) == ("STANDARD", "STANDARD")


async def test_what_cannot_be_kept_is_counted(house: Place) -> None:
    denies = Dying(house.objects, "move", lambda *_: True, Denied)
    failed = await stay_all(denies, house.catalogue, "default", STUDY, now_us=0)  # type: ignore[arg-type]
    assert failed == 1


async def test_a_cold_study_comes_back_for_good(house: Place) -> None:
    await moved(house)
    before = await house.digest()
    assert await brought(house) == Brought(waiting=1)
    assert await brought(house) == Brought(waiting=1)
    found = await recall_of(house.objects, house.catalogue, "default", STUDY, house.time())
    assert found.causes == ("pin",)
    house.time.advance(DELAY_S + 1)
    assert await brought(house) == Brought(moved=1)
    assert await lies_in(house) == ("STANDARD", "STANDARD")
    assert await brought(house) == Brought()
    await tend(house)
    assert await house.keys("recalls/") == []
    (pack,) = await house.catalogue.packs("default", STUDY)
    assert pack.recalled_until_us <= house.time()
    assert await house.digest() == before
    assert await lies_in(house, OTHER) == ("GLACIER", "GLACIER")


async def test_one_that_is_locked_is_left(house: Place) -> None:
    (key,) = [key for key in await house.keys("packs/") if f"/{STUDY}/" in key]
    await house.objects.move(key, StorageClass.GLACIER_IR)
    await stay_all(house.objects, house.catalogue, "default", STUDY, now_us=1 << 50)
    assert await lies_in(house) == ("GLACIER_IR", "GLACIER_IR")  # noted, as it was asked
    denies = Dying(house.objects, "move", lambda *_: True, Denied)
    assert await brought(house, objects=denies) == Brought(left=1)
    assert await brought(house) == Brought(moved=1)


@pytest.mark.parametrize("answers", [False, True])
async def test_whatever_step_a_process_dies_at_it_comes_back(
    tmp_path: Path, *, answers: bool
) -> None:
    for at in count():
        async with opened(tmp_path / str(at)) as house:
            before = await house.digest()
            await moved(house)
            fuse = Fuse(at, answers=answers)
            objects, catalogue = Mortal(house.objects, fuse), Mortal(house.catalogue, fuse)
            for _ in range(3):
                with suppress(Died):
                    await brought(house, objects=objects, catalogue=catalogue)
                if fuse.is_burnt:
                    break
                house.time.advance(DELAY_S + 1)
            await brought(house)
            for _ in range(2):
                house.time.advance(DELAY_S + 1)
                await tend(house)
            await brought(house)
            assert await lies_in(house) == ("STANDARD", "STANDARD")
            await tend(house)
            assert await house.keys("recalls/") == []
            assert {one.kind for one in await house.findings()} <= {FindingKind.COLD}
            assert await house.digest() == before
            if not fuse.is_burnt:
                assert at > 8
                break


async def test_what_cannot_be_recalled_is_left_and_keeps_nobody_waiting(
    house: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await moved(house)
    await brought(house)
    (mark,) = await house.keys("recalls/")
    await house.objects.delete(mark)
    await house.objects.put_new(mark, b"damaged")
    # It is asked for anew.
    assert await brought(house) == Brought(waiting=1)
    await house.objects.delete(mark)

    async def deny(*_: object) -> ObjectInfo:
        raise Denied("no permission to restore")

    monkeypatch.setattr(house.objects, "recall", deny)
    assert await brought(house) == Brought(left=1)


async def test_a_pin_that_cannot_be_read_is_told_and_the_others_are_seen(house: Place) -> None:
    entry = await write_pin(house.objects, PIN, now_us=7)
    other = await write_pin(house.objects, replace(PIN, study_instance_uid=OTHER), now_us=7)
    told: list[Corrupt] = []
    for bad, good in ((entry, other), (other, entry)):
        written = await house.objects.get(bad.key)
        await house.objects.delete(bad.key)
        await house.objects.put_new(bad.key, b"damaged")
        seen = pins(house.objects, "default", now_us=8, damaged=told.append)
        assert [one async for one in seen] == [good]
        await house.objects.delete(bad.key)
        await house.objects.put_new(bad.key, written)
    assert len(told) == 2


async def test_a_study_that_is_pinned_while_its_packs_are_tagged_stays(house: Place) -> None:
    asked: list[StorageClass] = []

    class Tagging:
        """A store whose own rules move what it is told to, some day."""

        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

        async def move(self, key: str, to: StorageClass) -> Any:
            if f"/{STUDY}/" in key:
                asked.append(to)
                if len(asked) == 1:
                    await write_pin(house.objects, PIN, now_us=house.time())
            return await house.objects.head(key)

    fates = {one.move.pack.study_instance_uid: one.fate for one in await moved(house, Tagging())}
    assert fates == {STUDY: Fate.PINNED, OTHER: Fate.ASKED}
    assert asked == [StorageClass.GLACIER, StorageClass.STANDARD]
