"""Dates with their times (PS3.4 C.2.2.2.5)."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.date_times import combined_range, seen_from

DATE, TIME, ZONE = "00080020", "00080030", "00080201"


def study(date: str = "", time: str = "", zone: str = "") -> dict[str, dict[str, Any]]:
    given = {DATE: ("DA", date), TIME: ("TM", time), ZONE: ("SH", zone)}
    return {
        tag: {"vr": vr, "Value": [text]} if text else {"vr": vr}
        for tag, (vr, text) in given.items()
    }


moments = st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 6)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(moments, moments, moments)
def test_two_ranges_are_one(low: datetime, high: datetime, at: datetime) -> None:
    low, high = sorted((low, high))
    made = combined_range(DATE, f"{low:%Y%m%d}-{high:%Y%m%d}", f"{low:%H%M%S}-{high:%H%M%S}")
    assert made is not None
    assert made.matches(study(f"{at:%Y%m%d}", f"{at:%H%M%S}")) == (low <= at <= high)
    since = combined_range(DATE, f"{low:%Y%m%d}-", f"{low:%H%M%S}-")
    assert since is not None
    assert since.matches(study(f"{at:%Y%m%d}", f"{at:%H%M%S}")) == (low <= at)
    until = combined_range(DATE, f"-{high:%Y%m%d}", f"-{high:%H%M%S}")
    assert until is not None
    assert until.matches(study(f"{at:%Y%m%d}", f"{at:%H%M%S}")) == (at <= high)


def test_the_end_is_included_as_precisely_as_it_is_given() -> None:
    made = combined_range(DATE, "20240101-20240102", "10-18")
    assert made is not None
    assert made.matches(study("20240102", "185959"))
    assert not made.matches(study("20240102", "190000"))
    assert not made.matches(study("20240101", "095959"))
    assert made.matches(study("2024.01.01", "10:00:00"))


def test_what_has_no_date_is_in_no_range() -> None:
    made = combined_range(DATE, "-20991231", "-2359")
    assert made is not None
    assert not made.matches(study("", "1200"))
    assert not made.matches({})
    assert made.matches(study("20240101", ""))


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("20240101", "10-11"),
        ("20240101-20240102", "10"),
        ("20240101-20240102", "10-"),
        ("20240101-", "-10"),
        ("20240102-20240101", "10-11"),
        ("20240101-20240101", "11-10"),
        ("20240101-20240102", "10-25"),
        ("20240101-x", "10-11"),
        ("-", "-"),
        ("", ""),
    ],
)
def test_others_are_two_conditions(date: str, time: str) -> None:
    assert combined_range(DATE, date, time) is None


offsets = st.integers(-12 * 4, 14 * 4).map(lambda quarters: quarters * 15)


def offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


@given(moments, offsets, offsets)
def test_another_clock_shows_another_time(at: datetime, stored: int, wanted: int) -> None:
    there = at.replace(tzinfo=timezone(timedelta(minutes=stored))).astimezone(
        timezone(timedelta(minutes=wanted))
    )
    seen = seen_from(study(f"{at:%Y%m%d}", f"{at:%H%M%S}", offset(stored)), offset(wanted))
    assert seen[DATE]["Value"] == [f"{there:%Y%m%d}"]
    assert seen[TIME]["Value"][0].startswith(f"{there:%H%M%S}")


@pytest.mark.parametrize(
    "elements",
    [
        study("20240101", "1000"),
        study("20240101", "", "+0100"),
        study("", "1000", "+0100"),
        study("soon", "1000", "+0100"),
        study("00010101", "0000", "+1400"),
        study("20240101", "1000", "nonsense"),
    ],
)
def test_what_cannot_be_moved_stays(elements: dict[str, dict[str, Any]]) -> None:
    seen = seen_from(elements, "+0000")
    assert {tag: seen[tag] for tag in (DATE, TIME)} == {tag: elements[tag] for tag in (DATE, TIME)}


def test_date_times_get_the_offset_they_lack() -> None:
    elements = {
        "0008002A": {"vr": "DT", "Value": ["20240101100000", "20240101100000+0200"]},
        ZONE: {"vr": "SH", "Value": ["-0500"]},
    }
    assert seen_from(elements, "+0000")["0008002A"]["Value"] == [
        "20240101100000-0500",
        "20240101100000+0200",
    ]
