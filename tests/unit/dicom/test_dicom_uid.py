import pytest

from pacs_cloud.dicom import uid
from pacs_cloud.errors import InvalidUid


@pytest.mark.parametrize("text", ["1.2.3", b"1.2.3\0", "1.2.3 ", b"1.2.3\0\0", "1.2.3\0"])
def test_padding_goes(text: str | bytes) -> None:
    assert uid.parse_uid(text) == "1.2.3"


@pytest.mark.parametrize("text", ["1.02.3", "2.25.0", "1", "1." + "9" * 62])
def test_path_safe_uids_are_accepted(text: str) -> None:
    assert uid.parse_uid(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "1..2", ".1", "1.", "1.2a", "../1", "1/2", "1.2\n", "١.٢", "1." + "9" * 63, b"\xff1"],
)
def test_others_are_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidUid):
        uid.parse_uid(text)


def test_a_long_uid_is_not_quoted_in_full() -> None:
    with pytest.raises(InvalidUid) as refused:
        uid.parse_uid("1" * 10_000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "conforms"),
    [("1.2.840.10008", True), ("1.02", False), ("0.0", True), ("1", False), ("1.2.00", False)],
)
def test_conformance_is_another_question(text: str, conforms: bool) -> None:
    assert uid.is_conforming(text) is conforms


@pytest.mark.parametrize(
    ("syntax", "encapsulated"),
    [
        (uid.IMPLICIT_LE, False),
        (uid.EXPLICIT_LE, False),
        (uid.EXPLICIT_BE, False),
        (uid.DEFLATED_LE, False),
        (uid.JPEG_BASELINE, True),
        (uid.ENCAPSULATED_UNCOMPRESSED, True),
        ("1.2.3.4.5", True),
    ],
)
def test_what_is_encapsulated(syntax: str, encapsulated: bool) -> None:
    assert uid.is_encapsulated(syntax) is encapsulated
