"""The web process: DICOMweb and the probes over HTTP."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pacs_cloud.bootstrap.exposing import Exposition, open_metrics
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.http_protocol import HttpProtocol
from pacs_cloud.bootstrap.http_tls import http_tls_listener, tls_of
from pacs_cloud.bootstrap.ports import listening_socket
from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.dicomweb.app import HEALTHZ, READYZ
from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import Settings

KEEP_ALIVE_S = 75
"""Longer than the idle time of common load balancers, which then close first."""
CROWDED_S = 5


@asynccontextmanager
async def serve_web(settings: Settings, stores: Stores) -> AsyncGenerator[None]:
    """Serve HTTP at `settings.http` while entered; raises Unavailable."""
    drain = Drain()

    async def ready() -> None:
        if drain.has_begun:
            raise Unavailable("the process is stopping")
        await stores.ready()

    exposition = Exposition(settings, stores)
    async with open_application(settings, stores, ready, exposition) as app:
        server = HttpServer(
            server_config(
                app,
                limits_of(settings),
                drain,
                settings.http_proxies,
                timeout_graceful_shutdown=max(1, int(settings.edge_grace_s)),
            ),
            tls_of(settings),
        )
        servers = [(server, listening_socket(settings.http))]
        if settings.metrics is not None:
            exposed = server_config(open_metrics(exposition), limits_of(settings), drain)
            servers.append((HttpServer(exposed), listening_socket(settings.metrics)))
        # A server that ends by itself ends the process, which is then started again.
        async with asyncio.TaskGroup() as tasks:
            serving = {tasks.create_task(one.serve([listener])) for one, listener in servers}
            started = tasks.create_task(_all_started([one for one, _ in servers]))
            try:
                await asyncio.wait({*serving, started}, return_when=asyncio.FIRST_COMPLETED)
                yield
            finally:
                drain.has_begun = True
                for one, _ in servers:
                    one.should_exit = True
                started.cancel()
                # Also where what is done meanwhile fails: the group would cut them off.
                await asyncio.wait(serving)


async def _all_started(servers: Sequence["HttpServer"]) -> None:
    for server in servers:
        await server.has_started.wait()


def limits_of(settings: Settings) -> ConnectionLimits:
    """Return what clients may take."""
    return ConnectionLimits(
        header_s=settings.http_header_s, max_connections=settings.max_connections
    )


def server_config(
    app: ASGIApp,
    limits: ConnectionLimits,
    drain: Drain,
    proxies: Sequence[str] = (),
    **more: Any,
) -> uvicorn.Config:
    """Return how uvicorn serves `app` within `limits`; `proxies` are believed who has asked."""
    protocol = partial(HttpProtocol, limits=limits, drain=drain, crowded=_turned_away(app))
    return uvicorn.Config(
        app,
        http=cast("Any", protocol),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Else uvicorn believes whoever is on this machine.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        **more,
    )


def _turned_away(app: ASGIApp) -> ASGIApp:
    """Return what answers when there are too many connections: only the probes as ever."""
    probes = {HEALTHZ, READYZ}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in probes:
            await app(scope, receive, send)
            return
        crowded = problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many connections are open.",
            retry_after_s=CROWDED_S,
        )
        await crowded(scope, receive, send)

    return answer


class HttpServer(uvicorn.Server):
    """Tells when it serves, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, tls: TlsContexts | None = None) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        if self._tls is None:
            await super().startup(sockets)
        else:
            # uvicorn closes these at its end, and waits for them, as for its own.
            servers = [http_tls_listener(one, self._tls, self._protocol) for one in sockets or ()]
            for server in servers:
                server.start(self.config.backlog)
            self.servers = cast("Any", servers)
            self.started = True
        self.has_started.set()

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        return cast(
            "asyncio.Protocol",
            made(config=self.config, server_state=self.server_state, app_state={}),
        )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Change nothing: the process hears its signals itself."""
        yield
