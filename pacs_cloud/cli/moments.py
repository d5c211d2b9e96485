"""Moments as people read them."""

from datetime import UTC, datetime


def when(time_us: int) -> str:
    """Return microseconds since 1970 as a time in UTC, `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
