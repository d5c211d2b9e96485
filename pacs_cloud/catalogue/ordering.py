"""The one order that studies are listed in: newest first, as a text that sorts.

A study's place is its Study Date (eight digits, or blanks), its Study Time (twelve
digits, or blanks) and its UID. Blanks sort before digits, so that read backwards
what has no date or no time comes last, and the UID makes every place unique. A
page's cursor is the place of its last study.
"""

import operator
from collections.abc import Mapping
from typing import Any

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import InvalidRequest

_DATE_WIDTH = 8
_TIME_WIDTH = 12
UNDATED = "none"
"""The month of studies without a usable Study Date."""

_ALPHABET = " .0123456789~"
_TO_CODES = bytes(_ALPHABET.find(chr(byte)) + 1 for byte in range(256))


def usable_date(text: str) -> str:
    """Return a DA value as YYYYMMDD, "" where it is no date.

    YYYY.MM.DD, the form of ACR-NEMA 2.0 (PS3.5 6.2 note), counts.
    """
    digits = text.replace(".", "") if len(text) == _DATE_WIDTH + 2 else text
    if len(digits) != _DATE_WIDTH or not (digits.isascii() and digits.isdigit()):
        return ""
    return digits if "01" <= digits[4:6] <= "12" and "01" <= digits[6:] <= "31" else ""


def usable_time(text: str) -> str:
    """Return a TM value as HHMMSSFFFFFF, "" where it is no time; HH, HHMM and HH:MM count."""
    whole, _, fraction = text.replace(":", "").partition(".")
    digits = whole + fraction if len(whole) == 6 else whole
    if not (digits.isascii() and digits.isdigit()) or len(whole) not in {2, 4, 6}:
        return ""
    return digits[:_TIME_WIDTH].ljust(_TIME_WIDTH, "0")


def place(study_instance_uid: str, attributes: Mapping[str, Any]) -> str:
    """Return where a study stands; later is newer."""
    date = usable_date(first_text(dict(attributes), "00080020"))
    time = usable_time(first_text(dict(attributes), "00080030"))
    return date.ljust(_DATE_WIDTH) + time.ljust(_TIME_WIDTH) + study_instance_uid


def place_of(study: StudyRecord) -> str:
    """Return where `study` stands; later is newer."""
    return place(study.study_instance_uid, study.attributes)


def month_of(place: str) -> str:
    """Return "YYYYMM", or `UNDATED`."""
    return place[:6].strip() or UNDATED


def study_of(place: str) -> str:
    """Return the Study Instance UID of a place."""
    return place[_DATE_WIDTH + _TIME_WIDTH :]


def date_span(first: str, last: str) -> tuple[str, str]:
    """Return what the places of the days `first` to `last` sort behind, and what before.

    "" leaves an end open; both open lets in what has no date.
    """
    return (first or ("0" if last else "")), (f"{last}~" if last else "~")


def checked(cursor: str | None) -> str:
    """Return a cursor as the place it is, "~" (before which everything sorts) for None.

    Raises:
        InvalidRequest: it is none of ours.
    """
    if cursor is None:
        return "~"
    if len(cursor) <= _DATE_WIDTH + _TIME_WIDTH or not set(cursor) <= set(_ALPHABET):
        raise InvalidRequest("the cursor is not one that a page gave")
    return cursor


def packed(place: str) -> bytes:
    """Return a place, or the part of one that `date_floor` and the like give, in half the bytes.

    The order stays the same.

    Raises:
        InvalidRequest: a letter that no date, time or UID has.
    """
    try:
        codes = place.encode("ascii").translate(_TO_CODES)
    except UnicodeEncodeError:
        codes = b"\0"
    if 0 in codes:
        raise InvalidRequest("a UID holds digits and dots only")
    if len(codes) % 2:
        codes += b"\0"
    return bytes(map(operator.or_, (code << 4 for code in codes[::2]), codes[1::2]))


def unpacked(data: bytes) -> str:
    """Return the place that `packed` made `data` from."""
    codes = (code for byte in data for code in (byte >> 4, byte & 15))
    return "".join(_ALPHABET[code - 1] for code in codes if code)
