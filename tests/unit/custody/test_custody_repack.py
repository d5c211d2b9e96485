"""Small packs of a quiet series become one, and nothing else changes."""

import io
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyChange
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.repack import copying
from pacs_cloud.custody.repack.due import repack_due, repack_series
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.sweep import GRACE_US
from pacs_cloud.custody.trash.deletion import Restored
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Unavailable
from pacs_cloud.objectstore.keys import PackKey, ledger_prefix
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.pack.recover import recover
from unit.custody.custody_house import ALL, DAY_US, STUDY, House, Racing
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import (
    OTHER_SERIES,
    SERIES,
    instances,
    key_of,
    packs,
    records,
    repack,
    shown,
    small_packs,
    table_of,
)


async def test_small_packs_become_one(house: House, tmp_path: Path) -> None:
    ids = await small_packs(house)
    await house.store(Sample(f"{OTHER_SERIES}.1"), series=OTHER_SERIES)
    before, files, found = await records(house), await shown(house), await house.found()
    old = await packs(house)
    done = await repack(house, tmp_path / "work")
    (merged,) = await packs(house)
    assert (done.replaced, done.made, done.instances, done.left_out) == (4, 1, len(files) - 1, 0)
    assert (done.bytes_before, done.bytes_after) == (
        sum(pack.length_bytes for pack in old),
        merged.length_bytes,
    )
    assert done.saved_bytes > 0
    assert merged.pack_id not in ids
    assert (await records(house), await shown(house)) == (before, files)
    assert await house.found() == found
    assert await house.findings() == []
    assert list((tmp_path / "work").iterdir()) == []
    # Readers may hold the old packs' keys for a while; whoever rebuilds knows them.
    digest = await house.digest()
    assert all([await house.keys(f"packs/default/{_spread()}/{STUDY}/{SERIES}/{i}") for i in ids])
    assert await house.rebuilt() == digest
    assert await house.findings() == []


def _spread() -> str:
    return PackKey("default", STUDY, SERIES, "x").pack.split("/")[2]


