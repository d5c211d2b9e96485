"""Every pack is read again once in so many days, and what is found stays until it is mended."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.deep import check_bytes
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fixity.pace import Pace
from pacs_cloud.custody.fixity.reading import Reread
from pacs_cloud.custody.fixity.rolling import open_findings, reread, reread_study, tend_fixity
from pacs_cloud.custody.fixity.round import TURN_US, Round, read_round, write_round
from pacs_cloud.custody.stored_pack import read_stored_pack
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import Availability, ObjectInfo
from pacs_cloud.pack.instance import Recoded
from unit.custody.custody_faults import Refusing
from unit.custody.custody_house import ALL, DAY_US, STUDY, House
from unit.custody.custody_packs import NOW_US, Made, Sample

DAYS = 30.0


async def tend(house: House, now_us: int, objects: Any = None) -> Reread:
    return await tend_fixity(
        objects or house.objects, house.catalogue, now_us=now_us, fixity_days=DAYS
    )


async def kinds(house: House) -> list[FindingKind]:
    return [one.kind async for found in open_findings(house.objects) for one in found.findings]


async def damage(objects: LocalObjectStore, made: Made) -> None:
    """Change one byte of a pack's first data set."""
    data = bytearray(made.data)
    data[made.table.instances[0].offset + 200] ^= 1
    await objects.delete(made.key.pack)
    await objects.put_new(made.key.pack, bytes(data))


async def mend(objects: LocalObjectStore, made: Made) -> None:
    await objects.delete(made.key.pack)
    await objects.put_new(made.key.pack, made.data)


class Watching:
    """A store that notes which packs are streamed, and may call some cold."""

    def __init__(self, real: LocalObjectStore, *, cold: str = "") -> None:
        self._real = real
        self._cold = cold
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def stream(self, key: str, *args: Any, **options: Any) -> AsyncIterator[bytes]:
        self.read.append(key)
        return self._real.stream(key, *args, **options)

    async def list(self, prefix: str, **options: Any) -> AsyncIterator[ObjectInfo]:
        async for info in self._real.list(prefix, **options):
            is_cold = info.key == self._cold
            yield replace(info, availability=Availability.OFFLINE) if is_cold else info


async def test_a_round_reads_every_pack_once_in_the_days_it_has(house: House) -> None:
    made = await house.fill()
    store = Watching(house.objects)
    now_us = NOW_US + DAY_US
    began_us = now_us
    while now_us < began_us + DAYS * DAY_US:
        await tend(house, now_us, store)
        now_us += DAY_US
    # Not all at once, not twice, and a tenth of the days is left over.
    assert sorted(store.read[: len(made)]) == sorted(one.key.pack for one in made)
    at = await read_round(house.objects)
    assert at is not None
    assert at.started_us > began_us
    assert len(await house.keys("fixity/at/")) == 1
    assert await house.findings() == []


async def test_a_round_goes_on_at_its_pace_and_where_it_was(house: House) -> None:
    made = await house.fill()
    store = Watching(house.objects)
    await tend(house, NOW_US, store)
    first = len(store.read)
    assert first <= 1
    half_us = NOW_US + round(DAYS * DAY_US * 0.45)
    await tend(house, half_us, store)
    assert len(made) / 3 < len(store.read) < len(made) * 2 / 3
    # Nothing more is due.
    await tend(house, half_us + TURN_US, store)
    assert len(store.read) < len(made) * 2 / 3
    # A worker that was away for long reads all that it has missed.
    await tend(house, NOW_US + round(DAYS * DAY_US), store)
    assert sorted(store.read) == sorted(one.key.pack for one in made)


async def test_what_is_due_by_then_is_read_and_no_more(house: House) -> None:
    await house.fill()
    assert (await tend(house, NOW_US + DAY_US)) == Reread(
        packs=1, length_bytes=(await read_first(house)).length_bytes
    )
    assert await tend(house, NOW_US + DAY_US) == Reread()


async def read_first(house: House) -> ObjectInfo:
    return await anext(house.objects.list("packs/"))


async def test_a_worker_far_behind_reads_no_more_than_a_turn_holds(house: House) -> None:
    made = await house.fill()
    rates = 1e9, 1.0
    for rate_bytes_s, packs in zip(rates, (len(made), 0), strict=True):
        done = await tend_fixity(
            house.objects,
            house.catalogue,
            now_us=NOW_US,
            fixity_days=0,
            rate_bytes_s=rate_bytes_s,
        )
        assert done.packs == packs
    at = await read_round(house.objects)
    assert at is not None
    assert at.is_over


async def test_what_came_in_since_a_round_began_is_read_in_it(house: House) -> None:
    first = await house.store(Sample(f"{STUDY}.1.1"))
    await tend(house, NOW_US)
    for number in range(2, 8):
        await house.store(Sample(f"{STUDY}.1.{number}"))
    store = Watching(house.objects)
    await tend(house, NOW_US + round(DAYS * DAY_US), store)
    assert len({*store.read, first.key.pack}) == 7
    at = await read_round(house.objects)
    assert at is not None
    assert (at.packs, at.total_packs, at.is_over) == (7, 1, True)


