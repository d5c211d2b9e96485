"""Series with a geometry that is known, for the tests of volumes."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.volume.filling import Filling
from pacs_cloud.dicom.volume.grid import Grid, grid_of
from pacs_cloud.dicom.volume.slices import Slice, read_slice
from pacs_cloud.dicom.volume.stacks import Stack, stack_of
from pacs_cloud.dicom.volume.volume import Volume, volume_of
from pacs_cloud.dicom.volume.voxels import needs_measuring, scale_of, value_range
from rendering_samples import header_of, sequence_of

STUDY = "1.2.826.0.1.7"
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

Points: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Field: TypeAlias = Callable[[Points], Points]


def ramp(points: Points) -> Points:
    """Return values that differ from place to place, in mm of the patient: linear in all three."""
    return 3.0 * points[..., 0] + 5.0 * points[..., 1] - 7.0 * points[..., 2] + 40.0


def series_of(
    field: Field = ramp,
    *,
    shape: tuple[int, int, int] = (10, 12, 14),
    orientation: tuple[Sequence[float], Sequence[float]] = AXIAL,
    spacing: tuple[float, float, float] = (2.0, 1.0, 1.5),
    origin: Sequence[float] = (-10.0, -7.0, 5.0),
    step: Sequence[float] | None = None,
    places: Sequence[float] | None = None,
    study: str = STUDY,
    **attributes: Any,
) -> list[Dataset]:
    """Return a CT series that measures `field`.

    Args:
        field: values by places in the patient.
        shape: slices, rows, columns.
        orientation: directions of rows' pixels, and of columns' pixels.
        spacing: mm from slice to slice, row to row, column to column.
        origin: of the first pixel of the first slice.
        step: from slice to slice, mm; None: along the normal.
        places: of the slices, in steps; None: 0, 1, 2, …
        study: its UID, with which that of the series begins.
        attributes: of every slice.
    """
    count, rows, columns = shape
    across, down = (np.array(one, float) for one in orientation)
    along = np.cross(across, down) * spacing[0] if step is None else np.array(step, float)
    row, column = np.mgrid[0:rows, 0:columns]
    found: list[Dataset] = []
    for n, place in enumerate(range(count) if places is None else places):
        position = np.array(origin, float) + place * along
        points = (
            position + row[..., None] * spacing[1] * down + column[..., None] * spacing[2] * across
        )
        stored = np.rint(field(points)) + 1024
        found.append(_slice(n, stored.astype(np.uint16), position, (across, down), spacing))
        found[-1].SOPInstanceUID = f"{study}.1.{n + 1}"
        found[-1].StudyInstanceUID, found[-1].SeriesInstanceUID = study, f"{study}.1"
        for keyword, value in attributes.items():
            setattr(found[-1], keyword, value)
    return found


def _slice(
    n: int,
    stored: "np.ndarray[Any, np.dtype[np.uint16]]",
    position: Points,
    directions: tuple[Points, Points],
    spacing: tuple[float, float, float],
) -> Dataset:
    one = Dataset()
    one.SOPClassUID = CTImageStorage
    one.PatientID, one.PatientName, one.Modality = "V1", "VOLUME^SAMPLE", "CT"
    one.StudyDate, one.StudyTime = "20260101", "120000"
    one.StudyID = one.AccessionNumber = one.PatientBirthDate = one.PatientSex = ""
    one.SeriesNumber, one.InstanceNumber = 1, 1000 - n
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.Rows, one.Columns = stored.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelSpacing = [spacing[1], spacing[2]]
    one.ImagePositionPatient = [round(float(p), 8) for p in position]
    one.ImageOrientationPatient = [round(float(d), 10) for v in directions for d in v]
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.WindowCenter, one.WindowWidth = 40, 400
    one.PixelData = stored.tobytes()
    one["PixelData"].VR = "OW"
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return one


def enhanced(series: Sequence[Dataset]) -> Dataset:
    """Return the same as one multi-frame image, its frames in the order of `series`."""
    first = series[0]
    one = Dataset()
    one.update(first)
    one.file_meta = first.file_meta
    one.SOPClassUID = EnhancedCTImageStorage
    one.NumberOfFrames = len(series)
    one.PixelData = b"".join(it.PixelData for it in series)
    orientation = sequence_of(ImageOrientationPatient=first.ImageOrientationPatient)
    measures = sequence_of(PixelSpacing=first.PixelSpacing)
    one.SharedFunctionalGroupsSequence = sequence_of(
        PlaneOrientationSequence=orientation, PixelMeasuresSequence=measures
    )
    one.PerFrameFunctionalGroupsSequence = [
        sequence_of(
            PlanePositionSequence=sequence_of(ImagePositionPatient=it.ImagePositionPatient),
            PixelValueTransformationSequence=sequence_of(
                RescaleSlope=it.RescaleSlope, RescaleIntercept=it.RescaleIntercept
            ),
        )[0]
        for it in series
    ]
    for keyword in (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
        *("RescaleSlope", "RescaleIntercept"),
    ):
        delattr(one, keyword)
    return one


def part10(dataset: Dataset) -> bytes:
    """Return a data set as a file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def slices_of(series: Sequence[Dataset]) -> list[Slice]:
    """Return every frame of a series as a slice."""
    found: list[Slice] = []
    for one in series:
        header, tag = header_of(one)
        count = int(one.get("NumberOfFrames", 1))
        found += [read_slice(DataSet(header.elements), n, tag) for n in range(1, count + 1)]
    return found


def frames_of(series: Sequence[Dataset]) -> list[bytes]:
    """Return every frame's bytes."""
    found: list[bytes] = []
    for one in series:
        count = int(one.get("NumberOfFrames", 1))
        data = next(one[tag].value for tag in ("PixelData", "FloatPixelData") if tag in one)
        length = len(data) // count
        found += [data[n * length : (n + 1) * length] for n in range(count)]
    return found


def filled(series: Sequence[Dataset], max_bytes: int = 1 << 30) -> tuple[Volume, Stack, Grid]:
    """Return the volume of a series, as the archive makes it."""
    stack = stack_of(slices_of(series))
    frames = frames_of(series)
    data = [frames[n] for n in stack.members]
    grid = grid_of(stack, max_bytes)
    measured = None
    if needs_measuring(stack):
        ends = [value_range(one, it) for one, it in zip(data, stack.slices, strict=True)]
        measured = min(low for low, _ in ends), max(high for _, high in ends)
    filling = Filling(stack, grid, scale_of(stack, measured))
    for one in data:
        filling.add(one)
    return volume_of(filling.voxels, stack, grid, filling.scale), stack, grid
