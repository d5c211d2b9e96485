"""What a purge leaves when it dies, loses or cannot read; and large ones."""

from functools import partial

import pytest

from pacs_cloud.catalogue import changing
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.custody.trash.deletion import Restored
from pacs_cloud.custody.trash.marks import Action, Scope, marks
from pacs_cloud.custody.trash.purging import GRACE_US, Purged
from pacs_cloud.errors import Denied, Gone, Unavailable
from pacs_cloud.objectstore.keys import ledger_prefix
from unit.custody.custody_damage import swap
from unit.custody.custody_house import ALL, DAY_US, STUDY, Dying, House, Racing, always
from unit.custody.custody_packs import Sample

INSTANCE = f"{STUDY}.1.1"
MANY = changing.PACKS_PER_CHANGE + 5


async def actions(house: House) -> list[Action]:
    return [mark.action async for mark in marks(house.objects)]


async def packs_of(house: House, study: str = STUDY) -> list[str]:
    return [key for key in await house.keys("packs/default") if f"/{study}/" in key]


@pytest.mark.parametrize("by", [Action.DELETE, Action.TEND])
@pytest.mark.parametrize("verb", ["study", "put_new"])
async def test_a_purge_that_lost_and_died_is_taken_back(
    house: House, verb: str, by: Action
) -> None:
    await house.fill()
    before = await house.digest()
    await house.trash.delete(ALL)
    # Its clock is ahead, as that of a restoration is behind which took long: the ledger
    # has the purge last, and the catalogue shows what was restored.
    racing = Racing(house.catalogue, "commit", partial(house.trash.restore, ALL))

    def is_second_try(*_args: object, **_options: object) -> bool:
        return racing.has_raced

    with pytest.raises(Unavailable):
        await house.purge(
            objects=Dying(house.objects, verb, is_second_try) if verb == "put_new" else None,
            catalogue=Dying(racing, verb, is_second_try) if verb == "study" else racing,
            ahead_us=DAY_US,
        )
    assert await house.digest() == before
    findings = await house.findings()
    assert {one.kind for one in findings} == {FindingKind.LEDGER}
    assert all("do not rebuild" in one.repair for one in findings)
    if by is Action.DELETE:
        # Who tends the trash has a clock that is not ahead.
        assert await house.tend(after_us=GRACE_US) == Purged()
    else:
        # The deletion is not due, and had been seen to end.
        unseen_us = house.clock.tick()
        assert await house.tend(after_us=DAY_US + GRACE_US, unseen_us=unseen_us) == Purged()
        assert await actions(house) == [Action.DELETE]
    assert await house.findings() == []
    assert await house.digest() == before
    assert await house.rebuilt() == before
    assert await house.sweep() == (0, 0)
    # What is decided after that stands, also by the clocks that are not ahead.
    await house.trash.delete(ALL)
    assert (await house.trash.restore(ALL)).left == 0
    assert await house.tend(after_us=GRACE_US) == Purged()
    assert await house.rebuilt() == before


async def test_a_purge_ahead_of_its_time_that_died_is_ended_soon(house: House) -> None:
    await house.fill()
    await house.trash.delete(ALL)
    unseen_us = house.clock.tick()
    with pytest.raises(Unavailable):
        await house.purge(catalogue=Dying(house.catalogue, "commit", always))
    assert await actions(house) == [Action.DELETE, Action.TEND]
    assert (await house.tend(after_us=GRACE_US, unseen_us=unseen_us)).packs == 8
    assert await packs_of(house) == []
    assert await house.findings() == []
    assert await actions(house) == [Action.DELETE]


async def test_a_study_that_cannot_be_read_is_looked_at_again(house: House) -> None:
    await house.store(Sample(INSTANCE))
    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", always)).delete(ALL)
    bad = f"{ledger_prefix('default', STUDY)}bad.json"
    await house.objects.put_new(bad, b"{}")
    unseen_us = 0
    for _ in range(2):
        house.clock.now_us += 60 * GRACE_US
        assert await house.tend(unseen_us=unseen_us) == Purged(problems=1)
        assert await actions(house) == [Action.DELETE, Action.TEND]
        unseen_us = house.clock.now_us - GRACE_US  # as the worker does
    await house.objects.delete(bad)
    house.clock.now_us += 60 * GRACE_US
    assert await house.tend(unseen_us=unseen_us) == Purged(finished=1)
    assert await actions(house) == [Action.DELETE]
    assert await house.count() == 0


