"""Errors as answers: a page that says what to do next, or RFC 9457 for programs."""

import logging
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pacs_cloud import errors
from pacs_cloud.identity.user import LockedOut
from pacs_cloud.security.caller import CALLER, Caller
from pacs_cloud.web.forms import NotOurPage, NotProven
from pacs_cloud.web.local_paths import HOME, STUDIES
from pacs_cloud.web.places import start_of
from pacs_cloud.web.templating import PAGE_HEADERS, Templates

log = logging.getLogger(__name__)

_BUSY_S: Final = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """What a form says when it is shown again: what went wrong, and what to do."""

    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """What a refusal says.

    Attributes:
        status: of the answer.
        title: what happened, in a few words.
        detail: why, in a sentence; "": what the error itself says, where that is for readers.
        link: where to go on; "": where whoever asks starts from.
        link_text: what that is called.
    """

    status: HTTPStatus
    title: str
    detail: str
    link: str = ""
    link_text: str = ""


_WAYS: Final = {STUDIES: "Go to the studies", HOME: "Go to your account"}
"""What the pages that most people start from are called."""

_TABLE: Final[tuple[tuple[type[errors.PacsError], Words], ...]] = (
    # The first that fits: special cases stand before their kind.
    (
        NotOurPage,
        Words(
            HTTPStatus.FORBIDDEN,
            "This form was not accepted",
            "It did not come from a page of your present session: perhaps you have signed in"
            " again meanwhile, in another tab. Nothing was changed. Open the page afresh, and"
            " send the form again.",
        ),
    ),
    (
        NotProven,
        Words(
            HTTPStatus.FORBIDDEN,
            "Your password or your code is not right",
            "Nothing was changed. Go back, and try again; after too many tries wait some minutes.",
            f"{HOME}#keys",
            "Go back",
        ),
    ),
    (
        errors.Unidentified,
        Words(
            HTTPStatus.UNAUTHORIZED,
            "You are signed out",
            "Your session is over. Nothing was changed. Sign in, and do it again.",
            "/sign-in",
            "Sign in",
        ),
    ),
    (
        LockedOut,
        Words(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many tries",
            "Nothing was changed. Wait some minutes before you try again.",
        ),
    ),
    (
        errors.Denied,
        Words(
            HTTPStatus.FORBIDDEN,
            "You may not do this",
            "Your account has no role that allows it. Whoever administers this archive can"
            " change that.",
        ),
    ),
    (
        errors.InvalidRequest,
        Words(HTTPStatus.BAD_REQUEST, "This cannot be understood", ""),
    ),
    (
        errors.InvalidInstance,
        Words(HTTPStatus.UNPROCESSABLE_ENTITY, "This cannot be shown", ""),
    ),
    (
        errors.NotAcceptable,
        Words(HTTPStatus.NOT_ACCEPTABLE, "This cannot be shown", ""),
    ),
    (
        errors.Offline,
        Words(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "It lies in a cold tier",
            "It is brought back as soon as it can be. The study's own page says how far that is.",
        ),
    ),
    (
        errors.NotFound,
        Words(
            HTTPStatus.NOT_FOUND,
            "There is no such page",
            "The address may be mistyped, or what was there is gone.",
        ),
    ),
    (
        errors.Conflict,
        Words(
            HTTPStatus.CONFLICT,
            "Somebody else was quicker",
            "This changed while you were at it. Open the page afresh, and look whether it is"
            " still to be done.",
        ),
    ),
    (
        errors.Unavailable,
        Words(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Not at the moment",
            "A part of the archive, or the sign-in provider, cannot be reached. Try again in a"
            " minute; if it stays so, tell whoever runs this archive.",
        ),
    ),
)

_WRONG: Final = Words(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "This went wrong",
    "The archive could not do this. Whoever runs it finds out more in its log.",
)


def status_of_form(error: errors.PacsError | None) -> HTTPStatus:
    """Return the status of a page that shows a form again: what was wrong with what it sent."""
    match error:
        case None:
            return HTTPStatus.OK
        case errors.Denied():
            return HTTPStatus.FORBIDDEN
        case errors.Conflict():
            return HTTPStatus.CONFLICT
        case _:
            return HTTPStatus.UNPROCESSABLE_ENTITY


def wants_page(request: Request) -> bool:
    """Return whether a browser asks, which shows what it gets to somebody."""
    return "text/html" in ",".join(request.headers.getlist("accept")).lower()


class Refusals:
    """Answers to what cannot be done."""

    def __init__(self, templates: Templates) -> None:
        """Show them by `templates`."""
        self._templates = templates

    def of(self, request: Request, error: errors.PacsError) -> Response:
        """Return the answer for one of our own errors."""
        words = next((words for kind, words in _TABLE if isinstance(error, kind)), _WRONG)
        if words is _WRONG:
            log.error("page_failed", extra={"error": type(error).__name__})
        is_read = request.method in {"GET", "HEAD"}
        if words.status is HTTPStatus.UNAUTHORIZED and is_read and wants_page(request):
            return to_sign_in(request)
        return waiting(self.answer(request, words, words.detail or sentence(error)), error)

    def answer(self, request: Request, words: Words, detail: str) -> Response:
        """Return a page for somebody who reads, a problem for a program."""
        link = words.link or _start_of(request)
        if link.startswith(HOME) and not self._templates.signs_in:
            link = STUDIES
        text = words.link_text or _WAYS.get(link, "Go to your start page")
        words = replace(words, link=link, link_text=text)
        if wants_page(request):
            response: Response = self._templates.page(
                "refusal.html", words.status, words=words, detail=detail
            )
        else:
            problem = {"title": words.title, "status": int(words.status), "detail": detail}
            response = Response(
                orjson.dumps(problem), words.status, PAGE_HEADERS, "application/problem+json"
            )
        if words.status is HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["retry-after"] = str(_BUSY_S)
        return response


def _start_of(request: Request) -> str:
    """Return where whoever asks starts from; the list sends on whom nobody knows yet."""
    caller: Caller | None = request.scope.get(CALLER)
    return STUDIES if caller is None else start_of(caller)


def waiting(response: Response, error: errors.PacsError) -> Response:
    """Return an answer that says when to try again, where that is known (RFC 9110 10.2.3)."""
    if isinstance(error, LockedOut | errors.TooManyRequests):
        response.headers["retry-after"] = str(error.retry_after_s)
    return response


def to_sign_in(request: Request) -> Response:
    """Return what sends somebody to the sign-in page, and back here afterwards."""
    path: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    query: bytes = request.scope["query_string"]
    here = (path + b"?" + query if query else path).decode("latin-1")
    return see_other(f"/sign-in?next={quote(here, safe='/')}")


def see_other(path: str) -> Response:
    """Return what sends a browser on to a page of ours, by GET (RFC 9110 15.4.4)."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, PAGE_HEADERS)


def sentence(error: errors.PacsError) -> str:
    """Return what an error says, for somebody to read."""
    text = str(error)
    return text[:1].upper() + text[1:].rstrip(".") + "."
