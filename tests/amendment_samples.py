"""Amendments, and a way to have them stand over a study."""

from collections.abc import Sequence
from typing import Any

from pacs_cloud.catalogue.amending import Standing, change_amendments
from pacs_cloud.catalogue.amendment_entries import AmendmentEntry
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyState
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.elements import Element
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.tables import PackTables

AMENDED_US = 1_700_000_000_000_000


def name_of(text: str) -> Element:
    """Return a person's name, its groups divided by `=`."""
    groups = ("Alphabetic", "Ideographic", "Phonetic")
    return {"vr": "PN", "Value": [dict(zip(groups, text.split("="), strict=False))]}


def text_of(text: str, vr: str = "LO") -> Element:
    return {"vr": vr, "Value": [text]} if text else {"vr": vr}


def amendment(
    number: int = 1, elements: dict[str, Element] | None = None, **more: Any
) -> Amendment:
    """Return one that gives the patient another name and ID, unless told otherwise."""
    given = elements or {
        "00100010": name_of("Люксембург^Роза"),
        "00100020": text_of(f"NEW{number}"),
    }
    given_by: dict[str, Any] = {"system": "RIS", "source": "WARD", **more}
    return Amendment(f"correction-{number}", given, AMENDED_US + number, **given_by)


async def show(
    catalogue: Catalogue,
    objects: ObjectStore,
    amendments: Sequence[Amendment],
    study: str = "1.2.3.1",
    tenant: str = "default",
) -> None:
    """Have exactly these stand over a study."""

    async def plan(state: StudyState) -> Standing:
        del state
        return Standing(tuple(amendments))

    async def record(entry: AmendmentEntry) -> None:
        del entry

    await change_amendments(
        catalogue,
        tenant,
        study,
        plan,
        load_table=PackTables(catalogue, objects).table,
        record=record,
        now_us=AMENDED_US,
    )
