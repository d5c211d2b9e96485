"""What is deleted is hidden and comes back exactly, whatever dies on the way."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.custody.export import export_lines
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Restored
from pacs_cloud.custody.trash.marks import Scope, marks
from pacs_cloud.custody.trash.purging import GRACE_US, Purged, purge_study, tend_trash
from pacs_cloud.errors import Conflict, Gone, NotFound, Unavailable
from pacs_cloud.objectstore.keys import ledger_prefix
from unit.custody.custody_house import ALL, DAY_US, FUTURE_US, STUDY, Dying, House, always
from unit.custody.custody_packs import Made, Sample, commit, make_pack, put

SCOPES = (
    ALL,
    Scope("default", STUDY, f"{STUDY}.1"),
    Scope("default", STUDY, f"{STUDY}.2", f"{STUDY}.2.1"),
    # of two versions in two packs, and of one that is in another series too
    Scope("default", STUDY, f"{STUDY}.1", f"{STUDY}.1.1"),
    Scope("default", STUDY, f"{STUDY}.1", f"{STUDY}.1.2"),
)


@pytest.mark.parametrize("policy", ConflictPolicy)
@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: "-".join(scope.uids))
async def test_a_deletion_hides_and_a_restoration_brings_it_back_exactly(
    house: House, scope: Scope, policy: ConflictPolicy
) -> None:
    await house.fill(policy)
    before, count = await house.digest(), await house.count()
    packs = {key: await house.objects.get(key) for key in await house.keys("packs/")}
    deleted = await house.trash.delete(scope)
    assert deleted > 0
    assert await house.count() == count - deleted
    assert await house.digest() != before
    assert await house.findings() == []
    assert await house.sweep() == (0, 0)
    hidden = await house.digest()
    assert await house.rebuilt() == hidden
    assert [(one.scope, one.instances) for one in await house.in_trash()] == [(scope, deleted)]
    with pytest.raises(Gone):
        await house.trash.delete(scope)
    assert await house.trash.restore(scope) == Restored(deleted, 0)
    assert await house.digest() == before
    assert await house.rebuilt() == before
    assert await house.findings() == []
    assert await house.in_trash() == []
    assert {key: await house.objects.get(key) for key in await house.keys("packs/")} == packs
    with pytest.raises(NotFound, match="trash"):
        await house.trash.restore(scope)


async def test_a_study_without_a_visible_instance_is_not_found(house: House) -> None:
    await house.fill()
    assert STUDY in await house.found()
    await house.trash.delete(ALL)
    assert STUDY not in await house.found()
    assert await house.catalogue.series("default", STUDY) == ()
    await house.trash.restore(ALL)
    assert STUDY in await house.found()


async def test_other_studies_and_tenants_stay(house: House) -> None:
    await house.fill()
    others = [line async for line in export_lines(house.catalogue, "second")] + [
        await house.count("1.2.3.4")
    ]
    await house.trash.delete(ALL)
    await house.purge()
    assert others == [line async for line in export_lines(house.catalogue, "second")] + [
        await house.count("1.2.3.4")
    ]
    assert await house.findings() == []


@pytest.mark.parametrize(
    "scope",
    [
        Scope("default", "1.9"),
        Scope("default", STUDY, "1.9"),
        Scope("default", STUDY, f"{STUDY}.1", "1.9"),
        Scope("nobody", STUDY),
        # there, but in another series
        Scope("default", STUDY, f"{STUDY}.2", f"{STUDY}.1.9"),
    ],
)
async def test_what_is_not_there_leaves_nothing_behind(house: House, scope: Scope) -> None:
    await house.fill()
    keys, before = await house.keys(""), await house.digest()
    with pytest.raises(NotFound) as failure:
        await house.trash.delete(scope)
    assert not isinstance(failure.value, Gone)
    with pytest.raises(NotFound):
        await house.trash.restore(scope)
    assert (await house.keys(""), await house.digest()) == (keys, before)


async def test_a_deletion_writes_two_objects_however_many_instances(house: House) -> None:
    samples = [Sample(f"{STUDY}.1.{n}") for n in range(300)]
    for at in range(0, 300, 100):
        await house.store(*samples[at : at + 100])
    before = await house.keys("")
    assert await house.trash.delete(ALL) == 300
    assert len(await house.keys("")) == len(before) + 2


async def test_a_study_of_more_packs_than_one_change_holds(house: House) -> None:
    for number in range(1, 96):
        await house.store(Sample(f"{STUDY}.{number}.1"), series=f"{STUDY}.{number}")
    before, keys = await house.digest(), await house.keys("")
    assert await house.trash.delete(ALL) == 95
    assert len(await house.keys("")) == len(keys) + 2
    assert (await house.count(), await house.findings()) == (0, [])
    assert await house.trash.restore(ALL) == Restored(95, 0)
    assert await house.digest() == before
    await house.trash.delete(ALL)
    assert (await house.purge()).packs == 95
    assert await house.keys("packs/") + await house.keys("index/") == []


async def test_the_same_instance_may_be_stored_again(house: House) -> None:
    first = await house.store(Sample(f"{STUDY}.1.1"), Sample(f"{STUDY}.1.2"))
    await house.trash.delete(ALL)
    again = await house.store(Sample(f"{STUDY}.1.1"))
    assert await house.count() == 1
    assert await house.findings() == []
    # What is visible stays, and nothing is ever shown twice.
    assert await house.trash.restore(ALL) == Restored(1, 1)
    assert await house.count() == 2
    assert await house.findings() == []
    assert await house.rebuilt() == await house.digest()
    shown = {
        pack.pack_id: set(pack.hidden) for pack in await house.catalogue.packs("default", STUDY)
    }
    assert shown == {first.key.pack_id: {f"{STUDY}.1.1"}, again.key.pack_id: set()}
    # The old copy goes with its retention, the new one stays.
    await house.purge()
    assert await house.count() == 2
    assert await house.findings() == []


async def test_other_content_may_be_stored_after_a_deletion(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    await house.store(Sample(f"{STUDY}.1.1", "second"))
    assert await house.catalogue.conflicts("default") == []
    (study,) = await house.catalogue.studies_by_uid("default", [STUDY])
    assert study.attributes["00081030"]["Value"] == ["second"]
    assert (await house.trash.restore(ALL)).left == 1
    await house.trash.delete(ALL)
    # Of two deleted versions the last one comes back.
    assert await house.trash.restore(ALL) == Restored(1, 1)
    (study,) = await house.catalogue.studies_by_uid("default", [STUDY])
    assert study.attributes["00081030"]["Value"] == ["second"]
    assert await house.findings() == []


async def test_each_deletion_has_its_own_time(house: House) -> None:
    await house.fill()
    one = Scope("default", STUDY, f"{STUDY}.1", f"{STUDY}.1.3")
    await house.trash.delete(one)
    house.clock.now_us += 20 * DAY_US
    count = await house.trash.delete(ALL)
    first, second = await house.in_trash()
    assert (first.scope, first.instances, second.scope, second.instances) == (one, 1, ALL, count)
    assert second.deleted_us - first.deleted_us > 19 * DAY_US
    purged = await house.tend(after_us=11 * DAY_US)
    # with the copies of it that were sent again
    assert purged.instances > 1
    assert purged.packs == 0
    assert [(entry.scope, entry.instances) for entry in await house.in_trash()] == [(ALL, count)]
    assert await house.trash.restore(ALL) == Restored(count, 0)
    with pytest.raises(Gone):
        await house.trash.delete(one)
    with pytest.raises(NotFound):
        await house.trash.restore(one)
    assert await house.findings() == []
    assert await house.rebuilt() == await house.digest()


async def test_what_was_restored_and_deleted_again_counts_from_then(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    await house.trash.restore(ALL)
    house.clock.now_us += 20 * DAY_US
    await house.trash.delete(ALL)
    assert (await house.tend(after_us=11 * DAY_US)).instances == 0
    assert (await house.tend(after_us=31 * DAY_US)).packs == 1


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_a_purge_leaves_nothing_of_a_study_but_its_ledger(
    house: House, policy: ConflictPolicy
) -> None:
    await house.fill(policy)
    await house.trash.delete(ALL)
    assert await house.tend(after_us=29 * DAY_US) == Purged()
    purged = await house.tend(after_us=31 * DAY_US)
    assert (purged.packs, purged.problems) == (8, 0)
    assert await house.catalogue.study("default", STUDY) is None
    assert await house.catalogue.find_uids("default", [f"{STUDY}.1.1", f"{STUDY}.1"]) == {}
    left = [key for key in await house.keys("") if f"/{STUDY}/" in key and "default" in key]
    assert left
    assert all(key.startswith("ledger/") for key in left)
    assert [mark async for mark in marks(house.objects)] == []
    assert await house.findings() == []
    before = await house.digest()
    assert await house.rebuilt() == before
    assert await house.sweep() == (0, 0)
    with pytest.raises(NotFound) as failure:
        await house.trash.delete(ALL)
    assert not isinstance(failure.value, Gone)


async def test_a_purged_study_may_be_stored_again(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    await house.purge()
    await house.store(Sample(f"{STUDY}.1.1"))
    assert await house.count() == 1
    assert await house.findings() == []
    assert await house.rebuilt() == await house.digest()
    assert await house.count() == 1


async def test_a_pack_that_shows_something_keeps_its_bytes(house: House) -> None:
    made = await house.store(Sample(f"{STUDY}.1.1"), Sample(f"{STUDY}.1.2"))
    one = Scope("default", STUDY, f"{STUDY}.1", f"{STUDY}.1.1")
    await house.trash.delete(one)
    assert await house.purge() == Purged(instances=1)
    assert await house.objects.get(made.key.pack) == made.data
    assert dict((await house.catalogue.packs("default", STUDY))[0].hidden) == {
        f"{STUDY}.1.1": "purged"
    }
    assert await house.rebuilt() == await house.digest()
    # The rest of it goes later, and the pack with it.
    await house.trash.delete(ALL)
    assert (await house.purge()).packs == 1
    assert await house.keys("packs/") == []


async def test_a_hidden_version_goes_with_the_one_that_hid_it_and_not_before(
    house: House,
) -> None:
    first = await house.store(Sample(f"{STUDY}.1.1"))
    copy = await house.store(Sample(f"{STUDY}.1.1"))
    await house.trash.delete(ALL)
    again = await house.store(Sample(f"{STUDY}.1.1"))
    assert (await house.purge()).packs == 1
    packs = {pack.pack_id for pack in await house.catalogue.packs("default", STUDY)}
    assert packs == {copy.key.pack_id, again.key.pack_id}
    assert first.key.pack not in await house.keys("packs/")
    await house.trash.delete(ALL)
    assert (await house.purge()).packs == 2
    assert await house.keys("packs/") == []


async def test_a_deletion_that_died_before_the_catalogue_is_finished(house: House) -> None:
    await house.fill()
    before = await house.digest()
    dying = house.trash_of(Dying(house.catalogue, "commit", always))
    with pytest.raises(Unavailable):
        await dying.delete(ALL)
    assert await house.digest() == before
    # It may still be under way.
    assert (await house.tend()).finished == 0
    assert (await house.tend(after_us=GRACE_US)).finished > 0
    assert await house.count() == 0
    assert await house.findings() == []
    deleted = await house.digest()
    assert await house.rebuilt() == deleted
    assert (await house.trash.restore(ALL)).left == 0
    assert await house.digest() == before


async def test_a_rebuild_finishes_a_deletion_too(house: House) -> None:
    await house.fill()
    before = await house.digest()
    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", always)).delete(ALL)
    await house.rebuilt()
    assert await house.count() == 0
    await house.trash.restore(ALL)
    assert await house.digest() == before


async def test_a_restoration_that_died_before_the_catalogue_is_finished(house: House) -> None:
    await house.fill()
    before = await house.digest()
    await house.trash.delete(ALL)
    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", always)).restore(ALL)
    assert await house.count() == 0
    house.clock.now_us += 31 * DAY_US
    # Even when all of it would be due by now.
    assert (await house.tend()).packs == 0
    assert await house.digest() == before
    assert [mark async for mark in marks(house.objects)] == []


async def test_a_restoration_that_died_shows_nothing_twice_that_came_again(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"), Sample(f"{STUDY}.1.2"))
    await house.trash.delete(ALL)
    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", always)).restore(ALL)
    await house.store(Sample(f"{STUDY}.1.1"))
    await house.tend(after_us=GRACE_US)
    assert (await house.count(), await house.findings()) == (2, [])
    assert await house.rebuilt() == await house.digest()
    await house.tend(after_us=31 * DAY_US)
    assert (await house.count(), await house.findings()) == (2, [])


async def test_a_deletion_of_many_packs_that_died_half_way_is_finished(house: House) -> None:
    for number in range(1, 60):
        await house.store(Sample(f"{STUDY}.{number}.1"), series=f"{STUDY}.{number}")
    changes: list[StudyChange] = []

    def second(change: StudyChange) -> bool:
        changes.append(change)
        return len(changes) == 2

    with pytest.raises(Unavailable):
        await house.trash_of(Dying(house.catalogue, "commit", second)).delete(ALL)
    assert 0 < await house.count() < 59
    await house.tend(after_us=GRACE_US)
    assert (await house.count(), await house.findings()) == (0, [])


@pytest.mark.parametrize(
    ("part", "verb"),
    [("catalogue", "commit"), ("catalogue", "unstage"), ("objects", "delete")],
)
async def test_a_purge_that_died_is_ended_and_nothing_comes_back(
    house: House, part: str, verb: str
) -> None:
    await house.fill()
    await house.trash.delete(ALL)
    parts: Mapping[str, Any] = {"objects": house.objects, "catalogue": house.catalogue}
    parts = {**parts, part: Dying(parts[part], verb, always)}
    with pytest.raises(Unavailable):
        await purge_study(
            *parts.values(),
            "default",
            STUDY,
            load_table=partial(load_table, house.objects, house.catalogue),
            now_us=house.clock.tick(),
            cutoff_us=FUTURE_US,
        )
    faults = [finding for finding in await house.findings() if finding.severity == "error"]
    assert faults == []
    if verb != "commit":
        before = await house.digest()
        assert await house.rebuilt() == before
        adopted, removed = await house.sweep()
        assert (adopted, removed) == (0, 8)
    await house.tend(after_us=31 * DAY_US)
    assert await house.findings() == []
    assert await house.count() == 0
    assert [key for key in await house.keys("packs/default") if f"/{STUDY}/" in key] == []
    assert [key for key in await house.keys("index/default") if f"/{STUDY}/" in key] == []


async def test_a_commit_that_comes_between_is_neither_lost_nor_deleted(house: House) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))
    late: list[Made] = []

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.catalogue, name)

        async def commit(self, change: StudyChange) -> None:
            if not late:
                late.append(await house.store(Sample(f"{STUDY}.1.2")))
                with pytest.raises(Conflict):
                    await house.catalogue.commit(change)
                raise Conflict("somebody came before")
            await house.catalogue.commit(change)

    assert await house.trash_of(Racing()).delete(ALL) == 1
    (study,) = await house.catalogue.studies_by_uid("default", [STUDY])
    assert study.instance_count == 1
    assert await house.findings() == []
    assert await house.rebuilt() == await house.digest()


async def test_a_version_that_gives_way_meanwhile_is_deleted_as_what_it_has_become(
    house: House,
) -> None:
    old = await house.store(Sample(f"{STUDY}.1.1"))
    late: list[Made] = []

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.catalogue, name)

        async def commit(self, change: StudyChange) -> None:
            if not late:
                made = make_pack(
                    house.clock, "default", STUDY, f"{STUDY}.1", [Sample(f"{STUDY}.1.1", "second")]
                )
                late.append(made)
                await put(house.objects, made)
                await commit(
                    house.objects, house.catalogue, made, house.clock, ConflictPolicy.REPLACE
                )
                raise Conflict("somebody came before")
            await house.catalogue.commit(change)

    assert await house.trash_of(Racing()).delete(ALL) == 1
    packs = {
        pack.pack_id: dict(pack.hidden) for pack in await house.catalogue.packs("default", STUDY)
    }
    assert packs == {
        old.key.pack_id: {f"{STUDY}.1.1": "replaced"},
        late[0].key.pack_id: {f"{STUDY}.1.1": "deleted"},
    }
    # The try that lost had said otherwise: that was taken back.
    assert await house.findings() == []
    before = await house.digest()
    assert await house.rebuilt() == before
    assert await house.tend(after_us=GRACE_US) == Purged()


async def test_a_ledger_that_cannot_be_read_holds_up_its_study_alone(house: House) -> None:
    for study in (STUDY, "1.2.9"):
        await house.store(Sample(f"{study}.1.1"), study=study, series=f"{study}.1")
        await house.trash.delete(Scope("default", study))
    await house.objects.put_new(f"{ledger_prefix('default', STUDY)}bad.json", b"{}")
    tended = await house.tend(after_us=31 * DAY_US)
    assert (tended.packs, tended.problems) == (1, 1)
    assert await house.catalogue.study("default", STUDY) is not None
    # It is looked at again.
    assert [mark.scope.study_instance_uid async for mark in marks(house.objects)] == [STUDY]


async def test_a_retention_of_no_time_does_not_lose_a_deletion_that_is_under_way(
    house: House,
) -> None:
    await house.store(Sample(f"{STUDY}.1.1"))

    class Purging:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.catalogue, name)

        async def commit(self, change: StudyChange) -> None:
            # The mark and the ledger are there, the catalogue is next.
            await house.tend(retention_us=0, after_us=GRACE_US)
            await house.catalogue.commit(change)

    with pytest.raises(NotFound):
        await house.trash_of(Purging()).delete(ALL)
    assert await house.catalogue.study("default", STUDY) is None
    assert await house.findings() == []


async def test_a_purge_that_lost_to_a_restoration_takes_itself_back(house: House) -> None:
    # Also where the clock of the purge is ahead, so that the ledger has it last.
    await house.fill()
    before = await house.digest()
    await house.trash.delete(ALL)
    restored: list[Restored] = []

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.catalogue, name)

        async def commit(self, change: StudyChange) -> None:
            if not restored:
                restored.append(await house.trash.restore(ALL))
            await house.catalogue.commit(change)

    purged = await purge_study(
        house.objects,
        Racing(),
        "default",
        STUDY,
        load_table=partial(load_table, house.objects, house.catalogue),
        now_us=house.clock.tick() + DAY_US,
        cutoff_us=FUTURE_US,
    )
    assert restored[0].left == 0
    assert (purged.instances, purged.packs) == (0, 0)
    assert await house.digest() == before
    assert await house.findings() == []
    assert await house.rebuilt() == before


async def test_a_study_deleted_instance_by_instance_is_tended_once(house: House) -> None:
    samples = [Sample(f"{STUDY}.1.{number}") for number in range(1, 6)]
    await house.store(*samples)
    for sample in samples:
        await house.trash.delete(Scope("default", STUDY, f"{STUDY}.1", sample.uid))
    read: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

        async def get(self, key: str) -> bytes:
            read.append(key)
            return await house.objects.get(key)

    tended = await tend_trash(
        Counting(),
        house.catalogue,
        load_table=partial(load_table, house.objects, house.catalogue),
        now_us=house.clock.tick() + 31 * DAY_US,
        retention_us=30 * DAY_US,
    )
    assert (tended.instances, tended.packs) == (5, 1)
    assert await house.keys("trash/") == []
    decisions = [key for key in read if key.startswith("ledger/")]
    assert len(decisions) == len(set(decisions)) == len(samples)
