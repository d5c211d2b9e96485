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
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

log = logging.getLogger(__name__)

P = TypeVar("P", bound=asyncio.BaseProtocol)

_PAUSE_S: Final = 0.5
_GOODBYE_S: Final = 5.0
"""How long a peer may take to answer that TLS ends."""


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """What peers may take before TLS stands.

    Attributes:
        handshake_s: for all of one.
        most: at once.
        of_one_address: of these: who lets them hang keeps no other address out.
    """

    handshake_s: float = 10.0
    most: int = 256
    of_one_address: int = 32


class TlsListener(Generic[P]):
    """Turns connections into protocols over TLS; in place of an `asyncio.Server`."""

    def __init__(
        self,
        listener: socket.socket,
        context: Callable[[], ssl.SSLContext],
        enter: Callable[[], P | None],
        limits: HandshakeLimits,
        *,
        left: Callable[[P], None] = lambda _: None,
        level: int = logging.WARNING,
    ) -> None:
        """Prepare to listen.

        Args:
            listener: bound, not yet listening; closed with this.
            context: returns that of a new connection.
            enter: returns what a new connection becomes, or None to turn it away.
            limits: of handshakes.
            left: told of what was entered, and no TLS came to be.
            level: at which a handshake that failed is logged.
        """
        self.sockets = (listener,)
        self._listener = listener
        self._context = context
        self._enter = enter
        self._limits = limits
        self._left = left
        self._level = level
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[bool]] = set()
        self._of_address: Counter[str] = Counter()

    def start(self, backlog: int) -> None:
        """Listen."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Listen no more, and give up what has not shaken hands yet."""
        if self._listener.fileno() >= 0:
            # Its number may be another's before the task has heard that it ends.
            asyncio.get_running_loop().remove_reader(self._listener)
        if self._accepting is not None:
            self._accepting.cancel()
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Return when nothing of this is left."""
        tasks = {*self._handshakes, *({self._accepting} if self._accepting is not None else ())}
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
            entered = self._enter() if self._has_room(address) else None
            if entered is None:
                log.warning("connection_turned_away", extra={"address": address})
                connection.close()
                continue
            self._of_address[address] += 1
            handshake = loop.create_task(self._greet(connection, address, entered))
            self._handshakes.add(handshake)
            # A task that is cancelled before its first step runs nothing of its own.
            handshake.add_done_callback(partial(self._greeted, connection, address, entered))

    def _has_room(self, address: str) -> bool:
        return (
            len(self._handshakes) < self._limits.most
            and self._of_address[address] < self._limits.of_one_address
        )

    async def _greet(self, connection: socket.socket, address: str, entered: P) -> bool:
        """Shake hands; return whether TLS came to be."""
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: entered,
                connection,
                ssl=self._context(),
                ssl_handshake_timeout=self._limits.handshake_s,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except OSError as error:  # ssl.SSLError is one
            said = error.reason if isinstance(error, ssl.SSLError) else None
            fields = {"address": address, "reason": said or type(error).__name__}
            log.log(self._level, "tls_refused", extra=fields)
            return False
        return True

    def _greeted(
        self, connection: socket.socket, address: str, entered: P, handshake: asyncio.Task[bool]
    ) -> None:
        self._handshakes.discard(handshake)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if handshake.cancelled() or handshake.exception() is not None or not handshake.result():
            self._left(entered)
            connection.close()
