"""Which keys match which records."""

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.criteria import Criteria, level_of, project
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

NAME = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller-Lüdenscheidt^Anna Maria"}]}}
STEPS = {
    "00400275": {
        "vr": "SQ",
        "Value": [
            {"00400009": {"vr": "SH", "Value": ["S1"]}, "00401001": {"vr": "SH", "Value": ["R1"]}},
            {"00400009": {"vr": "SH", "Value": ["S2"]}, "00401001": {"vr": "SH", "Value": ["R2"]}},
        ],
    }
}


def criteria(*keys: tuple[str, str], fuzzy: bool = False) -> Criteria:
    made = tuple(SearchKey(tuple(path.split(".")), text) for path, text in keys)
    return Criteria(SearchRequest(Level.STUDY, made, fuzzy=fuzzy))


def test_levels() -> None:
    assert level_of("00100020") == level_of("00201208") == Level.STUDY
    assert level_of("00080060") == Level.SERIES
    assert level_of("00080018") == Level.IMAGE
    assert level_of("00180050") is None


def test_keys_are_sorted_by_level() -> None:
    made = criteria(("00100020", "P"), ("00080018", "1.2"))
    assert made.has(Level.STUDY)
    assert made.has(Level.IMAGE)
    assert not made.has(Level.SERIES)
    assert made.lower_than(Level.STUDY)
    assert not made.lower_than(Level.IMAGE)


def test_universal_keys_and_the_character_set_are_no_condition() -> None:
    made = criteria(("00100020", ""), ("00100010", "*"), ("00080005", "ISO_IR 100"))
    assert made.match(Level.STUDY, {})
    assert made.ignored == ()


def test_what_searches_do_not_keep_is_named() -> None:
    assert criteria(("00180050", "1"), ("00180051", "")).ignored == (("00180050",),)


@pytest.mark.parametrize(
    ("step", "procedure", "matches"),
    [("S1", "R1", True), ("S2", "R2", True), ("S1", "R2", False), ("S1", "", True)],
)
def test_keys_in_one_sequence_are_met_by_one_item(step: str, procedure: str, matches: bool) -> None:
    made = criteria(("00400275.00400009", step), ("00400275.00401001", procedure))
    assert made.match(Level.SERIES, STEPS) is matches


def test_an_empty_key_on_a_sequence_beside_keys_in_it_changes_nothing() -> None:
    for keys in (
        [("00400275", ""), ("00400275.00400009", "S9")],
        [("00400275.00400009", "S9"), ("00400275", "")],
    ):
        assert not criteria(*keys).match(Level.SERIES, STEPS)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("anna muller", True),
        ("MARIA LUDEN", True),
        ("Anna^Maria", True),
        ("ann*", True),
        ("anna smith", False),
        ("enscheidt", False),
    ],
)
def test_fuzzy_names_match_by_the_beginnings_of_words(text: str, matches: bool) -> None:
    assert criteria(("00100010", text), fuzzy=True).match(Level.STUDY, NAME) is matches


@pytest.mark.parametrize(
    ("path", "text"),
    [("00080020", "soon"), ("0020000D", "x"), ("00400275", "x"), ("00201208", "many")],
)
def test_values_that_an_attribute_cannot_have(path: str, text: str) -> None:
    with pytest.raises(InvalidRequest):
        criteria((path, text))


def test_project_sorts_and_lets_the_first_win() -> None:
    first = {"00100020": {"vr": "LO", "Value": ["1"]}}
    second = {"00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, "00080020": {"vr": "DA"}}
    assert list(project(None, first, second)) == ["00080020", "00100010", "00100020"]
    assert project(frozenset({"00100020", "99999999"}), first, second) == first
