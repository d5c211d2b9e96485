"""Where a request goes and where it ends, as every server on its way has to read it (RFC 9112)."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import httptools


class Target(NamedTuple):
    """A request's target.

    Attributes:
        authority: host and port of a target in absolute form, else empty.
        path: unescaped.
        raw_path: as it was sent.
        query: likewise, without its question mark.
    """

    authority: bytes
    path: str
    raw_path: bytes
    query: bytes


def read_target(text: bytes) -> Target:
    """Return a target in parts (RFC 9112 3.2); raises httptools.HttpParserInvalidURLError."""
    url = httptools.parse_url(text)
    raw_path: bytes = url.path or b"/"
    path = raw_path.decode("ascii")
    authority: bytes = url.host or b""
    if authority and url.port:
        authority += b":%d" % url.port
    return Target(authority, unquote(path) if "%" in path else path, raw_path, url.query or b"")


def framing_fault(version: str, headers: Iterable[tuple[bytes, bytes]]) -> HTTPStatus | None:
    """Return why a request is refused that others may read otherwise; None where all agree.

    The parser has refused by now: two lengths, a length beside chunks, chunks that are
    not the last coding, line ends and field names other than the standard's.

    Args:
        version: "1.1", "1.0" or what the client says.
        headers: names in lower case.
    """
    if version not in {"1.0", "1.1"}:
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            if version == "1.0":  # RFC 9112 6.1: its framing is faulty
                return HTTPStatus.BAD_REQUEST
            if value.lower() != b"chunked":
                return HTTPStatus.NOT_IMPLEMENTED
    if hosts > 1 or (not hosts and version == "1.1"):  # RFC 9112 3.2
        return HTTPStatus.BAD_REQUEST
    return None
