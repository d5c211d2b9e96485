"""Corrections that meet others, late studies, and purges: in whatever order, what is so is shown."""

from typing import Any

import pytest

from pacs_cloud.catalogue.recompute import empty_study
from pacs_cloud.catalogue.records import Patient, StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.ledger import is_amendment_key
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Corrupt, InvalidRequest
from pacs_cloud.objectstore.keys import ledger_prefix
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_corrections import (
    DESCRIPTION,
    FIRST,
    SECOND,
    THIRD,
    correct,
    corrector,
    fill,
    found_under,
    merge,
    orders,
    patients,
    record,
    tend,
    text,
    undo,
)
from unit.custody.custody_house import Dying, House, Racing
from unit.custody.custody_packs import Sample

LATE = "1.2.6"
COMMENTS = "00104000"


@pytest.fixture
async def archive(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> House:
    house = House(objects, catalogue)
    await fill(house)
    return house


async def apply(house: House, correction: Correction) -> Correction:
    await corrector(house).apply(correction)
    return correction


async def test_one_instance_that_is_corrected_is_found_by_that(archive: House) -> None:
    """Whatever its value is, and though it sorts behind what came in."""
    only = {"study": SECOND, "series": f"{SECOND}.1", "instance": f"{SECOND}.1.1"}
    await apply(archive, await correct(archive, "StudyDescription=zzz", **only))
    assert await text(archive, DESCRIPTION, SECOND) == "zzz"
    one = {"series": f"{FIRST}.1", "instance": f"{FIRST}.1.1"}
    await apply(archive, await correct(archive, "StudyDescription=zzz", **one))
    assert await text(archive, DESCRIPTION) == "zzz"  # it came in first
    assert await archive.findings() == []
    assert await archive.rebuilt() == await archive.digest()


async def test_what_was_another_patients_stays_away_whatever_is_undone(archive: House) -> None:
    """The move is made while the merge hides what it has to empty."""
    said = "PatientComments=about P1", "PatientSex=F"
    await apply(archive, await correct(archive, *said, study=SECOND))
    merged = await apply(archive, await merge(archive))
    await archive.store(Sample("1.2.7.1.1", patient="P3"), study="1.2.7")
    moved = (await orders(archive).move(SECOND, "P3", issuer=None)).correction
    await apply(archive, moved)
    await undo(archive, merged)
    assert await patients(archive) == ["P1", "P3", "P2"]
    assert "Value" not in (await record(archive, SECOND)).attributes[COMMENTS]
    await undo(archive, moved)
    assert await text(archive, COMMENTS, SECOND) == "about P1"


async def test_a_target_nobody_knows_has_no_issuer_unless_told(archive: House) -> None:
    await apply(archive, await correct(archive, "IssuerOfPatientID=H1", study=SECOND))
    order = await orders(archive).merge("P1", "P9", issuer="H1", target_issuer="")
    await apply(archive, order.correction)
    assert (await record(archive, SECOND)).patients == {Patient("", "P9")}


async def test_what_the_ledger_has_outlives_a_purge_that_came_between(archive: House) -> None:
    made = await merge(archive)

    async def purge() -> None:
        await archive.trash.delete(Scope("default", SECOND))
        await archive.purge(SECOND)

    racing: Any = Racing(archive.catalogue, "commit", purge)
    await corrector(archive, catalogue=racing).apply(made)
    assert racing.has_raced
    await tend(archive)
    assert await archive.findings() == []
    assert await archive.rebuilt() == await archive.digest()
    await archive.store(Sample(f"{SECOND}.1.9"), study=SECOND)
    assert await patients(archive) == ["P2", "P2", "P2"]
    await undo(archive, made)
    assert await patients(archive) == ["P1", "P1", "P2"]
    await archive.trash.delete(Scope("default", SECOND))
    await archive.purge(SECOND)
    assert await archive.catalogue.study("default", SECOND) is None


async def test_nothing_is_written_about_a_study_that_was_erased_meanwhile(archive: House) -> None:
    """It would name the patient, in objects that the erasure has shown to be gone."""
    made = await merge(archive)
    await archive.trash.delete(Scope("default", SECOND))
    await archive.purge(SECOND)
    erased = empty_study(
        "default", SECOND, archive.clock.tick(), erased=frozenset({f"{SECOND}.1.1"})
    )
    await archive.catalogue.commit(StudyChange("default", SECOND, None, erased))
    await apply(archive, made)
    assert await patients(archive, [FIRST]) == ["P2"]
    entries = await archive.keys(ledger_prefix("default", SECOND))
    assert not any(map(is_amendment_key, entries))


async def test_a_late_merge_lies_over_what_stands_whatever_the_clock(archive: House) -> None:
    first = await apply(archive, await merge(archive))
    second = await apply(archive, await merge(archive, "P2", "P3"))
    await archive.store(Sample(f"{LATE}.1.1"), study=LATE)
    await corrector(archive).apply_late(first, LATE)
    archive.clock.now_us -= 10_000_000  # another worker's
    await corrector(archive).apply_late(second, LATE)
    assert await patients(archive, [LATE]) == ["P3"]
    assert await found_under(archive, "P2") == set()


async def test_a_patient_with_and_without_an_issuer_is_one(archive: House) -> None:
    """They do not disagree: a study of both is no conflict, and nobody would look at it."""
    made = await apply(archive, await merge(archive))
    await archive.store(Sample(f"{LATE}.1.1"), study=LATE)
    await archive.store(Sample(f"{LATE}.2.1"), study=LATE, series=f"{LATE}.2")
    with_issuer = await correct(archive, "IssuerOfPatientID=H1", study=LATE, series=f"{LATE}.2")
    await apply(archive, with_issuer)
    assert (await record(archive, LATE)).patients == {Patient("", "P1"), Patient("H1", "P1")}
    await tend(archive)
    assert (await record(archive, LATE)).patients == {Patient("", "P2")}
    await undo(archive, made)
    assert await patients(archive, [LATE]) == ["P1"]


async def test_who_was_merged_away_is_no_target_though_nobody_says_the_issuer(
    archive: House,
) -> None:
    with_issuer = await correct(archive, "IssuerOfPatientID=H1", study=THIRD)
    await apply(archive, with_issuer)
    await apply(archive, await merge(archive))
    # No study shows P1, so that its issuer would be taken from P2's.
    with pytest.raises(InvalidRequest, match="merged into another"):
        await merge(archive, "P2", "P1")
    with pytest.raises(InvalidRequest, match="merged into another"):
        await orders(archive).move(FIRST, "P1", issuer="H1")


async def test_merges_in_a_ring_come_to_an_end(archive: House) -> None:
    """Two who did not see each other's order: the corrections say so, and can be undone."""
    before = await archive.digest()
    there, back = await merge(archive, "P1", "P2"), await merge(archive, "P2", "P1")
    await apply(archive, there)
    await apply(archive, back)
    for _ in range(3):
        assert (await tend(archive)).problems == 0
    now = await archive.digest()
    await tend(archive)
    assert await archive.digest() == now
    assert await archive.findings() == []
    await undo(archive, back)
    await undo(archive, there)
    assert await archive.digest() == before
    assert await patients(archive, [FIRST, SECOND, THIRD]) == ["P1", "P1", "P2"]


async def test_one_late_study_costs_the_same_however_many_came_before(archive: House) -> None:
    made = await apply(archive, await merge(archive))
    counts: list[int] = []
    for number in range(4):
        study = f"1.2.8{number}"
        await archive.store(Sample(f"{study}.1.1"), study=study)
        reads: Any = _Reads(archive.objects)
        await corrector(archive, objects=reads).apply_late(made, study)
        counts.append(reads.count)
    assert len(set(counts)) == 1


async def test_a_study_that_has_no_room_stops_no_other(archive: House) -> None:
    made = await merge(archive)
    full: Any = Dying(
        archive.catalogue,
        "commit",
        lambda one: one.after.study_instance_uid == FIRST,
        InvalidRequest,
    )
    done = await corrector(archive, catalogue=full).apply(made)
    assert (done.changed, done.unreadable) == (1, (FIRST,))
    assert await patients(archive) == ["P1", "P2", "P2"]


async def test_what_cannot_be_read_has_nothing_else_done_again(archive: House) -> None:
    made = await merge(archive)
    dying: Any = Dying(archive.catalogue, "study", lambda _t, uid: uid == SECOND, Corrupt)
    await corrector(archive, catalogue=dying).apply(made)
    assert (await tend(archive, catalogue=dying)).problems == 1
    asked: list[str] = []

    def is_asked(_tenant: str, uid: str) -> bool:
        asked.append(uid)
        return uid == SECOND

    watched: Any = Dying(archive.catalogue, "study", is_asked, Corrupt)
    assert (await tend(archive, catalogue=watched)).problems == 1
    assert asked == [SECOND]
    # It is undone meanwhile: also where it could not be made.
    await undo(archive, made)
    assert (await tend(archive)).problems == 0
    assert await archive.keys("correcting/") == []
    assert await patients(archive) == ["P1", "P1", "P2"]


class _Reads:
    """A store that counts what is read."""

    def __init__(self, real: LocalObjectStore) -> None:
        self._real = real
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        self.count += name in {"get", "list", "head"}
        return getattr(self._real, name)
