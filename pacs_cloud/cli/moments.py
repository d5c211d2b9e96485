"""Moments as people read them, and as they write them."""

from datetime import UTC, date, datetime, time, timedelta

from pacs_cloud.errors import InvalidRequest


def when(time_us: int) -> str:
    """Return microseconds since 1970 as a time in UTC, `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def end_of(day: str, now_us: int) -> int:
    """Return the end of a day that `--until` names, microseconds since 1970 UTC.

    Raises:
        InvalidRequest: it is no day, or is over.
    """
    try:
        last = date.fromisoformat(day)
        end = datetime.combine(last + timedelta(days=1), time.min, UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"--until is a day, YYYY-MM-DD, not {day!r}") from error
    end_us = round(end.timestamp()) * 1_000_000
    if end_us <= now_us:
        raise InvalidRequest(f"--until {day} is over")
    return end_us


def last_day(end_us: int) -> str:
    """Return the day that ends then, `2026-01-02`, "" where `end_us` is 0."""
    return str(datetime.fromtimestamp(end_us / 1e6 - 1, UTC).date()) if end_us else ""
