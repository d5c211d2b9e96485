"""Patients as the studies of an archive name them."""

from collections.abc import Iterable
from typing import Final

from pacs_cloud.catalogue.elements import has_value
from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.records import Patient, StudyRecord
from pacs_cloud.dicom.amendable import given_element, is_writable
from pacs_cloud.dicom.attributes import PATIENT_TAGS
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import InvalidRequest

MOST_STUDIES: Final = 10_000
"""Of one patient: who has more is no patient, but a number that stands for none."""


async def studies_of(catalogue: Catalogue, tenant: str, patient: Patient) -> list[StudyRecord]:
    """Return the studies that show exactly `patient`, of many patients too, newest first.

    Raises:
        InvalidRequest: there are more than `MOST_STUDIES`.
        Unavailable: the catalogue cannot be reached.
    """
    found = await _found(catalogue, tenant, ByPatient(patient.patient_id, patient.issuer))
    return [study for study in found if patient in study.patients]


async def patient_named(
    catalogue: Catalogue, tenant: str, patient_id: str, issuer: str | None
) -> tuple[Patient, list[StudyRecord]]:
    """Return the patient with an ID, and the studies that show them: none where unknown.

    Args:
        catalogue: where to look.
        tenant: whose.
        patient_id: exactly as studies have it.
        issuer: of the ID; None: whichever there is, if there is only one.

    Raises:
        InvalidRequest: the ID is empty, or several issuers have one.
        Unavailable: the catalogue cannot be reached.
    """
    patient_id = patient_id.strip()
    if not patient_id:
        raise InvalidRequest("A patient has an ID.")
    found = await _found(catalogue, tenant, ByPatient(patient_id, issuer))
    patients = {
        patient
        for study in found
        for patient in study.patients
        if patient.patient_id == patient_id and issuer in {None, patient.issuer}
    }
    if len(patients) > 1:
        issuers = ", ".join(sorted(repr(patient.issuer) for patient in patients))
        raise InvalidRequest(f"Several issuers have such an ID: say which of {issuers}.")
    patient = next(iter(patients), Patient(issuer or "", patient_id))
    return patient, [study for study in found if patient in study.patients]


async def _found(catalogue: Catalogue, tenant: str, anchor: ByPatient) -> list[StudyRecord]:
    found: list[StudyRecord] = []
    after: str | None = None
    while True:
        page = await catalogue.studies(tenant, anchor, after=after, limit=1000)
        found += page.studies
        if len(found) > MOST_STUDIES:
            raise InvalidRequest(f"This patient has more than {MOST_STUDIES} studies.")
        if page.cursor is None:
            return found
        after = page.cursor


def attributes_of(patient: Patient, studies: Iterable[StudyRecord]) -> Elements:
    """Return the attributes of a patient, as the first of `studies` that is all theirs has them.

    What devices wrote so that it cannot be written again is left out. Without such a study
    only what names them: ID, and issuer; raises InvalidRequest where these are none.
    """
    for study in studies:
        if study.patients == frozenset({patient}):
            shown = study.attributes
            return {
                tag: shown[tag]
                for tag in PATIENT_TAGS
                if has_value(shown.get(tag)) and is_writable(tag, shown[tag])
            }
    named = {"PatientID": patient.patient_id, "IssuerOfPatientID": patient.issuer}
    return dict(given_element(keyword, text) for keyword, text in named.items() if text)
