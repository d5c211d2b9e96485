"""What a file is that somebody brings, by its first bytes; and what cannot be taken, in words."""

from enum import StrEnum
from typing import Final

from pacs_cloud.dicom.wrapping import document, photo, video
from pacs_cloud.dicom.wrapping.jpeg_parts import START as JPEG

HEAD_BYTES: Final = 1024
"""That tell what a file is."""
_DICOMDIR: Final = b"1.2.840.10008.1.3.10\0"


class Kind(StrEnum):
    """What is taken."""

    DICOM = "DICOM"
    PHOTO = "photograph"
    DOCUMENT = "PDF"
    VIDEO = "video"


MOST_BYTES: Final = {
    Kind.PHOTO: photo.MOST_BYTES,
    Kind.DOCUMENT: document.MOST_BYTES,
    Kind.VIDEO: video.MOST_BYTES,
}
"""Of what is wrapped."""

_HEIF: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"})
_HEIC_WORDS: Final = (
    "It is a HEIC picture, which DICOM has no place for. Save it as JPEG: on an iPhone,"
    " Settings, Camera, Formats, Most Compatible."
)
_REFUSED: Final = (
    (b"GIF8", "It is a GIF. Save it as JPEG or PNG."),
    (b"BM", "It is a BMP picture. Save it as JPEG or PNG."),
    (b"II*\0", "It is a TIFF picture. Save it as JPEG or PNG."),
    (b"MM\0*", "It is a TIFF picture. Save it as JPEG or PNG."),
    (b"\x1a\x45\xdf\xa3", "It is a WebM or Matroska video. Save it as MP4 with H.264."),
    (b"PK\3\4", "It is a ZIP file. Unpack it, and send what is in it."),
    (b"PK\5\6", "It is an empty ZIP file."),
)
_QUICKTIME: Final = frozenset({b"moov", b"wide", b"mdat", b"free", b"skip", b"pnot"})


def kind_of(name: str, head: bytes) -> Kind | str:
    """Return what a file is, or why it cannot be taken.

    Args:
        name: of the file.
        head: its first HEAD_BYTES, fewer of a shorter one.
    """
    if head[128:132] == b"DICM":
        if _DICOMDIR in head or name.upper() == "DICOMDIR":
            return "It is the directory of a medium: the files that it lists are sent themselves."
        return Kind.DICOM
    if head.startswith((JPEG, photo.PNG)):
        return Kind.PHOTO
    if head.startswith(document.PDF):
        return Kind.DOCUMENT
    if head[4:8] == b"ftyp":
        return _HEIC_WORDS if head[8:12] in _HEIF else Kind.VIDEO
    if head[4:8] in _QUICKTIME:
        return "It is a QuickTime video of an old kind. Save it as MP4 with H.264."
    if head.startswith(b"RIFF"):
        if head[8:12] == b"WEBP":
            return "It is a WebP picture. Save it as JPEG or PNG."
        return "It is an AVI video. Save it as MP4 with H.264."
    if not head:
        return "It is empty."
    for start, words in _REFUSED:
        if head.startswith(start):
            return words
    return "It is neither DICOM nor a JPEG, PNG, PDF or MP4 file."
