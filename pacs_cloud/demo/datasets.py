"""Data sets of the made-up hospital: what all of them say, and how they become files."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from pacs_cloud.demo.patients import Patient
from pacs_cloud.dicom.part10 import IMPLEMENTATION_CLASS_UID

NOT_REAL: Final = "NOT A REAL PATIENT: made by pacs-cloud demo"
HOSPITAL: Final = "Demo Hospital (not real)"


@dataclass(frozen=True, slots=True)
class Visit:
    """One study of a patient.

    Attributes:
        patient: whose.
        uid: its Study Instance UID; those of its series and instances begin with it.
        date: YYYYMMDD.
        time: HHMMSS.
        accession: its number at the radiology department.
        description: what was done.
        referring: who asked for it.
    """

    patient: Patient
    uid: str
    date: str
    time: str
    accession: str
    description: str
    referring: str


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a visit; `number` tells it from its sisters."""

    visit: Visit
    number: int
    modality: str
    sop_class_uid: str
    description: str
    station: str
    body_part: str = ""

    @property
    def uid(self) -> str:
        """Its Series Instance UID."""
        return f"{self.visit.uid}.{self.number}"

    def dataset(self, number: int, **elements: Any) -> Dataset:
        """Return the data set of its instance `number`, with `elements` by keyword."""
        visit, patient = self.visit, self.visit.patient
        said: Mapping[str, Any] = {
            "SyntheticData": "YES",
            "SpecificCharacterSet": list(patient.charset),
            "InstanceCreationDate": visit.date,
            "SOPClassUID": self.sop_class_uid,
            "SOPInstanceUID": f"{self.uid}.{number}",
            "StudyDate": visit.date,
            "SeriesDate": visit.date,
            "ContentDate": visit.date,
            "StudyTime": visit.time,
            "SeriesTime": visit.time,
            "ContentTime": visit.time,
            "AccessionNumber": visit.accession,
            "Modality": self.modality,
            "Manufacturer": "pacs-cloud demo",
            "InstitutionName": HOSPITAL,
            "ReferringPhysicianName": visit.referring,
            "StationName": self.station,
            "StudyDescription": visit.description,
            "SeriesDescription": self.description,
            "PatientName": patient.name,
            "PatientID": patient.patient_id,
            "IssuerOfPatientID": "DEMO",
            "PatientBirthDate": patient.born,
            "PatientSex": patient.sex,
            "PatientComments": NOT_REAL,
            "StudyInstanceUID": visit.uid,
            "SeriesInstanceUID": self.uid,
            "StudyID": visit.accession[-6:],
            "SeriesNumber": self.number,
            "InstanceNumber": number,
            **({"BodyPartExamined": self.body_part} if self.body_part else {}),
            **elements,
        }
        made = Dataset()
        for keyword, value in said.items():
            setattr(made, keyword, value)
        return made


def study_uid(seed: int, *names: object) -> str:
    """Return the UID that these names always have (PS3.5 B.2: from 128 bits, below 2.25)."""
    text = "/".join(map(str, ("pacs-cloud demo", seed, *names)))
    return f"2.25.{int.from_bytes(blake2b(text.encode(), digest_size=16).digest())}"


def with_pixels(made: Dataset, pixels: NDArray[Any], *, bits: int) -> Dataset:
    """Give a data set grey pixels, of one frame or many; return it."""
    frames, (rows, columns) = pixels.shape[:-2], pixels.shape[-2:]
    signed = pixels.dtype.kind == "i"
    made.ImageComments = NOT_REAL
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    if frames:
        made.NumberOfFrames = frames[0]
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelRepresentation = int(signed)
    made.BurnedInAnnotation = "NO"
    made.LossyImageCompression = "00"
    made.PixelData = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"))).tobytes()
    made["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return made


def file_of(made: Dataset) -> bytes:
    """Return a data set as a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    made.file_meta = meta
    file = BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()
