"""What is made here says when in the zone of its study, and names a zone only where that does."""

import time
from collections.abc import Iterator

import pytest

from pacs_cloud.dicom.elements import Elements, element
from pacs_cloud.dicom.of_study import moment_in, of_study

AT_US = 1_767_340_800_000_000
"""2026-01-02 08:00 UTC."""


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system whose clock is 5:30 ahead of UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "FAR-5:30")
        time.tzset()
        yield
    time.tzset()


def zoned(*zone: str) -> Elements:
    return {"00080201": element("SH", *zone)}


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(
    ("zone", "day", "hour"),
    [
        ("+0900", "20260102", "170000"),
        ("-0830", "20260101", "233000"),
        (" +0000 ", "20260102", "080000"),
    ],
)
def test_in_the_zone_of_the_study(zone: str, day: str, hour: str) -> None:
    assert of_study(zoned(zone))["00080201"] == element("SH", zone.strip())
    assert moment_in(zoned(zone), AT_US) == (element("DA", day), element("TM", hour))


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(
    "study",
    [{}, zoned(), *map(zoned, ("", "CET", "+9", "+2500", "+01:00", "Z"))],
)
def test_else_in_that_of_the_system(study: Elements) -> None:
    assert "00080201" not in of_study(study)
    assert moment_in(study, AT_US) == (element("DA", "20260102"), element("TM", "133000"))
