"""Dates with their times: combined ranges, and other time zones (PS3.4 C.2.2.2.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.moments import Bounds, Moment, is_offset, moment_of, zone_of

TIMEZONE_OFFSET: Final = "00080201"
TIME_OF: Final = {
    "00080012": "00080013",  # InstanceCreationDate, -Time
    "00080020": "00080030",  # StudyDate, -Time
    "00080021": "00080031",  # SeriesDate, -Time
    "00080022": "00080032",  # AcquisitionDate, -Time
    "00080023": "00080033",  # ContentDate, -Time
    "00100030": "00100032",  # PatientBirthDate, -Time
    "00400244": "00400245",  # PerformedProcedureStepStartDate, -Time
    "00400250": "00400251",  # PerformedProcedureStepEndDate, -Time
}
"""Which attribute has the time of day of a date."""

_OF_PERSON: Final = "00100030"
"""A birth is not moved by where the images were made."""


@dataclass(frozen=True, slots=True)
class CombinedRange:
    """A range of dates and a range of times that are one range of moments.

    Attributes:
        date_tag: of the date.
        time_tag: of its time.
        bounds: of both together.
    """

    date_tag: str
    time_tag: str
    bounds: Bounds

    def matches(self, elements: Elements) -> bool:
        """Tell whether the moment lies within; a date without a time begins its day."""
        moment = _moment(
            _text(elements, self.date_tag),
            _text(elements, self.time_tag),
        )
        return moment is not None and self.bounds.contain(moment)


def combined_range(date_tag: str, date: str, time: str) -> CombinedRange | None:
    """Return the range that two keys of one form set together; None where they do not.

    `20240705-20240707` and `1000-1800` are from the first day's ten to the last day's
    six o'clock, not three days' office hours.

    Args:
        date_tag: a key of `TIME_OF`.
        date: the key of the date.
        time: the key of the time.
    """
    first_date, date_dash, last_date = (part.strip() for part in date.partition("-"))
    first_time, time_dash, last_time = (part.strip() for part in time.partition("-"))
    if not date_dash or not time_dash:
        return None
    is_one_form = bool(first_date) == bool(first_time) and bool(last_date) == bool(last_time)
    times_are_good = all(moment_of("TM", text) for text in (first_time, last_time) if text)
    low, high = _moment(first_date, first_time), _moment(last_date, last_time)
    dates_are_good = (low or not first_date) and (high or not last_date) and (low or high)
    bounds = Bounds(low, high)
    if not is_one_form or not times_are_good or not dates_are_good or bounds.is_reversed:
        return None  # each by itself: an error, if one is wrong, names it
    return CombinedRange(date_tag, TIME_OF[date_tag], bounds)


def seen_from(elements: Elements, zone: str) -> Elements:
    """Return attributes with their dates and times as a clock in `zone` showed them.

    A date without a time, and what has no Timezone Offset From UTC, stays as it is.

    Args:
        elements: as stored.
        zone: an offset from UTC, `+0100`.
    """
    stored = _text(elements, TIMEZONE_OFFSET)
    if not is_offset(stored) or stored == zone:
        return elements
    seen = dict(elements)
    for date_tag, time_tag in TIME_OF.items():
        if date_tag == _OF_PERSON or date_tag not in elements or time_tag not in elements:
            continue
        moved = _moved(_text(elements, date_tag), _text(elements, time_tag), stored, zone)
        if moved is not None:
            seen[date_tag] = {"vr": "DA", "Value": [moved[0]]}
            seen[time_tag] = {"vr": "TM", "Value": [moved[1]]}
    for tag, element in elements.items():
        if element["vr"] == "DT":
            seen[tag] = {"vr": "DT", "Value": [_with_offset(v, stored) for v in _values(element)]}
    return seen


def _moment(date: str, time: str) -> Moment | None:
    """Return when the day and the time of day are, None for a day that is none."""
    day = moment_of("DA", date)
    if day is None:
        return None
    digits = time.replace(":", "") if moment_of("TM", time) else ""
    return moment_of("DT", day.first + digits)


def _moved(date: str, time: str, stored: str, zone: str) -> tuple[str, str] | None:
    day, hour = moment_of("DA", date), moment_of("TM", time)
    if day is None or hour is None:
        return None
    try:
        local = datetime.strptime(
            f"{day.first}{hour.first}".replace("60.", "59."), "%Y%m%d%H%M%S.%f"
        ).replace(tzinfo=zone_of(stored))
        there = local.astimezone(zone_of(zone))
    except (ValueError, OverflowError):
        return None
    return there.strftime("%Y%m%d").rjust(8, "0"), there.strftime("%H%M%S.%f")


def _with_offset(value: Any, offset: str) -> str:
    text = str(value).strip(" \0")
    moment = moment_of("DT", text)
    return text + offset if moment is not None and not moment.has_offset else text


def _text(elements: Mapping[str, Element], tag: str) -> str:
    values = _values(elements.get(tag, {}))
    return str(values[0]).strip(" \0") if values else ""


def _values(element: Element) -> list[Any]:
    return [value for value in element.get("Value", ()) if value is not None]
