"""Corrections from what somebody asks for: checked, and with what they should know first."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import orjson

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.catalogue.aggregate import disagreeing
from pacs_cloud.catalogue.amendments import amendment_fields
from pacs_cloud.catalogue.elements import first_text, name_groups
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import Patient, StudyRecord, StudyState
from pacs_cloud.custody.corrections.correction import Correction, CorrectionKind
from pacs_cloud.custody.corrections.merges import StandingMerges, refuse_bounded
from pacs_cloud.custody.corrections.patients import attributes_of, patient_named
from pacs_cloud.dicom.amendment import Amendment, AmendmentReason
from pacs_cloud.dicom.attributes import PATIENT_TAGS, STUDY_TAGS
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.security.caller import Caller

MOST_AMENDMENTS: Final = 100
MOST_BYTES: Final = 64 << 10
"""Of one study's amendments: each of its records holds them."""
_PATIENT_ID, _ISSUER = "00100020", "00100021"
_NAME, _BIRTH_DATE, _SEX = "00100010", "00100030", "00100040"
_UNKNOWN: Final = (
    "No study names the target alone: only ID and issuer are put over, all else stays."
)


@dataclass(frozen=True, slots=True)
class Order:
    """A correction that can be made.

    Attributes:
        correction: what would be done.
        warnings: what whoever asks for it should know, in words without patient data.
    """

    correction: Correction
    warnings: tuple[str, ...] = ()


