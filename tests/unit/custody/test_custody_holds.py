"""A held study is neither deleted nor purged, whoever comes between."""

from typing import Any

import pytest

from pacs_cloud.custody.holds import (
    HOLD_ENTRIES,
    HoldKind,
    all_holds,
    hold_entries,
    is_held,
    standing_holds,
)
from pacs_cloud.custody.holds_setting import HoldSet, release_hold, set_hold
from pacs_cloud.custody.trash.marks import Action, Mark, Scope, marks, put_mark
from pacs_cloud.custody.trash.purging import GRACE_US, Purged
from pacs_cloud.errors import Corrupt, Gone, Held, NotFound, Unavailable
from unit.custody.custody_house import ALL, DAY_US, STUDY, Dying, House, Racing, always
from unit.custody.custody_packs import Sample

OTHER = "1.2.9"
NAMES = "default", STUDY


async def hold(house: House, study: str = STUDY, *, until_us: int = 0) -> HoldSet:
    return await set_hold(
        house.objects,
        house.catalogue,
        "default",
        study,
        reason="case 7",
        who="ana",
        now_us=house.clock.tick(),
        until_us=until_us,
        wait_s=0,
    )


async def release(house: House, kind: HoldKind = HoldKind.LEGAL) -> None:
    await release_hold(
        house.objects, *NAMES, kind, reason="over", who="ben", now_us=house.clock.tick()
    )


async def store_two(house: House) -> None:
    for study in (STUDY, OTHER):
        await house.store(Sample(f"{study}.1.1"), study=study, series=f"{study}.1")


async def test_a_held_study_is_not_deleted_and_others_are(house: House) -> None:
    await store_two(house)
    set_ = await hold(house)
    assert (set_.is_sure, set_.packs) == (True, 1)
    before = await house.digest()
    for scope in (ALL, Scope(*NAMES, f"{STUDY}.1"), Scope(*NAMES, f"{STUDY}.1", f"{STUDY}.1.1")):
        with pytest.raises(Held, match="legal hold"):
            await house.trash.delete(scope)
    assert await house.digest() == before
    assert await house.keys("trash/") == []
    assert await house.trash.delete(Scope("default", OTHER)) == 1
    # What is not there is told as ever.
    with pytest.raises(NotFound):
        await house.trash.delete(Scope(*NAMES, f"{STUDY}.8"))
    await release(house)
    assert await house.trash.delete(ALL) == 1
    with pytest.raises(Gone):
        await house.trash.delete(ALL)


async def test_a_hold_set_after_the_deletion_keeps_the_purge_away(house: House) -> None:
    await store_two(house)
    for study in (STUDY, OTHER):
        await house.trash.delete(Scope("default", study))
    await hold(house)
    before = await house.digest()
    tended = await house.tend(after_us=31 * DAY_US)
    assert (tended.packs, tended.held, tended.problems) == (1, 1, 0)
    with pytest.raises(Held, match="legal hold"):
        await house.purge()
    assert await house.count(OTHER) == 0
    # It stays in the trash, and in sight, for however long.
    assert (await house.tend(after_us=400 * DAY_US)).held == 1
    assert [one.scope for one in await house.in_trash()] == [ALL]
    assert await house.findings() == []
    assert await house.rebuilt() != before  # of the other study nothing is left
    assert await is_held(house.objects, *NAMES, now_us=house.clock.tick())
    with pytest.raises(Held):
        await house.purge()
    await release(house)
    tended = await house.tend(after_us=31 * DAY_US)
    assert (tended.packs, tended.held) == (1, 0)
    assert await house.catalogue.study("default", STUDY) is None
    assert await house.keys("trash/") == []
    assert await house.findings() == []


async def test_what_is_deleted_of_a_held_study_can_be_restored(house: House) -> None:
    await house.fill()
    before = await house.digest()
    await house.trash.delete(ALL)
    await hold(house)
    assert (await house.trash.restore(ALL)).left == 0
    assert await house.digest() == before


async def test_a_retention_date_ends_by_itself_and_knows_nothing_of_the_hold(
    house: House,
) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    until_us = house.clock.now_us + 100 * DAY_US
    await hold(house, until_us=until_us)
    with pytest.raises(Held, match="retention date"):
        await house.trash.delete(ALL)
    await hold(house)
    both = await standing_holds(house.objects, *NAMES, now_us=house.clock.now_us)
    assert [(one.kind, one.until_us) for one in both] == [
        (HoldKind.LEGAL, 0),
        (HoldKind.RETENTION, until_us),
    ]
    await release(house)
    with pytest.raises(Held, match="retention date"):
        await house.trash.delete(ALL)
    with pytest.raises(NotFound, match="no legal hold"):
        await release(house)
    house.clock.now_us = until_us
    assert await house.trash.delete(ALL) == 1
    with pytest.raises(NotFound, match="no retention date"):
        await release(house, HoldKind.RETENTION)