async def test_a_merged_pack_is_a_pack_like_any_other(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    await repack(house, tmp_path / "work")
    uid = f"{SERIES}.10"
    await house.trash.delete(Scope("default", STUDY, SERIES, uid))
    assert uid not in {uid for _, uid in await shown(house)}
    again = await house.store(Sample(f"{SERIES}.20"), Sample(f"{SERIES}.99"), series=SERIES)
    *_, newest = await packs(house)
    assert newest.pack_id == again.key.pack_id
    assert dict(newest.hidden) == {f"{SERIES}.20": HiddenReason.DUPLICATE}
    digest = await house.digest()
    assert await house.rebuilt() == digest
    await house.trash.restore(ALL)
    assert await house.findings() == []


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_what_is_hidden_stays_so_with_its_reason(
    house: House, tmp_path: Path, policy: ConflictPolicy
) -> None:
    await house.fill(policy)
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.3"))
    before, files, old = await records(house), await instances(house), await packs(house)
    done = await repack(house, tmp_path / "work")
    after = await instances(house)
    assert await records(house) == before
    # Copies that were hidden as duplicates are not kept, but for such of a lost version.
    copies = {key for key in files if key[2] is HiddenReason.DUPLICATE}
    assert {key: some for key, some in after.items() if key[2] is not HiddenReason.DUPLICATE} == {
        key: some for key, some in files.items() if key not in copies
    }
    assert len({why for *_, why in after}) > 2
    assert done.left_out > 0
    assert len(await packs(house)) < len(old)
    digest = await house.digest()
    assert await house.rebuilt() == digest
    assert await house.findings() == []


async def test_two_contents_of_one_uid_are_never_in_one_pack(house: House, tmp_path: Path) -> None:
    await house.store(Sample(f"{SERIES}.1"), series=SERIES)
    await house.store(Sample(f"{SERIES}.1", "second"), Sample(f"{SERIES}.2"), series=SERIES)
    await house.store(Sample(f"{SERIES}.3"), series=SERIES)
    files = await instances(house)
    done = await repack(house, tmp_path / "work")
    assert (done.replaced, done.made) == (2, 1)
    assert await instances(house) == files
    assert await house.findings() == []


async def test_purged_bytes_are_freed(house: House, tmp_path: Path) -> None:
    made = await house.store(*(Sample(f"{SERIES}.{n}") for n in range(1, 5)), series=SERIES)
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.2"))
    await house.purge()
    (before,) = await packs(house)
    done = await repack(house, tmp_path / "work")
    assert (done.replaced, done.made, done.instances, done.left_out) == (1, 1, 3, 1)
    (after,) = await packs(house)
    assert after.length_bytes < before.length_bytes
    assert dict(after.hidden) == {}
    (gone,) = (one for one in made.table.instances if one.sop_instance_uid == f"{SERIES}.2")
    file = made.data[gone.offset : gone.offset + gone.length_bytes]
    key = PackKey("default", STUDY, SERIES, after.pack_id)
    assert file not in await house.objects.get(key.pack)
    assert await house.findings() == []
    digest = await house.digest()
    assert await house.rebuilt() == digest
    # Once is enough.
    assert (await repack(house, tmp_path / "work")).made == 0


async def test_what_lies_in_the_trash_is_due_when_it_was(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    for uid in (f"{SERIES}.10", f"{SERIES}.20"):
        await house.trash.delete(Scope("default", STUDY, SERIES, uid))
        house.clock.now_us += 5 * DAY_US
    before = await house.in_trash()
    assert [one.instances for one in before] == [1, 1]
    await repack(house, tmp_path / "work")
    assert await house.in_trash() == before
    # The first was deleted 40 days ago, the second 35.
    purged = await house.tend(retention_us=38 * DAY_US)
    assert purged.instances == 1
    assert [one.scope.sop_instance_uid for one in await house.in_trash()] == [f"{SERIES}.20"]


async def test_a_series_that_is_not_quiet_is_left_alone(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    old = await packs(house)
    done = await repack(house, tmp_path / "work", terms=RepackTerms(quiet_days=31))
    assert (done.made, await packs(house)) == (0, old)


async def test_packs_stay_within_their_limits(house: House, tmp_path: Path) -> None:
    await small_packs(house, 9)
    files = await shown(house)
    terms = RepackTerms(max_instances=7)
    done = await repack(house, tmp_path / "work", terms=terms)
    counts = [pack.instance_count for pack in await packs(house)]
    assert sum(counts) == len(files) == 18
    assert max(counts) <= 7
    assert (done.made, len(counts)) == (3, 3)
    assert await shown(house) == files
    largest = max(pack.length_bytes for pack in await packs(house))
    terms = RepackTerms(max_bytes=largest)
    done = await repack(house, tmp_path / "work", terms=terms)
    assert done.made == 0


async def test_a_pack_waits_until_what_it_replaced_is_removed(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    await repack(house, tmp_path / "work")
    late = await house.store(Sample(f"{SERIES}.99"), series=SERIES)
    assert (await repack(house, tmp_path / "work")).made == 0
    assert late.key.pack_id in {pack.pack_id for pack in await packs(house)}


async def test_a_deletion_that_comes_first_is_looked_at_again(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    uid = f"{SERIES}.20"
    racing = Racing(
        house.catalogue,
        "commit",
        lambda: house.trash.delete(Scope("default", STUDY, SERIES, uid)),
    )
    done = await repack(house, tmp_path / "work", catalogue=racing)
    assert racing.has_raced
    assert (done.made, done.waiting) == (0, 4)
    assert await house.findings() == []
    digest = await house.digest()
    assert await house.rebuilt() == digest
    done = await repack(house, tmp_path / "work")
    assert (done.made, uid in {uid for _, uid in await shown(house)}) == (1, False)
    assert await house.findings() == []


async def test_a_deletion_that_a_repack_overtakes_is_one_of_all_that_it_meant(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    await house.store(Sample(f"{OTHER_SERIES}.1"), series=OTHER_SERIES)
    files = await shown(house)

    async def repacked() -> None:
        assert (await repack(house, tmp_path / "work")).made == 1
        await house.store(Sample(f"{OTHER_SERIES}.2"), series=OTHER_SERIES)

    racing: Any = Racing(house.catalogue, "study", repacked)
    assert await house.trash_of(racing).delete(ALL) == len(files)
    # What came in meanwhile is not of it.
    assert [uid for _, uid in await shown(house)] == [f"{OTHER_SERIES}.2"]
    assert [(one.scope, one.instances) for one in await house.in_trash()] == [(ALL, len(files))]
    digest = await house.digest()
    assert await house.rebuilt() == digest
    await house.trash.restore(ALL)
    assert len(await shown(house)) == len(files) + 1
    assert await house.findings() == []


async def test_a_restoration_that_a_repack_overtakes_tells_of_no_purge(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    scope = Scope("default", STUDY, SERIES, f"{SERIES}.20")
    await house.trash.delete(scope)
    racing: Any = Racing(house.catalogue, "find_uids", lambda: repack(house, tmp_path / "work"))
    assert await house.trash_of(racing).restore(scope) == Restored(1, 0)
    assert len(await packs(house)) == 1
    assert await house.findings() == []


async def test_another_series_of_the_study_does_not_disturb(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    racing = Racing(
        house.catalogue,
        "commit",
        lambda: house.store(Sample(f"{OTHER_SERIES}.1"), series=OTHER_SERIES),
    )
    done = await repack(house, tmp_path / "work", catalogue=racing)
    assert (racing.has_raced, done.made) == (True, 1)
    assert await house.findings() == []
    digest = await house.digest()
    assert await house.rebuilt() == digest


async def test_what_the_ledger_and_the_catalogue_disagree_on_waits(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    scope = Scope("default", STUDY, SERIES, f"{SERIES}.20")

    class Dead(Exception):
        pass

    async def dies() -> None:
        raise Dead

    dying = Racing(house.catalogue, "commit", dies)
    with pytest.raises(Dead):
        await house.trash_of(dying).delete(scope)
    done = await repack(house, tmp_path / "work")
    assert (done.made, done.waiting) == (0, 4)
    await house.tend()
    assert (await repack(house, tmp_path / "work")).made == 1
    assert await house.findings() == []


async def test_a_damaged_instance_is_not_copied(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    victim = await house.store(Sample(f"{SERIES}.91"), Sample(f"{SERIES}.92"), series=SERIES)
    data = bytearray(victim.data)
    data[victim.table.instances[1].offset + 200] ^= 1
    await house.objects.delete(victim.key.pack)
    await house.objects.put_new(victim.key.pack, bytes(data))
    old = await packs(house)
    done = await repack(house, tmp_path / "work")
    assert (done.made, [one.kind for one in done.problems]) == (0, [FindingKind.DAMAGED])
    assert await packs(house) == old
    assert len(await house.keys("packs/")) == 5


async def test_every_series_that_is_due_is_repacked(house: House, tmp_path: Path) -> None:
    await house.fill()
    (tmp_path / "work").mkdir()
    house.clock.now_us += 30 * DAY_US
    digests = await house.count(), await house.count("1.2.3.4")
    done = [
        one
        async for one in repack_due(
            house.objects,
            house.catalogue,
            terms=RepackTerms(),
            folder=tmp_path / "work",
            now_us=house.clock.tick,
        )
    ]
    assert {(one.tenant, one.study_instance_uid) for one in done} == {
        ("default", "1.2.3"),
        ("default", "1.2.3.4"),
        ("second", "1.2.3"),
    }
    assert all(one.made and not one.problems and not one.waiting for one in done)
    assert (await house.count(), await house.count("1.2.3.4")) == digests
    assert await house.findings() == []


async def test_a_study_whose_ledger_cannot_be_read_holds_up_itself_alone(
    house: House, tmp_path: Path
) -> None:
    await house.fill()
    (tmp_path / "work").mkdir()
    house.clock.now_us += 30 * DAY_US
    await house.objects.put_new(f"{ledger_prefix('default', STUDY)}1-x.json", b"not a decision")
    due = repack_due(
        house.objects,
        house.catalogue,
        terms=RepackTerms(),
        folder=tmp_path / "work",
        now_us=house.clock.tick,
    )
    done = [(one.tenant, one.study_instance_uid, one.made, len(one.problems)) async for one in due]
    assert ("default", STUDY, 0, 1) in done
    assert {one[:3] for one in done if one[2]} == {("default", "1.2.3.4", 1), ("second", STUDY, 1)}


@pytest.mark.parametrize("chunk_bytes", [97, 4096])
async def test_any_tool_opens_a_merged_pack(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    """However its parts came by; and without its index it says the same."""
    monkeypatch.setattr(copying, "_READ_BYTES", chunk_bytes)
    await small_packs(house)
    files = await shown(house)
    await repack(house, tmp_path / "work")
    (record,) = await packs(house)
    data = await house.objects.get(key_of(record).pack)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        *members, index = opened.namelist()
        assert {name: opened.read(name) for name in members} == {
            f"{uid}.dcm": file for (_, uid), file in files.items()
        }
        assert opened.read(index) == await house.objects.get(key_of(record).index)
    recovered = recover(lambda at, length: data[at : at + length], len(data))
    table = await table_of(house, record)
    assert (recovered.finished, recovered.damaged) == (True, ())
    assert [
        (one.sop_instance_uid, one.provenance.received_us, one.provenance.source)
        for one in recovered.members
    ] == [
        (one.sop_instance_uid, one.received_us, table.sources[one.source])
        for one in table.instances
    ]


async def test_a_commit_whose_answer_was_lost_is_known_for_one(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    uid = f"{SERIES}.10"
    real = house.catalogue

    class Forgetful:
        """A catalogue that makes the swap, and says that it lost a race; then one is deleted."""

        def __init__(self) -> None:
            self.has_lied = False

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        async def commit(self, change: StudyChange) -> None:
            await real.commit(change)
            if not self.has_lied:
                self.has_lied = True
                await house.trash.delete(Scope("default", STUDY, SERIES, uid))
                raise Conflict("somebody else was first")

    done = await repack(house, tmp_path / "work", catalogue=Forgetful())
    assert done.made == 1
    (record,) = await packs(house)
    assert dict(record.hidden) == {uid: HiddenReason.DELETED}
    assert await house.findings() == []
    before = await house.digest()
    assert await house.rebuilt() == before


async def test_it_is_known_for_one_also_where_the_time_is_over_then(
    house: House, tmp_path: Path
) -> None:
    await small_packs(house)
    files = await shown(house)
    real = house.catalogue

    class Slow:
        """A catalogue that makes the swap, and says an hour later that it lost a race."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        async def commit(self, change: StudyChange) -> None:
            await real.commit(change)
            house.clock.now_us += GRACE_US
            raise Conflict("somebody else was first")

    done = await repack(house, tmp_path / "work", catalogue=Slow())
    assert done.made == 1
    assert await shown(house) == files
    assert await house.findings() == []


async def test_a_folder_that_is_not_there_is_told(house: House, tmp_path: Path) -> None:
    await small_packs(house)
    with pytest.raises(Unavailable, match="folder for repacking"):
        await repack_series(
            house.objects,
            house.catalogue,
            "default",
            STUDY,
            SERIES,
            terms=RepackTerms(quiet_days=0),
            folder=tmp_path / "nowhere",
            now_us=house.clock.tick,
        )
    assert len(await house.keys("packs/")) == 4


async def test_what_a_dead_repack_has_left_is_removed(house: House, tmp_path: Path) -> None:
    (tmp_path / "old.repack").touch()
    (tmp_path / "other").touch()
    os.utime(tmp_path / "old.repack", (1, 1))
    (tmp_path / "new.repack").touch()
    walk = repack_due(
        house.objects,
        house.catalogue,
        terms=RepackTerms(),
        folder=tmp_path,
        now_us=lambda: time.time_ns() // 1000,
    )
    assert [one async for one in walk] == []
    assert not (tmp_path / "old.repack").exists()
    assert (tmp_path / "new.repack").exists()
    assert (tmp_path / "other").exists()


async def test_packs_that_nothing_can_go_into_are_not_read(house: House, tmp_path: Path) -> None:
    await small_packs(house, 3)
    smallest = min(pack.instance_count for pack in await packs(house))
    asked: list[str] = []

    class Asked:
        """A store that keeps what it is asked for."""

        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(house.objects, name)

    terms = RepackTerms(max_instances=2 * smallest)
    done = await repack(house, tmp_path / "work", terms=terms, objects=Asked())
    assert (done.made, asked) == (0, [])


async def test_only_packs_of_one_class_go_together_and_none_that_is_cold(
    house: House, tmp_path: Path
) -> None:
    ids = await small_packs(house, 6)
    classes = dict(zip(ids, ["STANDARD", "STANDARD_IA", "GLACIER"] * 2, strict=True))

    def moved(record: PackRecord) -> PackRecord:
        return replace(record, storage_class=classes.get(record.pack_id, record.storage_class))

    await note_packs(house.catalogue, "default", STUDY, moved, now_us=house.clock.tick())
    files = await shown(house)
    warm = sum(one.length_bytes for one in await packs(house) if one.pack_id in ids[1::3])
    terms = RepackTerms(include_warm=True)
    done = await repack(house, tmp_path / "work", terms=terms)
    assert (done.replaced, done.made) == (4, 2)
    assert done.read_bytes == {"STANDARD_IA": warm}
    left = {pack.pack_id: pack.storage_class for pack in await packs(house)}
    assert {ids[2], ids[5]} < left.keys()
    # What is made is where those were.
    assert sorted(left.values()) == ["GLACIER", "GLACIER", "STANDARD", "STANDARD_IA"]
    (made,) = (one for one in await packs(house) if one.storage_class == "STANDARD_IA")
    assert (await house.objects.head(key_of(made).pack)).storage_class == "STANDARD_IA"
    assert await shown(house) == files


async def test_packs_that_a_policy_has_moved_are_left_alone(house: House, tmp_path: Path) -> None:
    ids = await small_packs(house, 4)
    for one in (await packs(house))[:2]:
        await house.objects.move(key_of(one).pack, StorageClass.GLACIER_IR)

    def moved(record: PackRecord) -> PackRecord:
        is_moved = record.pack_id in ids[:2]
        return replace(record, storage_class="GLACIER_IR") if is_moved else record

    await note_packs(house.catalogue, "default", STUDY, moved, now_us=house.clock.tick())
    done = await repack(house, tmp_path / "work")
    assert (done.replaced, done.made, done.read_bytes) == (2, 1, {})
    assert {ids[0], ids[1]} < {one.pack_id for one in await packs(house)}
    # Where new packs lie there, they are as good as any.
    home = RepackTerms(home_class="GLACIER_IR")
    assert (await repack(house, tmp_path / "work", terms=home)).replaced == 2
