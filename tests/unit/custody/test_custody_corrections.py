"""Corrections: patients merged, studies moved, attributes mended, and each undone."""

from dataclasses import replace
from typing import Any

import pytest

from pacs_cloud.catalogue.records import ConflictKind, HiddenReason, Patient
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.corrections.book import correction_marks, listed_corrections
from pacs_cloud.custody.corrections.ledger import entries_of
from pacs_cloud.custody.corrections.patients import attributes_of
from pacs_cloud.custody.holds_setting import set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NotFound
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from unit.custody.custody_corrections import (
    DESCRIPTION,
    FIRST,
    SECOND,
    SYSTEM,
    THIRD,
    correct,
    corrector,
    fill,
    found_under,
    merge,
    orders,
    patients,
    record,
    state_of,
    tend,
    text,
    undo,
)
from unit.custody.custody_house import DAY_US, Dying, House
from unit.custody.custody_packs import Sample


@pytest.fixture
async def archive(house: House) -> House:
    await fill(house)
    return house


async def marks(house: House) -> list[str]:
    return [mark.correction_id async for mark in correction_marks(house.objects)]


async def test_a_merge_gives_all_studies_to_the_target(archive: House) -> None:
    before = await archive.digest()
    made = await corrector(archive).apply(await merge(archive))
    assert (made.studies, made.changed, made.unreadable) == (2, 2, ())
    assert await patients(archive) == ["P2", "P2", "P2"]
    assert await found_under(archive, "P2") == {FIRST, SECOND, THIRD}
    assert await found_under(archive, "P1") == set()
    assert (await record(archive, FIRST)).patients == {Patient("", "P2")}
    assert await archive.findings() == []
    # What was received stays: it comes back.
    (listed,) = await listed_corrections(archive.objects, "default")
    undone = await corrector(archive).undo(
        *("default", listed.correction_id),
        caller=SYSTEM,
        who="eve",
        reason="another person",
    )
    assert (undone.studies, undone.changed) == (2, 2)
    assert await archive.digest() == before
    assert await archive.findings() == []


async def test_whoever_may_correct_some_studies_only_merges_no_patients(archive: House) -> None:
    rules = (StudyRule(modalities=frozenset({"CT", "SR"})),)
    bounded = Caller("default", "bob", (Grant(Role.TECHNOLOGIST, rules),))
    every = await archive.digest()
    with pytest.raises(Denied, match="those that come later"):
        await orders(archive, caller=bounded).merge("P1", "P2", issuer=None, target_issuer=None)
    made = await merge(archive)
    await corrector(archive).apply(made)
    with pytest.raises(Denied, match="those that come later"):
        await undo(archive, made, caller=bounded)
    assert await patients(archive) == ["P2", "P2", "P2"]
    await undo(archive, made, caller=Caller("default", "ann", (Grant(Role.TECHNOLOGIST),)))
    assert await archive.digest() == every
    # One study after the other is theirs to move, and to move back.
    moved = await orders(archive, caller=bounded).move(FIRST, "P2", issuer=None)
    await corrector(archive).apply(moved.correction)
    await undo(archive, moved.correction, caller=bounded)
    assert await archive.digest() == every


async def test_the_ledger_says_who_and_why(archive: House) -> None:
    made = await merge(archive)
    await corrector(archive).apply(made)
    await undo(archive, made)
    entries = await entries_of(archive.objects, "default", FIRST)
    assert [(one.who, one.reason, one.amendment is None) for one in entries] == [
        ("ada", "sent twice", False),
        ("eve", "it was right", True),
    ]
    assert {one.correction_id for one in entries} == {made.correction_id}
    assert entries[0].amendment is not None
    assert entries[0].amendment.system == "PACS"


async def test_a_moved_study_is_the_other_patients(archive: House) -> None:
    order = await orders(archive).move(FIRST, "P2", issuer=None)
    await corrector(archive).apply(order.correction)
    assert await patients(archive) == ["P2", "P1", "P2"]
    assert await found_under(archive, "P1") == {SECOND}
    assert await marks(archive) == []
    with pytest.raises(InvalidRequest, match="already"):
        await orders(archive).move(FIRST, "P2", issuer=None)


async def test_attributes_are_corrected_over_what_is_named(archive: House) -> None:
    await corrector(archive).apply(await correct(archive, "StudyDescription=HEAD"))
    assert await text(archive, DESCRIPTION) == "HEAD"
    await corrector(archive).apply(
        await correct(archive, "Modality=OT", "SeriesDescription=X", series=f"{FIRST}.2")
    )
    state = await state_of(archive, FIRST)
    assert state.study.modalities == {"CT", "OT"}
    assert [len(pack.amendments) for pack in state.packs] == [1, 2]
    await corrector(archive).apply(
        await correct(archive, "ImageComments=here", series=f"{FIRST}.1", instance=f"{FIRST}.1.2")
    )
    assert [len(one.amendments) for one in (await state_of(archive, FIRST)).packs] == [2, 2]
    assert await archive.findings() == []