async def test_a_retention_is_made_shorter_by_a_release_alone(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    long_us = house.clock.now_us + 100 * DAY_US

    async def until() -> list[int]:
        standing = await standing_holds(house.objects, *NAMES, now_us=house.clock.now_us)
        return [one.until_us for one in standing if one.kind is HoldKind.RETENTION]

    await hold(house, until_us=long_us)
    entries = await house.keys("holds/")
    with pytest.raises(Held, match=r"hold release .*--retention"):
        await hold(house, until_us=long_us - 1)
    assert await house.keys("holds/") == entries
    await hold(house, until_us=long_us)  # the same once more
    await hold(house, until_us=long_us + DAY_US)
    await hold(house)  # a legal hold is none of its business
    assert await until() == [long_us + DAY_US]
    await release(house, HoldKind.RETENTION)
    await hold(house, until_us=long_us - DAY_US)
    assert await until() == [long_us - DAY_US]
    # What is over keeps nobody from another.
    house.clock.now_us = long_us
    await hold(house, until_us=long_us + DAY_US)
    assert await until() == [long_us + DAY_US]


async def test_of_two_retentions_that_are_set_in_one_moment_the_longer_stands(
    house: House,
) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    long_us = house.clock.now_us + 100 * DAY_US

    async def other_meanwhile() -> None:
        await hold(house, until_us=long_us)

    await set_hold(
        Racing(house.objects, "put_new", other_meanwhile),
        house.catalogue,
        *NAMES,
        reason="case 8",
        who="ben",
        now_us=house.clock.tick() + DAY_US,
        until_us=long_us - DAY_US,
        wait_s=0,
    )
    entries = await hold_entries(house.objects, *NAMES)
    assert [one.until_us for one in entries] == [long_us, long_us - DAY_US]
    (standing,) = await standing_holds(house.objects, *NAMES, now_us=house.clock.now_us)
    assert standing.until_us == long_us


async def test_the_latest_stands_also_by_a_clock_that_is_behind(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    late_us = house.clock.now_us
    house.clock.now_us += DAY_US
    await hold(house)
    house.clock.now_us = late_us
    await release(house)
    assert not await is_held(house.objects, *NAMES, now_us=house.clock.now_us)
    await hold(house)
    entries = await hold_entries(house.objects, *NAMES)
    assert [(one.is_set, one.who, one.reason) for one in entries] == [
        (True, "ana", "case 7"),
        (False, "ben", "over"),
        (True, "ana", "case 7"),
    ]
    assert await is_held(house.objects, *NAMES, now_us=house.clock.now_us)


async def test_holds_are_listed_from_the_buckets_alone(house: House) -> None:
    await store_two(house)
    await hold(house)
    await hold(house, OTHER, until_us=house.clock.now_us + DAY_US)
    await hold(house, OTHER)
    await house.catalogue.wipe()

    async def listed(now_us: int) -> list[tuple[str, HoldKind]]:
        found = all_holds(house.objects, "default", now_us=now_us)
        return sorted([(one.study_instance_uid, one.kind) async for one in found])

    assert await listed(house.clock.now_us) == [
        (STUDY, HoldKind.LEGAL),
        (OTHER, HoldKind.LEGAL),
        (OTHER, HoldKind.RETENTION),
    ]
    assert await listed(house.clock.now_us + 2 * DAY_US) == [
        (STUDY, HoldKind.LEGAL),
        (OTHER, HoldKind.LEGAL),
    ]
    await house.rebuilt()
    with pytest.raises(Held):
        await house.trash.delete(ALL)
    assert await house.findings() == []


async def test_only_a_study_that_is_there_is_held(house: House) -> None:
    with pytest.raises(NotFound):
        await hold(house)
    assert await house.keys("holds/") == []


async def test_a_hold_that_cannot_be_read_is_no_reason_to_purge(house: House) -> None:
    await store_two(house)
    await house.trash.delete(ALL)
    await house.trash.delete(Scope("default", OTHER))
    bad = HOLD_ENTRIES.key(*NAMES, 1, "legal-set")
    await house.objects.put_new(bad, b"{}")
    with pytest.raises(Corrupt):
        await house.purge()
    tended = await house.tend(after_us=31 * DAY_US)
    assert (tended.packs, tended.problems) == (1, 1)
    await house.objects.delete(bad)
    other = HOLD_ENTRIES.key("default", OTHER, 1, "legal-set")
    await hold(house)
    (entry,) = await house.keys(HOLD_ENTRIES.prefix(*NAMES))
    await house.objects.put_new(other, await house.objects.get(entry))
    with pytest.raises(Corrupt, match="key"):
        await is_held(house.objects, "default", OTHER, now_us=house.clock.now_us)


class Between:
    """A store where a hold is set just before the purge's n-th call about holds or the ledger."""

    def __init__(self, house: House, at: int, *, dies: bool = False) -> None:
        self._house = house
        self._left = at
        self._dies = dies
        self.calls: list[str] = []
        self.held: HoldSet | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.objects, name)

    async def _pass(self, verb: str, key: str) -> None:
        self.calls.append(f"{verb} {key.split('/', maxsplit=1)[0]}")
        if self._left == 0 and self.held is None:
            self.held = await hold(self._house)
        elif self._dies and self.held is not None:
            raise Unavailable("the process died here")
        self._left -= 1

    async def put_new(self, key: str, data: bytes) -> object:
        await self._pass("put", key)
        return await self._house.objects.put_new(key, data)

    async def list(self, prefix: str, **options: Any) -> Any:
        await self._pass("list", prefix)
        async for info in self._house.objects.list(prefix, **options):
            yield info


STEPS = [
    "list ledger",
    "list holds",  # the plan
    "put trash",
    "list holds",  # between the mark and the ledger
    "put ledger",
    "list holds",  # behind the ledger
]


async def test_a_purge_looks_for_holds_behind_its_mark_and_behind_its_ledger(
    house: House,
) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    store = Between(house, 99)
    await house.purge(objects=store)  # type: ignore[arg-type]
    assert store.calls == [*STEPS, "list thumbs"]  # of the pack that is removed


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("at", range(len(STEPS)))
async def test_a_hold_that_returned_before_the_ledger_entry_wins(
    house: House, at: int, *, dies: bool
) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    before = await house.digest()
    store = Between(house, at, dies=dies)
    # The last look, behind the ledger, finds it as well: its entry is taken back.
    with pytest.raises(Unavailable if dies else Held):
        await house.purge(objects=store)  # type: ignore[arg-type]
    assert store.held is not None
    is_behind_mark = at > STEPS.index("put trash")
    assert store.held.is_sure is not is_behind_mark
    assert await house.digest() == before
    if store.held.is_sure or not dies:
        # Whoever was told that it holds can rely on it, whatever follows.
        assert await house.rebuilt() == before
        assert await house.sweep() == (0, 0)
    assert (await house.tend(after_us=31 * DAY_US)).held == 1
    assert await house.digest() == before
    assert [mark.action async for mark in marks(house.objects)] == [Action.DELETE]
    assert await house.rebuilt() == before
    assert await house.findings() == []
    # By now it is sure.
    assert (await hold(house)).is_sure
    await release(house)
    assert (await house.tend(after_us=31 * DAY_US)).packs == 1


async def test_a_hold_waits_for_a_purge_that_began_before_it(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    told: list[HoldSet] = []

    async def hold_meanwhile() -> None:
        told.append(await hold(house))

    # All looks are behind it: the catalogue is next.
    await house.purge(catalogue=Racing(house.catalogue, "commit", hold_meanwhile))
    assert [one.is_sure for one in told] == [False]
    assert await house.keys("packs/") == []


async def test_what_is_left_of_a_purge_is_taken_back_by_the_hold(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    before = await house.digest()
    with pytest.raises(Unavailable):
        await house.purge(catalogue=Dying(house.catalogue, "commit", always))
    assert not (await hold(house)).is_sure
    tended = await house.tend(after_us=31 * DAY_US)
    assert (tended.held, tended.packs) == (1, 0)
    assert await house.rebuilt() == before
    assert (await hold(house)).is_sure


async def test_a_held_study_is_tended_as_ever_where_nothing_is_purged(house: House) -> None:
    await house.fill()
    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", always)).delete(ALL)
    await hold(house)
    tended = await house.tend(after_us=GRACE_US)
    assert (tended.finished > 0, tended.held) == (True, 0)
    assert await house.count() == 0
    await house.trash.restore(ALL)
    await put_mark(house.objects, Mark(ALL, Action.TEND, house.clock.tick()))
    assert await house.tend(after_us=GRACE_US) == Purged()
    assert await house.findings() == []
