"""Which representation is chosen."""

import pytest

from pacs_cloud.dicomweb.media import parse_accept
from pacs_cloud.dicomweb.negotiation import (
    choose_bulk,
    choose_document,
    choose_frame,
    choose_instance,
)

ELE = "1.2.840.10008.1.2.1"
ILE = "1.2.840.10008.1.2"
J2K = "1.2.840.10008.1.2.4.90"
LOSSY = "1.2.840.10008.1.2.4.50"
MPEG = "1.2.840.10008.1.2.4.102"
PRIVATE = "1.2.3"


def can_decode(syntax: str) -> bool:
    return syntax not in {MPEG, PRIVATE}


@pytest.mark.parametrize(
    ("accept", "stored", "expected"),
    [
        ("multipart/related; type=application/dicom", ELE, ELE),
        ("multipart/related; type=application/dicom", ILE, ELE),
        ("multipart/related; type=application/dicom", LOSSY, ELE),
        ("multipart/related; type=application/dicom", MPEG, MPEG),  # PS3.18 8.7.3.4
        ("multipart/related; type=application/dicom", PRIVATE, None),
        ("*/*", PRIVATE, PRIVATE),
        ("multipart/related; type=application/dicom; transfer-syntax=*", ILE, ILE),
        (f"multipart/related; type=application/dicom; transfer-syntax={J2K}", J2K, J2K),
        (f"multipart/related; type=application/dicom; transfer-syntax={J2K}", ELE, None),
        (f"multipart/related; type=application/dicom; transfer-syntax={ELE}", MPEG, None),
        ("multipart/related; type=image/jpeg", ELE, None),
        ("application/*", ELE, None),
        ("multipart/*", ELE, ELE),
    ],
)
def test_instances(accept: str, stored: str, expected: str | None) -> None:
    choice = choose_instance(
        parse_accept(accept), stored, is_single=False, can_decode=can_decode(stored)
    )
    assert (choice and choice.transfer_syntax_uid) == expected
    if choice is not None:
        assert choice.is_multipart
        assert choice.is_stored == (stored == expected)
        assert choice.content_type == f"application/dicom; transfer-syntax={expected}"


def test_a_single_instance_need_not_be_multipart() -> None:
    choice = choose_instance(
        parse_accept("application/dicom"), ELE, is_single=True, can_decode=True
    )
    assert choice is not None
    assert not choice.is_multipart


@pytest.mark.parametrize(
    ("accept", "stored", "expected"),
    [
        ("*/*", J2K, f"application/octet-stream; transfer-syntax={ELE}"),
        ("*/*", MPEG, f"video/mp4; transfer-syntax={MPEG}"),
        ("*/*", PRIVATE, f"application/octet-stream; transfer-syntax={PRIVATE}"),
        ("multipart/related; type=application/octet-stream", PRIVATE, None),
        ("multipart/related; type=image/jp2", J2K, f"image/jp2; transfer-syntax={J2K}"),
        ("multipart/related; type=image/jp2", LOSSY, None),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            J2K,
            f"application/octet-stream; transfer-syntax={J2K}",
        ),
        ("multipart/related; transfer-syntax=*", J2K, f"image/jp2; transfer-syntax={J2K}"),
        ("multipart/related; type=video/*", MPEG, f"video/mp4; transfer-syntax={MPEG}"),
    ],
)
def test_encapsulated_frames(accept: str, stored: str, expected: str | None) -> None:
    choice = choose_frame(
        parse_accept(accept),
        stored,
        is_encapsulated=True,
        is_single=False,
        can_decode=can_decode(stored),
    )
    assert (choice and choice.content_type) == expected


@pytest.mark.parametrize("wanted", ["", "; transfer-syntax=*", f"; transfer-syntax={ELE}"])
@pytest.mark.parametrize("stored", [ELE, ILE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_native_frames_are_always_explicit_le(wanted: str, stored: str) -> None:
    choice = choose_frame(
        parse_accept(f"multipart/related; type=application/octet-stream{wanted}"),
        stored,
        is_encapsulated=False,
        is_single=False,
        can_decode=can_decode(stored),
    )
    assert choice is not None
    assert choice.content_type == f"application/octet-stream; transfer-syntax={ELE}"
    assert choice.is_stored


@pytest.mark.parametrize(
    ("accept", "own", "expected"),
    [
        ("*/*", "", "application/octet-stream"),
        ("*/*", "application/pdf", "application/pdf"),
        ("application/octet-stream", "application/pdf", "application/octet-stream"),
        ("application/pdf", "application/pdf", "application/pdf"),
        ("application/pdf", "", None),
        ("image/jpeg", "", None),
    ],
)
def test_bulk(accept: str, own: str, expected: str | None) -> None:
    choice = choose_bulk(parse_accept(accept), own)
    assert (choice and choice.content_type) == expected


@pytest.mark.parametrize(
    ("accept", "is_array", "expected"),
    [
        ("*/*", True, "application/dicom+json"),
        ("application/json", True, "application/json"),
        ("application/*", False, "application/dicom+json"),
        ("application/dicom+xml", True, None),
        ("application/dicom+xml", False, "application/dicom+xml"),
        ("multipart/related; type=application/dicom+xml", True, "application/dicom+xml"),
        ("multipart/related; type=application/dicom+xml", False, None),
        ("multipart/related; type=application/dicom+json", True, None),
        ("text/html", True, None),
    ],
)
def test_documents(accept: str, is_array: bool, expected: str | None) -> None:
    assert choose_document(parse_accept(accept), is_array=is_array) == expected
