"""Everything that a study is found by, in one value, so that adapters index the same."""

from dataclasses import dataclass

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.names import NameTerms, name_terms
from pacs_cloud.catalogue.ordering import place_of
from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByName, ByPatient
from pacs_cloud.catalogue.records import Patient, StudyRecord

_ACCESSION_NUMBER = "00080050"


@dataclass(frozen=True, slots=True)
class SearchKeys:
    """What one study is found by.

    Attributes:
        place: where it stands (`ordering`).
        patients: with an ID, sorted; the first is the study's own where that has one.
        accession_number: "" where it has none.
        modalities: sorted.
        names: of its patient.
    """

    place: str
    patients: tuple[Patient, ...]
    accession_number: str
    modalities: tuple[str, ...]
    names: NameTerms

    def match(self, anchor: Anchor) -> bool:
        """Return whether a search from `anchor` finds the study."""
        match anchor:
            case ByPatient(patient_id, issuer):
                return any(
                    patient.patient_id == patient_id and issuer in {None, patient.issuer}
                    for patient in self.patients
                )
            case ByAccession(accession_number):
                return self.accession_number == accession_number
            case ByName():
                return self.names.match(anchor)
            case ByDate(first, last, modality):
                date = self.place[:8].strip()
                return (
                    (not (first or last) or (first <= date and bool(date)))
                    and (not last or date <= last)
                    and (not modality or modality in self.modalities)
                )


def search_keys(study: StudyRecord | None) -> SearchKeys | None:
    """Return what `study` is found by: nothing when there is nothing visible in it."""
    if study is None or not study.instance_count:
        return None
    return SearchKeys(
        place=place_of(study),
        patients=tuple(
            sorted(
                (patient for patient in study.patients if patient.patient_id),
                key=lambda patient: (patient.patient_id, patient.issuer),
            )
        ),
        accession_number=first_text(study.attributes, _ACCESSION_NUMBER),
        modalities=tuple(sorted(study.modalities)),
        names=name_terms(study.attributes),
    )


def stripped(anchor: Anchor) -> Anchor:
    """Return `anchor` without the blanks around its ID or number, as keys have none."""
    match anchor:
        case ByPatient(patient_id, issuer):
            return ByPatient(patient_id.strip(), issuer if issuer is None else issuer.strip())
        case ByAccession(accession_number):
            return ByAccession(accession_number.strip())
        case ByName() | ByDate():
            return anchor
