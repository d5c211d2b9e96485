"""The other studies of a patient: what a reader of one study is likely to want next."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.records import Patient, SeriesRecord, StudyRecord
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import NotFound
from pacs_cloud.tiering.planning import facts_of
from pacs_cloud.tiering.policy import Clock, is_like

_PAGE: Final = 100
MOST_LOOKED_AT: Final = 1000
"""Of one patient's studies, the newest: an ID may stand for everybody who has none."""
_NO_IMAGES: Final = frozenset({"SR", "PR", "KO", "DOC", "AU"})
"""Modalities (PS3.3 C.7.3.1.1.1) that studies of any other have beside it."""
_BODY_PART: Final = "00180015"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A study that came in or is to be made, as far as its priors depend on it.

    Attributes:
        tenant: whose.
        patients: it names; without an ID there is none.
        modalities: in it, without those of reports and the like.
        body_parts: in it, upper case; none where it does not say.
        description: Study Description, or what was requested; "" for none.
        institution: Institution Name, "" for none.
        study_instance_uid: which, "" where there is none yet.
    """

    tenant: str
    patients: frozenset[Patient]
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    description: str = ""
    institution: str = ""
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class PriorsWanted:
    """Which priors; an empty field asks nothing.

    Attributes:
        newest: how many at most, of those that match.
        modalities: it has one of these.
        body_parts: Body Part Examined (0018,0015) of one of its series is one of these, in
            upper case.
        descriptions: Study Description is like one of these: `*`, `?`, any case.
        same_modality: it has one that the newcomer has, or is to have.
        same_body_part: likewise; of a newcomer that names none any will do.
        max_age_days: it is no older, by Study Date.
    """

    newest: int
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    descriptions: tuple[str, ...] = ()
    same_modality: bool = False
    same_body_part: bool = False
    max_age_days: int | None = None


async def newcomer_of(catalogue: Catalogue, tenant: str, study_instance_uid: str) -> Newcomer:
    """Return a study as one that has come in.

    Raises:
        NotFound: there is no such study, or it names no patient.
        Unavailable: the catalogue cannot be reached.
    """
    state = await catalogue.study(tenant, study_instance_uid)
    if state is None or not state.study.instance_count:
        raise NotFound("There is no such study.")
    facts = facts_of(state.study, 0, None)
    patients = frozenset(patient for patient in state.study.patients if patient.patient_id)
    if not patients:
        raise NotFound("The study names no patient ID: nothing tells which others are theirs.")
    return Newcomer(
        tenant,
        patients,
        state.study.modalities - _NO_IMAGES,
        body_parts_of(state.series),
        facts.description,
        facts.institution,
        study_instance_uid,
    )


async def priors(
    catalogue: Catalogue, newcomer: Newcomer, wanted: PriorsWanted, *, now_us: int
) -> list[StudyRecord]:
    """Return the newest other studies of a newcomer's patient, the newest first.

    The patient is the same where ID and issuer are.

    Raises:
        Unavailable: the catalogue cannot be reached.
    """
    found: dict[str, StudyRecord] = {}
    for patient in newcomer.patients:
        left = wanted.newest
        async for study in _studies_of(catalogue, newcomer.tenant, patient):
            uid = study.study_instance_uid
            if uid == newcomer.study_instance_uid or not await _is_wanted(
                catalogue, study, newcomer, wanted, now_us
            ):
                continue
            found[uid] = study
            left -= 1
            if left <= 0:
                break
    order = await catalogue.studies_by_uid(newcomer.tenant, list(found))
    return list(order[: wanted.newest])


def body_parts_of(series: Iterable[SeriesRecord]) -> frozenset[str]:
    """Return the body parts that series name, upper case."""
    named = (body_part_of(one.attributes) for one in series)
    return frozenset(one for one in named if one)


def body_part_of(elements: Elements) -> str:
    """Return Body Part Examined as it is compared, "" where there is none."""
    return first_text(elements, _BODY_PART).upper()


async def _is_wanted(
    catalogue: Catalogue,
    study: StudyRecord,
    newcomer: Newcomer,
    wanted: PriorsWanted,
    now_us: int,
) -> bool:
    facts = facts_of(study, now_us, None)
    if wanted.max_age_days is not None and facts.ages[Clock.STUDY] > wanted.max_age_days:
        return False
    if wanted.modalities and not wanted.modalities & study.modalities:
        return False
    if wanted.same_modality and not newcomer.modalities & study.modalities:
        return False
    if not is_like(facts.description, wanted.descriptions):
        return False
    allowed = [wanted.body_parts] if wanted.body_parts else []
    if wanted.same_body_part and newcomer.body_parts:
        allowed.append(newcomer.body_parts)
    if not allowed:
        return True
    # Of series, which are read last: most questions are answered by the study.
    named = body_parts_of(await catalogue.series(study.tenant, study.study_instance_uid))
    return all(named & parts for parts in allowed)


async def _studies_of(
    catalogue: Catalogue, tenant: str, patient: Patient
) -> AsyncIterator[StudyRecord]:
    """Yield a patient's studies, the newest first, of so many as are looked at."""
    anchor = ByPatient(patient.patient_id, patient.issuer or None)
    after: str | None = None
    for first in range(0, MOST_LOOKED_AT, _PAGE):
        limit = min(_PAGE, MOST_LOOKED_AT - first)
        page = await catalogue.studies(tenant, anchor, after=after, limit=limit)
        for study in page.studies:
            if patient in study.patients:
                yield study
        after = page.cursor
        if after is None:
            return
