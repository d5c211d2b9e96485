"""The web process: DICOMweb and the probes over HTTP."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from pacs_cloud.bootstrap.ports import listening_socket
from pacs_cloud.bootstrap.services import Stores, open_intake, open_reading
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.settings import Settings

KEEP_ALIVE_S = 75
"""Longer than the idle time of common load balancers, which then close first."""


@asynccontextmanager
async def serve_web(settings: Settings, stores: Stores) -> AsyncGenerator[None]:
    """Serve HTTP at `settings.http` while entered; raises Unavailable."""
    async with open_intake(settings, stores) as intake, open_reading(settings, stores) as reading:
        app = create_app(
            Services(intake, reading.search, reading.archive, stores.ready),
            HttpOptions(
                tenant=settings.tenant,
                public_url=settings.public_url,
                max_body_bytes=settings.max_stow_bytes,
                body_idle_s=settings.network_timeout_s,
            ),
        )
        server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(settings.edge_grace_s)),
            )
        )
        listener = listening_socket(settings.http)
        # A server that ends by itself ends the process, which is then started again.
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve([listener]))
            started = tasks.create_task(server.has_started.wait())
            try:
                await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
                yield
            finally:
                server.should_exit = True
                started.cancel()


class _Server(uvicorn.Server):
    """Tells when it serves, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
