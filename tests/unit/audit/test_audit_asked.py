"""What somebody types is the moment that they mean, however it is written."""

import pytest

from pacs_cloud.audit.asked import Asked, parsed_moment
from pacs_cloud.errors import InvalidRequest

DAY_US = 86_400_000_000
START_US = 1_767_312_000_000_000
"""The second of January 2026 begins."""
HOUR_US = 3_600_000_000


@pytest.mark.parametrize("day", ["2026-01-02", "20260102"])
def test_a_day_is_meant_to_its_end(day: str) -> None:
    assert Asked(since=day, until=day).span() == (START_US, START_US + DAY_US)


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-02T18:00",
        "2026-01-02 18:00:00",
        "20260102T18",
        "20260102T1800",
        "2026-01-02T18:00Z",
        "2026-01-02T20:00+02:00",
        "20260102 130000-0500",
    ],
)
def test_a_time_is_meant_as_it_stands(time: str) -> None:
    at_us = START_US + 18 * HOUR_US
    assert Asked(since=time, until=time).span() == (at_us, at_us)


def test_a_moment_is_not_rounded_over_what_happened_behind_it() -> None:
    since_us, _ = Asked(since="2026-01-02T00:00:00.700001").span()
    assert since_us == START_US + 700_001


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-W01-5",
        "2026-W01",
        "2026-0102",
        "2026-01-02T",
        "2026-01-02+02:00",
        "2026-01-02x18:00",
        "٢٠٢٦-01-02",
        "2026-01-02\n",
        "9999-12-31T23:59",
        "9999-12-31",
    ],
)
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Asked(until=text).span()


def test_a_day_to_verify_from_may_be_written_both_ways() -> None:
    assert parsed_moment("20260102", "since") == parsed_moment("2026-01-02", "since")
