"""A PDF becomes an Encapsulated PDF (PS3.3 A.45.1)."""

from typing import Final

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicom.composing import Bulk
from pacs_cloud.dicom.elements import element
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.dicom.wrapping.wrapped import (
    Belonging,
    Read,
    Wrapped,
    Wrapping,
    bulk_element,
    digest_of,
    refused,
)
from pacs_cloud.errors import Refusal

ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
PDF: Final = b"%PDF-"
"""What a PDF begins with (ISO 32000-1 7.5.2)."""
MOST_BYTES: Final = 256 << 20
_END: Final = b"%%EOF"
_TAIL_BYTES: Final = 4096
_DOCUMENT: Final = Wrapping(ENCAPSULATED_PDF, "DOC", "Document", 9000)


def wrapped_pdf(read: Read, length: int, where: Belonging) -> Wrapped:
    """Return a document as an instance, in a series of its own kind.

    Args:
        read: reads it.
        length: of it, in bytes.
        where: it belongs.

    Raises:
        InvalidInstance: it is no PDF, not whole, or too long.
    """
    if length > MOST_BYTES:
        raise refused(f"A PDF has up to {MOST_BYTES >> 20} MB.", Refusal.TOO_LARGE)
    tail_bytes = min(length, _TAIL_BYTES)
    if read(0, len(PDF)) != PDF or _END not in read(length - tail_bytes, tail_bytes):
        raise refused("It is no PDF, or not a whole one.")
    elements = _DOCUMENT.elements(
        where,
        digest_of(read, length),
        {
            "0008002A": element("DT"),  # Acquisition DateTime
            "00080064": element("CS", "WSD"),  # Conversion Type
            "00280301": element("CS", "YES"),  # Burned In Annotation
            "0040A043": element("SQ"),  # Concept Name Code Sequence
            "00420010": element("ST", where.title or _DOCUMENT.series),  # Document Title
            "00420011": bulk_element("OB"),
            "00420012": element("LO", "application/pdf"),
            "00420015": element("UL", length),  # Encapsulated Document Length
        },
    )
    return Wrapped(elements, EXPLICIT_LE, Bulk((Span(0, length),)), read)
