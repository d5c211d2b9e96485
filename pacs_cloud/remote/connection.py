"""One archive elsewhere over HTTP: nothing follows a redirect, everything has a bound.

Each wait has a limit, each answer a largest length, or the least pace at which it must come.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import httpx
import orjson

from pacs_cloud.errors import InvalidRequest, PacsError, Unavailable
from pacs_cloud.remote.address import Remote
from pacs_cloud.remote.answers import AskedTooOften, refusal
from pacs_cloud.remote.words import one_line

OK: Final = frozenset({200})

_CONNECT_S: Final = 10.0
_IDLE_S: Final = 60.0
"""Of one read or write."""
_ANSWER_S: Final = 300.0
"""From a request's last byte to its answer's header: a commit of many instances may take long."""
_LEAST_BYTES_PER_S: Final = 256
PROBLEM_BYTES: Final = 64 << 10
"""Of an answer that is a refusal: more of it is not read."""
JSON_BYTES: Final = 8 << 20
"""Of one JSON answer. Empty lists, the worst, take 20 times that in memory."""
_PIECE_BYTES: Final = 256 << 10
"""Of a body that is written at once: within `_IDLE_S` it has to be gone."""
_TRIES: Final = 5
_LONGEST_PAUSE_S: Final = 60
_JSON: Final = frozenset({"application/dicom+json", "application/json"})

Content: TypeAlias = Callable[[], Awaitable[tuple[str, AsyncIterator[bytes]]]]
"""Begins a request's body, again for each try: its Content-Type, and its pieces."""


class Connection:
    """Asks one archive elsewhere."""

    def __init__(
        self, client: httpx.AsyncClient, remote: Remote, *, limit_s: float = _ANSWER_S
    ) -> None:
        """Ask by `client`, of `open_connection`; an answer begins within so many seconds."""
        self._client = client
        self._remote = remote
        self._limit_s = limit_s

    @property
    def name(self) -> str:
        """Who is asked, for people."""
        return self._remote.name

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        fine: frozenset[int] = OK,
    ) -> AsyncGenerator["Reply"]:
        """Give the answer to a request.

        Where it is told to pause (429) for a minute at most, it is asked again, a few times.

        Args:
            method: of HTTP.
            path: below the DICOMweb root, with a slash in front.
            query: names and values.
            headers: fields besides the key's.
            content: the body.
            fine: which status codes are no refusal.

        Raises:
            Unavailable: it cannot be reached, or breaks off.
            Unidentified, Denied, NotFound, …: as `refusal`.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._once(method, path, query, headers, content, fine) as reply:
                    yield reply
                    return
            except AskedTooOften as error:
                if not tries_left or error.retry_after_s > _LONGEST_PAUSE_S:
                    raise
                await asyncio.sleep(max(error.retry_after_s, 1))

    @asynccontextmanager
    async def _once(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str] | None,
        content: Content | None,
        fine: frozenset[int],
    ) -> AsyncGenerator["Reply"]:
        response: httpx.Response | None = None
        try:
            # httpx bounds each wait, this the sum of them; while a body goes out, from its last
            # piece on.
            async with asyncio.timeout(self._limit_s) as deadline:
                fields, body = dict(headers or {}), None
                if content is not None:
                    fields["content-type"], pieces = await content()
                    body = self._watched(pieces, deadline)
                url = f"{self._remote.url}{path}{_query_text(query)}"
                request = self._client.build_request(method, url, headers=fields, content=body)
                response = await self._client.send(request, stream=True)
            reply = Reply(response, self.name)
            if response.status_code not in fine:
                raise await self._refused(reply)
            if reply.headers.get("content-encoding", "identity").lower() != "identity":
                raise Unavailable(f"{self.name} compresses its answer unasked")
            yield reply
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.name} {_why(error)}") from error
        finally:
            if response is not None:
                await response.aclose()

    async def _watched(
        self, pieces: AsyncIterator[bytes], deadline: asyncio.Timeout
    ) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        async for piece in pieces:
            for at in range(0, len(piece), _PIECE_BYTES):
                deadline.reschedule(clock() + self._limit_s)
                yield piece[at : at + _PIECE_BYTES]

    async def _refused(self, reply: "Reply") -> PacsError:
        try:
            body = await reply.some(PROBLEM_BYTES)
        except (TimeoutError, httpx.HTTPError, Unavailable):
            body = b""  # its status says enough
        return refusal(
            self.name,
            reply.status,
            reply.headers,
            body,
            key=self._remote.key,
            now=datetime.now(UTC),
        )


class Reply:
    """An answer whose header is here, and whose body comes."""

    def __init__(self, response: httpx.Response, name: str) -> None:
        self._response = response
        self._name = name

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, by names in any case."""
        return self._response.headers

    @property
    def content_type(self) -> str:
        """The media type, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, however long it is.

        Raises:
            Unavailable: it comes too slowly.
            TimeoutError, httpx.HTTPError: it stops; whoever asked translates these.
        """
        clock = asyncio.get_running_loop().time
        coming = self._response.aiter_raw().__aiter__()
        received, waited_s = 0, 0.0
        while True:
            begun_s = clock()
            async with asyncio.timeout(_IDLE_S):
                chunk = await anext(coming, None)
            if chunk is None:
                return
            waited_s += clock() - begun_s
            received += len(chunk)
            if received < (waited_s - _IDLE_S) * _LEAST_BYTES_PER_S:
                raise Unavailable(f"{self._name} answers too slowly")
            yield chunk

    async def some(self, most_bytes: int) -> bytes:
        """Return the beginning of the body, or all of it; raises as `chunks`."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) >= most_bytes:
                break
        return bytes(body[:most_bytes])

    async def json(self, largest_bytes: int = JSON_BYTES) -> Any:
        """Return the body's JSON; raises Unavailable where it is none, or larger."""
        if self.content_type not in _JSON:
            raise Unavailable(f"{self._name} does not answer in JSON: is DICOMweb at this URL?")
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > largest_bytes:
                raise Unavailable(f"{self._name} answers more than {largest_bytes >> 20} MiB")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Unavailable(f"{self._name} answers what is no JSON") from None


