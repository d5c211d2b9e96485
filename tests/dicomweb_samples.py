"""Small instances for the tests of DICOMweb."""

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def make_instance(
    sop: str,
    *,
    study: str = "1.2.3.1",
    series: str = "1.2.3.1.1",
    rows: int = 4,
    frames: int = 1,
    pixels: bytes | None = None,
    **attributes: object,
) -> bytes:
    """Return a small CT as a Part 10 file; `attributes` by keyword, over the defaults."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sop
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = series
    dataset.StudyDate = "20240102"
    dataset.StudyTime = "101500"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P1"
    dataset.Modality = "CT"
    dataset.InstanceNumber = sop.rpartition(".")[2]
    dataset.Rows = dataset.Columns = rows
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels or bytes(range(256)) * (-(-rows * rows * 2 * frames // 256))
    dataset.PixelData = dataset.PixelData[: rows * rows * 2 * frames]
    dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = sop
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
