"""What claims to be much is refused before it is made."""

import io
import struct
import zlib

import pytest
from PIL import Image

from pacs_cloud.dicom.coding import consumer_images
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.records import MAX_DEPTH
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.errors import InvalidInstance, Refusal


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header claims this size, over the pixels of a small one."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def gif(screen: tuple[int, int], image: tuple[int, int], images: int = 1) -> bytes:
    """Return a GIF with images of this size, and next to nothing in them."""
    one = b"\x2c" + struct.pack("<4HB", 0, 0, *image, 0) + b"\x02\x02\x4c\x01\x00"
    head = b"GIF89a" + struct.pack("<2H3B", *screen, 0x80, 0, 0) + bytes(6)
    return head + one * images + b"\x3b"


@pytest.mark.parametrize(
    ("media", "data"),
    [
        ("image/png", png(100_000, 100_000)),
        ("image/png", png(0x7FFFFFFF, 0x7FFFFFFF)),
        ("image/gif", gif((60_000, 60_000), (1, 1))),
        ("image/gif", gif((1, 1), (60_000, 60_000))),
        ("image/gif", gif((1000, 1000), (1, 1), images=200)),
        ("image/gif", gif((1, 1), (1000, 1000), images=200)),
    ],
)
def test_an_image_that_claims_too_much_is_not_decoded(
    media: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(data: bytes) -> object:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(consumer_images, "_DECODERS", {media: decode})
    with pytest.raises(InvalidInstance) as refused:
        consumer_images.decode(media, data)
    assert refused.value.refusal is Refusal.TOO_LARGE


def test_an_image_that_claims_what_it_is_is_decoded() -> None:
    assert len(consumer_images.decode("image/png", png(8, 8)).pixels) == 64
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "GIF")
    consumer_images.decode("image/gif", buffer.getvalue())


UIDS = (
    (b"\x08\x00\x16\x00", b"1.2.840.10008.5.1.4.1.1.2\0"),
    (b"\x08\x00\x18\x00", b"1.2.3.45"),
    (b"\x20\x00\x0d\x00", b"1.2.3.46"),
    (b"\x20\x00\x0e\x00", b"1.2.3.47"),
)
IMPLICIT = b"".join(tag + struct.pack("<I", len(uid)) + uid for tag, uid in UIDS)
EXPLICIT = b"".join(tag + b"UI" + struct.pack("<H", len(uid)) + uid for tag, uid in UIDS)


def nested(depth: int) -> bytes:
    """Return an implicit VR data set of sequences in each other."""
    data = b""
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data
        data = b"\x40\x00\x75\x02" + struct.pack("<I", len(item)) + item
    return IMPLICIT + data


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000])
def test_sequences_in_sequences_end_somewhere(depth: int) -> None:
    with pytest.raises(InvalidInstance) as refused:
        HeaderReader().read(nested(depth), IMPLICIT_LE)
    assert refused.value.refusal is Refusal.UNREADABLE
    assert "nested" in str(refused.value)


def test_a_header_of_more_than_16_mib_is_refused() -> None:
    value = b"LO" + struct.pack("<H", 1000) + b"x" * 1000
    creator = struct.pack("<HH", 0x21, 0x10) + b"LO" + struct.pack("<H", 4) + b"mine"
    many = b"".join(
        struct.pack("<HH", group, 0x1000 + number) + value
        for group in range(0x21, 0x2001, 2)
        for number in range(20)
    )
    with pytest.raises(InvalidInstance) as refused:
        HeaderReader().read(EXPLICIT + creator + many, EXPLICIT_LE)
    assert refused.value.refusal is Refusal.TOO_LARGE
