import struct

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.records import LET_GO_EVERY

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def encapsulated(fragments: int, frames: int) -> bytes:
    """An instance with so many fragments, two of which make a frame."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    ds.NumberOfFrames = frames
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_dataset(written, ds)
    item = struct.Struct("<HHL").pack
    starts = b"\xff\xd8\xff\xe0", b"\0\0\0\0"
    items = (item(0xFFFE, 0xE000, 4) + starts[number % 2] for number in range(fragments))
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    table = item(0xFFFE, 0xE000, 0)
    return written.getvalue() + pixels + table + b"".join(items) + item(0xFFFE, 0xE0DD, 0)


def test_pages_can_be_given_back_while_fragments_are_counted_and_looked_at() -> None:
    calls: list[int] = []
    reader = HeaderReader(let_go=lambda: calls.append(1))
    fragments = 20 * LET_GO_EVERY
    header = reader.read(encapsulated(fragments, fragments // 2), JPEG_BASELINE)
    assert header.pixels is not None
    assert header.pixels.frames is not None
    assert len(header.pixels.frames) == fragments // 2
    # Both passes, over item headers and over the fragments' first bytes.
    assert len(calls) >= 2 * fragments // LET_GO_EVERY - 2
