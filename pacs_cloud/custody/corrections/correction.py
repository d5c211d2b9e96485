"""A correction: what somebody wants shown otherwise, in one study or in many."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from pacs_cloud.catalogue.aggregate import disagreeing
from pacs_cloud.catalogue.amendments import amendment_fields, amendment_from_fields
from pacs_cloud.catalogue.records import Patient, StudyRecord
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.dicomjson import vr_of
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import Corrupt

_VERSION: Final = 1


class CorrectionKind(StrEnum):
    """What is corrected."""

    PATIENT_MERGE = "patient-merge"
    """All studies of a patient are another one's, those that come later too."""
    STUDY_MOVE = "study-move"
    """A study is another patient's."""
    CORRECT = "correct"
    """Attributes of a study, a series or an instance are others."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction, as it was ordered.

    Attributes:
        tenant: whose.
        kind: what it is.
        amendment: what it changes in each study, and over how much of it.
        emptied: tags that are shown empty, whatever a study has: of a patient that it is
            no more. All of them, since other corrections may hide what it has today.
        studies: Study Instance UIDs that it was ordered for.
        who: who ordered it.
        reason: why, in their words.
        source: the patient that is merged away.
        target: the patient that studies get.
    """

    tenant: str
    kind: CorrectionKind
    amendment: Amendment
    emptied: tuple[str, ...]
    studies: tuple[str, ...]
    who: str
    reason: str
    source: Patient | None = None
    target: Patient | None = None

    @property
    def correction_id(self) -> str:
        """A version 7 UUID, so that corrections sort by age."""
        return self.amendment.correction_id

    @property
    def corrected_us(self) -> int:
        """When it was ordered, microseconds since 1970 UTC."""
        return self.amendment.amended_us

    @property
    def elements(self) -> Elements:
        """What it shows in each of its studies."""
        return {tag: {"vr": vr_of(tag)} for tag in self.emptied} | self.amendment.elements

    def is_about(self, study: StudyRecord) -> bool:
        """Return whether `study` names the patient that it merges away, and nobody else."""
        return self.source in study.patients and not disagreeing(study.patients)

    def to_json(self) -> bytes:
        """Return the bytes of its object."""
        return orjson.dumps(
            {
                "version": _VERSION,
                "tenant": self.tenant,
                "kind": self.kind,
                "amendment": amendment_fields(self.amendment),
                "emptied": self.emptied,
                "studies": self.studies,
                "who": self.who,
                "reason": self.reason,
                "source": _patient_fields(self.source),
                "target": _patient_fields(self.target),
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> "Correction":
        """Return the correction that `to_json` wrote; raises Corrupt."""
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields["version"] != _VERSION:
                raise Corrupt("a correction is of a version that is not known here")
            return cls(
                tenant=str(fields["tenant"]),
                kind=CorrectionKind(fields["kind"]),
                amendment=amendment_from_fields(fields["amendment"]),
                emptied=tuple(map(str, fields["emptied"])),
                studies=tuple(map(str, fields["studies"])),
                who=str(fields["who"]),
                reason=str(fields["reason"]),
                source=_patient(fields["source"]),
                target=_patient(fields["target"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt("a correction cannot be read") from error


def _patient_fields(patient: Patient | None) -> list[str] | None:
    return None if patient is None else [patient.issuer, patient.patient_id]


def _patient(fields: Any) -> Patient | None:
    if fields is None:
        return None
    issuer, patient_id = fields
    return Patient(str(issuer), str(patient_id))
