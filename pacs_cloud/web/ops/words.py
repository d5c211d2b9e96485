"""Figures as operations pages say them: few words, and the unit that fits."""

from typing import Final

from pacs_cloud.tiering.cost.figures import size

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_TEN: Final = 10
_YEAR_DAYS: Final = 730


def size_text(length_bytes: float) -> str:
    """Return a number of bytes, `1.2 GB`."""
    return size(round(length_bytes))


def rate_text(per_second: float) -> str:
    """Return how often something happens in a second: `0`, `0.3`, `12`."""
    if per_second <= 0:
        return "0"
    if per_second < 0.05:
        return "<0.1"
    return f"{per_second:.1f}" if per_second < _TEN else f"{per_second:,.0f}"


def span_text(seconds: float) -> str:
    """Return how long something is, in its two largest units: `3 s`, `4 min`, `2 h 5 min`."""
    seconds = max(0, round(seconds))
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min"
    if seconds < 2 * _DAY_S:
        hours, minutes = divmod(seconds // _MINUTE_S, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = seconds // _DAY_S
    return f"{days} days" if days < _YEAR_DAYS else f"{days / 365.25:.1f} years"


def ago_text(then_us: int, now_us: int) -> str:
    """Return how long ago a moment was, `4 min ago`, `just now`; "" for no moment."""
    if not then_us:
        return ""
    seconds = (now_us - then_us) / 1e6
    return f"{span_text(seconds)} ago" if round(seconds) > 0 else "just now"


def within_text(since_us: int, now_us: int) -> str:
    """Return over how long traffic was counted: an hour, or since when, where that is less.

    `since_us`: when this process looked at the counters first; 0: it has not yet.
    """
    if since_us and now_us - since_us >= _HOUR_S * 1_000_000:
        return "within the hour"
    return f"since this page's process started, {ago_text(since_us, now_us) or 'just now'}"


def left_text(then_us: int, now_us: int) -> str:
    """Return how far a moment lies ahead, `in 4 min`; "" for no moment."""
    if not then_us:
        return ""
    return f"in {span_text((then_us - now_us) / 1e6)}" if then_us > now_us else "overdue"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 pack`, `2,000 packs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