async def test_damage_is_listed_until_it_is_mended(house: House) -> None:
    made = await house.fill()
    await damage(house.objects, made[0])
    done = await reread(house.objects, house.catalogue, now_us=NOW_US)
    assert done.packs == len(made)
    assert {one.kind for one in done.findings} == {FindingKind.CHECKSUM, FindingKind.DIGEST}
    assert all(one.pack_id == made[0].key.pack_id for one in done.findings)
    (found,) = [one async for one in open_findings(house.objects)]
    assert (found.key, found.found_us, found.findings) == (made[0].key, NOW_US, done.findings)
    # Found again it is known since then still.
    await reread(house.objects, house.catalogue, now_us=NOW_US + DAY_US)
    (found,) = [one async for one in open_findings(house.objects)]
    assert found.found_us == NOW_US
    # Worse, or otherwise: what holds now is listed, once.
    await house.objects.delete(made[0].key.pack)
    await house.objects.put_new(made[0].key.pack, b"no pack at all")
    await reread_study(house.objects, house.catalogue, "default", STUDY, now_us=NOW_US)
    assert set(await kinds(house)) == {FindingKind.SIZE, FindingKind.DAMAGED}
    assert len(await house.keys("fixity/found/")) == 1
    await mend(house.objects, made[0])
    # The next run begins with what was found.
    done = await reread(house.objects, house.catalogue, now_us=NOW_US, limit_bytes=0)
    assert (done.packs, done.mended, done.findings) == (1, 1, ())
    assert await kinds(house) == []
    assert await house.keys("fixity/found/") == []


async def test_findings_about_what_was_removed_for_good_end_with_it(house: House) -> None:
    made = await house.fill()
    await damage(house.objects, made[0])
    await reread(house.objects, house.catalogue, now_us=NOW_US)
    await house.trash.delete(ALL)
    await house.purge()
    await reread(house.objects, house.catalogue, now_us=NOW_US, limit_bytes=0)
    assert await kinds(house) == []


async def test_a_pack_that_is_missing_is_found_by_its_study(house: House) -> None:
    made = await house.fill()
    await house.objects.delete(made[0].key.pack)
    done = await reread_study(house.objects, house.catalogue, "default", STUDY, now_us=NOW_US)
    assert [one.kind for one in done.findings] == [FindingKind.DANGLING]
    assert await read_round(house.objects) is None
    with pytest.raises(NotFound):
        await reread_study(house.objects, house.catalogue, "default", "1.9", now_us=NOW_US)


async def test_a_pack_that_may_not_be_read_keeps_nobody_from_the_others(
    tmp_path: Path, catalogue: SqliteCatalogue
) -> None:
    async with Refusing(tmp_path / "objects") as objects:
        house = House(objects, catalogue)
        made = await house.fill()
        objects.refused = frozenset({made[3].key.pack, made[5].key.index})
        done = await tend(house, NOW_US) + await tend(house, NOW_US + 30 * DAY_US)
        assert [one.kind for one in done.findings] == [FindingKind.DENIED] * 2
        assert done.packs == len(made)
        objects.refused = frozenset()
        done = await reread(objects, catalogue, now_us=NOW_US + 31 * DAY_US)
        assert (done.mended, done.findings) == (2, ())


async def test_a_pack_that_needs_recall_is_passed_over_and_counted(house: House) -> None:
    made = await house.fill()
    store = Watching(house.objects, cold=made[0].key.pack)
    done = await reread(store, house.catalogue, now_us=NOW_US)
    assert (done.packs, done.cold, done.findings) == (len(made) - 1, 1, ())
    assert made[0].key.pack not in store.read
    at = await read_round(house.objects)
    assert at is not None
    assert (at.packs, at.cold, at.is_over) == (len(made), 1, True)


async def test_what_was_found_of_a_pack_outlives_its_going_cold(house: House) -> None:
    made = await house.fill()
    await damage(house.objects, made[0])
    await reread(house.objects, house.catalogue, now_us=NOW_US)
    store = Watching(house.objects, cold=made[0].key.pack)
    await reread_study(store, house.catalogue, "default", STUDY, now_us=NOW_US)
    assert await kinds(house) != []


async def test_a_limit_ends_with_a_whole_pack_and_the_next_run_goes_on(house: House) -> None:
    made = await house.fill()
    store = Watching(house.objects)
    while not (at := await read_round(house.objects)) or not at.is_over:
        done = await reread(store, house.catalogue, now_us=NOW_US, limit_bytes=1)
        assert done.packs <= 1
    assert sorted(store.read) == sorted(one.key.pack for one in made)


async def test_what_the_catalogue_does_not_know_is_left_to_the_sweep(house: House) -> None:
    made = await house.fill()
    await house.objects.put_new(f"{made[0].key.pack[:-8]}0000.zip", b"on its way")
    done = await reread(house.objects, house.catalogue, now_us=NOW_US)
    assert (done.packs, done.findings) == (len(made), ())


