"""Packs moved to the class they are due in, on a real archive, with its processes dying on the way."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.records import COLD_CLASSES, PackRecord, StudyRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Denied, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.tiering.mover import Fate, Moved, move_due
from pacs_cloud.tiering.policy import Policy, Step
from unit.custody.custody_house import STUDY, Dying, House, Racing, always
from unit.custody.custody_packs import Sample

POLICIES = (Policy("p", steps=(Step(StorageClass.GLACIER_IR, 30), Step(StorageClass.GLACIER, 90))),)
YEAR_US = 365 * 86_400_000_000
SERIES = [f"{STUDY}.{number}" for number in (1, 2, 3)]


def never(_: StudyRecord) -> int | None:
    return None


class Later:
    """A store whose lifecycle moves, some day."""

    def __init__(self, real: LocalObjectStore) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def move(self, key: str, storage_class: StorageClass) -> object:
        del storage_class
        return await self._real.head(key)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        yield House(objects, catalogue)


async def moved(
    house: House,
    *,
    objects: Any = None,
    catalogue: Any = None,
    after_us: int = YEAR_US,
    policies: Sequence[Policy] = POLICIES,
) -> list[Moved]:
    due = move_due(
        objects or house.objects,
        catalogue or house.catalogue,
        policies,
        now_us=house.clock.tick() + after_us,
        last_read_us=never,
        least_bytes=0,
    )
    return [one async for one in due]


async def classes(house: House) -> list[tuple[str, str]]:
    """Return where each pack lies: by the catalogue, and by the store."""
    packs = await house.catalogue.packs("default", STUDY)
    lies = {info.key: info.storage_class async for info in house.objects.list("packs/")}
    return [
        (pack.storage_class, next(lies[key] for key in lies if pack.pack_id in key))
        for pack in packs
    ]


async def test_what_is_due_moves_and_the_catalogue_says_so(house: House) -> None:
    for series in SERIES:
        await house.store(Sample(f"{series}.1"), series=series)
    before = await house.digest()
    assert await moved(house, after_us=0) == []
    assert [one.fate for one in await moved(house)] == [Fate.MOVED] * 3
    assert await classes(house) == [("GLACIER", "GLACIER")] * 3
    assert await moved(house) == []
    assert await house.digest() == before
    for path in await house.keys("index/"):
        assert (await house.objects.head(path)).storage_class == "STANDARD"


async def test_a_move_that_died_before_it_was_noted_is_noted_next_time(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    with pytest.raises(Unavailable):
        await moved(house, catalogue=Dying(house.catalogue, "commit", always))
    assert await classes(house) == [("STANDARD", "GLACIER")]
    assert [one.fate for one in await moved(house)] == [Fate.MOVED]
    assert await classes(house) == [("GLACIER", "GLACIER")]


@pytest.mark.parametrize("error", [Denied, Conflict])
async def test_one_that_cannot_be_moved_stops_no_other(
    house: House, error: type[Denied | Conflict]
) -> None:
    for series in SERIES:
        await house.store(Sample(f"{series}.1"), series=series)
    objects = Dying(house.objects, "move", lambda key, _: SERIES[1] in key, error)
    fates = [one.fate for one in await moved(house, objects=objects)]
    assert fates == [Fate.MOVED, Fate.LEFT, Fate.MOVED]
    assert [one for one, _ in await classes(house)] == ["GLACIER", "STANDARD", "GLACIER"]
    assert [one.fate for one in await moved(house)] == [Fate.MOVED]


async def test_what_the_store_only_promises_is_not_in_the_catalogue(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))

    assert [one.fate for one in await moved(house, objects=Later(house.objects))] == [Fate.ASKED]
    assert await classes(house) == [("STANDARD", "STANDARD")]


@pytest.mark.parametrize("verb", ["commit", "study"])
async def test_what_comes_in_meanwhile_is_not_lost(house: House, verb: str) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))

    async def arrives() -> None:
        await house.store(Sample(f"{STUDY}.1.2"))

    assert len(await moved(house, catalogue=Racing(house.catalogue, verb, arrives))) == 1
    assert sorted(await classes(house)) == [("GLACIER", "GLACIER"), ("STANDARD", "STANDARD")]
    assert await house.count() == 2


async def test_a_pack_that_is_purged_meanwhile_stays_purged(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.store(Sample(f"{STUDY}.2.1"), series=f"{STUDY}.2")

    async def goes() -> None:
        await house.trash.delete(Scope("default", STUDY, f"{STUDY}.2"))
        await house.purge()

    fates = {one.fate for one in await moved(house, objects=Racing(house.objects, "move", goes))}
    assert fates == {Fate.MOVED, Fate.LEFT}
    assert await classes(house) == [("GLACIER", "GLACIER")]


async def test_a_pack_that_lies_colder_than_it_is_due_stays_there(house: House) -> None:
    """A rule of the bucket moved it, or a policy of before, and nobody noted it."""
    for series, storage_class in zip(
        SERIES, ("DEEP_ARCHIVE", "GLACIER", "GLACIER_IR"), strict=True
    ):
        await house.store(Sample(f"{series}.1"), series=series)
        (key,) = [key for key in await house.keys("packs/") if f"/{series}/" in key]
        await house.objects.move(key, StorageClass(storage_class))
    due = 60 * 86_400_000_000  # for GLACIER_IR
    assert [one.fate for one in await moved(house, after_us=due)] == [Fate.MOVED] * 3
    lie_in = {
        ("DEEP_ARCHIVE", "DEEP_ARCHIVE"),
        ("GLACIER", "GLACIER"),
        ("GLACIER_IR", "GLACIER_IR"),
    }
    assert set(await classes(house)) == lie_in
    assert await moved(house, after_us=due) == []


async def test_what_is_cold_goes_colder_and_its_readable_copy_is_forgotten(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    assert [one.fate for one in await moved(house)] == [Fate.MOVED]

    def recalled(pack: PackRecord) -> PackRecord:
        return replace(pack, recalled_until_us=1 << 60)

    await note_packs(house.catalogue, "default", STUDY, recalled, now_us=house.clock.tick())
    colder = (Policy("p", steps=(Step(StorageClass.DEEP_ARCHIVE, 180),)),)
    assert [one.fate for one in await moved(house, policies=colder)] == [Fate.MOVED]
    assert await classes(house) == [("DEEP_ARCHIVE", "DEEP_ARCHIVE")]
    (pack,) = await house.catalogue.packs("default", STUDY)
    assert pack.recalled_until_us < 1 << 60


async def test_where_the_store_is_on_the_way_is_in_the_catalogue(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    (key,) = await house.keys("packs/")
    await house.objects.move(key, StorageClass.GLACIER_IR)
    assert [one.fate for one in await moved(house, objects=Later(house.objects))] == [Fate.ASKED]
    assert await classes(house) == [("GLACIER_IR", "GLACIER_IR")]


async def test_what_has_moved_is_noted_though_the_store_went_away(house: House) -> None:
    for series in SERIES:
        await house.store(Sample(f"{series}.1"), series=series)
    other = f"{STUDY}.9"
    await house.store(Sample(f"{other}.1.1"), study=other)
    objects = Dying(house.objects, "move", lambda key, _: SERIES[1] in key)
    with pytest.raises(Unavailable):
        await moved(house, objects=objects)
    assert [one for one, _ in await classes(house)] == ["GLACIER", "STANDARD", "STANDARD"]
    (pack,) = await house.catalogue.packs("default", other)
    assert pack.storage_class == "GLACIER"


async def test_only_a_cold_pack_makes_searches_look_at_packs(house: House) -> None:
    async def is_cold() -> bool:
        state = await house.catalogue.study("default", STUDY)
        assert state is not None
        return state.study.has_cold_packs

    await house.store(Sample(f"{STUDY}.1.1"))
    await moved(house, after_us=60 * 86_400_000_000)
    assert await classes(house) == [("GLACIER_IR", "GLACIER_IR")]
    assert not await is_cold()
    await moved(house)
    assert await is_cold()
    await house.store(Sample(f"{STUDY}.1.2"))
    assert await is_cold()


def test_the_catalogue_calls_cold_what_needs_a_recall() -> None:
    assert {one for one in StorageClass if needs_recall(one)} == COLD_CLASSES
