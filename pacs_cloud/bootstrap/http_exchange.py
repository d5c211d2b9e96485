"""One HTTP request and its answer, and what that answer is written to."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_JOINED_BYTES: Final = 64 << 10
"""Beyond that a copy costs as much as a second system call."""


class Exchange(RequestResponseCycle):
    """uvicorn's, which ends its connection where the answer does not wait for the body."""

    transport: "Outlet"

    async def send(self, message: Any) -> None:
        """Send a part of the answer; its header leaves with the first part of its body."""
        if self.response_started:
            if self.scope["method"] == "HEAD":
                self.transport.flush()  # no body is written that it could leave with
        else:
            if self.more_body:
                self.keep_alive = False
            self.transport.hold()
        await super().send(message)


class Outlet:
    """A transport of which closing is the connection's own affair."""

    __slots__ = ("_close", "_held", "_is_held", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        """Write to `transport`; `close` ends the connection."""
        self._write = transport.write
        self._close = close
        self._held = b""
        self._is_held = False
        self.is_closing = transport.is_closing

    def hold(self) -> None:
        """Keep what is written next until something else is."""
        self._is_held = True

    def write(self, data: bytes) -> None:
        """Write `data`, behind what was kept back."""
        if self._is_held:
            self._is_held = False
            self._held = data
            return
        if self._held:
            held, self._held = self._held, b""
            if len(data) <= _JOINED_BYTES:
                data = held + data
            else:
                self._write(held)
        self._write(data)

    def flush(self) -> None:
        """Write what was kept back."""
        self._is_held = False
        if self._held:
            self.write(b"")

    def close(self) -> None:
        """End the connection, once all is written."""
        self.flush()
        self._close()
