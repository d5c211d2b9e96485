"""A whole archive behind its sign-in, served from a thread: for commands that reach it over HTTP."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.http_tls import tls_of
from pacs_cloud.bootstrap.ports import listening_socket
from pacs_cloud.bootstrap.services import Stores, now_us, open_stores
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.bootstrap.web_role import HttpServer, server_config
from pacs_cloud.security.caller import Grant
from pacs_cloud.settings import Settings, load_settings

R = TypeVar("R")
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class House:
    """A served archive: where it is, and who may come in."""

    settings: Settings
    url: str
    stores: Stores
    loop: asyncio.AbstractEventLoop

    def run(self, work: Awaitable[R]) -> R:
        async def awaited() -> R:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(60)

    def key(self, *grants: Grant, days: float = 1) -> str:
        keys = api_keys_of(self.settings, self.stores.objects)
        until_us = now_us() + round(days * DAY_US)
        _, secret = self.run(keys.create(grants, until_us=until_us, note="test", by="test"))
        return secret

    def revoke(self, secret: str) -> None:
        keys = api_keys_of(self.settings, self.stores.objects)
        self.run(keys.revoke(secret.split("_")[1], by="test"))


@contextmanager
def house(data: Path, **settings: object) -> Iterator[House]:
    """Serve the archive in `data`, which is made if it is not there."""
    told = load_settings({"data": data, "http": "127.0.0.1:0", "pack_linger_s": 0, **settings})
    opened: Future[House] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(told, opened)))
    thread.start()
    running = opened.result(60)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(_leave[running.url])
        thread.join()


_leave: dict[str, Callable[[], None]] = {}


async def _serve(settings: Settings, opened: "Future[House]") -> None:
    try:
        async with (
            open_stores(settings, create=True) as stores,
            open_application(settings, stores, stores.ready) as app,
        ):
            config = server_config(app, ConnectionLimits(), Drain(), timeout_graceful_shutdown=1)
            server = HttpServer(config, tls_of(settings))
            listener = listening_socket(settings.http)
            listener.listen()
            scheme = "https" if settings.http_tls_certificate else "http"
            url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"

            def leave() -> None:
                server.should_exit = True

            _leave[url] = leave
            serving = asyncio.create_task(server.serve([listener]))
            await server.has_started.wait()
            opened.set_result(House(settings, url, stores, asyncio.get_running_loop()))
            await serving
    except BaseException as error:
        if not opened.done():
            opened.set_exception(error)
        raise
