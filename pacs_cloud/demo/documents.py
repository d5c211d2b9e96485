"""The made-up hospital's documents: a report, a letter, and which images matter."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
)

from pacs_cloud.demo.datasets import HOSPITAL, NOT_REAL, Series, Visit


def report(visit: Visit, about: Sequence[Dataset], findings: str, impression: str) -> Dataset:
    """Return a finished report on images of the same visit, as Basic Text SR."""
    series = Series(visit, 90, "SR", BasicTextSRStorage, "Report", "REPORTS")
    return series.dataset(
        1,
        **_document(visit, about),
        CompletionFlag="COMPLETE",
        VerificationFlag="VERIFIED",
        VerifyingObserverSequence=DicomSequence([_observer(visit)]),
        ConceptNameCodeSequence=_coded("18748-4", "LN", "Diagnostic imaging report"),
        ContentSequence=DicomSequence(
            [
                _text("121071", "Finding", findings),
                _text("121073", "Impression", impression),
                _text("121106", "Comment", NOT_REAL),
            ]
        ),
    )


def key_images(visit: Visit, about: Sequence[Dataset]) -> Dataset:
    """Return which images of the same visit matter, as a key object selection."""
    series = Series(visit, 91, "KO", KeyObjectSelectionDocumentStorage, "Key images", "REPORTS")
    images = DicomSequence()
    for one in about:
        image = Dataset()
        image.RelationshipType = "CONTAINS"
        image.ValueType = "IMAGE"
        image.ReferencedSOPSequence = DicomSequence([_reference(one)])
        images.append(image)
    return series.dataset(
        1,
        **_document(visit, about),
        ConceptNameCodeSequence=_coded("113000", "DCM", "Of Interest"),
        ContentTemplateSequence=_template("2010"),
        ContentSequence=images,
    )


def letter(visit: Visit, lines: Sequence[str]) -> Dataset:
    """Return a letter as an encapsulated PDF of one page."""
    series = Series(visit, 92, "DOC", EncapsulatedPDFStorage, "Letter", "REPORTS")
    page = pdf([HOSPITAL, visit.patient.patient_id, *lines, "", NOT_REAL])
    return series.dataset(
        1,
        ConversionType="WSD",
        BurnedInAnnotation="YES",
        DocumentTitle="Letter",
        ConceptNameCodeSequence=DicomSequence(),
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=page + b"\0" * (len(page) % 2),
        EncapsulatedDocumentLength=len(page),
    )


def pdf(lines: Sequence[str]) -> bytes:
    """Return a page of text (ISO 32000-1 7.5); the lines are ASCII."""
    escaped = [one.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for one in lines]
    shown = "BT /F 12 Tf 60 780 Td 18 TL " + " ".join(f"({one}) Tj T*" for one in escaped) + " ET"
    page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources 6 0 R>>"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
        f"<</Length {len(shown)}>>stream\n{shown}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        "<</Font<</F 5 0 R>>>>",
    ]
    made, offsets = "%PDF-1.4\n", list[int]()
    for number, one in enumerate(objects, 1):
        offsets.append(len(made))
        made += f"{number} 0 obj{one}endobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    count = len(objects) + 1
    made += (
        f"xref\n0 {count}\n0000000000 65535 f \n{table}"
        f"trailer<</Size {count}/Root 1 0 R>>\nstartxref\n{len(made)}\n%%EOF\n"
    )
    return made.encode("ascii")


def _document(visit: Visit, about: Sequence[Dataset]) -> dict[str, object]:
    """Return what both kinds of SR documents say."""
    by_series: dict[str, list[Dataset]] = {}
    for one in about:
        by_series.setdefault(str(one.SeriesInstanceUID), []).append(one)
    study = Dataset()
    study.StudyInstanceUID = visit.uid
    study.ReferencedSeriesSequence = DicomSequence()
    for uid, instances in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = DicomSequence([_reference(one) for one in instances])
        study.ReferencedSeriesSequence.append(series)
    return {
        "ReferencedPerformedProcedureStepSequence": DicomSequence(),
        "PerformedProcedureCodeSequence": DicomSequence(),
        "ReferencedRequestSequence": DicomSequence(),
        "CurrentRequestedProcedureEvidenceSequence": DicomSequence([study]),
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
    }


def _reference(instance: Dataset) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = instance.SOPClassUID
    made.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return made


def _observer(visit: Visit) -> Dataset:
    made = Dataset()
    made.VerifyingOrganization = HOSPITAL
    made.VerificationDateTime = visit.date + visit.time
    made.VerifyingObserverName = "Radiologist^Demo"
    made.VerifyingObserverIdentificationCodeSequence = DicomSequence()
    return made


def _text(code: str, meaning: str, text: str) -> Dataset:
    made = Dataset()
    made.RelationshipType = "CONTAINS"
    made.ValueType = "TEXT"
    made.ConceptNameCodeSequence = _coded(code, "DCM", meaning)
    made.TextValue = text
    return made


def _template(identifier: str) -> DicomSequence:
    made = Dataset()
    made.MappingResource, made.TemplateIdentifier = "DCMR", identifier
    return DicomSequence([made])


def _coded(value: str, scheme: str, meaning: str) -> DicomSequence:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return DicomSequence([made])
