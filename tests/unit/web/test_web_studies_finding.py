"""Which day it is for whoever looks at the study list."""

from datetime import UTC, date, datetime

import pytest

from pacs_cloud.web.studies.finding import day_at

EVENING = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
EVENING_US = int(EVENING.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("zone", "day"),
    [("+0900", 2), ("+0130", 2), ("+0100", 1), ("+0000", 1), ("-1100", 1)],
)
def test_it_is_the_day_of_their_zone(zone: str, day: int) -> None:
    assert day_at(EVENING_US, zone) == date(2026, 3, day)


@pytest.mark.parametrize("zone", ["", "+9900", "0900", "Asia/Tokyo", "+0900; x"])
def test_where_none_is_told_it_is_that_of_this_process(zone: str) -> None:
    assert day_at(EVENING_US, zone) == EVENING.astimezone().date()
