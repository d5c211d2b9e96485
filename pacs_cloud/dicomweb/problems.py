"""Errors as HTTP answers: one table, RFC 9457 bodies, never patient data."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.exceptions import HTTPException

from pacs_cloud import errors
from pacs_cloud.dicomweb.media import UnsupportedMedia
from pacs_cloud.dicomweb.responses import Bytes
from pacs_cloud.identity.user import LockedOut
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.tiering.recall.demand import BeingRecalled, time_text

PROBLEM_JSON: Final = "application/problem+json"

_BUSY_S: Final = 5
_FULL_S: Final = 60


class BodyTooLarge(errors.InvalidRequest):
    """The request's body is over the limit."""


class BodyTooSlow(errors.InvalidRequest):
    """The request's body stopped coming."""


_TABLE: Final[tuple[tuple[type[errors.PacsError], HTTPStatus, int | None], ...]] = (
    # The first that fits: special cases stand before their kind. Third: Retry-After, seconds.
    (errors.TooBroad, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, None),
    (BodyTooSlow, HTTPStatus.REQUEST_TIMEOUT, None),
    (errors.NotAcceptable, HTTPStatus.NOT_ACCEPTABLE, None),
    (UnsupportedMedia, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, None),
    (errors.InvalidRequest, HTTPStatus.BAD_REQUEST, None),
    (errors.InvalidInstance, HTTPStatus.BAD_REQUEST, None),
    (errors.Gone, HTTPStatus.GONE, None),
    (errors.NotFound, HTTPStatus.NOT_FOUND, None),
    (errors.Conflict, HTTPStatus.CONFLICT, None),
    (errors.Unidentified, HTTPStatus.UNAUTHORIZED, None),
    (LockedOut, HTTPStatus.TOO_MANY_REQUESTS, None),
    (errors.Denied, HTTPStatus.FORBIDDEN, None),
    (errors.Offline, HTTPStatus.SERVICE_UNAVAILABLE, None),
    (errors.TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS, None),
    (errors.StorageFull, HTTPStatus.SERVICE_UNAVAILABLE, _FULL_S),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE, _BUSY_S),
)

_OWN_WORDS: Final = {
    # What these say is about our insides, not about the request.
    errors.Corrupt: "What is stored cannot be read as it was written.",
    errors.Held: "The study is on hold: nothing of it is deleted before that ends.",
    errors.Conflict: "Something else is already there, or changed meanwhile.",
    errors.Unidentified: "Sign in, or send a key: `Authorization: Bearer …`. One that is over,"
    " revoked or not known opens nothing.",
    LockedOut: "Too many tries have failed: wait before the next one.",
    errors.Denied: "Not for this caller.",
    BeingRecalled: "The bytes are in a cold tier, and are being recalled.",
    errors.NeverRestored: "The bytes are in a cold tier, and their store brings nothing back:"
    " whoever runs the archive has to see to it.",
    errors.Offline: "The bytes are in a cold tier and must be recalled first.",
    errors.StorageFull: "The archive has no room for more at the moment.",
    errors.TooManyRequests: "Too many requests come from this caller.",
    errors.Unavailable: "A part of the archive cannot be reached at the moment.",
}


def of_error(error: errors.PacsError) -> Bytes:
    """Return the answer for one of our own errors.

    What lies in a cold tier is 503 with further members: `state`, "offline" or
    "restoring"; then `since` and `expected`, UTC, and of how many `packs` how many have
    `arrived`.
    """
    for kind, status, retry_after_s in _TABLE:
        if isinstance(error, kind):
            detail = next(
                (words for kind, words in _OWN_WORDS.items() if isinstance(error, kind)), str(error)
            )
            # A body that has stopped will not go on: its connection is of no more use.
            headers = {"connection": "close"} if isinstance(error, BodyTooSlow) else None
            if status is HTTPStatus.UNAUTHORIZED:
                headers = {"www-authenticate": 'Bearer realm="pacs"'}  # RFC 9110 11.6.1
            knows_when = isinstance(error, errors.Offline | errors.TooManyRequests | LockedOut)
            return problem(
                status,
                detail,
                retry_after_s=error.retry_after_s if knows_when else retry_after_s,
                headers=headers,
                members=_members_of(error),
            )
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        next((words for kind, words in _OWN_WORDS.items() if isinstance(error, kind)), ""),
    )


def of_http(error: HTTPException) -> Bytes:
    """Return the answer for what routing refuses: 404, 405."""
    return problem(HTTPStatus(error.status_code), "", headers=dict(error.headers or {}))


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    retry_after_s: int | None = None,
    headers: dict[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Bytes:
    """Return a problem details answer; with `members` of its own (RFC 9457 3.2)."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
    }
    if detail:
        body["detail"] = detail
    body.update(members or {})
    fields = {"cache-control": "no-store", **(headers or {})}
    if retry_after_s is not None:
        fields["retry-after"] = str(retry_after_s)
    return Bytes(orjson.dumps(body), PROBLEM_JSON, status=int(status), headers=fields)


def _members_of(error: errors.PacsError) -> dict[str, object]:
    """Return what a program wants to know of what lies in a cold tier."""
    if isinstance(error, BeingRecalled):
        progress = error.progress
        return {
            "state": Availability.RESTORING,
            "since": time_text(progress.since_us),
            "expected": time_text(progress.expected_us),
            "packs": progress.packs,
            "arrived": progress.arrived,
        }
    return {"state": Availability.OFFLINE} if isinstance(error, errors.Offline) else {}
