"""What a DICOMDIR says of an instance: its record's type and keys (PS3.3 F.3.2.2, F.5)."""

from typing import Final

from pydicom import uid

from pacs_cloud.dicom.dicomjson import tag_of
from pacs_cloud.dicom.elements import Element, Elements

_OF_CLASS: Final[dict[str, str]] = {
    uid.RTDoseStorage: "RT DOSE",
    uid.RTStructureSetStorage: "RT STRUCTURE SET",
    uid.RTPlanStorage: "RT PLAN",
    uid.RTIonPlanStorage: "RT PLAN",
    uid.RTBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTBrachyTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTTreatmentSummaryRecordStorage: "RT TREAT RECORD",
    uid.RTIonBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.BasicStructuredDisplayStorage: "PRESENTATION",
    uid.KeyObjectSelectionDocumentStorage: "KEY OBJECT DOC",
    uid.MRSpectroscopyStorage: "SPECTROSCOPY",
    uid.RawDataStorage: "RAW DATA",
    uid.SpatialRegistrationStorage: "REGISTRATION",
    uid.DeformableSpatialRegistrationStorage: "REGISTRATION",
    uid.SpatialFiducialsStorage: "FIDUCIAL",
    uid.EncapsulatedPDFStorage: "ENCAP DOC",
    uid.EncapsulatedCDAStorage: "ENCAP DOC",
    uid.EncapsulatedSTLStorage: "ENCAP DOC",
    uid.EncapsulatedOBJStorage: "ENCAP DOC",
    uid.EncapsulatedMTLStorage: "ENCAP DOC",
    uid.RealWorldValueMappingStorage: "VALUE MAP",
    uid.StereometricRelationshipStorage: "STEREOMETRIC",
    uid.LensometryMeasurementsStorage: "MEASUREMENT",
    uid.AutorefractionMeasurementsStorage: "MEASUREMENT",
    uid.KeratometryMeasurementsStorage: "MEASUREMENT",
    uid.SubjectiveRefractionMeasurementsStorage: "MEASUREMENT",
    uid.VisualAcuityMeasurementsStorage: "MEASUREMENT",
    uid.OphthalmicAxialMeasurementsStorage: "MEASUREMENT",
    uid.OphthalmicVisualFieldStaticPerimetryMeasurementsStorage: "MEASUREMENT",
    uid.SurfaceSegmentationStorage: "SURFACE",
    uid.SurfaceScanMeshStorage: "SURFACE SCAN",
    uid.SurfaceScanPointCloudStorage: "SURFACE SCAN",
    uid.TractographyResultsStorage: "TRACT",
    uid.ContentAssessmentResultsStorage: "ASSESSMENT",
}

_OF_FAMILY: Final = (
    # The families of PS3.4 B.5 whose members all have one record type.
    ("1.2.840.10008.5.1.4.1.1.11.", "PRESENTATION"),
    ("1.2.840.10008.5.1.4.1.1.9.", "WAVEFORM"),
    ("1.2.840.10008.5.1.4.1.1.88.", "SR DOCUMENT"),
)

INSTANCE_NUMBER: Final = tag_of("InstanceNumber")
CONTENT_SEQUENCE: Final = tag_of("ContentSequence")
_RELATIONSHIP: Final = tag_of("RelationshipType")
_CONTENT_TIME = ("InstanceNumber", "ContentDate", "ContentTime")
_CONTENT_NAME = (*_CONTENT_TIME, "ContentLabel", "ContentDescription", "ContentCreatorName")


def _tags(*keywords: str) -> tuple[str, ...]:
    return tuple(tag_of(keyword) for keyword in keywords)