def open_connection(remote: Remote) -> AbstractAsyncContextManager[Connection]:
    """Open what asks `remote`: TLS is verified, no proxy or password of the environment counts.

    Raises:
        InvalidRequest: its `ca` cannot be read, or holds no certificate.
    """
    # Without TLS nobody has to be vouched for; a context that trusts nobody is quickly made.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if remote.url.startswith("https:"):
        context = ssl.create_default_context()
    if remote.ca is not None:
        try:
            context.load_verify_locations(remote.ca)
        except OSError as error:
            raise InvalidRequest(f"{remote.ca} holds no certificates (PEM)") from error
    # Nothing is decompressed, so that a small answer cannot become a large one.
    headers = {"accept-encoding": "identity", "user-agent": "pacs-cloud"}
    if remote.key:
        headers["authorization"] = f"Bearer {remote.key}"
    client = httpx.AsyncClient(
        verify=context,
        trust_env=False,
        follow_redirects=False,
        headers=headers,
        timeout=httpx.Timeout(_IDLE_S, connect=_CONNECT_S),
    )
    return _opened(client, remote)


@asynccontextmanager
async def _opened(client: httpx.AsyncClient, remote: Remote) -> AsyncGenerator[Connection]:
    async with client:
        yield Connection(client, remote)


def _query_text(query: Sequence[tuple[str, str]]) -> str:
    # Wild cards stay as they are (RFC 3986 3.4): Orthanc 1.10 does not decode them.
    return f"?{urlencode(query, safe='*?,', quote_via=quote)}" if query else ""


def _why(error: Exception) -> str:
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError():
            return f"cannot be reached: {one_line(str(error)) or 'no answer'}"
        case TimeoutError() | httpx.TimeoutException():
            return "does not answer in time"
        case httpx.ProtocolError():
            return f"does not speak HTTP as it should: {one_line(str(error))}"
        case _:
            return f"breaks off: {one_line(str(error)) or type(error).__name__}"
