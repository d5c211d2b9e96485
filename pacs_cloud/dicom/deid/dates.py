"""Dates moved by whole days, ages capped (PS3.15 E.3.6, E.3.7); times of day stay."""

import re
from datetime import date, timedelta
from typing import Final

DUMMIES: Final = {"DA": "18000101", "TM": "000000", "DT": "18000101000000", "AS": "000D"}
"""What stands where a value has to."""
_DATE: Final = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_DATE_TIME: Final = re.compile(r"(\d{4})(\d{2})?(\d{2})?((?:\d{2})*+[\d.]*+(?:[+-]\d{4})?)")
_TEMPORAL: Final = re.compile(r"[\d.:+\-\\ ]*")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_OLDEST_YEARS: Final = 89
_A_YEAR: Final = {"Y": 1.0, "M": 12.0, "W": 52.2, "D": 365.25}


def shifted(text: str, vr: str, days: int) -> str:
    r"""Return the values of DA or DT moved by `days`, each as exact as it was.

    Args:
        text: one value or several (`A\B`).
        vr: DA or DT; any other VR's text comes back as it is.
        days: how many.

    Returns:
        The values; "" in the place of one that is no date.
    """
    if vr not in {"DA", "DT"}:
        return text
    move = _moved_date if vr == "DA" else _moved_date_time
    return "\\".join(move(value.strip(), days) for value in text.split("\\"))


def is_temporal(text: str) -> bool:
    """Return whether a value of DA, DT or TM has nothing in it but digits and their marks."""
    return _TEMPORAL.fullmatch(text) is not None


def _moved_date(value: str, days: int) -> str:
    match = _DATE.fullmatch(value)
    return _moved(match[1], match[2], match[3], days) if match else ""


def _moved_date_time(value: str, days: int) -> str:
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return ""
    year, month, day, rest = match.groups()
    # What names only a year or a month moves from its middle.
    moved = _moved(year, month or "07", day or "15", days)
    kept = 4 + 2 * (month is not None) + 2 * (day is not None)
    return moved[:kept] + rest if moved else ""


def _moved(year: str, month: str, day: str, days: int) -> str:
    try:
        moved = date(int(year), int(month), int(day)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04}{moved.month:02}{moved.day:02}"


def capped_age(text: str) -> str:
    """Return an age, `090Y` for all above 89 years; "" for what is none."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return ""
    number, unit = int(match[1]), match[2]
    return "090Y" if number / _A_YEAR[unit] >= _OLDEST_YEARS + 1 else match[0]
