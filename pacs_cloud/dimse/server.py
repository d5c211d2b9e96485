"""The listening end: associations accepted, counted and brought to an orderly stop."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.dimse.associate import AssociateRequest
from pacs_cloud.dimse.association import Acceptor, Association
from pacs_cloud.dimse.gate import Admission, AeTitleGate, Gate, Remote
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Repertoire
from pacs_cloud.dimse.pdu import LOCAL_LIMIT_EXCEEDED, AssociationRejected
from pacs_cloud.dimse.roll import Roll
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.dimse.tls_listener import HandshakeLimits, TlsListener
from pacs_cloud.dimse.upper_layer import UpperLayer

_BACKLOG: Final = 128
_WAITING_ROOM: Final = 64
_LOOK_EVERY_S: Final = 0.05
_LAST_WORD_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen.

    Attributes:
        host: an address or a name of this machine.
        port: 0 for any free one.
        reuse_port: whether other processes listen on the same port; the
            kernel then shares connections out among them.
        receive_bytes: the kernel's receive buffer per connection, or None for
            the kernel's own choice, which grows with the connection.
    """

    host: str = "127.0.0.1"
    port: int = 0
    reuse_port: bool = False
    receive_bytes: int | None = 1 << 20


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server serves.

    Attributes:
        endpoint: where; None: only over TLS.
        tls: where over TLS, and with which certificate; None: nowhere.
        repertoire: what.
        gate: whom.
        limits: times and sizes of each association.
        max_associations: at a time; more are rejected for now.
        quiet_s: at a stop, how long an association must have done nothing to
            be aborted before the grace time is over.
        roll: calls associations for whoever watches; None: nobody does.
    """

    repertoire: Repertoire
    endpoint: Endpoint | None = field(default_factory=Endpoint)
    tls: tuple[Endpoint, TlsContexts] | None = None
    gate: Gate = field(default_factory=AeTitleGate)
    limits: Limits = field(default_factory=Limits)
    max_associations: int = 100
    quiet_s: float = 0.5
    roll: Roll | None = None


class Server:
    """Accepts associations, and is the gate that counts them."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._acceptor = Acceptor(settings.repertoire, self)
        self._connections: set[Association] = set()
        self._server: asyncio.Server | None = None
        self._tls: TlsListener[UpperLayer] | None = None
        self._address = self._tls_address = ("", 0)
        self._stopping = False

    @property
    def address(self) -> tuple[str, int]:
        """The host and port it listens on."""
        return self._address

    @property
    def tls_address(self) -> tuple[str, int]:
        """The host and port it listens on for TLS."""
        return self._tls_address

    @property
    def associations(self) -> int:
        """How many there are, those being decided on included."""
        return sum(
            association.has_begun and not association.is_over for association in self._connections
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is not ours or in use.
        """
        if (endpoint := self._settings.endpoint) is not None:
            listener = _listener(endpoint)
            self._address = _address_of(listener)
            loop = asyncio.get_running_loop()
            try:
                self._server = await loop.create_server(
                    self._connected, sock=listener, backlog=_BACKLOG
                )
            except BaseException:
                listener.close()
                raise
        if self._settings.tls is not None:
            endpoint, contexts = self._settings.tls
            try:
                listener = _listener(endpoint)
            except BaseException:
                if self._server is not None:
                    self._server.close()
                raise
            self._tls_address = _address_of(listener)
            self._tls = TlsListener(
                listener,
                contexts.current,
                self._connecting,
                HandshakeLimits(self._settings.limits.tls_s),
                left=lambda upper: upper.not_connected("no TLS came to be"),
            )
            self._tls.start(_BACKLOG)

    async def stop(self, grace_s: float) -> None:
        """Listen no more, let associations come to their end, then abort the rest.

        Args:
            grace_s: how long associations may go on; one that does nothing
                meanwhile for `quiet_s` is aborted before.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        if self._tls is not None:
            self._tls.close()
            await self._tls.wait_closed()
        connections = set(self._connections)
        await self._wind_down(grace_s)
        for association in self._connections:
            association.abort("the server stops")
        closing = [asyncio.ensure_future(each.wait_closed()) for each in connections]
        if not closing:
            return
        # Give our A-ABORTs a moment to be read; the peer's closing shows that they were.
        _, pending = await asyncio.wait(closing, timeout=_LAST_WORD_S)
        if pending:
            for association in connections:
                association.upper.drop("the server stops")
            await asyncio.wait(pending)

    async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
        """Let the peer in if there is room and the settings' gate agrees.

        Raises:
            AssociationRejected: there is none, or it does not.
        """
        if self._stopping or self.associations > self._settings.max_associations:
            raise AssociationRejected(LOCAL_LIMIT_EXCEEDED)
        return await self._settings.gate.admit(request, remote)

    def _connected(self) -> UpperLayer:
        association = Association(self._acceptor, self._settings.limits)
        if self._is_full:
            association.upper.drop("too many connections")
        else:
            self._enter(association)
        return association.upper

    def _connecting(self) -> UpperLayer | None:
        """Return what a connection becomes once TLS is over it, None where there is no room."""
        if self._is_full or self._stopping:
            return None
        association = Association(self._acceptor, self._settings.limits)
        self._enter(association)
        return association.upper

    @property
    def _is_full(self) -> bool:
        # Who connects and says nothing holds a descriptor until ARTIM expires.
        return len(self._connections) >= self._settings.max_associations + _WAITING_ROOM

    def _enter(self, association: Association) -> None:
        self._connections.add(association)
        if self._settings.roll is not None:
            self._settings.roll.enter(association)
        association.upper.closed.add_done_callback(lambda _: self._connections.discard(association))

    async def _wind_down(self, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        worked_at: dict[Association, float] = {}
        while self._connections and (now := loop.time()) < started + grace_s:
            for association in list(self._connections):
                if association.busy:
                    worked_at[association] = now
                elif (
                    not association.has_begun
                    or now - worked_at.get(association, started) >= self._settings.quiet_s
                ):
                    association.abort("the server stops")
            if all(association.is_over for association in self._connections):
                return
            await asyncio.sleep(_LOOK_EVERY_S)


def _address_of(listener: socket.socket) -> tuple[str, int]:
    name = listener.getsockname()
    return str(name[0]), int(name[1])


def _listener(endpoint: Endpoint) -> socket.socket:
    # The first address of a name, as for whoever has reserved the port.
    family, kind, protocol, _, where = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if endpoint.receive_bytes is not None:
            # Before `listen`: a connection's window scale is settled when it is made.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, endpoint.receive_bytes)
        listener.setblocking(False)
        listener.bind(where)
    except BaseException:
        listener.close()
        raise
    return listener
