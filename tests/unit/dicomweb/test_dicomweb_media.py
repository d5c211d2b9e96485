"""Accept and Content-Type as clients write them."""

import pytest

from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.media import MediaType, frame_media, parse_accept, parse_media_type
from pacs_cloud.errors import InvalidInstance, InvalidRequest

RELATED = "multipart/related"


@pytest.mark.parametrize(
    ("text", "content", "syntax"),
    [
        ('multipart/related; type="application/dicom"', "application/dicom", None),
        ("multipart/related; type=application/dicom", "application/dicom", None),
        ("multipart/related;type=application/dicom;transfer-syntax=*", "application/dicom", "*"),
        (
            'Multipart/Related; Type="image/jls"; Transfer-Syntax="1.2.840.10008.1.2.4.80"',
            "image/jls",
            "1.2.840.10008.1.2.4.80",
        ),
        ("multipart/related", "*/*", None),
        (
            "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
            "application/dicom",
            "1.2.840.10008.1.2.1",
        ),
        ('multipart/related ; type="a/b" ;; q=0.3', "a/b", None),
        ("*", "*/*", None),
    ],
)
def test_one_range(text: str, content: str, syntax: str | None) -> None:
    (found,) = parse_accept(text)
    assert (found.content, found.transfer_syntax) == (content, syntax)
    assert found.is_multipart == text.lower().startswith(RELATED)


def test_the_best_comes_first_and_equals_keep_their_order() -> None:
    found = parse_accept("a/a;q=0.5, b/b, c/c;q=0.9 , d/d;q=1.0,e/e;q=0")
    assert [one.name for one in found] == ["b/b", "d/d", "c/c", "a/a"]


def test_javas_own_clients_are_understood() -> None:
    found = parse_accept("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")
    assert [(one.name, one.quality) for one in found[2:]] == [
        ("image/jpeg", 1.0),
        ("*/*", 0.2),
        ("*/*", 0.2),
    ]


@pytest.mark.parametrize("nothing", [None, "", "  ", ",", " , "])
def test_no_header_accepts_anything(nothing: str | None) -> None:
    assert parse_accept(nothing) == (media.ANYTHING,)


def test_everything_refused_accepts_nothing() -> None:
    assert parse_accept("*/*;q=0") == ()


def test_the_query_outranks_the_header() -> None:
    assert [one.name for one in parse_accept("a/a", ["b/b", "c/c"])] == ["b/b", "c/c"]
    assert [one.name for one in parse_accept("a/a", [""])] == ["a/a"]


def test_a_plus_sign_in_the_query_survives_its_decoding() -> None:
    asked = 'application/dicom json, multipart/related; type="application/dicom xml"'
    assert [one.content for one in parse_accept(None, [asked])] == [
        "application/dicom+json",
        "application/dicom+xml",
    ]


def test_quoted_text_may_hold_separators() -> None:
    (found,) = parse_accept('multipart/related; type="a/b"; x="1, 2; 3 \\" 4"')
    assert found.parameters["x"] == '1, 2; 3 " 4'


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "a/b c/d",
        "*x",
        "a/b;q=.",
        "a/b;q=2",
        "a/b;q=-1",
        "a/b;q=x",
        "/b",
        "a/",
        'a/b;x="',
        "ä/b",
        "a/b;" + "x" * 9000,
    ],
)
def test_what_is_no_accept_header(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_accept(text)


def test_a_transfer_syntax_must_be_a_uid() -> None:
    with pytest.raises(InvalidInstance):
        parse_accept("application/dicom; transfer-syntax=JPEG")


def test_a_content_type_is_one_type() -> None:
    assert parse_media_type('multipart/related; boundary="a b"').parameters["boundary"] == "a b"
    with pytest.raises(InvalidRequest):
        parse_media_type("a/b, c/d")


@pytest.mark.parametrize(
    ("accepted", "content", "covers"),
    [
        ("*/*", "image/jpeg", True),
        ("image/*", "image/jpeg", True),
        ("image/*", "imagery/jpeg", False),
        ("image/jpeg", "image/jp2", False),
        ("image/jpeg", "image/jpeg", True),
    ],
)
def test_covers(accepted: str, content: str, covers: bool) -> None:
    assert MediaType(accepted).covers(content) is covers
    assert MediaType(RELATED, {"type": accepted}).covers(content) is covers


def test_every_syntax_has_a_media_type() -> None:
    assert frame_media("1.2.840.10008.1.2.4.202") == "image/jphc"
    assert frame_media("1.2.840.10008.1.2.4.101.1") == "video/mpeg"
    assert frame_media("1.2.840.10008.1.2.4.106.1") == "video/mp4"
    assert frame_media("1.2.840.10008.1.2.4.108") == "video/h265"
    assert frame_media("1.2.3.4") == "application/octet-stream"
