"""Which entity tags a request names, so that nothing is sent to whoever has it (RFC 9110 13.1)."""

from typing import Final

from starlette.requests import Request

ANY_TAG: Final = "*"


def is_unchanged(request: Request, etag: str) -> bool:
    """Tell whether If-None-Match names `etag`, a strong one (RFC 9110 13.1.2): then it is 304."""
    given = tags_of(request, "if-none-match")
    return ANY_TAG in given or etag in {tag.removeprefix("W/") for tag in given}


def tags_of(request: Request, field: str) -> frozenset[str]:
    """Return the entity tags in a header field, or ANY_TAG; none where it is not there."""
    lines = request.headers.getlist(field)
    return frozenset(tag.strip() for line in lines for tag in line.split(","))
