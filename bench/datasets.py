"""Synthetic, seeded instances: explicit VR little endian Part 10 files that look like real ones."""

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

config.settings.writing_validation_mode = config.IGNORE

ROOT = "1.2.826.0.1.3680043.8.498."
FAMILIES = (
    "SMITH JONES GARCIA MUELLER ROSSI DUBOIS IVANOV TANAKA SILVA KOWALSKI "
    "NIELSEN ADAMS BAKER CLARK DAVIS EVANS FISHER GREEN HALL INGRAM"
).split()
GIVEN = "ANNA JOHN MARIA PETER LUCIA OMAR YUKI PAUL ERIKA DAVID".split()
CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A set of files: `studies` × `series` × `instances` of `rows` × `columns` 16-bit pixels."""

    name: str
    modality: str
    first_study: int
    studies: int
    series: int
    instances: int
    rows: int
    columns: int


KINDS = {
    kind.name: kind
    for kind in (
        Kind("ct", "CT", 0, 2, 2, 100, 512, 512),
        Kind("ct200", "CT", 50, 1, 1, 200, 512, 512),
        Kind("ct1000", "CT", 60, 1, 5, 200, 512, 512),
        Kind("mr", "MR", 100, 5, 2, 100, 128, 128),
        Kind("xr", "DX", 200, 10, 1, 1, 3000, 2500),
        Kind("tiny", "MR", 1000, 2000, 1, 10, 64, 64),
        Kind("warm", "CT", 900, 1, 1, 4, 512, 512),
    )
}


def made(name: str, work: Path) -> Path:
    """Return the directory of the set `name` below `work`, made once."""
    kind, out = KINDS[name], work / "data" / name
    if out.is_dir():
        return out
    making = out.with_name(name + ".making")
    making.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    shared = [_pixels(rng, kind.rows, kind.columns, n) for n in range(10)]
    number = 0
    for study in range(kind.first_study, kind.first_study + kind.studies):
        for series in range(kind.series):
            for instance in range(kind.instances):
                # Distinct noise matters only where something could compress or deduplicate it.
                pixels = (
                    shared[instance % 10]
                    if kind.name == "tiny"
                    else _pixels(rng, kind.rows, kind.columns, instance)
                )
                _save(_header(kind, study, series, instance), pixels, making / f"{number:06}.dcm")
                number += 1
    making.rename(out)
    return out


def uid_of(*key: object) -> str:
    """Return the UID that belongs to `key`, the same in every run."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).hexdigest()
    return ROOT + str(int(digest, 16))[:38]


