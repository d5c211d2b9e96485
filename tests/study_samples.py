"""A small hospital: made-up studies of many patients, and names in many writings."""

from collections.abc import Iterator
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom import FileDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID, EncapsulatedPDFStorage

from dicomweb_samples import make_instance

ROOT: Final = "1.2.826.0.1.3680043.9.7433.9"
FAMILIES: Final = ("Smith", "Schmidt", "Garcia", "Müller", "O'Brien", "Nguyen", "Rossi", "Yılmaz")
GIVEN: Final = ("Anna", "John", "Maria^Elena", "Peter", "Aisha", "Tom")
WHAT: Final = (
    ("CT", "CT Chest without contrast"),
    ("MR", "MRI Brain"),
    ("CR", "Thorax p.a."),
    ("US", "Abdomen ultrasound"),
)
TODAY: Final = date(2026, 11, 30)
PICTURE: Final = b"".join(
    (((x * y * 7) % 4096) if (x - 32) ** 2 + (y - 32) ** 2 < 900 else 0).to_bytes(2, "little")
    for y in range(64)
    for x in range(64)
)
_CHARSETS: Final = Path(pydicom.__file__).parent / "data" / "charset_files"

_TWICE: Final = {"chrFrenMulti", "chrJapMultiExplicitIR6", "chrSQEncoding", "chrSQEncoding1"}
"""Of the same UID as another one, or without one."""


def study_uid(number: int) -> str:
    return f"{ROOT}.{number}"


def made(count: int, *, first: int = 1) -> Iterator[bytes]:
    """Yield one instance of each of so many studies, the newest first; each patient has three."""
    for number in range(first, first + count):
        patient = number // 3
        family = FAMILIES[patient % len(FAMILIES)]
        given = GIVEN[patient // len(FAMILIES) % len(GIVEN)]
        modality, description = WHAT[number % len(WHAT)]
        day = TODAY - timedelta(days=number * 2)
        yield make_instance(
            f"{study_uid(number)}.1.1",
            study=study_uid(number),
            series=f"{study_uid(number)}.1",
            rows=64,
            pixels=PICTURE,
            PatientName=f"{family}^{given}",
            PatientID=f"P{patient:05}",
            PatientBirthDate=f"{1940 + patient % 80}0615",
            PatientSex="FMO"[patient % 3],
            StudyDate=f"{day:%Y%m%d}",
            StudyTime=f"{8 + number % 10:02}{number % 60:02}00",
            AccessionNumber=f"A{70000 + number}",
            StudyDescription=description,
            SeriesDescription="Axial",
            SeriesNumber=1,
            Modality=modality,
            InstitutionName="St. Elsewhere",
            ReferringPhysicianName="House^Gregory",
            WindowCenter="2000",
            WindowWidth="4000",
        )


def written_names() -> Iterator[bytes]:
    """Yield studies of patients whose names are Arabic, Hebrew, Japanese, Korean, Chinese, …"""
    for path in sorted(_CHARSETS.glob("chr*.dcm")):
        if path.stem not in _TWICE:
            yield path.read_bytes()


def documents(number: int = 1) -> Iterator[bytes]:
    """Yield a report, and a PDF, of a made study."""
    study = study_uid(number)
    report = dcmread(str(get_testdata_file("test-SR.dcm")))
    dataset = _without_pixels(number, f"{study}.8", report.SOPClassUID, "SR")
    for element in report:
        if element.tag not in dataset and element.tag.group in {0x0008, 0x0040}:
            dataset.add(element)
    yield _bytes(dataset)
    dataset = _without_pixels(number, f"{study}.9", EncapsulatedPDFStorage, "DOC")
    dataset.DocumentTitle = "Referral letter"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
    yield _bytes(dataset)


def _without_pixels(number: int, series: str, sop_class: str, modality: str) -> FileDataset:
    dataset = dcmread(BytesIO(next(made(1, first=number))))
    del dataset.PixelData, dataset.Rows, dataset.Columns
    uid = UID(f"{series}.1")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.SeriesInstanceUID, dataset.Modality = series, modality
    return dataset


def _bytes(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
