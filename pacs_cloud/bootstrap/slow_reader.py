"""A client that does not read what waits for it."""

import asyncio

from pacs_cloud.bootstrap.http_limits import ConnectionLimits


class SlowReader:
    """Breaks a connection whose client takes its answers too slowly, or not at all."""

    def __init__(self, transport: asyncio.Transport, limits: ConnectionLimits) -> None:
        """Watch nothing yet.

        Args:
            transport: of the connection.
            limits: how slowly, and how often to look.
        """
        self._transport = transport
        self._every_s = limits.stalled_s
        self._least_bytes = int(limits.stalled_s * limits.slowest_bytes_per_s)
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look from now on, unless nothing waits to be read."""
        unsent_bytes = self._transport.get_write_buffer_size()
        if self._timer is None and unsent_bytes:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._every_s, self._look, unsent_bytes)

    def leave(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, unsent_before: int) -> None:
        self._timer = None
        taken = unsent_before - self._transport.get_write_buffer_size()
        if taken < min(self._least_bytes, unsent_before):
            self._transport.abort()
        else:
            self.watch()
