"""Dates and times as DICOM writes them, as points and ranges (PS3.5 6.2, PS3.4 C.2.2.2.5).

A moment is a string of digits that sorts: `20240131`, `235959.000000`, or both
joined. A value with less than full precision stands for the whole span it
covers: `10` as a TM is from 10:00:00.000000 to 10:59:59.999999.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from pacs_cloud.errors import InvalidRequest

_DATE: Final = re.compile(r"(\d{4})[.-]?(0[1-9]|1[0-2])[.-]?(0[1-9]|[12]\d|3[01])")
_QUERY_DATE: Final = re.compile(r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_TIME: Final = re.compile(
    r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?",
)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(0[1-9]|1[0-2])(?:(0[1-9]|[12]\d|3[01])"
    r"(?:([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"([+-]\d{4})?"
)
_OFFSET: Final = re.compile(r"(?:-(?:0\d|1[0-2])|\+(?:0\d|1[0-4]))[0-5]\d")


@dataclass(frozen=True, slots=True)
class Moment:
    """The span a date or time stands for.

    Attributes:
        first: its first instant, in digits that sort.
        last: its last.
        has_offset: a date and time with an offset, both then in UTC.
        local: first and last as written, without the offset.
    """

    first: str
    last: str
    has_offset: bool = False
    local: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A range with both ends included; an open end is None.

    Attributes:
        low: where it begins.
        high: where it ends.
    """

    low: Moment | None
    high: Moment | None

    @property
    def is_reversed(self) -> bool:
        """Whether it ends before it begins."""
        return (
            self.low is not None
            and self.high is not None
            and _begin(self.low, self.high) > _end(self.high, self.low)
        )

    def contain(self, moment: Moment) -> bool:
        """Tell whether the first instant of `moment` lies within.

        Where only one of two date-times has an offset from UTC, the times are
        compared as they are written.
        """
        return (self.low is None or _begin(self.low, moment) <= _begin(moment, self.low)) and (
            self.high is None or _begin(moment, self.high) <= _end(self.high, moment)
        )


def moment_of(vr: str, value: object) -> Moment | None:
    """Return what the stored `value` stands for, None for one that is no date or time.

    Old writers' `2024.01.31` and `10:15:00` are understood (PS3.5 6.2 notes).

    Args:
        vr: DA, TM or DT.
        value: one value.
    """
    text = str(value).strip(" \0")
    if vr == "DA":
        match = _DATE.fullmatch(text)
        return _point("".join(match.groups())) if match else None
    if vr == "TM":
        match = _TIME.fullmatch(text)
        return _time(*match.groups()) if match else None
    match = _DATE_TIME.fullmatch(text)
    if match is None or (match[8] and _OFFSET.fullmatch(match[8]) is None):
        return None
    return _date_time(match)


def bounds_of(vr: str, text: str, name: str, zone: str = "") -> Bounds:
    """Return the bounds that the key `text` sets.

    Args:
        vr: DA, TM or DT.
        text: `a`, `a-b`, `a-` or `-b`.
        name: the attribute's, for the error.
        zone: the offset from UTC of a DT without one, `+0100`; "" where nothing is known.

    Raises:
        InvalidRequest: `text` is none of these, or ends before it begins.
    """
    bounds = _parse(vr, text, zone)
    if bounds is None:
        wanted = {"DA": "a date YYYYMMDD", "TM": "a time HHMMSS", "DT": "a date and time"}[vr]
        raise InvalidRequest(f"{name} takes {wanted}, or a range of two, not {text[:64]!r}.")
    if bounds.is_reversed:
        raise InvalidRequest(f"{name}: the range {text[:64]!r} ends before it begins.")
    return bounds


def is_offset(text: str) -> bool:
    """Tell whether `text` is an offset from UTC, `+0100` (PS3.3 C.12.1.1.8)."""
    return _OFFSET.fullmatch(text) is not None


def zone_of(offset: str) -> timezone:
    """Return the time zone of an offset from UTC, `+0100`."""
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _parse(vr: str, text: str, zone: str) -> Bounds | None:
    single = _key_moment(vr, text, zone)
    if single is not None:
        return Bounds(single, single)
    for at, character in enumerate(text):
        if character != "-" or text == "-":
            continue
        before, after = text[:at].strip(), text[at + 1 :].strip()
        low, high = _key_moment(vr, before, zone), _key_moment(vr, after, zone)
        if (low or not before) and (high or not after):
            return Bounds(low, high)
    return None


def _key_moment(vr: str, text: str, zone: str) -> Moment | None:
    if vr == "DA" and _QUERY_DATE.fullmatch(text) is None and "." not in text:
        return None  # YYYY-MM-DD would be taken for a range by others
    moment = moment_of(vr, text) if text else None
    if vr == "DT" and zone and moment is not None and not moment.has_offset:
        return moment_of(vr, text + zone)
    return moment


def _point(digits: str) -> Moment:
    return Moment(digits, digits, local=(digits, digits))


def _time(hour: str, minute: str | None, second: str | None, fraction: str | None) -> Moment:
    first = f"{hour}{minute or '00'}{second or '00'}.{(fraction or '').ljust(6, '0')}"
    last = f"{hour}{minute or '59'}{second or '59'}.{(fraction or '').ljust(6, '9')}"
    return Moment(first, last, local=(first, last))


def _date_time(match: re.Match[str]) -> Moment | None:
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    first = f"{year}{month or '01'}{day or '01'}{hour or '00'}{minute or '00'}{second or '00'}"
    last = f"{year}{month or '12'}{day or '31'}{hour or '23'}{minute or '59'}{second or '59'}"
    first += "." + (fraction or "").ljust(6, "0")
    last += "." + (fraction or "").ljust(6, "9")
    if not offset:
        return Moment(first, last, local=(first, last))
    begin, end = _utc(first, offset), _utc(last, offset)
    if begin is None or end is None:
        return None
    return Moment(begin, end, has_offset=True, local=(first, last))


def _utc(digits: str, offset: str) -> str | None:
    """Return the local time `digits` as UTC, None for a day that is not in the calendar."""
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    day = (
        min(day, 28) if month == 2 and day > 29 else min(day, 30) if month in {4, 6, 9, 11} else day
    )
    try:
        local = datetime(
            year,
            month,
            day,
            int(digits[8:10]),
            int(digits[10:12]),
            min(59, int(digits[12:14])),
            int(digits[15:21]),
            tzinfo=zone_of(offset),
        )
        return local.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f").rjust(21, "0")
    except (ValueError, OverflowError):
        return None


def _begin(moment: Moment, other: Moment) -> str:
    return moment.first if moment.has_offset == other.has_offset else moment.local[0]


def _end(moment: Moment, other: Moment) -> str:
    return moment.last if moment.has_offset == other.has_offset else moment.local[1]
