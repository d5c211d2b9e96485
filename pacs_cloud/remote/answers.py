"""What an answer that is no success means: the status, what a problem's `detail` says, when again.

The texts are one line each, and whatever a server says in them has been through `words`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, cast

import orjson

from pacs_cloud.errors import (
    Conflict,
    Denied,
    InvalidRequest,
    NotAcceptable,
    NotFound,
    PacsError,
    TooManyRequests,
    Unavailable,
    Unidentified,
)
from pacs_cloud.remote.words import one_line

_ERRORS: Final[Mapping[int, type[PacsError]]] = {
    400: InvalidRequest,
    401: Unidentified,
    403: Denied,
    404: NotFound,
    406: NotAcceptable,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    413: InvalidRequest,
    414: InvalidRequest,
    415: InvalidRequest,
}
_UNSAID: Final[Mapping[int, str]] = {
    403: "the key does not allow it",
    404: "there is nothing of this, or not for this key",
    405: "it does not do this over DICOMweb",
}
_KEY_IS_FROM: Final = "PACS_API_KEY or --key-file gives the key; it may be over, or revoked"
_LONGEST_S: Final = 366 * 86_400
_JSON: Final = ("application/problem+json", "application/json")


class AskedTooOften(TooManyRequests):
    """The archive elsewhere wants a pause (429)."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.args = (message,)


def refusal(
    name: str, status: int, headers: Mapping[str, str], body: bytes, *, key: str, now: datetime
) -> PacsError:
    """Return the error that an answer stands for.

    Args:
        name: who answers.
        status: its status code, no success.
        headers: its header fields.
        body: as much of it as was read.
        key: the key it was sent, which is not repeated whatever it says.
        now: the time, UTC.
    """
    said = f"{name} answers {status} {_phrase(status)}".rstrip()
    if location := headers.get("location", "") if 300 <= status < 400 else "":
        where = one_line(location)
        return Unavailable(_masked(f"{said}: it is at {where}; redirects are not followed", key))
    if detail := detail_of(headers, body) or _UNSAID.get(status, ""):
        said += f": {detail}"
    if status == HTTPStatus.UNAUTHORIZED:
        said += f" ({_KEY_IS_FROM})"
    after_s = retry_after_s(headers.get("retry-after", ""), now)
    if after_s is not None:
        said += f" (worth trying again in {_span(after_s)})"
    said = _masked(said, key)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return AskedTooOften(said, after_s or 0)
    return _ERRORS.get(status, Unavailable)(said)


def detail_of(headers: Mapping[str, str], body: bytes) -> str:
    """Return what a problem (RFC 9457) says, on one line; "" where the answer is none."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON:
        return ""
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    detail = cast("dict[str, Any]", problem).get("detail") if isinstance(problem, dict) else None
    return one_line(detail) if isinstance(detail, str) else ""


def retry_after_s(text: str, now: datetime) -> int | None:
    """Return in how many seconds a server wants to be asked again (RFC 9110 10.2.3), if it says."""
    text = text.strip()[:64]
    if text.isascii() and text.isdecimal():
        return min(int(text), _LONGEST_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0, int((moment - now).total_seconds())), _LONGEST_S)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else str(timedelta(seconds=seconds))


def _masked(text: str, key: str) -> str:
    return text.replace(key, "[the key]") if key else text
