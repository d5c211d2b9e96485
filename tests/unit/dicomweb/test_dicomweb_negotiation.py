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
P14 = "1.2.840.10008.1.2.4.57"
SV1 = "1.2.840.10008.1.2.4.70"
JLS = "1.2.840.10008.1.2.4.80"
HTJ2K = "1.2.840.10008.1.2.4.201"
RPCL = "1.2.840.10008.1.2.4.202"
RLE = "1.2.840.10008.1.2.5"
MADE = frozenset({ELE, ILE, LOSSY, SV1, JLS, J2K, HTJ2K, RPCL, RLE})


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
        (f"multipart/related; type=application/dicom; transfer-syntax={J2K}", ELE, J2K),
        (f"multipart/related; type=application/dicom; transfer-syntax={ILE}", J2K, ILE),
        (f"multipart/related; type=application/dicom; transfer-syntax={LOSSY}", ELE, LOSSY),
        (
            "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.2",
            ELE,
            None,
        ),
        (f"multipart/related; type=application/dicom; transfer-syntax={ELE}", MPEG, None),
        ("multipart/related; type=image/jpeg", ELE, None),
        ("application/*", ELE, None),
        ("multipart/*", ELE, ELE),
    ],
)
def test_instances(accept: str, stored: str, expected: str | None) -> None:
    choice = choose_instance(
        parse_accept(accept),
        stored,
        is_single=False,
        makes=lambda target: can_decode(stored) and target in MADE,
    )
    assert (choice and choice.transfer_syntax_uid) == expected
    if choice is not None:
        assert choice.is_multipart
        assert choice.is_stored == (stored == expected)
        assert choice.content_type == f"application/dicom; transfer-syntax={expected}"


def test_a_single_instance_need_not_be_multipart() -> None:
    choice = choose_instance(
        parse_accept("application/dicom"), ELE, is_single=True, makes=MADE.__contains__
    )
    assert choice is not None
    assert not choice.is_multipart


def multipart(content: str, syntax: str = "") -> str:
    return f"multipart/related; type={content}" + (f"; transfer-syntax={syntax}" if syntax else "")


@pytest.mark.parametrize(
    ("accept", "stored", "content", "syntax"),
    [
        # Whatever is accepted: native pixels, where they can be had.
        ("*/*", J2K, "application/octet-stream", ELE),
        ("*/*", MPEG, "video/mp4", MPEG),
        ("*/*", PRIVATE, "application/octet-stream", PRIVATE),
        (multipart("application/octet-stream"), J2K, "application/octet-stream", ELE),
        (multipart("application/octet-stream"), PRIVATE, "", ""),
        # As stored.
        (multipart("application/octet-stream", "*"), J2K, "application/octet-stream", J2K),
        (multipart("application/octet-stream", "*"), PRIVATE, "application/octet-stream", PRIVATE),
        ("multipart/related; transfer-syntax=*", J2K, "image/jp2", J2K),
        (multipart("video/*"), MPEG, "video/mp4", MPEG),
        (multipart("image/*"), LOSSY, "image/jpeg", LOSSY),
        (multipart("image/jp2", "*"), J2K, "image/jp2", J2K),
        # A media type means its default (Table 8.7.3-5), unless there is only a lossy one.
        (multipart("image/jpeg"), J2K, "image/jpeg", SV1),
        (multipart("image/jpeg"), P14, "image/jpeg", SV1),
        (multipart("image/jpeg"), LOSSY, "image/jpeg", LOSSY),
        (multipart("image/jp2"), J2K, "image/jp2", J2K),
        (multipart("image/jp2"), LOSSY, "image/jp2", J2K),
        (multipart("image/jls"), J2K, "image/jls", JLS),
        (multipart("image/jphc"), RPCL, "image/jphc", HTJ2K),
        (multipart("image/dicom-rle"), J2K, "image/dicom-rle", RLE),
        (multipart("image/jp2", "*"), RLE, "image/jp2", J2K),
        (multipart("image/jpx"), J2K, "", ""),
        # Names of old.
        (multipart("image/x-dicom-rle"), J2K, "image/dicom-rle", RLE),
        (multipart("image/dicom+rle"), J2K, "image/dicom-rle", RLE),
        (multipart("image/x-jls", JLS), J2K, "image/jls", JLS),
        (multipart("image/jph"), J2K, "image/jphc", HTJ2K),
        # By transfer syntax; lossy only so.
        (multipart("image/jpeg", LOSSY), J2K, "image/jpeg", LOSSY),
        (multipart("image/jphc", RPCL), J2K, "image/jphc", RPCL),
        (multipart("application/octet-stream", JLS), J2K, "application/octet-stream", JLS),
        (multipart("image/jp2", JLS), J2K, "", ""),
        (multipart("image/jls", "1.2.840.10008.1.2.4.81"), J2K, "", ""),
        (multipart("image/jls", JLS), PRIVATE, "", ""),
    ],
)
def test_encapsulated_frames(accept: str, stored: str, content: str, syntax: str) -> None:
    choice = choose_frame(
        parse_accept(accept),
        stored,
        is_encapsulated=True,
        is_single=False,
        makes=lambda target: can_decode(stored) and target in MADE,
    )
    assert ((choice.content, choice.transfer_syntax_uid) if choice else ("", "")) == (
        content,
        syntax,
    )
    assert choice is None or choice.is_stored == (syntax == stored)


