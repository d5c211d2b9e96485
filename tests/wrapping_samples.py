"""Files that are no DICOM, as phones and scanners make them: small, and made here."""

import io
import struct
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from pacs_cloud.dicom.elements import element
from pacs_cloud.dicom.wrapping.wrapped import Belonging

STUDY = "1.2.826.0.1.900"
HEADER = {
    "00080020": element("DA", "20260102"),
    "00081030": element("LO", "WOUND"),
    "00100010": element("PN", {"Alphabetic": "PHOTO^PAULA"}),
    "00100020": element("LO", "P-9"),
    "00100030": element("DA", "19700131"),
    "00100040": element("CS", "F"),
}
UPLOAD = "019a0000-0000-7000-8000-000000000000"
AT_US = 1_767_340_800_000_000
WHERE = Belonging(STUDY, HEADER, UPLOAD, AT_US, 3)
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
SECRET_PLACE = b"+48.8577+002.295/"
"""Where a camera says that it was."""


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """A picture whose corners differ: red, green, blue, white."""
    made = Image.new("RGB", (width, height), "gray")
    corners = [("red", 0, 0), ("lime", 1, 0), ("blue", 0, 1), ("white", 1, 1)]
    for colour, right, low in corners:
        made.paste(colour, (right * width // 2, low * height // 2, width, height))
    made.paste("lime", (width // 2, 0, width, height // 2))
    made.paste("blue", (0, height // 2, width // 2, height))
    return made.convert(mode)


def jpeg(mode: str = "RGB", *, orientation: int = 1, exif: bool = True, **options: Any) -> bytes:
    """A JPEG as a phone writes it: with where, when and by whom."""
    made, written = picture(mode=mode), io.BytesIO()
    tags = Image.Exif()
    if exif:
        tags[0x0112] = orientation
        tags[0x010F] = "SecretPhone"
        tags.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
        tags.get_ifd(0x8825)[1] = "N"
        tags.get_ifd(0x8825)[2] = (IFDRational(48), IFDRational(51), IFDRational(29))
    made.save(written, "JPEG", quality=90, exif=tags, comment=SECRET_PLACE, **options)
    return written.getvalue() + b"MPF: another picture, with a place of its own"


def png(mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    picture(mode=mode if mode != "I;16" else "L").convert(mode).save(written, "PNG")
    return written.getvalue()


def box(kind: bytes, *content: bytes) -> bytes:
    held = b"".join(content)
    return struct.pack(">I", 8 + len(held)) + kind + held


def avcc(profile: int = 100, constraints: int = 0, level: int = 31) -> bytes:
    return box(b"avcC", bytes((1, profile, constraints, level, 0xFF, 0xE1, 0, 0, 1, 0, 0)))


def track(
    handler: bytes = b"vide",
    coding: bytes = b"avc1",
    configuration: bytes | None = None,
    samples: int = 50,
    seconds: int = 2,
) -> bytes:
    """A track, 640×480."""
    if handler == b"vide":
        sizes = bytes(24) + struct.pack(">HH", 640, 480) + bytes(50)
        entry = box(coding, sizes, avcc() if configuration is None else configuration)
    else:
        entry = box(coding, bytes(28))
    return box(
        b"trak",
        box(b"tkhd", bytes(84)),
        box(
            b"mdia",
            box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, 1000, 1000 * seconds, 0)),
            box(b"hdlr", bytes(8), handler, bytes(13)),
            box(
                b"minf",
                box(
                    b"stbl",
                    box(b"stsd", struct.pack(">II", 0, 1), entry),
                    box(b"stsz", struct.pack(">III", 0, 0, samples)),
                ),
            ),
        ),
    )


def mp4(
    *tracks: bytes, brand: bytes = b"isom", more: bytes = b"", sound: bool = True, data: int = 5000
) -> bytes:
    """An MP4 file as a phone writes it: its index at the end, and in that where it was."""
    seen = tracks or (track(), track(b"soun", b"mp4a")) if sound else tracks or (track(),)
    place = box(b"udta", box(b"\xa9xyz", SECRET_PLACE))
    meta = box(b"meta", bytes(4), box(b"ilst", SECRET_PLACE))
    moov = box(b"moov", box(b"mvhd", bytes(100)), *seen, place, meta, more)
    xmp = box(b"uuid", bytes(16), SECRET_PLACE)
    return box(b"ftyp", brand, bytes(4), b"isom") + xmp + box(b"mdat", b"\x5a" * data) + moov


class Writable:
    """A file in memory that can be written over."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= len(self.data)
        self.data[offset : offset + len(data)] = data


def mov(
    coding: bytes = b"avc1",
    *,
    sounds: tuple[bytes, ...] = (b"mp4a",),
    elsewhere: bool = False,
    shift: int = 0,
    told: int = 1,
) -> bytes:
    """A QuickTime file as an iPhone writes it: picture, sound, and metadata in a track of its own.

    Args:
        coding: of the picture.
        sounds: codings of the sounds.
        elsewhere: the picture lies in another file.
        shift: of where the metadata is said to lie.
        told: how often it is said where its first part lies.
    """
    start = b"".join((box(b"ftyp", b"qt  ", bytes(4), b"qt  "), box(b"wide")))
    picture, sound, place = b"\x5a" * 5000, b"\xa5" * 500, SECRET_PLACE * 3
    data = box(b"mdat", picture, place[:20], sound, place[20:])
    at = len(start) + 8
    colours = box(b"colr", b"nclc", struct.pack(">HHH", 1, 1, 1))
    seen = _mov_track(
        b"vide",
        _mov_entry(coding, _MOV_PICTURE, avcc() + colours + bytes(4)),
        box(b"vmhd", b"\0\0\0\1\0\x40", b"\x80\0" * 3),
        (at, 5000, 50),
        alias=b"\0\0\0" + (b"\0" if elsewhere else b"\1"),
    )
    heard = [
        _mov_track(
            b"soun",
            _mov_entry(one, _MOV_SOUND, bytes(16) + _WAVE),
            box(b"smhd", bytes(8)),
            (at + 5020, 500, 50),
        )
        for one in sounds
    ]
    places = _mov_track(
        b"meta",
        box(b"mebx", bytes(6), b"\0\1", box(b"keys", SECRET_PLACE)),
        box(b"gmhd", box(b"gmin", bytes(16))),
        *[(at + 5000 + shift, 20, 1)] * told,
        (at + 5520 + shift, len(place) - 20, 2),
    )
    keys = box(b"meta", box(b"keys", bytes(8)), box(b"ilst", SECRET_PLACE))
    moov = box(b"moov", box(b"mvhd", b"\7" * 100), seen, *heard, places, keys)
    return start + data + moov


_MOV_PICTURE = struct.pack(
    ">4sIIHHIII", b"appl", 0, 512, 640, 480, 72 << 16, 72 << 16, 0
) + struct.pack(">H32sHh", 1, b"\5H.264", 24, -1)
_MOV_SOUND = struct.pack(">IHHhHI", 0, 1, 16, -2, 0, 44100 << 16)
_ESDS = box(b"esds", b"\0\0\0\0\3\x19 what decodes the sound")
_WAVE = box(b"wave", box(b"frma", b"mp4a"), box(b"mp4a", bytes(4)), _ESDS, box(b"\0\0\0\0"))


def _mov_entry(coding: bytes, fields: bytes, boxes: bytes) -> bytes:
    """A sample description, whose version is 1 where it is of a sound."""
    version = b"\0\0" if fields is _MOV_PICTURE else b"\0\1"
    return box(coding, bytes(6), b"\0\1", version, b"\0\0", fields, boxes)


def _mov_track(
    handler: bytes,
    entry: bytes,
    header: bytes,
    *chunks: tuple[int, int, int],
    alias: bytes = b"\0\0\0\1",
) -> bytes:
    """A track of chunks: where each begins, its length, and of how many samples it is."""
    sizes = [size for _, length, count in chunks for size in _shares(length, count)]
    runs = [(number, count, 1) for number, (_, _, count) in enumerate(chunks, 1)]
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"ctts", struct.pack(">IIIi", 0, 1, len(sizes), -20)),
        box(b"stsz", struct.pack(f">III{len(sizes)}I", 0, 0, len(sizes), *sizes)),
        box(
            b"stsc", struct.pack(">II", 0, len(runs)), *(struct.pack(">III", *one) for one in runs)
        ),
        box(b"stco", struct.pack(f">II{len(chunks)}I", 0, len(chunks), *(at for at, *_ in chunks))),
    )
    aliases = box(b"dref", struct.pack(">II", 0, 1), box(b"alis", alias))
    return box(
        b"trak",
        box(b"tkhd", b"\0\0\0\x0f", bytes(80)),
        box(b"tapt", bytes(20)),
        box(
            b"mdia",
            box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 1000, 2000, 0, 7)),
            box(b"hdlr", bytes(4), b"mhlr", handler, b"appl", bytes(8), b"\x10Core Media Video"),
            box(b"minf", header, box(b"hdlr", bytes(24)), box(b"dinf", aliases), table),
        ),
    )


def _shares(length: int, count: int) -> list[int]:
    return [length // count] * (count - 1) + [length - length // count * (count - 1)]
