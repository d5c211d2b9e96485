"""Moments that `--since` and `--until` name."""

from datetime import UTC, datetime, timedelta

from pacs_cloud.errors import InvalidRequest


def moment_of(text: str, option: str, *, is_end: bool = False) -> int:
    """Return a moment, microseconds since 1970 UTC; with `is_end` of a day its end."""
    moment = parsed_moment(text, option)
    if is_end and len(text) == len("2026-01-02"):
        moment += timedelta(days=1)
    return round(moment.timestamp()) * 1_000_000


def parsed_moment(text: str, option: str) -> datetime:
    """Return a day or a time, in UTC; raises InvalidRequest."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{option} is a day or a time: YYYY-MM-DD or YYYY-MM-DDThh:mm") from (
            error
        )
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