async def test_a_clock_that_is_behind_corrects_and_undoes_all_the_same(archive: House) -> None:
    before = await archive.digest()
    made = await correct(archive, "StudyDescription=ONE")
    archive.clock.now_us += DAY_US
    await corrector(archive).apply(made)
    archive.clock.now_us -= DAY_US
    over = await correct(archive, "StudyDescription=TWO")
    await corrector(archive).apply(over)
    assert await text(archive, DESCRIPTION) == "TWO"
    await undo(archive, over)
    await undo(archive, made)
    assert await archive.digest() == before
    assert await archive.rebuilt() == before


async def test_the_latest_of_two_corrections_is_shown_whichever_is_undone(archive: House) -> None:
    first = await correct(archive, "StudyDescription=ONE", "AccessionNumber=7")
    await corrector(archive).apply(first)
    second = await correct(archive, "StudyDescription=TWO")
    await corrector(archive).apply(second)
    assert await text(archive, DESCRIPTION) == "TWO"
    await undo(archive, first)
    assert await text(archive, DESCRIPTION) == "TWO"
    await undo(archive, second)
    assert await text(archive, DESCRIPTION) == "first"
    with pytest.raises(Conflict, match="already"):
        await undo(archive, second)


async def test_what_comes_later_is_amended_too(archive: House) -> None:
    await corrector(archive).apply(await correct(archive, "StudyDescription=HEAD"))
    made = await archive.store(Sample(f"{FIRST}.1.9", "other words"))
    await archive.store(Sample(f"{FIRST}.3.1"), series=f"{FIRST}.3")
    state = await state_of(archive, FIRST)
    assert all(len(pack.amendments) == 1 for pack in state.packs)
    assert await text(archive, DESCRIPTION) == "HEAD"
    # Also where what is there gives way, and all has to be summed up again.
    await archive.trash.delete(Scope("default", FIRST, f"{FIRST}.1", f"{FIRST}.1.1"))
    assert await text(archive, DESCRIPTION) == "HEAD"
    assert made.key.pack_id in {pack.pack_id for pack in state.packs}
    assert await archive.findings() == []


async def test_deletions_and_purges_keep_corrections(archive: House) -> None:
    correction = await correct(archive, "StudyDescription=HEAD")
    await corrector(archive).apply(correction)
    await archive.trash.delete(Scope("default", FIRST))
    await archive.purge(FIRST)
    state = await state_of(archive, FIRST)
    assert (state.packs, state.series, state.study.instance_count) == ((), (), 0)
    assert FIRST not in await found_under(archive, "P1")
    assert await archive.findings() == []
    # A late instance of it is corrected like the others were.
    await archive.store(Sample(f"{FIRST}.1.5"))
    assert await text(archive, DESCRIPTION) == "HEAD"
    await archive.trash.delete(Scope("default", FIRST))
    await archive.purge(FIRST)
    await undo(archive, correction)
    assert await archive.catalogue.study("default", FIRST) is None
    assert await archive.findings() == []


async def test_a_hidden_instance_does_not_forbid_corrections(archive: House) -> None:
    await archive.trash.delete(Scope("default", FIRST, f"{FIRST}.1", f"{FIRST}.1.1"))
    await corrector(archive).apply(await correct(archive, "StudyDescription=HEAD"))
    (pack, _) = (await state_of(archive, FIRST)).packs
    assert pack.hidden == {f"{FIRST}.1.1": HiddenReason.DELETED}
    await archive.trash.restore(Scope("default", FIRST))
    assert await text(archive, DESCRIPTION) == "HEAD"


async def test_a_merge_ends_a_conflict_of_patients(archive: House) -> None:
    await archive.store(Sample(f"{FIRST}.1.8", patient="P7"))
    kinds = [one.kind async for one in disagreements(archive.catalogue, "default")]
    assert kinds == [ConflictKind.PATIENT]
    await corrector(archive).apply(await merge(archive))
    assert [one async for one in disagreements(archive.catalogue, "default")] == []
    assert await patients(archive) == ["P2", "P2", "P2"]


async def test_a_hold_does_not_forbid_corrections(archive: House) -> None:
    await set_hold(
        archive.objects,
        archive.catalogue,
        "default",
        FIRST,
        reason="case 7",
        who="ana",
        now_us=archive.clock.tick(),
    )
    made = await correct(archive, "StudyDescription=HEAD")
    await corrector(archive).apply(made)
    assert await text(archive, DESCRIPTION) == "HEAD"
    await undo(archive, made)
    assert await text(archive, DESCRIPTION) == "first"


async def test_an_issuer_says_whose_id_it_is(archive: House) -> None:
    await corrector(archive).apply(await correct(archive, "IssuerOfPatientID=H1", study=SECOND))
    with pytest.raises(InvalidRequest, match="'', 'H1'"):
        await merge(archive)
    order = await orders(archive).merge("P1", "P2", issuer="H1", target_issuer=None)
    assert order.correction.studies == (SECOND,)
    await corrector(archive).apply(order.correction)
    assert await patients(archive) == ["P1", "P2", "P2"]
    # The issuer goes with the ID: P2 has none.
    assert (await record(archive, SECOND)).patients == {Patient("", "P2")}