async def test_a_study_that_may_not_be_read_holds_up_no_other(house: House) -> None:
    for study in (STUDY, "1.2.9"):
        await house.store(Sample(f"{study}.1.1"), study=study, series=f"{study}.1")
        await house.trash.delete(Scope("default", study))
    ledger = ledger_prefix("default", STUDY)
    denying = Dying(house.objects, "get", lambda key: key.startswith(ledger), Denied)
    tended = await house.tend(after_us=31 * DAY_US, objects=denying)
    assert (tended.packs, tended.problems) == (1, 1)
    assert (await house.tend(after_us=31 * DAY_US)).packs == 1


async def test_a_restoration_that_lost_to_a_purge_says_so(house: House) -> None:
    await house.fill()
    await house.trash.delete(ALL)
    # It had read that all of it is in the trash.
    late = house.trash_of(house.catalogue, Racing(house.objects, "put_new", house.purge))
    with pytest.raises(Gone, match="gone for good"):
        await late.restore(ALL)
    # So does one that comes after it, when nothing but the ledger is left.
    assert await packs_of(house) == []
    for scope in (ALL, Scope("default", STUDY, f"{STUDY}.1")):
        with pytest.raises(Gone, match="gone for good"):
            await house.trash.restore(scope)
    assert [action for action in await actions(house) if action is Action.RESTORE] == []
    assert await house.findings() == []


async def test_a_restoration_says_how_much_of_it_a_purge_took(house: House) -> None:
    first, second = (f"{STUDY}.{number}" for number in (1, 2))
    await house.store(Sample(f"{first}.1"), Sample(f"{first}.2"), series=first)
    await house.store(Sample(f"{second}.1"), series=second)
    await house.trash.delete(Scope("default", STUDY, first))
    cutoff_us = house.clock.now_us
    await house.trash.delete(ALL)
    purge = partial(house.purge, cutoff_us=cutoff_us)
    late = house.trash_of(house.catalogue, Racing(house.objects, "put_new", purge))
    assert await late.restore(ALL) == Restored(1, 0, purged=2)
    assert await house.findings() == []


async def test_more_versions_than_one_change_holds_go_with_the_one_that_hid_them(
    house: House,
) -> None:
    for _ in range(MANY):
        await house.store(Sample(INSTANCE))
    assert await house.trash.delete(ALL) == 1
    purged = await house.purge()
    assert (purged.instances, purged.packs) == (MANY, MANY)
    assert await packs_of(house) == []
    assert await house.catalogue.study("default", STUDY) is None
    assert await house.findings() == []


async def test_versions_that_a_purge_did_not_come_to_are_purged_later(house: House) -> None:
    for _ in range(MANY):
        await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    changes: list[StudyChange] = []

    def is_second(change: StudyChange) -> bool:
        changes.append(change)
        return len(changes) == 2

    with pytest.raises(Unavailable):
        await house.purge(catalogue=Dying(house.catalogue, "commit", is_second))
    # The one that hid them all is not among them any more.
    assert len(await house.catalogue.packs("default", STUDY)) == 5
    assert (await house.tend(after_us=GRACE_US)).packs == 5
    assert await house.catalogue.study("default", STUDY) is None
    await house.sweep()
    assert await packs_of(house) == []
    assert await house.findings() == []


async def test_many_versions_stay_while_one_is_shown(house: House) -> None:
    for _ in range(MANY):
        await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    await house.store(Sample(INSTANCE))
    assert (await house.purge()).packs == 1
    assert len(await packs_of(house)) == MANY
    assert await house.count() == 1
    assert await house.findings() == []


async def test_a_deletion_of_what_a_rebuild_left_out_is_in_the_trash_again_after_the_next(
    house: House,
) -> None:
    await house.store(Sample(INSTANCE), Sample(f"{STUDY}.1.2"))
    await change_labels(
        house.objects,
        house.catalogue,
        *("default", STUDY, ["vip"]),
        is_added=True,
        reason="asked for",
        who="anna",
        now_us=house.clock.tick(),
    )
    await house.trash.delete(Scope("default", STUDY, f"{STUDY}.1", INSTANCE))
    before = await house.in_trash()
    assert len(before) == 1
    (key,) = await house.keys("labels/")
    good = await house.objects.get(key)
    await swap(house.objects, key, b"")
    await house.rebuilt()
    await house.tend(after_us=40 * DAY_US)
    await swap(house.objects, key, good)
    await house.rebuilt()
    assert await house.in_trash() == before
    assert (await house.tend(after_us=80 * DAY_US)).instances == 1
    assert await house.in_trash() == []
