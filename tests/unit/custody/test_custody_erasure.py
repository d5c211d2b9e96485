"""What is erased: gone with every trace, remembered, and proven."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import ByName, NamePart
from pacs_cloud.catalogue.records import HiddenReason, StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.erasure.asking import lift
from pacs_cloud.custody.erasure.entries import Step, erasures_of
from pacs_cloud.custody.holds import HoldKind
from pacs_cloud.custody.holds_setting import release_hold, set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Corrupt, Gone, Held, NotFound
from pacs_cloud.objectstore.hot_keys import ThumbKey
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass
from unit.custody.custody_corrections import correct, corrector, merge, undo
from unit.custody.custody_erasure import HOUR_US, Eraser, traces
from unit.custody.custody_house import DAY_US, STUDY, House
from unit.custody.custody_packs import Sample, commit, make_pack, put
from unit.custody.custody_repack import SERIES, key_of, packs, repack, shown

DOOMED = f"{SERIES}.777"
OTHER = f"{SERIES}.888"
ONE = Scope("default", STUDY, SERIES, DOOMED)


@pytest.fixture
def eraser(house: House, tmp_path: Path) -> Eraser:
    return Eraser(house, tmp_path / "work")


async def two_packs(house: House) -> None:
    await house.store(Sample(DOOMED), Sample(OTHER), series=SERIES)
    await house.store(Sample(f"{SERIES}.999"), series=SERIES)


async def test_an_instance_is_taken_out_of_its_pack(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    before, files = await packs(house), await shown(house)
    assert await traces(house, DOOMED)
    done = await eraser.erase(ONE)
    assert (done.is_proven, done.waiting, done.rewritten, done.instances) == (True, (), 1, 1)
    assert await traces(house, DOOMED) == []
    del files[SERIES, DOOMED]
    assert await shown(house) == files
    old = before[0].pack_id
    assert old not in {pack.pack_id for pack in await packs(house)}
    assert set(done.removed.values()) == {1}
    assert {key.rpartition("/")[2] for key in done.removed} == {f"{old}.zip", f"{old}.zst"}
    assert await house.findings() == []
    assert await house.keys("trash/") == []
    assert await house.count() == 2
    state = await house.catalogue.study("default", STUDY)
    assert state is not None
    assert state.study.erased == {DOOMED}


async def test_a_pack_that_holds_nothing_else_is_dropped(house: House, eraser: Eraser) -> None:
    await house.store(Sample(DOOMED), series=SERIES)
    await house.store(Sample(OTHER), series=SERIES)
    done = await eraser.erase(ONE)
    assert (done.is_proven, done.rewritten) == (True, 0)
    assert await traces(house, DOOMED) == []
    assert len(await packs(house)) == 1
    assert await house.findings() == []


async def test_a_whole_study_leaves_what_remembers_it(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await house.store(Sample(f"{STUDY}.2.555"), series=f"{STUDY}.2")
    done = await eraser.erase(Scope("default", STUDY))
    assert (done.is_proven, done.instances) == (True, 4)
    for uid in (DOOMED, OTHER, f"{SERIES}.999", f"{STUDY}.2.555"):
        assert await traces(house, uid) == []
    assert await house.keys("packs/") == await house.keys("index/") == []
    assert await house.found() == set()
    state = await house.catalogue.study("default", STUDY)
    assert state is not None
    assert (len(state.study.erased), state.study.attributes, state.series) == (4, {}, ())
    assert await house.findings() == []


@pytest.mark.parametrize("level", ["series", "instance"])
async def test_less_than_a_study(house: House, eraser: Eraser, level: str) -> None:
    await two_packs(house)
    await house.store(Sample(f"{STUDY}.2.555"), series=f"{STUDY}.2")
    scope = (
        Scope("default", STUDY, SERIES)
        if level == "series"
        else Scope("default", STUDY, "", DOOMED)
    )
    plan = await eraser.plan(scope)
    assert (len(plan.uids), plan.removed, plan.rewritten) == (
        (3, 2, 0) if level == "series" else (1, 0, 1)
    )
    await eraser.erase(scope)
    assert await house.count() == (1 if level == "series" else 3)
    assert await house.findings() == []


async def test_what_is_deleted_hidden_or_double_goes_too(house: House, eraser: Eraser) -> None:
    await house.store(Sample(DOOMED), Sample(OTHER), series=SERIES)
    await house.store(Sample(DOOMED), Sample(f"{SERIES}.999"), series=SERIES)
    await house.store(Sample(DOOMED, "otherwise"), series=SERIES)
    await house.trash.delete(ONE)
    await house.store(Sample(DOOMED), Sample(f"{STUDY}.2.555"), series=f"{STUDY}.2")
    done = await eraser.erase(Scope("default", STUDY, "", DOOMED))
    assert (done.is_proven, done.rewritten) == (True, 3)
    assert await traces(house, DOOMED) == []
    assert await house.count() == 3
    assert await house.findings() == []
    assert await house.in_trash() == []


async def test_what_a_repack_has_left_goes_too(
    house: House, eraser: Eraser, tmp_path: Path
) -> None:
    await two_packs(house)
    await repack(house, tmp_path / "work")
    assert len(await house.keys("packs/")) == 3
    done = await eraser.erase(ONE)
    assert done.is_proven
    assert await traces(house, DOOMED) == []
    assert len(await house.keys("packs/")) == 1
    assert await house.count() == 2
    assert await house.findings() == []


async def test_other_deletions_stay_what_they_were(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await house.trash.delete(Scope("default", STUDY, SERIES, OTHER))
    trash = await house.in_trash()
    await eraser.erase(ONE)
    assert await house.in_trash() == trash
    assert (await house.trash.restore(Scope("default", STUDY, SERIES, OTHER))).instances == 1
    assert await house.count() == 2


async def test_what_comes_again_is_taken_out_again(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await eraser.erase(ONE)
    assert await eraser.tend() == []
    await house.store(Sample(DOOMED), Sample(f"{SERIES}.1000"), series=SERIES)
    await house.store(Sample(DOOMED, "otherwise"), series=SERIES)
    reasons = [pack.hidden.get(DOOMED) for pack in await packs(house)]
    assert reasons.count(HiddenReason.PURGED) == 2
    assert await house.count() == 3
    (done,) = await eraser.tend()
    assert (done.is_proven, done.rewritten) == (True, 1)
    assert await traces(house, DOOMED) == []
    assert await house.count() == 3
    assert await house.findings() == []
    assert await eraser.tend() == []


async def test_an_orphan_that_is_adopted_late(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    late = make_pack(
        house.clock, "default", STUDY, SERIES, [Sample(DOOMED), Sample(f"{SERIES}.1000")]
    )
    await eraser.erase(ONE)
    await put(house.objects, late)
    assert "not in the catalogue yet" in (await eraser.go_on()).waiting[0]
    assert await house.sweep() == (1, 0)
    assert await house.count() == 3
    (done,) = await eraser.tend()
    assert done.is_proven
    assert await traces(house, DOOMED) == []
    assert await house.findings() == []


async def test_what_is_not_committed_yet_is_waited_for(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    coming = make_pack(house.clock, "default", STUDY, SERIES, [Sample(DOOMED)])
    await put(house.objects, coming)
    done = await eraser.erase(ONE)
    assert not done.is_proven
    assert "not in the catalogue yet" in done.waiting[0]
    await commit(house.objects, house.catalogue, coming, house.clock)
    (done,) = await eraser.tend()
    assert done.is_proven
    assert await traces(house, DOOMED) == []
    assert await house.findings() == []


async def test_it_is_looked_at_once_more(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await eraser.erase(ONE)
    assert await eraser.tend() == []
    # A worker that had read the pack before writes its picture now.
    key = ThumbKey(
        make_pack(house.clock, "default", STUDY, SERIES, [Sample(DOOMED)]).key, DOOMED, 1
    )
    await house.objects.put_new(key.key, b"picture")
    house.clock.now_us += 2 * HOUR_US
    (done,) = await eraser.tend()
    assert done.is_proven
    assert done.removed[key.key] == 1
    assert await house.keys("thumbs/") == []
    house.clock.now_us += 3 * HOUR_US
    (done,) = await eraser.tend()
    assert done.is_proven
    assert await eraser.tend() == []


async def test_a_held_study_is_refused(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    words = {"reason": "court", "who": "counsel"}
    await set_hold(
        house.objects, house.catalogue, "default", STUDY, now_us=house.clock.tick(), **words
    )
    with pytest.raises(Held, match="legal hold"):
        await eraser.erase(ONE)
    assert await house.keys("erasures/") == []
    await release_hold(
        house.objects, "default", STUDY, HoldKind.LEGAL, now_us=house.clock.tick(), **words
    )
    # Between the question and the answer.
    await eraser.erase(ONE)
    await set_hold(
        house.objects, house.catalogue, "default", STUDY, now_us=house.clock.tick(), **words
    )
    await house.store(Sample(DOOMED), series=SERIES)
    (told,) = await eraser.tend()
    assert "legal hold" in told.waiting[0]
    assert await traces(house, DOOMED)


async def test_it_waits_for_what_is_cold(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    (key,) = [key for key in await house.keys("packs/") if (await packs(house))[0].pack_id in key]
    await house.objects.move(key, StorageClass.DEEP_ARCHIVE)
    assert (await eraser.plan(ONE)).cold == 1
    done = await eraser.erase(ONE)
    assert not done.is_proven
    assert "cold" in done.waiting[0]
    assert [pack.pack_id in key for pack in eraser.recalled] == [True]
    assert await house.count() == 2
    await house.objects.recall(key, 5, "bulk")
    (done,) = await eraser.tend()
    assert done.is_proven
    assert await traces(house, DOOMED) == []
    assert await house.findings() == []


async def test_what_cannot_be_read_is_told(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    (_, other) = await packs(house)
    for key in (key_of(other).index, key_of(other).pack):
        await house.objects.delete(key)
        await house.objects.put_new(key, b"torn")
    with pytest.raises(Corrupt, match="fsck"):
        await eraser.erase(Scope("default", STUDY))
    done = await eraser.erase(ONE)
    assert not done.is_proven
    assert other.pack_id in done.waiting[0]
    # What can be done is done.
    for key in (key_of(other).index, key_of(other).pack):
        await house.objects.delete(key)
    assert await traces(house, DOOMED) == []


async def test_nothing_is_nothing(house: House, eraser: Eraser) -> None:
    with pytest.raises(NotFound):
        await eraser.erase(ONE)
    await two_packs(house)
    with pytest.raises(NotFound):
        await eraser.erase(Scope("default", STUDY, SERIES, f"{SERIES}.31"))
    await eraser.erase(ONE)
    with pytest.raises(Gone):
        await eraser.erase(ONE)


async def test_what_remains_of_lost_entries_stops_nothing(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    assert (await eraser.erase(ONE)).is_proven
    house.clock.now_us += 3 * HOUR_US
    assert [one.is_proven for one in await eraser.tend()] == [True]
    for key in await house.keys("erasures/"):
        if key.endswith(f"-{Step.ASKED}.json"):
            await house.objects.delete(key)
    await house.catalogue.wipe()
    assert await eraser.tend() == []


async def test_a_record_that_was_lost_remembers_again_what_is_not_lifted(
    house: House, eraser: Eraser
) -> None:
    await two_packs(house)
    await eraser.erase(Scope("default", STUDY))
    words = {"who": "dpo", "reason": "mistake"}
    await lift(house.objects, "default", STUDY, DOOMED, **words, now_us=house.clock.tick)
    house.clock.now_us += 3 * HOUR_US
    await eraser.tend()
    state = await house.catalogue.study("default", STUDY)
    assert state is not None
    # Somebody has read the entries before, and made a record behind them.
    forgetful = replace(state.study, erased=frozenset(), rev=house.clock.tick())
    await house.catalogue.commit(StudyChange("default", STUDY, state.study, forgetful))
    for lost in (False, True):
        if lost:
            await house.catalogue.wipe()
        await eraser.tend()
        state = await house.catalogue.study("default", STUDY)
        assert state is not None
        assert state.study.erased == {OTHER, f"{SERIES}.999"}


async def test_what_is_lifted_may_be_stored_again(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await eraser.erase(Scope("default", STUDY))
    words = {"reason": "a mistake", "who": "admin", "now_us": house.clock.tick}
    await lift(house.objects, "default", STUDY, DOOMED, **words)
    await eraser.go_on()
    await house.store(Sample(DOOMED), Sample(OTHER), series=SERIES)
    assert set(await shown(house)) == {(SERIES, DOOMED)}
    assert len(await eraser.tend()) == 1
    assert await traces(house, OTHER) == []
    await lift(house.objects, "default", STUDY, "", **words)
    assert len(await eraser.tend()) == 1
    with pytest.raises(NotFound):
        await lift(house.objects, "default", STUDY, "", **words)
    assert await house.findings() == []
    await house.trash.delete(Scope("default", STUDY))
    house.clock.now_us += 40 * DAY_US
    await house.tend()
    assert await house.catalogue.study("default", STUDY) is None
    steps = [one.step for one in await erasures_of(house.objects, "default", STUDY)]
    assert (steps[0], steps.count(Step.LIFTED)) == (Step.ASKED, 2)


async def test_a_study_of_many_packs(house: House, eraser: Eraser) -> None:
    for number in range(90):
        await house.store(Sample(f"{SERIES}.5{number:03}"), series=SERIES)
    await house.store(Sample(OTHER), series=f"{STUDY}.2")
    done = await eraser.erase(Scope("default", STUDY, SERIES))
    assert (done.is_proven, done.instances, len(done.removed)) == (True, 90, 180)
    assert await house.count() == 1
    assert await house.findings() == []


async def test_a_rebuild_knows_what_is_erased(house: House, eraser: Eraser) -> None:
    await two_packs(house)
    await house.store(Sample("1.2.9.1"), study="1.2.9")
    await eraser.erase(ONE)
    await eraser.erase(Scope("default", "1.2.9"))
    before = await house.digest()
    assert await house.rebuilt() == before
    state = await house.catalogue.study("default", "1.2.9")
    assert state is not None
    assert state.study.erased == {"1.2.9.1"}
    # It comes in again while there is no catalogue.
    late = make_pack(
        house.clock, "default", STUDY, SERIES, [Sample(DOOMED), Sample(f"{SERIES}.1000")]
    )
    await put(house.objects, late)
    await house.rebuilt()
    assert await house.count() == 3
    assert len(await eraser.tend()) == 1
    assert await traces(house, DOOMED) == []
    assert await house.findings() == []
    now = await house.digest()
    assert await house.rebuilt() == now


@pytest.mark.parametrize("whole", [False, True])
async def test_what_corrections_have_written_about_it_goes_too(
    house: House, eraser: Eraser, *, whole: bool
) -> None:
    await house.store(Sample(DOOMED), Sample(OTHER), series=SERIES)
    await house.store(Sample(f"{STUDY}.9.1"), study=f"{STUDY}.9")
    names = {
        "instance": await correct(
            house, "PatientName=SECRET^ONE", study=STUDY, series=SERIES, instance=DOOMED
        ),
        "study": await correct(house, "PatientName=SECRET^ALL", study=STUDY),
        "merge": await merge(house),
    }
    for one in names.values():
        await corrector(house).apply(one)
    await undo(house, names["instance"])
    before = await secrets(house)
    assert len(before) >= 4
    done = await eraser.erase(Scope("default", STUDY) if whole else ONE)
    assert (done.is_proven, done.waiting) == (True, ())
    left = await secrets(house)
    state = await house.catalogue.study("default", STUDY)
    assert state is not None
    if whole:
        assert left == []
        assert state.study.amendments == ()
    else:
        assert left
        assert not any(names["instance"].correction_id in key for key in left)
        ids = [one.correction_id for one in state.study.amendments]
        assert ids == [names["study"].correction_id, names["merge"].correction_id]
    assert set(before) - set(left) <= done.removed.keys()
    assert await house.findings() == []
    said = await house.digest()
    assert await house.rebuilt() == said


async def secrets(house: House) -> list[str]:
    """The keys of objects that hold what a correction shows."""
    return [key for key in await house.keys("") if b"SECRET" in await house.objects.get(key)]


async def test_the_catalogue_s_own_files_have_nothing_left(tmp_path: Path) -> None:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue)
        await two_packs(house)
        (pack, _) = await packs(house)
        frames = await catalogue.index("default", ref_of(pack))
        assert frames is not None
        headers = bytes(frames.headers)[20:60]

        def kept() -> list[str]:
            files = sorted(tmp_path.glob("catalogue.sqlite*"))
            return [file.name for file in files if headers in file.read_bytes()]

        assert kept()
        assert (await Eraser(house, tmp_path / "work").erase(ONE)).is_proven
        assert kept() == []


async def test_the_index_of_names_has_nothing_left(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    async with LocalObjectStore(tmp_path / "objects") as objects, SqliteCatalogue(file) as made:
        house = House(objects, made)
        await house.store(Sample("1.2.3.9.1.1"), study="1.2.3.9")
        await two_packs(house)

        def pieces() -> int:
            """How many there are of the name CUSTODY, of which the index makes trigrams."""
            with closing(sqlite3.connect(file)) as opened:
                blocks = opened.execute("SELECT block FROM study_infix_data").fetchall()
            return sum(block.count(b"CUS") for (block,) in blocks)

        before = pieces()
        assert (await Eraser(house, tmp_path / "work").erase(Scope("default", STUDY))).is_proven
        assert (before, pieces()) == (2, 1)
        found = await made.studies("default", ByName(NamePart.INFIX, "UST"))
        assert [one.study_instance_uid for one in found.studies] == ["1.2.3.9"]
