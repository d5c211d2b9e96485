"""What resources read from a request: UIDs, the base URL, validators, the body."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import ClientDisconnect, Request

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dicomweb.media import MediaType, parse_accept
from pacs_cloud.dicomweb.problems import BodyTooLarge, BodyTooSlow
from pacs_cloud.errors import InvalidRequest, InvalidUid

_HOST: Final = re.compile(r"[0-9A-Za-z._\-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def uid_of(request: Request, name: str) -> str | None:
    """Return the UID `name` of the path, None where the path has none; raises InvalidUid."""
    text: str | None = request.path_params.get(name)
    if text is None:
        return None
    if parse_uid(text) != text:
        raise InvalidUid("A UID in a path has no padding.")
    return text


def accepted(request: Request) -> tuple[MediaType, ...]:
    """Return what the client accepts, best first; raises InvalidRequest."""
    header = ",".join(request.headers.getlist("accept"))
    return parse_accept(header, request.query_params.getlist("accept"))


def root_url(request: Request, public_url: str = "") -> str:
    """Return the absolute URL above `/studies`, without a slash at its end.

    Args:
        request: its Host header decides, unless there is
        public_url: what clients call this archive, when a proxy changes it.

    Raises:
        InvalidRequest: no usable Host header.
    """
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        raise InvalidRequest("The Host header is missing or malformed.")
    authority = host + _port_left_out(request, host)
    return f"{request.scope['scheme']}://{authority}{request.scope.get('root_path', '')}"


def _port_left_out(request: Request, host: str) -> str:
    """Return `:port` where `host` is this very socket's address without its port, else "".

    dicomweb-client sends such a Host whatever the port is. Any other name may be a
    proxy's, whose port is its own affair.
    """
    address, port = request.scope.get("server") or ("", None)
    own_names = {address, f"[{address}]"}
    if address in _LOOPBACK:
        own_names.add("localhost")
    if host not in own_names or port in {None, _DEFAULT_PORTS[request.scope["scheme"]]}:
        return ""
    return f":{port}"


def is_unchanged(request: Request, etag: str) -> bool:
    """Tell whether If-None-Match names `etag` (RFC 9110 13.1.2): the answer is 304."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or etag in {
        tag.strip().removeprefix("W/") for tag in given.split(",")
    }


async def body_of(request: Request, *, max_bytes: int, idle_s: float) -> AsyncIterator[bytes]:
    """Yield the request's body as it comes.

    Raises:
        BodyTooLarge: more than `max_bytes`, said by Content-Length or found.
        BodyTooSlow: nothing came for `idle_s` seconds.
        ClientDisconnect: the client is gone.
    """
    declared = request.headers.get("content-length", "")
    too_large = f"A body may have up to {max_bytes} bytes."
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLarge(too_large)
    received = 0
    while True:
        try:
            async with asyncio.timeout(idle_s):
                message = await request.receive()
        except TimeoutError as error:
            raise BodyTooSlow("The request's body stopped coming.") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > max_bytes:
            raise BodyTooLarge(too_large)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return