async def test_a_reader_that_died_repeats_little_and_leaves_nothing_out(house: House) -> None:
    made = await house.fill()
    store = Watching(house.objects)
    await reread(store, house.catalogue, now_us=NOW_US, limit_bytes=30_000)
    at = await read_round(house.objects)
    assert at is not None
    assert 0 < at.packs < len(made)

    class Dying(Watching):
        async def put_new(self, key: str, data: bytes) -> ObjectInfo:
            if key.startswith("fixity/at/"):
                raise Corrupt("the process died here")
            return await self._real.put_new(key, data)

    with pytest.raises(Corrupt):
        await reread(Dying(house.objects), house.catalogue, now_us=NOW_US)
    assert await read_round(house.objects) == at
    again = Watching(house.objects)
    await reread(again, house.catalogue, now_us=NOW_US)
    assert sorted(store.read + again.read) == sorted(one.key.pack for one in made)


async def test_of_two_readers_the_one_that_is_further_counts(objects: LocalObjectStore) -> None:
    first = await write_round(objects, Round(NOW_US, 10, 1000))
    further = await write_round(objects, replace(first, after="packs/b", packs=2))
    assert await write_round(objects, replace(first, after="packs/a", packs=1)) == further
    mine = await write_round(objects, replace(first, after="packs/c", packs=3))
    assert (mine.after, mine.number) == ("packs/c", further.number + 1)
    assert await read_round(objects) == mine
    assert len([info async for info in objects.list("fixity/")]) == 1


async def test_a_state_that_cannot_be_read_is_told(objects: LocalObjectStore) -> None:
    await objects.put_new("fixity/at/0000000000000001.json", b"{}")
    with pytest.raises(Corrupt):
        await read_round(objects)


async def test_progress_adds_up_to_all_bytes(house: House) -> None:
    made = await house.fill()
    told: list[tuple[int, int]] = []
    await reread(
        house.objects,
        house.catalogue,
        now_us=NOW_US,
        progress=lambda *so_far: told.append(so_far),
    )
    total = sum(len(one.data) for one in made)
    assert told[-1] == (total, total)
    assert told == sorted(told)


async def test_a_pace_lets_so_many_bytes_through_a_second() -> None:
    now = 100.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    pace = Pace(1000, clock=lambda: now, sleep=sleep)
    await pace.took(500)
    await pace.took(2000)
    assert slept == [0.5, 2.0]
    # What was not read meanwhile is not caught up.
    now += 60
    await pace.took(1000)
    assert slept[-1] == 1.0
    await Pace(clock=lambda: now, sleep=sleep).took(1 << 40)
    assert len(slept) == 3


async def test_one_instance_alone_is_a_round(house: House) -> None:
    made = await house.store(Sample(f"{STUDY}.1.1"))
    done = await tend(house, NOW_US)
    assert (done.packs, done.length_bytes) in {(0, 0), (1, len(made.data))}
    await tend(house, NOW_US + round(DAYS * DAY_US))
    at = await read_round(house.objects)
    assert at is not None
    assert (at.packs, at.is_over) == (1, True)


async def test_what_was_encoded_anew_is_held_against_what_is_stored(house: House) -> None:
    made = await house.store(Sample(f"{STUDY}.1.1"))
    pack = await read_stored_pack(house.objects, made.key.pack)
    (instance,) = pack.table.instances
    recoded = instance._replace(
        digest="0" * 64, recoded=Recoded(instance.digest, ExplicitVRLittleEndian)
    )
    pack = replace(pack, table=replace(pack.table, instances=(recoded,)))
    assert [one async for one in check_bytes(house.objects, made.key, pack)] == []


async def test_what_had_findings_is_read_and_told_once(house: House) -> None:
    made = await house.fill()
    await damage(house.objects, made[0])
    first = await reread(house.objects, house.catalogue, now_us=NOW_US)
    store = Watching(house.objects)
    again = await reread(store, house.catalogue, now_us=NOW_US + DAY_US)  # type: ignore[arg-type]
    assert again.findings == first.findings
    assert again.packs == len(made)
    assert sorted(store.read) == sorted(one.key.pack for one in made)
    at = await read_round(house.objects)
    assert at is not None
    assert (at.read, at.read_bytes) == (len(made), at.total_bytes)


async def test_what_is_passed_over_is_not_said_to_be_read(house: House) -> None:
    made = await house.fill()
    cold = made[0]
    store = Watching(house.objects, cold=cold.key.pack)
    await reread(store, house.catalogue, now_us=NOW_US)  # type: ignore[arg-type]
    at = await read_round(house.objects)
    assert at is not None
    assert (at.is_over, at.packs, at.cold, at.read) == (True, len(made), 1, len(made) - 1)
    assert at.read_bytes == at.total_bytes - len(cold.data)
