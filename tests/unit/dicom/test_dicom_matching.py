"""PS3.4 C.2.2.2, rule by rule."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.matching import Rules, parse_key
from pacs_cloud.dicom.wildcard import glob_matches
from pacs_cloud.errors import InvalidRequest


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def person(*groups: str) -> dict[str, Any]:
    names = ("Alphabetic", "Ideographic", "Phonetic")
    value = {name: group for name, group in zip(names, groups, strict=False) if group}
    return {"vr": "PN", "Value": [value]}


def matches(tag: str, vr: str, key: Any, *values: Any) -> bool:
    return parse_key(tag, vr, key).matches(element(vr, *values))


# C.2.2.2.3 universal


@pytest.mark.parametrize("vr", ["LO", "PN", "DA", "TM", "UI", "IS", "SQ", "US"])
def test_an_empty_key_matches_everything(vr: str) -> None:
    for key in ("", element(vr)):
        matcher = parse_key("00100020", vr, key)
        assert matcher.universal
        assert matcher.matches(None)
        assert matcher.matches(element(vr, "X"))


def test_a_single_star_is_universal() -> None:
    assert parse_key("00100020", "LO", "*").universal
    assert parse_key("00100010", "PN", "*").matches(None)


# as people type: beyond the standard, for those who ask so


@pytest.mark.parametrize("key", ["schädel", "SCHADEL", "  Schädel ", "*äd*", "s?hadel"])
def test_typed_text_is_matched_without_case_and_accents(key: str) -> None:
    for rules, expected in ((Rules(typed=True), True), (Rules(), False)):
        matcher = parse_key("00081030", "LO", key, rules)
        assert matcher.matches(element("LO", "Other", "SCHÄDEL")) is expected
        assert not matcher.matches(element("LO", "Hals"))
        assert not matcher.matches(None)


# C.2.2.2.1 single value


def test_text_is_matched_literally_and_by_case() -> None:
    assert matches("00100020", "LO", "Ab1", "Ab1")
    assert not matches("00100020", "LO", "Ab1", "AB1")
    assert not matches("00100020", "LO", "Ab", "Ab1")


def test_spaces_around_do_not_matter() -> None:
    assert matches("00100020", "LO", "12 ", "12")
    assert matches("00100020", "LO", "12", " 12 ")


def test_an_absent_or_empty_value_matches_no_key() -> None:
    matcher = parse_key("00100020", "LO", "12")
    assert not matcher.matches(None)
    assert not matcher.matches(element("LO"))
    assert not matcher.matches(element("LO", ""))
    assert not matcher.matches(element("LO", None))


def test_one_of_several_values_is_enough() -> None:
    assert matches("00080061", "CS", "MR", "CT", "MR")
    assert matches("00080061", "CS", "CT\\US", "US")
    assert matches("00080061", "CS", element("CS", "CT", "US"), "US")
    assert not matches("00080061", "CS", "CT\\US", "MR")


def test_a_backslash_in_long_text_is_text() -> None:
    assert matches("00104000", "LT", "a\\b", "a\\b")
    assert not matches("00104000", "LT", "a\\b", "a")


@pytest.mark.parametrize(
    ("vr", "key", "value"),
    [("IS", "01", 1), ("IS", "1.0", 1), ("DS", "2.50", 2.5), ("US", "512", 512), ("DS", 2.5, 2.5)],
)
def test_numbers_are_equal_as_numbers(vr: str, key: Any, value: float) -> None:
    assert matches("00200013", vr, key if isinstance(key, str) else element(vr, key), value)


def test_a_number_stored_as_text_is_compared_as_one() -> None:
    assert matches("00200013", "IS", "7", "007")
    assert not matches("00200013", "IS", "7", "7A")


def test_what_is_no_number_is_a_bad_request() -> None:
    with pytest.raises(InvalidRequest, match="InstanceNumber takes a number"):
        parse_key("00200013", "IS", "abc")


# C.2.2.2.2 list of UIDs


@pytest.mark.parametrize("key", ["1.2,1.3", "1.2\\1.3", {"vr": "UI", "Value": ["1.2", "1.3"]}])
def test_a_list_of_uids(key: Any) -> None:
    assert matches("0020000D", "UI", key, "1.3")
    assert not matches("0020000D", "UI", key, "1.4")


@pytest.mark.parametrize("key", ["1.2*", "abc", "1..2"])
def test_a_malformed_uid_is_a_bad_request(key: str) -> None:
    with pytest.raises(InvalidRequest, match="StudyInstanceUID"):
        parse_key("0020000D", "UI", key)


# C.2.2.2.4 wild cards


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("AB*", "ABC", True),
        ("AB*", "AB", True),
        ("*C", "ABC", True),
        ("A?C", "ABC", True),
        ("A?C", "AC", False),
        ("A*C*E", "ABCDE", True),
        ("A*C*E", "ABCD", False),
        ("a*", "ABC", False),
        ("A.C", "ABC", False),
        ("[AB]*", "ABC", False),
    ],
)
def test_wild_cards(key: str, value: str, expected: bool) -> None:
    assert matches("00100020", "LO", key, value) is expected


def test_wild_cards_are_literal_where_they_are_not_allowed() -> None:
    assert not matches("00101010", "AS", "04*", "040Y")
    assert matches("00101010", "AS", "04*", "04*")


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wild_cards_mean_what_a_regular_expression_means(pattern: str, text: str) -> None:
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert glob_matches(pattern, text) is (re.fullmatch(regex, text, re.DOTALL) is not None)


def test_a_hostile_pattern_ends() -> None:
    # A matcher that backtracks into each star would still be at it tomorrow.
    assert not glob_matches("a*" * 60 + "b", "a" * 3_000)


# person names


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("muller^hans", True),
        ("MÜLLER^HANS", True),
        ("Müller^Hans^^", True),
        ("mul*", True),
        ("*hans", True),
        ("m?ller^*", True),
        ("muller", False),
        ("hans", False),
    ],
)
def test_names_are_matched_without_case_and_accents(key: str, expected: bool) -> None:
    assert parse_key("00100010", "PN", key).matches(person("Müller^Hans")) is expected


def test_any_component_group_may_match() -> None:
    name = person("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    for key in ("yamada^tarou", "山田*", "やまだ^たろう", "*^太郎"):
        assert parse_key("00100010", "PN", key).matches(name)
    assert not parse_key("00100010", "PN", "鈴木*").matches(name)


def test_groups_given_match_their_own_group() -> None:
    name = person("Yamada^Tarou", "山田^太郎")
    assert parse_key("00100010", "PN", "yamada*=山田*").matches(name)
    assert parse_key("00100010", "PN", "=山田*").matches(name)
    assert not parse_key("00100010", "PN", "=yamada*").matches(name)
    assert parse_key("00100010", "PN", person("yamada*", "山田*")).matches(name)


# C.2.2.2.5 ranges


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("20240131", "20240131", True),
        ("20240131", "2024.01.31", True),
        ("20240101-20240131", "20240131", True),
        ("20240101-20240131", "20240201", False),
        ("20240101-", "20991231", True),
        ("20240101-", "20231231", False),
        ("-20240101", "19000101", True),
        ("-20240101", "20240102", False),
        (" 20240101 - 20240131 ", "20240115", True),
        ("20240101-20240131", "", False),
        ("20240101-20240131", "nonsense", False),
        ("-20240101", "20240000", False),
    ],
)
def test_dates(key: str, value: str, expected: bool) -> None:
    assert matches("00080020", "DA", key, value) is expected


def test_an_absent_date_is_in_no_range() -> None:
    assert not parse_key("00080020", "DA", "-20240101").matches(None)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("10", "103000", True),
        ("10", "110000", False),
        ("1030", "103059.999999", True),
        ("103000-110000", "103000", True),
        ("10-11", "115959", True),
        ("10-11", "120000", False),
        ("-0930", "093059", True),
        ("0930-", "0930", True),
        ("10:30:00", "103000", True),
        ("103000.5", "103000.5", True),
        ("103000.5", "103000.6", False),
        ("103000", "103000.123", True),
    ],
)
def test_times(key: str, value: str, expected: bool) -> None:
    assert matches("00080030", "TM", key, value) is expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("20240131", "20240131103000", True),
        ("2024", "20240131103000", True),
        ("202401-202402", "20240229235959", True),
        ("20240131-", "20240130", False),
        ("20240131120000-0500", "20240131170000+0000", True),
        ("20240131120000-0500-20240131130000-0500", "20240131173000+0000", True),
        ("20240131120000-0500-20240131130000-0500", "20240131183000+0000", False),
        ("20240131120000-0500-", "20240131235959", True),
        ("-20240131120000+0900", "20240131025959+0000", True),
        ("2019-2020", "2020", True),
        ("2019-2020", "2021", False),
    ],
)
def test_date_times(key: str, value: str, expected: bool) -> None:
    assert matches("0008002A", "DT", key, value) is expected


@pytest.mark.parametrize(
    ("tag", "vr", "key"),
    [
        ("00080020", "DA", "2024"),
        ("00080020", "DA", "2024-01-31"),
        ("00080020", "DA", "20241301"),
        ("00080020", "DA", "-"),
        ("00080020", "DA", "20240101-x"),
        ("00080020", "DA", "20240102-20240101"),
        ("00080020", "DA", "20240101-20240102-20240103"),
        ("00080020", "DA", "20240101\\20240102"),
        ("00080020", "DA", "202401*"),
        ("00080030", "TM", "25"),
        ("00080030", "TM", "11-10"),
        ("0008002A", "DT", "abc"),
    ],
)
def test_malformed_dates_and_ranges_are_bad_requests(tag: str, vr: str, key: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_key(tag, vr, key)


# C.2.2.2.6 sequences


def sequence(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


STEP, PROCEDURE = "00400009", "00401001"


def test_one_item_satisfies_every_key() -> None:
    key = sequence({STEP: element("SH", "S1"), PROCEDURE: element("SH", "P*")})
    matcher = parse_key("00400275", "SQ", key)
    good = {STEP: element("SH", "S1"), PROCEDURE: element("SH", "P7")}
    assert matcher.matches(sequence({}, good))
    assert not matcher.matches(
        sequence({STEP: element("SH", "S1")}, {PROCEDURE: element("SH", "P7")})
    )
    assert not matcher.matches(None)


@pytest.mark.parametrize("key", [sequence(), sequence({}), sequence({STEP: element("SH")}), ""])
def test_a_sequence_key_without_values_is_universal(key: Any) -> None:
    assert parse_key("00400275", "SQ", key).universal


def test_two_items_are_a_bad_request() -> None:
    with pytest.raises(InvalidRequest):
        parse_key(
            "00400275", "SQ", sequence({STEP: element("SH", "1")}, {STEP: element("SH", "2")})
        )
    with pytest.raises(InvalidRequest):
        parse_key("00400275", "SQ", "text")


def test_bytes_cannot_be_matched() -> None:
    with pytest.raises(InvalidRequest):
        parse_key("7FE00010", "OW", "1")


@given(
    st.sampled_from(["DA", "TM", "DT", "PN", "LO", "UI", "IS", "AT", "AS", "LT"]),
    st.text("0123456789-+.*?^=\\, Aü山", max_size=24),
    st.text("0123456789-+.^=A", max_size=16),
)
def test_any_key_is_a_matcher_or_a_bad_request(vr: str, key: str, value: str) -> None:
    try:
        matcher = parse_key("00100010", vr, key)
    except InvalidRequest:
        return
    assert matcher.matches(element(vr, value)) in {True, False}
    if matcher.universal:
        assert matcher.matches(None)
