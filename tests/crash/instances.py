"""Synthetic instances, cheap to make by the thousand: one template per size, UIDs put in."""

import functools
import io
import random
import uuid
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage

UID_LENGTH = 44
SOP_CLASS_UID = str(CTImageStorage)
SIDES = {"small": 96, "slice": 512, "large": 2200}
"""Rows and columns of 16 bits: 18 KiB, 512 KiB, and 9.2 MiB, over the 8 MiB receive buffer."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance to send: its data set is explicit VR little endian."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    dataset: bytes


def new_uid() -> str:
    """Return a new UID, always of the same length."""
    return f"2.25.1{uuid.uuid4().int % 10 ** (UID_LENGTH - 6):0{UID_LENGTH - 6}}"


def make_instance(
    study_instance_uid: str, series_instance_uid: str, size: str, dice: random.Random
) -> Instance:
    """Return a new instance of one of `SIDES`; all its bytes follow from its UIDs and `dice`."""
    sop_instance_uid = new_uid()
    head, tail = _template(size)
    for placeholder, uid in zip(
        _placeholders(), (study_instance_uid, series_instance_uid, sop_instance_uid), strict=True
    ):
        head = head.replace(placeholder.encode(), uid.encode())
    # Different pixels in each, or a mix-up of two instances would go unnoticed.
    mark = dice.randbytes(64)
    return Instance(
        study_instance_uid, series_instance_uid, sop_instance_uid, head + mark + tail[64:]
    )


def _placeholders() -> list[str]:
    """Return stand-ins for a study, a series and a SOP Instance UID."""
    return [f"1.{digit}." + digit * (UID_LENGTH - 4) for digit in "345"]


@functools.cache
def _template(size: str) -> tuple[bytes, bytes]:
    """Return a data set up to its pixels, and its pixels."""
    side = SIDES[size]
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = SOP_CLASS_UID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = _placeholders()
    ds.StudyDate, ds.StudyTime, ds.Modality = "20260102", "101112", "CT"
    ds.PatientName, ds.PatientID = "CRASH^TEST", "CRASH-1"
    ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = "A1", 1, 1
    ds.Rows = ds.Columns = side
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.random.default_rng(side).integers(0, 4096, side * side, dtype="<u2").tobytes()
    ds.add_new(0x7FE00010, "OW", pixels)
    raw = io.BytesIO()
    out = DicomIO(raw)
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, ds)
    data = raw.getvalue()
    return data[: -len(pixels)], pixels
