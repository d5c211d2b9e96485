"""The listening end for TLS: every handshake is bounded, and counted before it has ended.

Connections are accepted here, not by an `asyncio.Server`: each gets the context of its
moment, so that a renewed certificate counts without a new start, and one whose handshake
fails is known to have ended, which a server would tell nobody.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.dimse.upper_layer import UpperLayer

log = logging.getLogger(__name__)

_OF_ONE_ADDRESS: Final = 32
"""Handshakes of one address at a time: who lets them hang keeps no other address out."""
_PAUSE_S: Final = 0.5
_GOODBYE_S: Final = 5.0
"""How long a peer may take to answer that TLS ends."""


class TlsListener:
    """Turns connections into upper layers over TLS.

    Args:
        listener: bound, not yet listening; closed at the stop.
        contexts: with what certificate.
        enter: returns what a new connection becomes, or None to turn it away.
        limits: how long a handshake may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        contexts: TlsContexts,
        enter: Callable[[], UpperLayer | None],
        limits: Limits,
    ) -> None:
        self._listener = listener
        self._contexts = contexts
        self._enter = enter
        self._limits = limits
        self._accepting: asyncio.Task[None] | None = None
        self._greetings: set[asyncio.Task[bool]] = set()
        self._of_address: Counter[str] = Counter()

    def start(self, backlog: int) -> None:
        """Listen."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def stop(self) -> None:
        """Listen no more, and end the handshakes that have not ended."""
        tasks = {*self._greetings, *({self._accepting} if self._accepting is not None else ())}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, where = await loop.sock_accept(self._listener)
            except OSError as error:
                # No descriptor is free, or the peer has gone already.
                log.warning("connection_not_accepted", extra={"error": type(error).__name__})
                await asyncio.sleep(_PAUSE_S)
                continue
            address = str(where[0])
            has_room = self._of_address[address] < _OF_ONE_ADDRESS
            upper = self._enter() if has_room else None
            if upper is None:
                log.warning("connection_turned_away", extra={"address": address})
                connection.close()
                continue
            self._of_address[address] += 1
            greeting = loop.create_task(self._greet(connection, address, upper))
            self._greetings.add(greeting)
            # A task that is cancelled before its first step runs nothing of its own.
            greeting.add_done_callback(partial(self._greeted, connection, address, upper))

    async def _greet(self, connection: socket.socket, address: str, upper: UpperLayer) -> bool:
        """Shake hands; return whether TLS came to be."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: upper,
                connection,
                ssl=self._contexts.current(),
                ssl_handshake_timeout=self._limits.tls_s,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except OSError as error:  # ssl.SSLError is one
            said = error.reason if isinstance(error, ssl.SSLError) else None
            log.warning(
                "tls_refused", extra={"address": address, "reason": said or type(error).__name__}
            )
            return False
        return True

    def _greeted(
        self,
        connection: socket.socket,
        address: str,
        upper: UpperLayer,
        greeting: asyncio.Task[bool],
    ) -> None:
        self._greetings.discard(greeting)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if greeting.cancelled() or greeting.exception() is not None or not greeting.result():
            upper.not_connected("no TLS came to be")
            connection.close()
