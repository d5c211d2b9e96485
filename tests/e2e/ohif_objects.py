"""What stands beside the images of a series, made for real ones: a PDF, a SEG, an RTSTRUCT."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj
trailer<</Root 1 0 R>>
"""
_COPIED = (
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
)


def pdf(image: Dataset) -> bytes:
    """Return a report of one empty page (PS3.3 A.45.1)."""
    ds = _beside(image, "1.2.840.10008.5.1.4.1.1.104.1", "DOC", "Report")
    ds.ConversionType, ds.BurnedInAnnotation = "WSD", "NO"
    ds.DocumentTitle, ds.MIMETypeOfEncapsulatedDocument = "Report", "application/pdf"
    ds.EncapsulatedDocument = _PDF + b"\0" * (len(_PDF) % 2)
    ds.ConceptNameCodeSequence = []
    return _file(ds)


def segmentation(images: Sequence[Dataset]) -> bytes:
    """Return one segment, a block in the middle of each image (PS3.3 A.51)."""
    first = images[0]
    ds = _beside(first, "1.2.840.10008.5.1.4.1.1.66.4", "SEG", "Block")
    ds.ImageType, ds.ContentLabel, ds.ContentDescription = ["DERIVED", "PRIMARY"], "SEG", ""
    ds.ContentCreatorName, ds.FrameOfReferenceUID = "", first.FrameOfReferenceUID
    ds.PositionReferenceIndicator = ""
    ds.Rows, ds.Columns, ds.NumberOfFrames = first.Rows, first.Columns, len(images)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.LossyImageCompression = 1, 1, 0, "00"
    ds.SegmentationType, ds.SegmentsOverlap = "BINARY", "NO"
    ds.SegmentSequence = [
        _of(
            SegmentNumber=1,
            SegmentLabel="Block",
            SegmentAlgorithmType="MANUAL",
            SegmentedPropertyCategoryCodeSequence=[_code("85756007", "SCT", "Tissue")],
            SegmentedPropertyTypeCodeSequence=[_code("85756007", "SCT", "Tissue")],
        )
    ]
    organization = generate_uid()
    ds.DimensionOrganizationSequence = [_of(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        _of(DimensionOrganizationUID=organization, DimensionIndexPointer=tag)
        for tag in (0x0062000B,)
    ]
    ds.SharedFunctionalGroupsSequence = [
        _of(
            PixelMeasuresSequence=[
                _of(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
            ],
            PlaneOrientationSequence=[_of(ImageOrientationPatient=first.ImageOrientationPatient)],
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        _of(
            FrameContentSequence=[_of(DimensionIndexValues=[1])],
            PlanePositionSequence=[_of(ImagePositionPatient=image.ImagePositionPatient)],
            SegmentIdentificationSequence=[_of(ReferencedSegmentNumber=1)],
            DerivationImageSequence=[
                _of(
                    SourceImageSequence=[_reference(image)],
                    DerivationCodeSequence=[_code("113076", "DCM", "Segmentation")],
                )
            ],
        )
        for image in images
    ]
    ds.ReferencedSeriesSequence = [_series(images)]
    mask = np.zeros((len(images), first.Rows, first.Columns), np.uint8)
    rows, columns = first.Rows // 4, first.Columns // 4
    mask[:, rows : 3 * rows, columns : 3 * columns] = 1
    ds.PixelData = pack_bits(mask)
    return _file(ds)


def structures(images: Sequence[Dataset]) -> bytes:
    """Return one region, a square on each image (PS3.3 A.19)."""
    first = images[0]
    ds = _beside(first, "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", "Square")
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "Square", "", ""
    study = _of(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[
            _of(
                SeriesInstanceUID=first.SeriesInstanceUID,
                ContourImageSequence=[_reference(image) for image in images],
            )
        ],
    )
    ds.ReferencedFrameOfReferenceSequence = [
        _of(
            FrameOfReferenceUID=first.FrameOfReferenceUID,
            RTReferencedStudySequence=[study],
        )
    ]
    ds.StructureSetROISequence = [
        _of(
            ROINumber=1,
            ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
            ROIName="Square",
            ROIGenerationAlgorithm="MANUAL",
        )
    ]
    ds.ROIContourSequence = [
        _of(
            ReferencedROINumber=1,
            ROIDisplayColor=[255, 0, 0],
            ContourSequence=[
                _of(
                    ContourImageSequence=[_reference(image)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=4,
                    ContourData=_square(image),
                )
                for image in images
            ],
        )
    ]
    ds.RTROIObservationsSequence = [
        _of(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")
    ]
    return _file(ds)


def _beside(image: Dataset, sop_class: str, modality: str, description: str) -> Dataset:
    ds = Dataset()
    for keyword in _COPIED:
        setattr(ds, keyword, image.get(keyword, ""))
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.SeriesInstanceUID, ds.SeriesNumber = generate_uid(), 9
    ds.SeriesDescription, ds.Modality, ds.InstanceNumber = description, modality, 1
    ds.Manufacturer, ds.SeriesDate, ds.SeriesTime = "pacs-cloud", "20260101", "120000"
    ds.ContentDate, ds.ContentTime = "20260101", "120000"
    return ds


def _file(ds: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _of(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _of(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _reference(image: Dataset) -> Dataset:
    return _of(
        ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID
    )


def _series(images: Sequence[Dataset]) -> Dataset:
    return _of(
        SeriesInstanceUID=images[0].SeriesInstanceUID,
        ReferencedInstanceSequence=[_reference(image) for image in images],
    )


def _square(image: Dataset) -> list[float]:
    """Return the corners of the middle of an image, in millimetres."""
    corner = np.array(image.ImagePositionPatient, float)
    across, down = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    width = float(image.PixelSpacing[1]) * image.Columns
    height = float(image.PixelSpacing[0]) * image.Rows
    parts = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    points = [corner + across * width * x + down * height * y for x, y in parts]
    return [round(float(one), 3) for point in points for one in point]
