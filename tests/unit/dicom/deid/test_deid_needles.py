"""Strings that identify somebody, found and taken out."""

import pytest

from pacs_cloud.dicom.deid.needles import Matcher, Needles
from pacs_cloud.dicom.deid.scrubbing import scrubbed


def matcher(*words: str, numbers=(), dates=(), uids=()) -> Matcher:
    needles = Needles(dates=set(dates), uids=set(uids))
    for word in words:
        needles.add_word(word)
    for number in numbers:
        needles.add_number(number)
    return Matcher(needles)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Müller"], "seen by MULLER today"),
        (["Müller"], "xMüLLERx"),
        (["Jérôme"], "jerome"),
        (["Strauß"], "STRAUSS"),
        (["Ann"], "for ANN_2"),
        (["Ann"], "Ann"),
        (["山田"], "山田太郎"),
        (["김"], "no"),
        (["김희중"], "김희중"),
        (["ﾔﾏﾀﾞ"], "ヤマダ"),
    ],
)
def test_words(words: list[str], text: str) -> None:
    assert matcher(*words).is_in(text) is (text != "no")


@pytest.mark.parametrize("text", ["CHANNEL", "Annex", "planning", "", "An n"])
def test_a_short_word_is_not_looked_for_within_others(text: str) -> None:
    assert not matcher("Ann").is_in(text)


def test_a_word_of_two_letters_is_none() -> None:
    assert not matcher("Li").is_in("Li")


@pytest.mark.parametrize(
    ("number", "text", "found"),
    [
        ("445566", "ID 445566.", True),
        ("445566", "1445566", False),
        ("PAT-445566", "pat-445566b", True),
        ("0010", "slice 0010", True),
        ("123", "123", False),
        ("PAT-445566", "his 445566", True),
    ],
)
def test_numbers(number: str, text: str, found: bool) -> None:
    assert matcher(numbers=[number]).is_in(text) is found


@pytest.mark.parametrize(
    "text",
    ["19540317", "1954-03-17", "17.03.1954", "17.3.54", "3/17/1954", "17031954", "born 1954.03.17"],
)
def test_days_in_many_forms(text: str) -> None:
    assert matcher(dates=["19540317"]).is_in(text)


def test_another_day_is_not_meant() -> None:
    assert not matcher(dates=["19540317"]).is_in("119540317 18.03.1954 1.954")


@pytest.mark.parametrize(
    ("text", "found"), [("of 1.2.3.4.", True), ("1.2.3.45", False), ("9.1.2.3.4", False)]
)
def test_uids(text: str, found: bool) -> None:
    assert matcher(uids=["1.2.3.4"]).is_in(text) is found


def test_what_is_taken_out_leaves_the_rest_as_it_was() -> None:
    one = matcher("Smith", "Anna")
    assert one.without("  CT of Anna Smith, thorax") == "CT of , thorax"
    assert one.without("no name\r\nhere") == "no name\r\nhere"
    assert one.without("99_SMITH_X") == "99__X"
    both = matcher("PAT", "PAT-445566")
    assert both.without("PAT-445566") == "", "the longer one goes whole"
    assert one.without("SmSmithith left") == "left", "what is left together is a name, too"


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1 SMITHSON \2",
        "smithson".encode("utf-16-le"),
        b"\xff" + "Smithson".encode("utf-16-be"),
        "王小东".encode("gb18030"),
        "王小东".encode() + b"\0\1",
        b"\1\2\3 445566 \3",
        b"\1\2\3 19540317 \3",
        b"\1\2\3 1.2.3.4.5.6.7 \3",
        b"Ann",
    ],
)
def test_bytes(data: bytes) -> None:
    one = matcher(
        *("Smithson", "王小东", "Ann"),
        numbers=["445566"],
        dates=["19540317"],
        uids=["1.2.3.4.5.6.7"],
    )
    assert one.is_in_bytes(data)
    assert not one.is_in_bytes(bytes(range(256)))


def test_a_short_word_turns_up_in_binary_data_by_chance() -> None:
    assert not matcher("Ann").is_in_bytes(b"\1\2 Ann \3")


def test_long_ones_are_found_across_pieces_of_large_data() -> None:
    one = matcher("Smithson", numbers=["PAT-445566"])
    assert one.is_in_large([b"xx SMI", b"THSON yy"])
    assert one.is_in_large([b"\0PAT-4", b"455", b"66\0"])
    assert not one.is_in_large([b"SMITH", b"SON"[:1]])
    assert one.is_in_large([b"s", b"m", b"i", b"t", b"h", b"s", b"o", b"n"])
    assert one.is_in_large([bytes(1 << 20) + b"smithson"])
    assert not one.is_in_large([bytes(range(256)) * 4096])
    assert not matcher().is_in_large([b"smithson"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("seen on 2024-01-02 at noon", "seen on at noon"),
        ("12. März 2021: stable", ": stable"),
        ("on 3 May 2020", "on"),
        ("call +41 71 555 12 34", "call"),
        ("mail a.b@c.example now", "mail now"),
        ("see https://example.org/x?y now", "see now"),
        ("Dr. Zellweger agrees", "agrees"),
        ("Nodule of 7 mm, 3.5 x 4.25", "Nodule of 7 mm, 3.5 x 4.25"),
        ("T1 TSE 512x512 TR 4000", "T1 TSE 512x512 TR 4000"),
    ],
)
def test_free_text(text: str, left: str) -> None:
    assert scrubbed(text, matcher(), keeps_dates=False) == left


def test_dates_stay_where_they_may() -> None:
    assert scrubbed("on 2024-01-02", matcher(), keeps_dates=True) == "on 2024-01-02"
