"""UID references, places, name terms, records and decisions, each back as it went in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, attributes, instance, pack
from pacs_cloud.catalogue import codec, items, uidrefs
from pacs_cloud.catalogue.aggregate import add_to_series, add_to_study, summarise
from pacs_cloud.catalogue.decisions import Decision, standing
from pacs_cloud.catalogue.names import name_terms, prefixes
from pacs_cloud.catalogue.ordering import (
    checked,
    month_of,
    packed,
    place,
    study_of,
    unpacked,
    usable_date,
    usable_time,
)
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.searchkeys import search_keys
from pacs_cloud.errors import Corrupt, InvalidRequest

UIDS = st.one_of(
    st.builds(
        "1.2.840.{}.{}".format, st.sampled_from(("99", "99.1", "7")), st.integers(0, 2_000_000)
    ),
    st.builds("2.25.{}".format, st.integers(0, 10**30)),
    st.builds("1.2.840.99.{:04}".format, st.integers(0, 9999)),
)


@given(st.sets(UIDS, max_size=80), st.sets(UIDS, max_size=20))
def test_references_hold_their_uids_and_no_others(uids: set[str], others: set[str]) -> None:
    entries = uidrefs.entries("1.9.9", uids)
    by_key = {entry.key: entry for entry in entries}
    assert len(by_key) == len(entries)
    for uid in uids | others | {"1.9.9"}:
        found = [
            by_key[key]
            for key in uidrefs.keys_of(uid)
            if key in by_key and uidrefs.holds(by_key[key], uid)
        ]
        assert len(found) == (uid in uids or uid == "1.9.9")


def test_counters_are_grouped_and_roots_are_not() -> None:
    counted = [f"1.2.840.99.7.{number}" for number in range(990, 1040)]
    assert uidrefs.entries("1.9.9", counted) == (
        uidrefs.UidEntry("1.9.9"),
        uidrefs.UidEntry("1.2.840.99.7.*0", "990-999"),
        uidrefs.UidEntry("1.2.840.99.7.*1", "1000-1039"),
    )
    for many in (
        counted[:19],
        [f"2.25.{number}" for number in range(30)],
        [f"1.2.840.99.7.{number}" for number in range(10**6, 10**6 + 30)],
    ):
        assert {entry.key for entry in uidrefs.entries("1.9.9", many)} == {"1.9.9", *many}


def test_a_root_has_no_block() -> None:
    assert uidrefs.keys_of("2.25.7") == ("2.25.7",)
    assert uidrefs.keys_of("1.2.840.99.1007") == ("1.2.840.99.1007", "1.2.840.99.*1")
    assert uidrefs.keys_of("anything²") == ("anything²",)


PLACES = st.builds(
    lambda uid, date, time: place(
        uid,
        {"00080020": {"Value": [date]}, "00080030": {"Value": [time]}},
    ),
    st.from_regex(r"[0-9](\.?[0-9]){0,30}", fullmatch=True).filter(str.isascii),
    st.sampled_from(("20240101", "20231231", "2024.01.01", "", "garbage", "20241301")),
    st.sampled_from(("", "101500", "1015", "10:15:00.5", "235960.123456", "x")),
)


@given(PLACES, PLACES)
def test_a_packed_place_sorts_alike(one: str, other: str) -> None:
    assert (packed(one) < packed(other)) == (one < other)
    assert unpacked(packed(one)) == one
    assert packed(one) < packed("~")
    assert checked(one) == one


def test_a_place_tells_month_and_study() -> None:
    dated = place("1.2.3", attributes(date="20240229"))
    assert (month_of(dated), study_of(dated)) == ("202402", "1.2.3")
    assert month_of(place("1.2.3", {})) == "none"
    assert usable_date("2024.02.29") == "20240229"
    assert usable_date("20240299") == ""
    assert usable_time("10:15") == "101500000000"
    assert usable_time("1") == ""
    with pytest.raises(InvalidRequest):
        packed("1.2.a")


def test_names_have_terms() -> None:
    terms = name_terms(attributes(patient_name="Müller^Anna  Maria^^^"))
    assert (terms.groups, terms.givens) == (("MULLER^ANNA MARIA",), ("ANNA MARIA",))
    assert terms.sounds == ("AN", "MLR", "MR")
    assert prefixes(["ABC"]) == {"A", "AB", "ABC"}
    assert max(map(len, prefixes(["X" * 300]))) == 16
    assert name_terms({}).groups == ()


def test_records_come_back() -> None:
    index = pack([instance("1.2.1"), instance("1.2.2", own={"00100040": {"vr": "CS"}})])
    contribution = summarise(index, {"1.2.1", "1.2.2"})
    study = add_to_study(None, contribution, rev=7, new_series=True)
    names = (study.tenant, study.study_instance_uid)
    assert codec.decode_study(*names, 7, codec.encode_study(study)) == study
    series = add_to_series(None, contribution)
    assert series is not None
    uid = series.series_instance_uid
    assert codec.decode_series(*names, uid, codec.encode_series(series)) == series
    for decode in (
        lambda data: codec.decode_study(*names, 7, data),
        lambda data: codec.decode_series(*names, uid, data),
        lambda data: codec.decode_pack(*names, uid, "p", data),
        codec.decode_conflict,
        codec.decode_event,
        Decision.from_json,
    ):
        for data in (b"", b"[]", b"{}", b"[1,2]"):
            with pytest.raises(Corrupt):
                decode(data)


def test_a_decision_comes_back_and_the_latest_stands() -> None:
    first = Decision("t", "1", "2", "p", {"1.1": HiddenReason.KEPT_FIRST}, NOW_US)
    second = Decision("t", "1", "2", "p", {}, NOW_US + 1)
    other = Decision("t", "1", "2", "q", {"1.1": HiddenReason.REPLACED}, NOW_US)
    for decision in (first, second, other):
        assert Decision.from_json(decision.to_json()) == decision
    assert standing([second, other, first]) == {"p": {}, "q": other.hidden}


def test_a_name_has_a_token_for_each_beginning() -> None:
    contribution = summarise(
        pack([instance("1.2.1")], common=attributes(patient_name="LEE^ANN")), {"1.2.1"}
    )
    keys = search_keys(add_to_study(None, contribution, rev=1, new_series=True))
    tokens = {pk for pk, _ in items.tokens("t", keys, infix=False)}
    assert tokens == {
        *(f"N#t#n#{'LEE^ANN'[:length]}" for length in range(1, 8)),
        *(f"N#t#g#{'ANN'[:length]}" for length in range(1, 4)),
        *(f"N#t#s#{token}" for token in ("L", "A", "AN")),
    }
    grams = {pk for pk, _ in items.tokens("t", keys, infix=True)} - tokens
    assert grams == {f"N#t#3#{gram}" for gram in ("LEE", "EE^", "E^A", "^AN", "ANN")}


def test_items_hold_no_tenant_with_a_hash() -> None:
    with pytest.raises(InvalidRequest, match=re.escape("'#'")):
        items.study_pk("a#b", "1")
