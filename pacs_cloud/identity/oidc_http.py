"""Asking an OpenID provider: hosts that it names over https, bounded answers, no detours."""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from pacs_cloud import tracing
from pacs_cloud.errors import Unavailable
from pacs_cloud.loopback import is_loopback

_LIMIT_S: Final = 10.0
_LARGEST_BYTES: Final = 512 << 10
"""Of one answer; Entra's key sets, with their certificates, are a few dozen KiB."""

_NAME: Final = re.compile(r"[a-z0-9_.-]+")
"""A host's; nothing that two readers could read in two ways."""


def open_client(ca_file: Path | None = None) -> httpx.AsyncClient:
    """Return a client for `ProviderHttp`, which whoever opens it closes.

    It follows no redirect, and takes no proxy and no password from the environment.

    Args:
        ca_file: certificates (PEM) to trust besides those of the system.

    Raises:
        OSError: that file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return httpx.AsyncClient(
        verify=context,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(_LIMIT_S, connect=5.0),
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=2),
        # Nothing is decompressed, so that a small answer cannot become a large one.
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        event_hooks={"request": [_traced]},
    )


async def _traced(request: httpx.Request) -> None:
    """Say what a request belongs to (W3C Trace Context), where that is traced."""
    request.headers.update(tracing.outgoing())


def is_trusted_url(url: str, issuer: str) -> bool:
    """Return whether a provider may send us to `url`.

    It has to be https; plain http only on this machine, by a provider that is here itself. An
    address instead of a name must be the issuer's own, so that no document can point at
    services inside of the network that go by address (cloud metadata).
    """
    try:
        parts, home = urlsplit(url), urlsplit(issuer)
        _ = parts.port, home.port
    except ValueError:
        return False
    if not parts.hostname or parts.username or parts.password or parts.fragment or "#" in url:
        return False
    if any(not "!" <= character <= "~" or character == "\\" for character in url):
        return False
    if parts.hostname == home.hostname and parts.scheme == home.scheme:
        return parts.scheme == "https" or is_loopback(parts.hostname)
    is_name = _NAME.fullmatch(parts.hostname) is not None and not _is_address(parts.hostname)
    return parts.scheme == "https" and is_name


def _is_address(host: str) -> bool:
    """Return whether a host is an address, also as resolvers write it: 127.1, 0x7f000001."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return (
        ":" in host or last.isdecimal() or last.startswith("0x") or last == "localhost" or not last
    )


class ProviderHttp:
    """Requests to one provider; an answer that is no JSON object is none."""

    def __init__(
        self, client: httpx.AsyncClient, issuer: str, *, limit_s: float = _LIMIT_S
    ) -> None:
        """Ask by `client`, of `open_client`; an answer is there in so many seconds, or none is."""
        self._client = client
        self._issuer = issuer
        self._limit_s = limit_s

    async def get(self, url: str, *, bearer: str = "") -> dict[str, Any]:
        """Return the object at `url`.

        Raises:
            Unavailable: it cannot be had, or is none; says why.
        """
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        status, answer = await self._ask("GET", url, headers, None)
        if status != 200:
            raise Unavailable(f"the OpenID provider answers {status}")
        return answer

    async def post(
        self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Return the status, 200 or 4xx, and the object that a form is answered with.

        Raises:
            Unavailable: there is no such answer; says why.
        """
        return await self._ask("POST", url, headers, form)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> tuple[int, dict[str, Any]]:
        if not is_trusted_url(url, self._issuer):
            raise Unavailable("the OpenID provider names an address that is not trusted")
        try:
            # httpx bounds each wait, this the sum of them.
            async with (
                asyncio.timeout(self._limit_s),
                self._client.stream(method, url, headers=dict(headers), data=form) as response,
            ):
                status = response.status_code
                if status != 200 and not 400 <= status < 500:
                    raise Unavailable(f"the OpenID provider answers {status}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Unavailable("the OpenID provider compresses its answer unasked")
                body = bytearray()
                async for part in response.aiter_raw(1 << 16):
                    body += part
                    if len(body) > _LARGEST_BYTES:
                        raise Unavailable("the OpenID provider's answer is too large")
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable("the OpenID provider cannot be reached") from error
        return status, _object(bytes(body), status)


def _object(body: bytes, status: int) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if status == 200:
        raise Unavailable("the OpenID provider's answer is not a JSON object")
    return {}
