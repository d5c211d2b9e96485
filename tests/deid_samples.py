"""Instances that name their patient wherever one can be named."""

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
)

from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.option import checked_options
from pacs_cloud.dicom.deid.project import Project
from pacs_cloud.dicom.deid.result import Result
from pacs_cloud.dicom.deid.rules import parse_rules

PROJECT = Project("TRIAL", bytes(range(32)))
KNOWN_CLEAN = parse_rules("version = 1\n[[pixels]]\n")
"""Takes every image for one without text in it."""
ALL_OPTIONS = (
    *("clean-descriptors", "clean-structured-content", "clean-graphics", "clean-pixel-data"),
    *("retain-modified-dates", "retain-patient-characteristics", "retain-safe-private"),
)
STUDY, SERIES = "1.2.826.0.1.99.1", "1.2.826.0.1.99.1.1"


def made(data: bytes, *options: str, rules=KNOWN_CLEAN, project: Project = PROJECT) -> Result:
    """Return what becomes of a file."""
    return Deidentifier(project, checked_options(options), rules).file(data)


def output(data: bytes, *options: str, rules=KNOWN_CLEAN, project: Project = PROJECT) -> bytes:
    """Return the file that is given out."""
    result = made(data, *options, rules=rules, project=project)
    assert result.withheld is None, result.withheld
    return b"".join(result.parts())


def patient(sop_class: str = CTImageStorage, sop: str = f"{SERIES}.1") -> Dataset:
    """Return a data set of somebody, without pixels."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = sop
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = SERIES
    ds.FrameOfReferenceUID = f"{STUDY}.7"
    ds.StudyDate = "20240102"
    ds.StudyTime = "101500"
    ds.AccessionNumber = "ACC778899"
    ds.Modality = "CT"
    ds.InstitutionName = "Sankt Gallus Spital"
    ds.InstitutionAddress = "Rosenweg 12, Trogen"
    ds.ReferringPhysicianName = "Zellweger^Ruth"
    ds.PatientName = "Müller-Lüdenscheidt^Jean-Luc"
    ds.PatientID = "PAT-445566"
    ds.PatientBirthDate = "19540317"
    ds.PatientSex = "M"
    ds.PatientTelephoneNumbers = "+41 71 555 12 34"
    ds.StudyID = "ST4711"
    ds.SeriesNumber = 1
    ds.InstanceNumber = 1
    return ds


def with_pixels(ds: Dataset, rows: int = 8) -> Dataset:
    """Return `ds` with a native image."""
    ds.Rows = ds.Columns = rows
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    ds.PixelData = bytes(number % 251 for number in range(rows * rows * 2))
    ds["PixelData"].VR = "OW"
    return ds


def part10(
    ds: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bytes = bytes(128)
) -> bytes:
    """Return a Part 10 file of `ds`."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = syntax
    ds.preamble = preamble
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """Return a code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def report() -> Dataset:
    """Return a structured report about the patient, in words, by name and by reference."""
    ds = patient(ComprehensiveSRStorage, f"{SERIES}.2")
    ds.Modality = "SR"
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = [code("126000", "Imaging Measurement Report")]
    ds.ContinuityOfContent = "SEPARATE"
    ds.ContentSequence = [
        _content(
            "TEXT",
            code("121071", "Finding"),
            TextValue=(
                "Mr. Jean-Luc MULLER-LUDENSCHEIDT (born 17.03.1954, PAT-445566) was seen on "
                "2024-01-02 by Dr. Zellweger; call +41 71 555 12 34. Nodule of 7 mm."
            ),
        ),
        _content("PNAME", code("121008", "Person Observer Name"), PersonName="Zellweger^Ruth"),
        _content("TEXT", code("121030", "Subject ID"), TextValue="PAT-445566"),
        _content("DATE", code("111060", "Study Date"), Date="20240102"),
        _content("UIDREF", code("112227", "Frame of Reference UID"), UID=f"{STUDY}.7"),
        _image(f"{SERIES}.1"),
    ]
    return ds


def _content(kind: str, concept: Dataset, **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = kind
    item.ConceptNameCodeSequence = [concept]
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _image(sop: str) -> Dataset:
    item = _content("IMAGE", code("121080", "Best illustration of finding"))
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = sop
    item.ReferencedSOPSequence = [reference]
    return item


def presentation_state() -> Dataset:
    """Return a presentation state that writes the patient's name over an image."""
    ds = patient(GrayscaleSoftcopyPresentationStateStorage, f"{SERIES}.3")
    ds.Modality = "PR"
    ds.ContentLabel = "LABEL"
    ds.ContentCreatorName = "Zellweger^Ruth"
    reference = Dataset()
    reference.ReferencedSOPClassUID = CTImageStorage
    reference.ReferencedSOPInstanceUID = f"{SERIES}.1"
    series = Dataset()
    series.SeriesInstanceUID = SERIES
    series.ReferencedImageSequence = [reference]
    ds.ReferencedSeriesSequence = [series]
    text = Dataset()
    text.UnformattedTextValue = "J.-L. Müller-Lüdenscheidt, left kidney"
    text.AnchorPoint = [1.0, 1.0]
    text.AnchorPointVisibility = "N"
    text.AnchorPointAnnotationUnits = "PIXEL"
    annotation = Dataset()
    annotation.GraphicLayer = "ONE"
    annotation.ReferencedImageSequence = [reference]
    annotation.TextObjectSequence = [text]
    ds.GraphicAnnotationSequence = [annotation]
    return ds
