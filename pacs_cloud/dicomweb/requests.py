"""What resources read from a request: UIDs, the base URL, the body."""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import lru_cache
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
    return _accepted(header, tuple(request.query_params.getlist("accept")))


@lru_cache(maxsize=256)
def _accepted(header: str, query: tuple[str, ...]) -> tuple[MediaType, ...]:
    """Return what was parsed before: a viewer sends the same for every frame."""
    return parse_accept(header, query)


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
    host = request.headers.get("host") or _own_address(request)
    if _HOST.fullmatch(host) is None:
        raise InvalidRequest("The Host header is missing or malformed.")
    authority = host + _port_left_out(request, host)
    return f"{request.scope['scheme']}://{authority}{request.scope.get('root_path', '')}"


def _own_address(request: Request) -> str:
    """Return where a request without Host came to, as HTTP/1.0 has them (RFC 9112 3.3)."""
    address, port = request.scope.get("server") or ("", None)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


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


LEAST_BYTES_PER_S: Final = 1 << 10
"""What a sender has to send on average: it holds a part of the spool and of memory."""


async def body_of(
    request: Request,
    *,
    max_bytes: int,
    idle_s: float,
    least_bytes_per_s: int = LEAST_BYTES_PER_S,
) -> AsyncIterator[bytes]:
    """Yield the request's body as it comes.

    Raises:
        BodyTooLarge: more than `max_bytes`, said by Content-Length or found.
        BodyTooSlow: nothing came for `idle_s` seconds, or, in all the time it was waited
            for beyond those, less than `least_bytes_per_s`.
        ClientDisconnect: the client is gone.
    """
    declared = request.headers.get("content-length", "")
    too_large = f"A body may have up to {max_bytes} bytes."
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLarge(too_large)
    received = 0
    waited_s = 0.0
    clock = asyncio.get_running_loop().time
    while True:
        begun_s = clock()
        try:
            async with asyncio.timeout(idle_s):
                message = await request.receive()
        except TimeoutError as error:
            raise BodyTooSlow("The request's body stopped coming.") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        waited_s += clock() - begun_s
        if received < (waited_s - idle_s) * least_bytes_per_s:
            raise BodyTooSlow("The request's body comes too slowly.")
        if received > max_bytes:
            raise BodyTooLarge(too_large)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return
