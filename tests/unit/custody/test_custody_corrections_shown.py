"""What corrections would change, how they stand, and what repacks and checks make of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.records import PackRecord, StudyChange, StudyRecord, StudyState
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.listing import (
    correction_state,
    corrections,
    studies_showing,
)
from pacs_cloud.custody.corrections.preview import StudyPreview, preview
from pacs_cloud.custody.export import export_lines
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.trash.marks import Scope
from unit.custody.custody_corrections import (
    DESCRIPTION,
    FIRST,
    SECOND,
    THIRD,
    correct,
    corrector,
    fill,
    merge,
    orders,
    patients,
    state_of,
    tend,
    text,
    undo,
)
from unit.custody.custody_house import House, Racing
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import repack


@pytest.fixture
async def archive(house: House) -> House:
    await fill(house)
    return house


async def look(house: House, correction: Correction) -> list[StudyPreview]:
    return await preview(house.objects, house.catalogue, correction, correction.studies)


def values(one: StudyPreview, tag: str) -> tuple[Any, Any]:
    (shown,) = [shown for shown in one.attributes if shown.tag == tag]
    return shown.now.get("Value"), shown.then.get("Value")


async def test_a_merge_is_shown_before_it_is_made(archive: House) -> None:
    correction = await merge(archive)
    before = [line async for line in export_lines(archive.catalogue)]
    studies = await look(archive, correction)
    assert {one.study.study_instance_uid for one in studies} == {FIRST, SECOND}
    assert all(values(one, "00100020") == (["P1"], ["P2"]) for one in studies)
    # Names are equal, so that nothing else would change.
    assert {shown.tag for one in studies for shown in one.attributes if shown.is_changed} == {
        "00100020"
    }
    assert [line async for line in export_lines(archive.catalogue)] == before
    assert await archive.keys("corrections/") == await archive.keys("correcting/") == []


async def test_attributes_that_no_search_returns_are_shown_from_a_header(archive: House) -> None:
    correction = await correct(
        archive, "StudyDescription=X", "ImageComments=here", "PatientAddress=street"
    )
    (one,) = await look(archive, correction)
    assert values(one, DESCRIPTION) == (["first"], ["X"])
    assert values(one, "00204000") == (None, ["here"])
    assert values(one, "00101040") == (None, ["street"])
    of_one = await correct(
        archive, "ImageComments=it", series=f"{FIRST}.1", instance=f"{FIRST}.1.2"
    )
    await corrector(archive).apply(correction)
    (one,) = await look(archive, of_one)
    assert values(one, "00204000") == (["here"], ["it"])


async def test_an_undoing_is_shown_with_what_stays_over_it(archive: House) -> None:
    first = await correct(archive, "StudyDescription=ONE", "AccessionNumber=7")
    await corrector(archive).apply(first)
    second = await correct(archive, "StudyDescription=TWO", series=f"{FIRST}.1")
    await corrector(archive).apply(second)
    (one,) = await look(archive, first)
    assert values(one, DESCRIPTION) == (["TWO"], ["TWO"])
    assert values(one, "00080050") == (["7"], None)
    assert one.covered_by == (second.correction_id,)
    (one,) = await look(archive, second)
    assert values(one, DESCRIPTION) == (["TWO"], ["ONE"])
    assert one.covered_by == ()


async def test_a_study_that_shows_nothing_has_nothing_to_show(archive: House) -> None:
    correction = await correct(archive, "ImageComments=X")
    await archive.trash.delete(Scope("default", FIRST))
    (one,) = await look(archive, correction)
    assert values(one, "00204000") == (None, None)


async def test_warnings_say_what_is_odd(archive: House) -> None:
    await corrector(archive).apply(
        await correct(archive, "PatientName=ELSE", "PatientBirthDate=19700101", study=SECOND)
    )
    await corrector(archive).apply(await correct(archive, "PatientBirthDate=19800101", study=THIRD))
    await archive.store(Sample(f"{FIRST}.1.8", patient="P7"))
    order = await orders(archive).merge("P1", "P2", issuer=None, target_issuer=None)
    text_of_all = " ".join(order.warnings)
    for word in ("names differ", "birth dates differ", "1 of the studies name two patients"):
        assert word in text_of_all
    assert "P1" not in text_of_all
    part = await orders(archive).correct(
        FIRST, f"{FIRST}.1", "", (await correct(archive, "PatientID=P2")).amendment.elements
    )
    assert len(part.warnings) == 2


async def test_corrections_are_listed_as_they_stand(archive: House) -> None:
    made = await merge(archive)
    await corrector(archive).apply(made)
    await archive.store(Sample("1.2.6.1.1"), study="1.2.6")
    await tend(archive)
    await corrector(archive).apply(await correct(archive, "StudyDescription=X"))
    first, second = [one async for one in corrections(archive.objects, "default")]
    assert (first.correction, first.undone, first.is_open) == (made, None, False)
    assert set(first.studies) == {FIRST, SECOND, "1.2.6"}
    assert first.late == ("1.2.6",)
    assert await studies_showing(archive.catalogue, first) == dict.fromkeys(first.studies, True)
    assert second.correction.reason == "sent twice"
    await undo(archive, made)
    first = await correction_state(archive.objects, "default", made.correction_id)
    assert first.undone is not None
    assert (first.undone.who, first.undone.reason) == ("eve", "it was right")
    assert set((await studies_showing(archive.catalogue, first)).values()) == {False}


async def test_a_repack_keeps_corrections(archive: House, tmp_path: Path) -> None:
    await archive.store(Sample(f"{FIRST}.1.3"))
    await corrector(archive).apply(await correct(archive, "StudyDescription=X"))
    await corrector(archive).apply(
        await correct(archive, "ImageComments=it", series=f"{FIRST}.1", instance=f"{FIRST}.1.2")
    )
    assert (await repack(archive, tmp_path / "work")).made == 1
    assert [len(one.amendments) for one in (await state_of(archive, FIRST)).packs] == [2, 1]
    assert await text(archive, DESCRIPTION) == "X"
    assert await archive.findings() == []
    before = await archive.digest()
    assert await archive.rebuilt() == before


async def test_a_repack_gives_way_to_a_correction(archive: House, tmp_path: Path) -> None:
    await archive.store(Sample(f"{FIRST}.1.3"))
    made = await correct(archive, "StudyDescription=X")

    async def apply() -> None:
        await corrector(archive).apply(made)

    racing: Any = Racing(archive.catalogue, "stage", apply)
    done = await repack(archive, tmp_path / "work", catalogue=racing)
    assert (done.made, done.waiting) == (0, 2)
    assert (await repack(archive, tmp_path / "work")).made == 1
    assert [len(one.amendments) for one in (await state_of(archive, FIRST)).packs] == [1, 1]


async def test_a_repack_waits_for_a_correction_that_stopped(archive: House, tmp_path: Path) -> None:
    await archive.store(Sample(f"{FIRST}.1.3"))
    await corrector(archive).apply(await correct(archive, "StudyDescription=X"))
    state = await state_of(archive, FIRST)
    behind = replace(state.packs[0], amendments=())
    await _put(archive, state, replace(state.study, rev=state.study.rev + 1), behind)
    done = await repack(archive, tmp_path / "work")
    assert (done.made, done.waiting) == (0, 2)


async def _put(house: House, state: StudyState, after: StudyRecord, *packs: PackRecord) -> None:
    change = StudyChange("default", FIRST, state.study, after, put_packs=packs)
    await house.catalogue.commit(change)


async def test_a_rebuild_brings_corrections_back(archive: House) -> None:
    made = await merge(archive)
    await corrector(archive).apply(made)
    await corrector(archive).apply(
        await correct(archive, "SeriesDescription=X", series=f"{FIRST}.1")
    )
    moved = (await orders(archive).move(THIRD, "P9", issuer=None)).correction
    await corrector(archive).apply(moved)
    await undo(archive, moved)
    await archive.trash.delete(Scope("default", SECOND))
    await archive.purge(SECOND)  # of which only its corrections are left
    before = await archive.digest()
    assert await archive.rebuilt() == before
    assert await patients(archive, (FIRST, THIRD)) == ["P2", "P2"]
    await archive.store(Sample(f"{SECOND}.1.2"), study=SECOND)
    assert await patients(archive, [SECOND]) == ["P2"]


async def test_a_check_finds_what_does_not_follow_the_ledger(archive: House) -> None:
    await corrector(archive).apply(await correct(archive, "StudyDescription=X"))
    state = await state_of(archive, FIRST)
    behind = replace(state.packs[0], amendments=())
    after = replace(state.study, rev=state.study.rev + 1)
    await _put(archive, state, after, behind)
    told = [one.detail for one in await archive.findings() if one.kind is FindingKind.LEDGER]
    assert told == ["1 of its packs do not have the study's corrections"]
    without = replace(after, rev=after.rev + 1, amendments=())
    await _put(archive, replace(state, study=after), without)
    told = [one.detail for one in await archive.findings() if one.kind is FindingKind.LEDGER]
    assert told[0] == "the study's corrections are not what the ledger says"