async def test_a_study_that_cannot_be_read_is_tried_again(archive: House) -> None:
    made = await merge(archive)
    dying: Any = Dying(archive.catalogue, "study", lambda _t, uid: uid == SECOND, Corrupt)
    done = await corrector(archive, catalogue=dying).apply(made)
    assert (done.changed, done.unreadable) == (1, (SECOND,))
    assert await patients(archive) == ["P2", "P1", "P2"]
    assert (await tend(archive, catalogue=dying)).problems == 1
    assert await marks(archive) == [made.correction_id]
    assert (await tend(archive)).problems == 0
    assert await patients(archive) == ["P2", "P2", "P2"]
    assert await marks(archive) == []


async def test_the_patient_is_emptied_of_what_the_target_does_not_have(archive: House) -> None:
    made = await correct(archive, "PatientSex=F", "PatientComments=about P1")
    await corrector(archive).apply(made)
    await corrector(archive).apply(await merge(archive))
    attributes = (await record(archive, FIRST)).attributes
    assert attributes["00100040"] == {"vr": "CS"}
    assert attributes["00104000"] == {"vr": "LT"}
    # Also where there is nothing today: it may come, or be under another correction.
    assert (await record(archive, SECOND)).attributes["00100040"] == {"vr": "CS"}


async def test_what_a_device_wrote_wrongly_is_not_put_over_others(archive: House) -> None:
    target = await record(archive, THIRD)
    odd = {
        "00101002": {"vr": "UN", "InlineBinary": "QUI="},
        "00104000": {"vr": "LT", "Value": ["A"]},
    }
    (patient,) = target.patients
    given = attributes_of(patient, [replace(target, attributes=target.attributes | odd)])
    assert given["00104000"] == odd["00104000"]
    assert "00101002" not in given


async def test_an_unknown_target_gives_its_id_alone(archive: House) -> None:
    order = await orders(archive).merge("P1", "P9", issuer=None, target_issuer=None)
    assert any("only ID" in one for one in order.warnings)
    await corrector(archive).apply(order.correction)
    assert await patients(archive) == ["P9", "P9", "P2"]
    assert (await record(archive, FIRST)).attributes["00100010"]["Value"] == [
        {"Alphabetic": "TEST^CUSTODY"}
    ]


async def test_what_cannot_be_asked_for(archive: House) -> None:
    with pytest.raises(NotFound, match="No study"):
        await merge(archive, "P7")
    with pytest.raises(InvalidRequest, match="itself"):
        await merge(archive, "P1", "P1")
    with pytest.raises(InvalidRequest, match="reason"):
        orders(archive, reason="  ")
    with pytest.raises(InvalidRequest, match="has an ID"):
        await orders(archive).move(FIRST, " ", issuer=None)
    with pytest.raises(InvalidRequest, match="PatientID"):
        await orders(archive).move(FIRST, "P\\9", issuer=None)
    with pytest.raises(NotFound):
        await correct(archive, "StudyDescription=X", study="9.9")
    with pytest.raises(NotFound):
        await correct(archive, "StudyDescription=X", series="9.9")
    with pytest.raises(NotFound):
        await correct(archive, "ImageComments=X", series=f"{FIRST}.1", instance="9.9")
    with pytest.raises(InvalidRequest, match="series"):
        await correct(archive, "ImageComments=X", instance=f"{FIRST}.1.1")
    with pytest.raises(InvalidRequest, match="which attributes"):
        await correct(archive)
    with pytest.raises(NotFound, match="no such correction"):
        await corrector(archive).undo("default", "nonsense", caller=SYSTEM, who="eve", reason="x")
    await corrector(archive).apply(await merge(archive))
    with pytest.raises(InvalidRequest, match="merged into another"):
        await orders(archive).move(THIRD, "P1", issuer=None)
    assert len(await archive.keys("corrections/")) == 1


async def test_a_study_has_a_bounded_number_of_corrections(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pacs_cloud.custody.corrections.orders.MOST_AMENDMENTS", 1)
    await corrector(archive).apply(await correct(archive, "StudyDescription=X"))
    with pytest.raises(InvalidRequest, match="at most"):
        await correct(archive, "StudyDescription=Y")
    monkeypatch.undo()
    monkeypatch.setattr("pacs_cloud.custody.corrections.orders.MOST_BYTES", 300)
    with pytest.raises(InvalidRequest, match="KiB"):
        await correct(archive, f"PatientComments={'x' * 300}")


async def test_a_merge_looks_again_for_what_came_meanwhile(archive: House) -> None:
    made = await merge(archive)
    await archive.store(Sample("1.2.6.1.1"), study="1.2.6")
    await corrector(archive).apply(made)
    assert await text(archive, "00100020", "1.2.6") == "P1"
    assert await marks(archive) == [made.correction_id]
    tended = await tend(archive)
    assert (tended.corrections, tended.studies, tended.problems) == (1, 1, 0)
    assert await text(archive, "00100020", "1.2.6") == "P2"
    assert await marks(archive) == []
    await undo(archive, made)
    assert await text(archive, "00100020", "1.2.6") == "P1"
