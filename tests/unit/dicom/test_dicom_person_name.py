import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.person_name import PersonName, normalise


def test_from_json() -> None:
    value = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    name = PersonName.from_json(value)
    assert name.groups == ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    assert name.to_json() == value
    assert str(name) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_from_text() -> None:
    assert PersonName.from_text("A^B") == PersonName("A^B")
    assert PersonName.from_text("=山田") == PersonName("", "山田")
    assert str(PersonName.from_text("A==P")) == "A==P"
    assert PersonName.from_text("A=B=C=D").phonetic == "C=D"


@pytest.mark.parametrize("value", [None, {}, "", {"Alphabetic": None}])
def test_nothing_is_an_empty_name(value: object) -> None:
    assert PersonName.from_json(value) == PersonName()


def test_a_plain_string_is_understood() -> None:
    assert PersonName.from_json("A=B") == PersonName("A", "B")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("müller^hans", "MULLER^HANS"),
        ("Mu\u0308ller", "MULLER"),
        ("Łukasz^Żółć", "LUKASZ^ZOLC"),
        ("Ørsted", "ORSTED"),
        ("Straße", "STRASSE"),
        ("Ærø", "AERO"),
        ("İstanbul", "ISTANBUL"),
        ("ΆΛΦΑς", "ΑΛΦΑΣ"),
        ("Ёлкин^Йод", "ЕЛКИН^ИОД"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("ヤマダ", "ヤマダ"),
        ("がく", "がく"),
        ("Ｓｍｉｔｈ", "SMITH"),
        ("김^희중", "김^희중"),
        ("山田^太郎", "山田^太郎"),
        ("  van   der  Berg ^ Jan ^^ ", "VAN DER BERG^JAN"),
        ("A^^B^^", "A^^B"),
        ("^^", ""),
        ("SM?TH*", "SM?TH*"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(max_size=30))
def test_case_does_not_matter_in_ascii(text: str) -> None:
    ascii_text = text.encode("ascii", "ignore").decode()
    assert normalise(ascii_text.lower()) == normalise(ascii_text.upper())
