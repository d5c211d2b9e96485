"""Half-open byte ranges, judged alike in every store."""

from pacs_cloud.errors import Corrupt, InvalidRequest


def check_range(start: int, end: int | None) -> None:
    """Raise InvalidRequest when `start` is negative or behind `end`."""
    if start < 0 or (end is not None and end < start):
        raise InvalidRequest(f"not a byte range: {start} to {end}")


def check_suffix(length_bytes: int) -> None:
    """Raise InvalidRequest when `length_bytes` is negative."""
    if length_bytes < 0:
        raise InvalidRequest(f"not a length: {length_bytes}")


def end_within(key: str, size: int, start: int, end: int | None) -> int:
    """Return where a range of an object of `size` bytes ends.

    Raises:
        Corrupt: the object ends before the range does.
    """
    wanted = max(start, size) if end is None else end
    if wanted > size:
        raise Corrupt(f"{key} has {size} bytes, not {wanted}")
    return wanted
