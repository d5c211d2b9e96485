"""Moments as pages say them, in UTC."""

from datetime import UTC, datetime


def day_text(time_us: int) -> str:
    """Return the day of microseconds since 1970 as people write it, `2 January 2026`."""
    day = datetime.fromtimestamp(time_us / 1_000_000, UTC)
    return f"{day.day} {day:%B %Y}"


def minute_text(time_us: int) -> str:
    """Return the minute of microseconds since 1970, `2026-01-02 03:04 UTC`."""
    return f"{datetime.fromtimestamp(time_us / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


def second_text(time_us: int) -> str:
    """Return the second of microseconds since 1970, `2026-01-02 03:04:05 UTC`."""
    return f"{datetime.fromtimestamp(time_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
