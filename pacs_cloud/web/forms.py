"""What comes from a form: read within bounds, and only from a page of ours."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from pacs_cloud.errors import Denied, InvalidRequest

CSRF: Final = "csrf"
"""The hidden field that proves that a form was made for this session."""

_MAX_BYTES: Final = 16 << 10
_MAX_FIELDS: Final = 50
_PATIENCE_S: Final = 30.0
_FORM: Final = "application/x-www-form-urlencoded"


class NotOurPage(Denied):
    """A form that a page of ours did not send, or one that was made for another session."""


class NotProven(Denied):
    """A form that asks for its sender's password, and has not brought it along."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields; the first of a name counts."""

    fields: Mapping[str, str]

    def text(self, name: str, *, max_length: int = 256) -> str:
        """Return a field without the space around it, "" without one; raises InvalidRequest."""
        return self.secret(name, max_length=max_length).strip()

    def secret(self, name: str, *, max_length: int = 1024) -> str:
        """Return a field as it was typed, "" where it is not there; raises InvalidRequest."""
        value = self.fields.get(name, "")
        if len(value) > max_length:
            raise InvalidRequest(f"The field {name} is too long.")
        return value


async def form_of(request: Request, public_url: str = "") -> Form:
    """Return the form that a page of ours sent.

    Every browser says where a form comes from: by Sec-Fetch-Site, or by Origin (Fetch 3.2).
    What says neither is not somebody's browser, and is refused as well.

    Args:
        request: a POST.
        public_url: what clients call this archive, when a proxy changes it.

    Raises:
        NotOurPage: it is of another origin, or of none.
        InvalidRequest: it is no form, or too long.
    """
    refuse_strangers(request, public_url)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequest(f"A form is sent as {_FORM}.")
    try:
        pairs = parse_qsl(
            (await _body_of(request)).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        # What the error quotes may be a password.
        raise InvalidRequest("The form cannot be read.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return Form(fields)


def refuse_strangers(request: Request, public_url: str = "") -> None:
    """Return where a page of ours has sent a request; raises NotOurPage."""
    if not _is_from_here(request, public_url):
        raise NotOurPage("the form is not of a page of this archive")


async def _body_of(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise InvalidRequest("The form is too long.")
    except TimeoutError as error:
        raise InvalidRequest("The form stopped coming.") from error
    return bytes(body)


def _is_from_here(request: Request, public_url: str) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site is not None
    if site is not None and origin == "null":
        return True  # a browser leaves it out where the referrer policy says so (Fetch 3.2)
    scheme, mark, authority = origin.lower().partition("://")
    public = urlsplit(public_url.lower())
    if public_url and (scheme, authority) == (public.scheme, public.netloc):
        return True
    return bool(mark and authority) and authority == request.headers.get("host", "").lower()
