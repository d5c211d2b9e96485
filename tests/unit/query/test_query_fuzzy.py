"""Fuzzy names: what is alike, and that no start of a search misses what matches."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pacs_cloud.catalogue.names import name_terms
from pacs_cloud.catalogue.port import ByName
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.matching import Rules
from pacs_cloud.dicom.name_words import (
    SOUND_LIMIT,
    sound_of,
    sounds_like,
    spoken_words_of,
    words_of,
)
from pacs_cloud.query.criteria import Criteria
from pacs_cloud.query.planner import FromAnchor, plan
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

NAME = "00100010"
LETTERS = "ABEHMNSTWaäßéøł山やヤΓ09'- "


def named(text: str) -> Elements:
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("=", 2), strict=False))
    return {NAME: {"vr": "PN", "Value": [groups]}}


def asked(text: str, *, fuzzy: bool) -> SearchRequest:
    return SearchRequest(Level.STUDY, (SearchKey((NAME,), text),), fuzzy=fuzzy)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SMITH", "SCHMIDT"),
        ("MEYER", "MAIER"),
        ("MULLER", "MUELLER"),
        ("CATHERINE", "KATHERINE"),
        ("JON", "JOHN"),
        ("STEPHAN", "STEFAN"),
        ("GEOFFREY", "JEFFREY"),
        ("VOGEL", "FOGEL"),
        ("ZANDER", "SANDER"),
        ("やまだ", "ヤマダ"),
    ],
)
def test_words_that_sound_alike(one: str, other: str) -> None:
    assert sounds_like(one, other)
    assert sounds_like(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SEAN", "SAM"),
        ("LEE", "LAU"),
        ("山田", "山本"),
        ("PATIENT001", "PATIENT002"),
        ("ANNA", "HANNA"),
        ("ИВАН", "ИВАНА"),
    ],
)
def test_words_that_do_not(one: str, other: str) -> None:
    assert not sounds_like(one, other)


@given(st.text(LETTERS + "CDFGIJKLOPQRUVXYZ", min_size=1, max_size=20).map(str.upper), st.data())
def test_the_sound_of_a_beginning_is_the_beginning_of_the_sound(
    word: str, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, len(word)))
    assert sound_of(word).startswith(sound_of(word[:length]))
    assert 1 <= len(sound_of(word)) <= SOUND_LIMIT


def test_words_are_parted_at_whatever_parts_them() -> None:
    assert words_of("Müller-Lüdenscheidt^Anna Maria^^Dr.=山田^太郎") == (
        "MULLER",
        "LUDENSCHEIDT",
        "ANNA",
        "MARIA",
        "DR",
        "山田",
        "太郎",
    )
    # A vowel sign is part of its word, whatever Unicode thinks of letters.
    assert words_of("किरण") == ("किरण",)
    assert words_of("*^-' =?") == ()


names = st.lists(st.text(LETTERS, max_size=7), min_size=1, max_size=4).map("^".join)
groups = st.lists(names, min_size=1, max_size=3).map("=".join)
fuzzy_keys = st.text(LETTERS + "^=*?", min_size=1, max_size=8)
literal_keys = st.text("ABEHaäßé山やΓ^=*? ", min_size=1, max_size=8)


@example("Smith^John", "schmidt")
@example("Müller-Lüdenscheidt^Anna", "mullerludenscheidt")
@example("A^B-A=山田", "山")
@given(groups, fuzzy_keys)
def test_a_fuzzy_search_starts_where_every_match_is(name: str, key: str) -> None:
    misses_nothing(name, asked(key, fuzzy=True))


@example("Smith^John", "jo smi")
@given(groups, fuzzy_keys)
def test_so_does_one_that_does_not_listen(name: str, key: str) -> None:
    request = replace(asked(key, fuzzy=True), rules=Rules(by_sound=False))
    misses_nothing(name, request)
    if words_of(key) and Criteria(request).match(Level.STUDY, named(name)):
        assert all(
            any(part.startswith(word) for part in spoken_words_of(name)) for word in words_of(key)
        )


@example("Smith^John", "sm?th*")
@example("山田^太郎", "*^太*")
@given(groups, literal_keys)
def test_a_literal_search_starts_where_every_match_is(name: str, key: str) -> None:
    misses_nothing(name, asked(key, fuzzy=False))


def misses_nothing(name: str, request: SearchRequest) -> None:
    start = plan(request)
    assert isinstance(start, FromAnchor)
    if isinstance(start.anchor, ByName) and Criteria(request).match(Level.STUDY, named(name)):
        assert name_terms(named(name)).match(start.anchor)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("smith", True), ("SMITH\\NOBODY", True), ("nobody\\john smith", True), ("a\\b", False)],
)
def test_one_of_several_names_is_enough(key: str, *, expected: bool) -> None:
    matches = Criteria(asked(key, fuzzy=True)).match(Level.STUDY, named("Smith^John"))
    assert matches is expected