@pytest.mark.parametrize(
    ("stored", "accept", "syntax"),
    [
        # A viewer names all that it decodes: what is stored so goes out as it is.
        (RLE, "application/octet-stream; {ele}, image/jphc; {ht}, image/dicom-rle; {rle}", RLE),
        (JLS, "application/octet-stream; {ele}, image/jphc; {ht}, image/dicom-rle; {rle}", ELE),
        # One range is better than another whatever is stored.
        (RLE, "image/jphc; {ht}, image/dicom-rle; {rle}; q=0.5", RPCL),
        # On a thin line plain pixels are the last resort.
        (
            RLE,
            "image/jphc; {ht}, image/dicom-rle; {rle}, application/octet-stream; {ele}; q=.5",
            RLE,
        ),
        (
            JLS,
            "image/jphc; {ht}, image/dicom-rle; {rle}, application/octet-stream; {ele}; q=.5",
            RPCL,
        ),
    ],
)
def test_of_equally_good_ranges_what_is_stored_is_taken(
    stored: str, accept: str, syntax: str
) -> None:
    named = {"ele": ELE, "ht": RPCL, "rle": RLE}
    ranges = accept.format(**{name: f"transfer-syntax={uid}" for name, uid in named.items()})
    choice = choose_frame(
        parse_accept(ranges),
        stored,
        is_encapsulated=True,
        is_single=True,
        makes=MADE.__contains__,
    )
    assert choice is not None
    assert (choice.transfer_syntax_uid, choice.is_stored) == (syntax, syntax == stored)


@pytest.mark.parametrize("wanted", ["", "; transfer-syntax=*", f"; transfer-syntax={ELE}"])
@pytest.mark.parametrize("stored", [ELE, ILE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_native_frames_are_always_explicit_le(wanted: str, stored: str) -> None:
    choice = choose_frame(
        parse_accept(f"multipart/related; type=application/octet-stream{wanted}"),
        stored,
        is_encapsulated=False,
        is_single=False,
        makes=MADE.__contains__,
    )
    assert choice is not None
    assert choice.content_type == f"application/octet-stream; transfer-syntax={ELE}"
    assert choice.is_stored


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (multipart("image/jls"), f"image/jls; transfer-syntax={JLS}"),
        (multipart("image/jphc", RPCL), f"image/jphc; transfer-syntax={RPCL}"),
        (multipart("image/*"), f"image/jpeg; transfer-syntax={SV1}"),
        (multipart("image/jpeg", LOSSY), f"image/jpeg; transfer-syntax={LOSSY}"),
        (multipart("image/png"), None),
        (multipart("video/mp4"), None),
    ],
)
def test_native_frames_are_encoded_where_that_is_asked_for(
    accept: str, expected: str | None
) -> None:
    choice = choose_frame(
        parse_accept(accept),
        ILE,
        is_encapsulated=False,
        is_single=False,
        makes=MADE.__contains__,
    )
    assert (choice and choice.content_type) == expected
    assert choice is None or not choice.is_stored


def test_the_quality_decides_before_the_order() -> None:
    accept = f"{multipart('image/jls')}; q=0.5, {multipart('image/jp2')}; q=0.9, image/jpeg"
    options = {"is_encapsulated": True, "makes": MADE.__contains__}
    alone = choose_frame(parse_accept(accept), RLE, is_single=True, **options)
    several = choose_frame(parse_accept(accept), RLE, is_single=False, **options)
    assert alone is not None
    assert several is not None
    assert (alone.content, alone.is_multipart) == ("image/jpeg", False)
    assert (several.content, several.is_multipart) == ("image/jp2", True)


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