# Of every key: whether a record has it even where the instance does not (types 1 and 2),
# or only with the instance (types 1C and 3).
ALWAYS: Final[dict[str, tuple[str, ...]]] = {
    "PATIENT": _tags("PatientName", "PatientID"),
    "STUDY": _tags(
        "StudyDate",
        "StudyTime",
        "StudyDescription",
        "StudyInstanceUID",
        "StudyID",
        "AccessionNumber",
    ),
    "SERIES": _tags("Modality", "SeriesInstanceUID", "SeriesNumber"),
    "IMAGE": _tags("InstanceNumber"),
    "RT DOSE": _tags("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": _tags(
        "InstanceNumber", "StructureSetLabel", "StructureSetDate", "StructureSetTime"
    ),
    "RT PLAN": _tags("InstanceNumber", "RTPlanLabel", "RTPlanDate", "RTPlanTime"),
    "RT TREAT RECORD": _tags("InstanceNumber", "TreatmentDate", "TreatmentTime"),
    "PRESENTATION": _tags(
        "PresentationCreationDate",
        "PresentationCreationTime",
        "InstanceNumber",
        "ContentLabel",
        "ContentDescription",
        "ContentCreatorName",
    ),
    "WAVEFORM": _tags(*_CONTENT_TIME),
    "SR DOCUMENT": _tags(
        *_CONTENT_TIME, "CompletionFlag", "VerificationFlag", "ConceptNameCodeSequence"
    ),
    "KEY OBJECT DOC": _tags(*_CONTENT_TIME, "ConceptNameCodeSequence"),
    "SPECTROSCOPY": _tags(
        *_CONTENT_TIME,
        "ImageType",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "DataPointRows",
        "DataPointColumns",
    ),
    "RAW DATA": _tags(*_CONTENT_TIME),
    "REGISTRATION": _tags(*_CONTENT_NAME),
    "FIDUCIAL": _tags(*_CONTENT_NAME),
    "ENCAP DOC": _tags(
        *_CONTENT_TIME,
        "DocumentTitle",
        "ConceptNameCodeSequence",
        "MIMETypeOfEncapsulatedDocument",
    ),
    "VALUE MAP": _tags(*_CONTENT_NAME),
    "STEREOMETRIC": (),
    "MEASUREMENT": _tags(*_CONTENT_NAME),
    "SURFACE": _tags(*_CONTENT_NAME),
    "SURFACE SCAN": _tags("ContentDate", "ContentTime"),
    "TRACT": _tags(*_CONTENT_NAME),
    "ASSESSMENT": _tags("InstanceNumber", "InstanceCreationDate", "InstanceCreationTime"),
}
WHERE_THERE: Final[dict[str, tuple[str, ...]]] = {
    "PATIENT": _tags("PatientBirthDate", "PatientSex"),
    "SERIES": _tags("SeriesDate", "SeriesTime", "SeriesDescription", "InstitutionName"),
    "IMAGE": _tags("ImageType", "Rows", "Columns", "NumberOfFrames"),
    "PRESENTATION": _tags("ReferencedSeriesSequence", "BlendingSequence"),
    "SR DOCUMENT": _tags("VerificationDateTime", "ContentSequence"),
    "KEY OBJECT DOC": _tags("ContentSequence"),
    "SPECTROSCOPY": _tags("ReferencedImageEvidenceSequence"),
    "ENCAP DOC": _tags("HL7InstanceIdentifier"),
}


def record_type(sop_class_uid: str) -> str:
    """Return the Directory Record Type of an instance; what no table names is an IMAGE."""
    known = _OF_CLASS.get(sop_class_uid)
    if known is not None:
        return known
    return next((name for family, name in _OF_FAMILY if sop_class_uid.startswith(family)), "IMAGE")


def keys_of(record: str, header: Elements, vrs: dict[str, str]) -> Elements:
    """Return the keys that a record has.

    Args:
        record: its type.
        header: the instance's.
        vrs: the VR of each key, for those that the header lacks.
    """
    keys: Elements = {tag: _without_bulk(header.get(tag), vrs[tag]) for tag in ALWAYS[record]}
    for tag in WHERE_THERE.get(record, ()):
        element = header.get(tag, {})
        if tag == CONTENT_SEQUENCE:
            element = _modifiers(element)
        if element.get("Value"):
            keys[tag] = element
    return keys


def _without_bulk(element: Element | None, vr: str) -> Element:
    if element is None or "BulkDataURI" in element:
        return {"vr": vr}
    return element


def _modifiers(element: Element) -> Element:
    """Return of a document's content only what its title has as modifiers (F.5.24, F.5.25)."""
    items = [
        item
        for item in element.get("Value", ())
        if item and item.get(_RELATIONSHIP, {}).get("Value") == ["HAS CONCEPT MOD"]
    ]
    return {"vr": "SQ", "Value": items} if items else {}
