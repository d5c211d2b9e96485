"""Small images of any pixel format, and how they are rendered, for the tests."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.appearance import Appearance, read_appearance
from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.dicom.render.rendering import render

PIXEL_TAGS = ("7FE00010", "7FE00008", "7FE00009")


def make_image(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """Return an image of one frame, grey or colour by pixel; `attributes` over the defaults."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.5"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = bits
    if pixels.dtype.kind == "f":
        keyword = "FloatPixelData" if bits == 32 else "DoubleFloatPixelData"
        setattr(dataset, keyword, pixels.tobytes())
    else:
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def header_of(dataset: Dataset) -> tuple[DataSet, str]:
    """Return the header without pixel data, everything inline, and the pixel data's tag."""
    elements = dataset.to_json_dict(1 << 30, None)
    tag = next((tag for tag in PIXEL_TAGS if tag in elements), PIXEL_TAGS[0])
    elements.pop(tag, None)
    return DataSet(elements), tag


def appearance_of(dataset: Dataset, frame: int = 1) -> Appearance:
    header, tag = header_of(dataset)
    return read_appearance(header, frame, tag)


def shades_of(dataset: Dataset, frame: int = 1) -> Shades:
    """Return a native frame of `dataset`, rendered."""
    appearance = appearance_of(dataset, frame)
    bits = appearance.pixel_format.frame_bits
    _, tag = header_of(dataset)
    value: bytes = dataset[tag].value
    if bits % 8:
        assert frame == 1
        return render(value, appearance)
    return render(value[(frame - 1) * bits // 8 : frame * bits // 8], appearance)


def sequence_of(**attributes: Any) -> list[Dataset]:
    """Return a sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return [item]
