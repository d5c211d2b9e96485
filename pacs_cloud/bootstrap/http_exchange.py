"""One HTTP request and its answer, and what that answer is written to."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Exchange(RequestResponseCycle):
    """uvicorn's, which ends its connection where the answer does not wait for the body."""

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if self.more_body and not self.response_started:
            self.keep_alive = False
        await super().send(message)


class Outlet:
    """A transport of which closing is the connection's own affair."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        """Write to `transport`; `close` ends the connection."""
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
