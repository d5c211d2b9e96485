"""Answers to what never becomes a request: written past the application."""

from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pacs_cloud.dicomweb.problems import problem

_LAST: Final = {"connection": "close", "x-content-type-options": "nosniff"}
_SAID: Final = {
    HTTPStatus.BAD_REQUEST: "This is not HTTP as RFC 9112 has it.",
    HTTPStatus.REQUEST_TIMEOUT: "The request's header did not come in time.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request's header is too long.",
    HTTPStatus.NOT_IMPLEMENTED: "The only transfer coding that is understood is chunked.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "HTTP/1.1 is spoken here, and HTTP/1.0.",
}


def refusal(status: HTTPStatus) -> bytes:
    """Return a whole HTTP/1.1 response, the last of its connection."""
    answer = problem(status, _SAID.get(status, ""), headers=_LAST)
    fields = [f"{name}: {value}\r\n".encode() for name, value in answer.fields.items()]
    return b"".join([STATUS_LINE[status], *fields, b"\r\n", answer.content])
