"""HTTP over TLS: every handshake is bounded, and a renewed certificate counts at once.

uvicorn's own listener has one context for as long as it lives, and lets a minute pass for
each handshake, of any number of clients.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from pacs_cloud.dimse.tls import ClientCertificates, TlsContexts, TlsFiles
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

_PROTOCOLS: Final = ["http/1.1"]
"""What is spoken here (RFC 7301): a client that means DICOM is refused in the handshake."""
_PAUSE_S: Final = 0.5
_GOODBYE_S: Final = 5.0
"""How long a client may take to answer that TLS ends."""


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """What clients may take before TLS stands.

    Attributes:
        handshake_s: for all of one.
        most: at once.
        of_one_address: of these; a proxy's whole load comes from one.
    """

    handshake_s: float = 10.0
    most: int = 256
    of_one_address: int = 128


def tls_of(settings: Settings) -> TlsContexts | None:
    """Return what HTTP is served with, None for plain HTTP; raises InvalidRequest."""
    certificate = settings.http_tls_certificate
    if certificate is None:
        return None
    return TlsContexts(TlsFiles(certificate, settings.http_tls_key), ClientCertificates.NONE)


class TlsServer:
    """Turns connections into protocols over TLS; in place of an `asyncio.Server`."""

    def __init__(
        self,
        listener: socket.socket,
        contexts: TlsContexts,
        protocol: Callable[[], asyncio.Protocol],
        limits: HandshakeLimits | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            listener: bound; closed with this.
            contexts: with what certificate.
            protocol: makes what a connection speaks.
            limits: of handshakes.
        """
        self.sockets = (listener,)
        self._listener = listener
        self._contexts = contexts
        self._named: ssl.SSLContext | None = None
        self._protocol = protocol
        self._limits = limits or HandshakeLimits()
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
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
                # No descriptor is free, or the client has gone already.
                log.warning("connection_not_accepted", extra={"error": type(error).__name__})
                await asyncio.sleep(_PAUSE_S)
                continue
            address = str(where[0])
            if (
                len(self._handshakes) >= self._limits.most
                or self._of_address[address] >= self._limits.of_one_address
            ):
                log.warning("connection_turned_away", extra={"address": address})
                connection.close()
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._of_address[address] += 1
            handshake = loop.create_task(self._greet(connection, address))
            self._handshakes.add(handshake)
            handshake.add_done_callback(partial(self._greeted, connection, address))

    async def _greet(self, connection: socket.socket, address: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._context(),
                ssl_handshake_timeout=self._limits.handshake_s,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except OSError as error:  # ssl.SSLError is one
            said = error.reason if isinstance(error, ssl.SSLError) else None
            log.info(
                "tls_refused", extra={"address": address, "reason": said or type(error).__name__}
            )
            connection.close()

    def _greeted(
        self, connection: socket.socket, address: str, handshake: asyncio.Task[None]
    ) -> None:
        self._handshakes.discard(handshake)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if handshake.cancelled() or handshake.exception() is not None:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        context = self._contexts.current()
        if context is not self._named:
            context.set_alpn_protocols(_PROTOCOLS)
            self._named = context
        return context
