"""An archive of two patients, and somebody who corrects it."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.port import ByPatient
from pacs_cloud.catalogue.records import StudyRecord, StudyState
from pacs_cloud.custody.corrections.applying import CarriedOut, Corrector
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.orders import Orders
from pacs_cloud.custody.corrections.tending import GRACE_US, Tended, tend_corrections
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.dicom.amendable import given_element
from pacs_cloud.dicom.amendment import of_series
from pacs_cloud.security.caller import Caller, system
from unit.custody.custody_house import House
from unit.custody.custody_packs import Sample

FIRST, SECOND, THIRD = "1.2.3", "1.2.4", "1.2.5"
"""Two studies of P1, and one of P2."""
PATIENT_ID, DESCRIPTION = "00100020", "00081030"
SYSTEM = system("default")


async def fill(house: House) -> None:
    await house.store(Sample(f"{FIRST}.1.1"), Sample(f"{FIRST}.1.2"))
    await house.store(Sample(f"{FIRST}.2.1", modality="SR"), series=f"{FIRST}.2")
    await house.store(Sample(f"{SECOND}.1.1"), study=SECOND)
    await house.store(Sample(f"{THIRD}.1.1", patient="P2"), study=THIRD)


def corrector(house: House, objects: Any = None, catalogue: Any = None) -> Corrector:
    load = partial(load_table, house.objects, house.catalogue)
    stores = objects or house.objects, catalogue or house.catalogue
    return Corrector(*stores, load, house.clock.tick)


def orders(house: House, reason: str = "sent twice", caller: Caller = SYSTEM) -> Orders:
    return Orders(
        house.objects,
        house.catalogue,
        "default",
        caller=caller,
        who="ada",
        reason=reason,
        system="PACS",
        now_us=house.clock.tick(),
    )


async def merge(house: House, source: str = "P1", target: str = "P2") -> Correction:
    order = await orders(house).merge(source, target, issuer=None, target_issuer=None)
    return order.correction


async def correct(
    house: House, *values: str, study: str = FIRST, series: str = "", instance: str = ""
) -> Correction:
    given = [one.partition("=") for one in values]
    elements = dict(given_element(name, text) for name, _, text in given)
    order = await orders(house).correct(study, series, instance, elements)
    return order.correction


async def undo(house: House, correction: Correction, caller: Caller = SYSTEM) -> CarriedOut:
    names = correction.tenant, correction.correction_id
    return await corrector(house).undo(*names, caller=caller, who="eve", reason="it was right")


async def tend(house: House, objects: Any = None, catalogue: Any = None) -> Tended:
    return await tend_corrections(
        objects or house.objects,
        corrector(house, objects, catalogue),
        now_us=house.clock.tick() + GRACE_US,
    )


async def state_of(house: House, study: str) -> StudyState:
    state = await house.catalogue.study("default", study)
    assert state is not None
    for pack in state.packs:
        assert pack.amendments == of_series(state.study.amendments, pack.series_instance_uid)
    return state


async def record(house: House, study: str) -> StudyRecord:
    return (await state_of(house, study)).study


async def text(house: House, tag: str, study: str = FIRST) -> str:
    return first_text((await record(house, study)).attributes, tag)


async def found_under(house: House, patient_id: str) -> set[str]:
    page = await house.catalogue.studies("default", ByPatient(patient_id))
    return {one.study_instance_uid for one in page.studies}


async def patients(house: House, studies: Iterable[str] = (FIRST, SECOND, THIRD)) -> list[str]:
    return [await text(house, PATIENT_ID, study) for study in studies]
