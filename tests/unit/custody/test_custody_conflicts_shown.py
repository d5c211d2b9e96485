"""What disagrees once something is shown again is told, as a rebuilt catalogue tells it."""

from functools import partial
from typing import Any

import pytest

from pacs_cloud.catalogue.records import ConflictKind
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.trash.marks import Scope
from unit.custody.custody_corrections import correct, corrector, undo
from unit.custody.custody_house import ALL, STUDY, House, Racing
from unit.custody.custody_packs import Sample, commit, make_pack, put

INSTANCE = f"{STUDY}.1.1"
OTHER = "1.2.9"
OF_OTHER = Scope("default", OTHER)


async def told(house: House) -> list[tuple[str, str, str, str]]:
    found = [one async for one in disagreements(house.catalogue, "default")]
    return sorted(
        (one.kind, one.sop_instance_uid, one.newcomer.pack_id, one.other.pack_id) for one in found
    )


async def assert_told_as_rebuilt(house: House, *kinds: ConflictKind) -> None:
    now = await told(house)
    assert [kind for kind, *_ in now] == list(kinds)
    await house.rebuilt()
    assert await told(house) == now


@pytest.mark.parametrize("study", [STUDY, OTHER])
async def test_what_comes_back_from_the_trash_and_is_elsewhere_too(
    house: House, study: str
) -> None:
    await house.store(Sample(INSTANCE), Sample(f"{INSTANCE}.9"))
    await house.trash.delete(ALL)
    await house.store(Sample(INSTANCE), study=study, series=f"{study}.7")
    assert await told(house) == []
    await house.trash.restore(ALL)
    await assert_told_as_rebuilt(house, ConflictKind.ELSEWHERE)


async def test_two_series_that_come_back_at_once(house: House) -> None:
    await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    await house.store(Sample(INSTANCE), series=f"{STUDY}.7")
    await house.trash.delete(ALL)
    await house.trash.restore(ALL)
    await assert_told_as_rebuilt(house, ConflictKind.ELSEWHERE)


async def two_deleted(house: House) -> None:
    await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    await house.store(Sample(INSTANCE), study=OTHER)
    await house.trash.delete(OF_OTHER)


async def test_two_studies_that_come_back_at_once(house: House) -> None:
    await two_deleted(house)
    racing: Any = Racing(house.catalogue, "commit", partial(house.trash.restore, OF_OTHER))
    await house.trash_of(racing).restore(ALL)
    await assert_told_as_rebuilt(house, ConflictKind.ELSEWHERE)


async def test_a_pack_that_is_committed_while_another_comes_back(house: House) -> None:
    await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    made = make_pack(house.clock, "default", OTHER, f"{OTHER}.1", [Sample(INSTANCE)])
    await put(house.objects, made)
    racing: Any = Racing(house.catalogue, "commit", partial(house.trash.restore, ALL))
    await commit(house.objects, racing, made, house.clock)
    await assert_told_as_rebuilt(house, ConflictKind.ELSEWHERE)


async def test_a_second_patient_who_comes_back_from_the_trash(house: House) -> None:
    await house.store(Sample(INSTANCE))
    await house.trash.delete(ALL)
    await house.store(Sample(f"{STUDY}.2.1", patient="P2"), series=f"{STUDY}.2")
    assert await told(house) == []
    await house.trash.restore(ALL)
    await assert_told_as_rebuilt(house, ConflictKind.PATIENT)


async def test_a_second_patient_of_a_correction_and_of_its_undoing(house: House) -> None:
    await house.store(Sample(INSTANCE))
    await house.store(Sample(f"{STUDY}.2.1"), series=f"{STUDY}.2")
    first = await correct(house, "PatientID=P2", series=f"{STUDY}.2")
    await corrector(house).apply(first)
    await assert_told_as_rebuilt(house, ConflictKind.PATIENT)
    await undo(house, first)
    await assert_told_as_rebuilt(house)
