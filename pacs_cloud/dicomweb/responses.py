"""Answers as plain ASGI: bytes at hand, or a stream of known or unknown length."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

Headers = Mapping[str, str]

_NO_DOCUMENT = (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'")
"""Stored documents (HTML, SVG, XML with style sheets) run nothing where a browser opens them."""

_WATCHED_BYTES = 4 << 20
"""A longer body is worth watching whether its reader is still there."""

_STALLED_S = 60.0
_SLOWEST_BYTES_PER_S = 16 << 10
"""A reader that takes nothing for a minute, or less than this, is given up: it holds memory
and, where something is decoded for it, a place that others wait for."""


class Answer:
    """The status line and the header fields; a subclass brings the body."""

    def __init__(
        self,
        content_type: str = "",
        *,
        status: int = 200,
        headers: Headers | None = None,
        length_bytes: int | None = None,
    ) -> None:
        """Prepare an answer.

        Args:
            content_type: of the body; "" for no body.
            status: the HTTP status.
            headers: names in lower case; a value with line feeds is that many fields.
            length_bytes: of the body; None: it is sent chunked.
        """
        self.status = status
        self.fields: dict[str, str] = dict(headers or {})
        if content_type:
            self.fields["content-type"] = content_type
        if length_bytes is not None:
            self.fields["content-length"] = str(length_bytes)

    async def start(self, send: Send) -> None:
        """Send the status line and the header."""
        raw = [
            (name.encode("latin-1"), line.encode("latin-1"))
            for name, value in self.fields.items()
            for line in value.split("\n")
        ]
        if "content-security-policy" not in self.fields:
            raw.append(_NO_DOCUMENT)
        await send({"type": "http.response.start", "status": self.status, "headers": raw})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer; to HEAD without its body."""
        del receive
        await self.start(send)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.body(send)

    async def body(self, send: Send) -> None:
        """Send the body."""
        await send({"type": "http.response.body", "body": b""})


class Bytes(Answer):
    """A body that is at hand."""

    def __init__(
        self, body: bytes, content_type: str, *, status: int = 200, headers: Headers | None = None
    ) -> None:
        """Answer with `body`."""
        super().__init__(content_type, status=status, headers=headers, length_bytes=len(body))
        self.content = body

    async def body(self, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.body", "body": self.content})


class Stream(Answer):
    """A body that comes in chunks; what fails on the way breaks the connection."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes],
        content_type: str,
        *,
        status: int = 200,
        headers: Headers | None = None,
        length_bytes: int | None = None,
    ) -> None:
        """Answer with `chunks`; the header waits for the first, so that its errors get a status."""
        super().__init__(content_type, status=status, headers=headers, length_bytes=length_bytes)
        self._chunks = chunks
        self._is_long = length_bytes is None or length_bytes > _WATCHED_BYTES

    def change(self, change: Callable[[AsyncGenerator[bytes]], AsyncGenerator[bytes]]) -> None:
        """Send what `change` makes of the chunks: its length is not known."""
        self._chunks = change(self._chunks)
        self._is_long = True
        self.fields.pop("content-length", None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; it ends early when the client has gone or takes nothing any more."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        # A server swallows what is sent to nobody: ask it, or a whole study is read in vain.
        gone = asyncio.create_task(_disconnected(receive)) if self._is_long else None
        try:
            async with aclosing(self._chunks) as chunks:
                await self._send(chunks, send, gone)
        finally:
            if gone is not None:
                gone.cancel()

    async def _send(
        self, chunks: AsyncGenerator[bytes], send: Send, gone: "asyncio.Task[None] | None"
    ) -> None:
        has_started = False
        async for chunk in chunks:
            if not has_started:
                has_started = True
                await self.start(send)
            if gone is not None and gone.done():
                return
            try:
                async with asyncio.timeout(_STALLED_S + len(chunk) / _SLOWEST_BYTES_PER_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError as error:
                raise ClientDisconnect from error
        if not has_started:
            await self.start(send)
        await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