class Orders:
    """Makes corrections from what one person asks for at one moment."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        tenant: str,
        *,
        caller: Caller,
        who: str,
        reason: str,
        system: str,
        now_us: int,
    ) -> None:
        """Work on an archive.

        Args:
            objects: its store.
            catalogue: its catalogue.
            tenant: whose.
            caller: who asks, with what they may.
            who: their name in the ledger.
            reason: why, in their words.
            system: what amendments name as Modifying System.
            now_us: microseconds since 1970 UTC.

        Raises:
            InvalidRequest: there is no reason.
        """
        if not reason.strip():
            raise InvalidRequest("A correction needs a reason.")
        self._catalogue = catalogue
        self._tenant = tenant
        self._caller = caller
        self._who = who
        self._reason = reason.strip()
        self._system = system
        self._now_us = now_us
        self._merges = StandingMerges(objects, lambda: now_us)

    async def merge(
        self, source_id: str, target_id: str, *, issuer: str | None, target_issuer: str | None
    ) -> Order:
        """Return the merge of one patient into another.

        Args:
            source_id: the ID that is given up.
            target_id: the ID that stays.
            issuer: of the source's ID; None: whichever there is, if only one.
            target_issuer: of the target's ID; None: likewise, else the source's.

        Raises:
            Denied: they may correct some studies only.
            NotFound: no study names the source.
            InvalidRequest: both are one, an ID has several issuers, or the target was
                itself merged away.
        """
        refuse_bounded(self._caller)
        source, studies = await patient_named(self._catalogue, self._tenant, source_id, issuer)
        if not studies:
            raise NotFound("No study names the patient that is to be merged.")
        target, theirs = await self._target(target_id, target_issuer, source.issuer)
        if source == target:
            raise InvalidRequest("A patient cannot be merged into itself.")
        return self._order(CorrectionKind.PATIENT_MERGE, studies, target, theirs, source)

    async def move(self, study_instance_uid: str, patient_id: str, *, issuer: str | None) -> Order:
        """Return the move of a study to another patient.

        Raises:
            NotFound: there is no such study.
            InvalidRequest: it is that patient's already, or as `merge`.
        """
        state = await self._state(study_instance_uid)
        issuers = {one.issuer for one in state.study.patients}
        known = next(iter(issuers)) if len(issuers) == 1 else ""
        target, theirs = await self._target(patient_id, issuer, known)
        if state.study.patients == frozenset({target}):
            raise InvalidRequest("The study is this patient's already.")
        others = [one for one in theirs if one.study_instance_uid != study_instance_uid]
        return self._order(CorrectionKind.STUDY_MOVE, [state.study], target, others)

    async def correct(
        self, study_instance_uid: str, series: str, instance: str, elements: Elements
    ) -> Order:
        """Return the correction of attributes.

        Args:
            study_instance_uid: of which study.
            series: of which series of it; "" for all of it.
            instance: of which instance of that; "" for all of it.
            elements: what is shown instead (`dicom.amendable.given_element`).

        Raises:
            NotFound: there is nothing of it to be seen.
            InvalidRequest: no attribute is given, or an instance without its series.
        """
        if not elements:
            raise InvalidRequest("A correction says which attributes are others.")
        if instance and not series:
            raise InvalidRequest("An instance is named with its series.")
        state = await self._state(study_instance_uid)
        if series and all(one.series_instance_uid != series for one in state.series):
            packs = [one for one in state.packs if one.series_instance_uid == series]
            raise absence(packs)
        if instance:
            await self._refuse_unseen(state, series, instance)
        amendment = replace(
            self._amendment([state.study], elements, AmendmentReason.CORRECT),
            series_instance_uid=series,
            sop_instance_uid=instance,
        )
        warnings: list[str] = []
        if series and not elements.keys().isdisjoint(STUDY_TAGS):
            warnings.append("Attributes of the whole study are changed in a part of it only.")
        if not elements.keys().isdisjoint({_PATIENT_ID, _ISSUER}):
            warnings.append("The study will be found under another patient: see `study move`.")
        correction = self._correction(CorrectionKind.CORRECT, amendment, (), [state.study])
        return Order(correction, tuple(warnings))

    async def _state(self, study_instance_uid: str) -> StudyState:
        state = await self._catalogue.study(self._tenant, study_instance_uid)
        if state is None or not state.study.instance_count:
            raise absence(state.packs if state else ())
        return state

    async def _refuse_unseen(self, state: StudyState, series: str, instance: str) -> None:
        refs = (await self._catalogue.find_uids(self._tenant, [instance])).get(instance, ())
        ids = {ref.pack_id for ref in refs if ref.series_instance_uid == series}
        packs = [one for one in state.packs if one.pack_id in ids]
        if all(instance in one.hidden for one in packs):
            raise absence(packs, instance)

    async def _target(
        self, patient_id: str, issuer: str | None, known: str
    ) -> tuple[Patient, list[StudyRecord]]:
        """Return the patient that studies get, and those that are theirs already."""
        target, theirs = await patient_named(self._catalogue, self._tenant, patient_id, issuer)
        if not theirs and issuer is None:
            target = Patient(known, target.patient_id)
        for one in await self._merges.of(self._tenant):
            # Of a target that no study shows, nobody knows whether it has an issuer.
            is_one = not theirs and one.source and not disagreeing({one.source, target})
            if one.source == target or is_one:
                raise InvalidRequest(
                    "That patient was merged into another one: name that one, or undo the"
                    f" merge first ({one.correction_id})."
                )
        return target, theirs

    def _order(
        self,
        kind: CorrectionKind,
        studies: list[StudyRecord],
        target: Patient,
        theirs: list[StudyRecord],
        source: Patient | None = None,
    ) -> Order:
        """Return the correction that gives `studies` to `target`."""
        elements = attributes_of(target, theirs)
        is_known = any(one.patients == frozenset({target}) for one in theirs)
        # Of a patient whom nobody knows all else is left, but whose ID it is.
        own = PATIENT_TAGS if is_known else (_PATIENT_ID, _ISSUER)
        emptied = tuple(tag for tag in own if tag not in elements)
        reason = AmendmentReason.CORRECT if source is None else AmendmentReason.COERCE
        amendment = self._amendment(studies, elements, reason)
        warnings = _differences(studies, elements) if is_known else [_UNKNOWN]
        mixed = sum(disagreeing(study.patients) for study in studies)
        if mixed:
            warnings.append(
                f"{mixed} of the studies name two patients: all of each will be the target's."
            )
        correction = self._correction(kind, amendment, emptied, studies)
        return Order(replace(correction, source=source, target=target), tuple(warnings))

    def _amendment(
        self, studies: Iterable[StudyRecord], elements: Elements, reason: AmendmentReason
    ) -> Amendment:
        """Return what lies over all that stands over `studies`, whatever clock that has."""
        last_us = max((one.amended_us for study in studies for one in study.amendments), default=0)
        now_us = max(self._now_us, last_us + 1)
        return Amendment(
            correction_id=new_pack_id(now_us),
            elements=elements,
            amended_us=now_us,
            reason=reason,
            system=self._system,
        )

    def _correction(
        self,
        kind: CorrectionKind,
        amendment: Amendment,
        emptied: tuple[str, ...],
        studies: list[StudyRecord],
    ) -> Correction:
        for study in studies:
            refuse_too_many(study, amendment)
        return Correction(
            tenant=self._tenant,
            kind=kind,
            amendment=amendment,
            emptied=emptied,
            studies=tuple(study.study_instance_uid for study in studies),
            who=self._who,
            reason=self._reason,
        )


def refuse_too_many(study: StudyRecord, amendment: Amendment) -> None:
    """Return where a study has room for one more amendment; raises InvalidRequest."""
    every = [*study.amendments, amendment]
    if len(every) > MOST_AMENDMENTS:
        raise InvalidRequest(
            f"A study has {MOST_AMENDMENTS} corrections at most: undo some of its own first."
        )
    if sum(len(orjson.dumps(amendment_fields(one))) for one in every) > MOST_BYTES:
        raise InvalidRequest(
            f"The corrections of a study take {MOST_BYTES >> 10} KiB at most: undo some first."
        )


def _differences(studies: Iterable[StudyRecord], target: Elements) -> list[str]:
    """Return, in words, in what studies are not as their patient-to-be."""
    warnings: list[str] = []
    shown = [study.attributes for study in studies]
    if any(set(name_groups(one, _NAME)) - set(name_groups(target, _NAME)) for one in shown):
        warnings.append("The patients' names differ.")
    for tag, what in ((_BIRTH_DATE, "birth dates"), (_SEX, "sexes")):
        if {first_text(one, tag) for one in shown} - {"", first_text(target, tag)}:
            warnings.append(f"The patients' {what} differ.")
    return warnings