def _header(kind: Kind, study: int, series: int, instance: int) -> Dataset:
    day = datetime.date(2015, 1, 1) + datetime.timedelta(days=study * 37 % 3650)
    date = day.strftime("%Y%m%d")
    time = f"{study % 24:02}{study * 7 % 60:02}{study * 13 % 60:02}"
    person = study % 200
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceCreationDate, ds.InstanceCreationTime = date, "101530.123000"
    ds.SOPClassUID = CLASSES[kind.modality]
    ds.SOPInstanceUID = uid_of(kind.name, study, series, instance)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.AccessionNumber = f"A{study + study * 79190 % 1000030:08}"
    ds.Modality = kind.modality
    ds.Manufacturer, ds.ManufacturerModelName = "ACME MEDICAL", "Scan-o-matic 3000"
    ds.InstitutionName = "General Hospital"
    ds.InstitutionAddress = "1 Hospital Road, Springfield"
    ds.ReferringPhysicianName = f"REFERRER^{GIVEN[study % 10]}"
    ds.StationName = f"STATION{study % 4}"
    ds.StudyDescription = f"{kind.modality} HEAD ROUTINE {study % 17}"
    ds.SeriesDescription = f"AXIAL {series}"
    ds.InstitutionalDepartmentName = "Radiology"
    ds.PerformingPhysicianName, ds.OperatorsName = "PERFORMER^A", "OP^B"
    ds.ReferencedStudySequence = [_reference("1.2.840.10008.3.1.2.3.1", kind.name, study, "ref")]
    ds.ReferencedImageSequence = [
        _reference(ds.SOPClassUID, kind.name, study, series, "localizer", n) for n in range(3)
    ]
    ds.PatientName = f"{FAMILIES[person % 20]}^{GIVEN[person // 20 % 10]}^{study}"
    ds.PatientID = f"{kind.name.upper()}-{study:06}"
    ds.PatientBirthDate = f"19{40 + study % 60:02}0{1 + study % 9}{11 + study % 9:02}"
    ds.PatientSex = "MF"[study % 2]
    ds.PatientAge, ds.PatientWeight = f"0{20 + study % 60:02}Y", "75.5"
    ds.BodyPartExamined, ds.SliceThickness = "HEAD", "1.25"
    if kind.modality == "CT":
        ds.KVP, ds.DataCollectionDiameter, ds.ReconstructionDiameter = "120", "500", "250"
        ds.GantryDetectorTilt, ds.TableHeight, ds.ExposureTime = "0", "150.5", "1000"
        ds.XRayTubeCurrent, ds.Exposure, ds.FilterType = "250", "250", "HEAD FILTER"
        ds.ConvolutionKernel = "SOFT"
    elif kind.modality == "MR":
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = ["SE"], ["SK", "SP"], "FC"
        ds.MRAcquisitionType, ds.RepetitionTime, ds.EchoTime = "2D", "500", "14"
        ds.MagneticFieldStrength, ds.FlipAngle, ds.EchoTrainLength = "1.5", "90", "1"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "SN123456", ["07MW18.4", "A.1"]
    ds.ProtocolName, ds.PatientPosition = "5.1 Routine Head", "HFS"
    ds.StudyInstanceUID = uid_of(kind.name, study)
    ds.SeriesInstanceUID = uid_of(kind.name, study, series)
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber = str(1000 + study), series + 1, 1
    ds.InstanceNumber = instance + 1
    position = f"{-50 + 1.25 * instance:.3f}"
    ds.ImagePositionPatient = ["-125.0", "-125.0", position]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID = uid_of(kind.name, study, "frame of reference")
    ds.PositionReferenceIndicator, ds.SliceLocation = "OM", position
    ds.ImageComments = "Synthetic benchmark image"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = kind.rows, kind.columns, ["0.488281", "0.488281"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = "1060", "400"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    request = Dataset()
    request.RequestedProcedureDescription = "CT HEAD"
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "SPS1", "RP1"
    ds.RequestAttributesSequence = [request]
    block = ds.private_block(0x0019, "ACME_01", create=True)
    for n in range(12):
        block.add_new(n + 1, "LO", f"private value {n}")
    return ds


def _reference(sop_class_uid: str, *key: object) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, uid_of(*key)
    return item


def _pixels(rng: np.random.Generator, rows: int, columns: int, instance: int) -> bytes:
    """Return a head-like phantom with noise: HU + 1024 as unsigned 16-bit."""
    y, x = np.mgrid[0:rows, 0:columns]
    y, x = (y - rows / 2) / (rows / 2), (x - columns / 2) / (columns / 2)
    radius = np.hypot(x / 0.72, y / 0.88) / (1 - abs(instance % 100 - 50) / 120)
    image = np.full((rows, columns), 20.0)
    image[radius < 1], image[radius < 0.92] = 1900, 1060
    image += 60 * np.sin(9 * x + instance * 0.1) * np.cos(7 * y) * (radius < 0.92)
    image += rng.normal(0, 14, image.shape)
    return np.clip(image, 0, 4095).astype("<u2").tobytes()


def _save(ds: Dataset, pixels: bytes, path: Path) -> None:
    ds.PixelData = pixels
    ds["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        ds.SOPClassUID,
        ds.SOPInstanceUID,
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = ROOT + "1", "BENCHGEN_1"
    ds.file_meta = meta
    ds.save_as(path, enforce_file_format=True)
