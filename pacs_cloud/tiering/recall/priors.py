"""The other studies of a patient: what a reader of one study is likely to want next."""

from collections.abc import AsyncIterator
from typing import Final

from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.records import Patient, StudyRecord
from pacs_cloud.errors import NotFound

_PAGE: Final = 100
_NO_IMAGES: Final = frozenset({"SR", "PR", "KO", "DOC", "AU"})
"""Modalities (PS3.3 C.7.3.1.1.1) that studies of any other have beside it."""


async def priors(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    *,
    newest: int,
    same_modality: bool = False,
) -> list[StudyRecord]:
    """Return the newest other studies of a study's patient, the newest first.

    Args:
        catalogue: where they are.
        tenant: whose.
        study_instance_uid: the study that is to be read.
        newest: how many at most.
        same_modality: only those with a modality that the study has.

    Raises:
        NotFound: there is no such study, or it names no patient.
        Unavailable: the catalogue cannot be reached.
    """
    state = await catalogue.study(tenant, study_instance_uid)
    if state is None:
        raise NotFound("There is no such study.")
    patients = {patient for patient in state.study.patients if patient.patient_id}
    if not patients:
        raise NotFound("The study names no patient ID: nothing tells which others are theirs.")
    wanted = state.study.modalities - _NO_IMAGES
    found: dict[str, StudyRecord] = {}
    for patient in patients:
        left = newest
        async for study in _studies_of(catalogue, tenant, patient):
            uid = study.study_instance_uid
            if uid == study_instance_uid or (same_modality and not wanted & study.modalities):
                continue
            found[uid] = study
            left -= 1
            if left <= 0:
                break
    order = await catalogue.studies_by_uid(tenant, list(found))
    return list(order[:newest])


async def _studies_of(
    catalogue: Catalogue, tenant: str, patient: Patient
) -> AsyncIterator[StudyRecord]:
    """Yield a patient's studies, the newest first."""
    anchor = ByPatient(patient.patient_id, patient.issuer or None)
    after: str | None = None
    while True:
        page = await catalogue.studies(tenant, anchor, after=after, limit=_PAGE)
        for study in page.studies:
            if patient in study.patients:
                yield study
        after = page.cursor
        if after is None:
            return
