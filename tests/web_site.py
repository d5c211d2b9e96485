"""The pages over real accounts, behind a real server on a free port."""

import asyncio
import html
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pyotp
from starlette.routing import BaseRoute, Router

from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.web_role import HttpServer, server_config
from pacs_cloud.dimse.tls import TlsContexts
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.passwords import Argon2id
from pacs_cloud.web.routes import routes
from pacs_cloud.web.services import WebServices

SECRETS = (b"s" * 32,)
CHEAP = Argon2id(passes=1, memory_kib=8, lanes=1)
GOOD = "horse staple lamp"
OTHER = "lamp staple horse"
HTML = {"accept": "text/html,application/xhtml+xml"}

_FIELD = re.compile(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"')


@dataclass
class Clock:
    """The real time, and what a test lets pass besides."""

    more_us: int = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.more_us

    def go(self, seconds: float) -> None:
        self.more_us += round(seconds * 1_000_000)


@dataclass
class Site:
    """Pages that are served."""

    url: str
    services: WebServices
    clock: Clock
    events: list[AuditEvent] = field(default_factory=list)

    @property
    def accounts(self) -> Accounts:
        return self.services.accounts

    async def user(self, name: str = "anna", *roles: Role, display_name: str = "") -> None:
        """Make a user whose password is GOOD."""
        grants = tuple(map(Grant, roles or (Role.RADIOLOGIST,)))
        secret = await self.accounts.create(name, grants, display_name=display_name)
        await self.accounts.redeem(secret, GOOD)

    async def codes(self, name: str = "anna") -> tuple[pyotp.TOTP, tuple[str, ...]]:
        """Switch codes on; return the authenticator and the recovery codes."""
        totp = pyotp.parse_uri(await self.accounts.begin_codes(name))
        assert isinstance(totp, pyotp.TOTP)
        codes = await self.accounts.confirm_codes(name, self.code(totp))
        self.clock.go(30)  # each code is taken once
        return totp, codes

    def code(self, totp: pyotp.TOTP) -> str:
        """What an authenticator shows now."""
        return totp.at(self.clock() // 1_000_000)

    def browser(self) -> "Browser":
        return Browser(self.url)


class Browser:
    """As much of a browser as forms need: cookies, the origin, hidden fields."""

    def __init__(self, url: str) -> None:
        # Over plain HTTP no certificates are read: that takes longer than many a test.
        is_tls = url.startswith("https:")
        self.client = httpx.AsyncClient(base_url=url, headers=HTML, trust_env=False, verify=is_tls)
        self.origin = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.client.aclose()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def post(
        self, path: str, fields: dict[str, str], *, csrf: bool = False, **headers: str
    ) -> httpx.Response:
        """Send a form as a page of this origin does."""
        if csrf:
            fields = {"csrf": await self.csrf(), **fields}
        return await self.client.post(path, data=fields, headers={"origin": self.origin, **headers})

    async def csrf(self) -> str:
        return hidden((await self.get("/account")).text)["csrf"]

    async def sign_in(
        self, name: str = "anna", password: str = GOOD, **more: str
    ) -> httpx.Response:
        return await self.post("/sign-in", {"name": name, "password": password, **more})

    async def is_signed_in(self) -> bool:
        return (await self.get("/account")).status_code == 200


def hidden(page: str) -> dict[str, str]:
    """Return the fields of a page's forms that have a value; the first of each name."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(page):
        found.setdefault(name, html.unescape(value))
    return found


def visible(page: str) -> str:
    """Return a page's text."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@asynccontextmanager
async def site(
    folder: Path,
    *,
    oidc: OidcProvider | None = None,
    make_app: Callable[[list[BaseRoute]], Any] | None = None,
    tls: TlsContexts | None = None,
    **more: Any,
) -> AsyncIterator[Site]:
    """Serve the pages of an archive whose objects are in `folder`.

    Args:
        folder: an empty one.
        oidc: who vouches for people.
        make_app: makes an application of the routes; None: nothing but them.
        tls: what they are served with; None: plain HTTP.
        more: further fields of WebServices.
    """
    clock = Clock()
    events: list[AuditEvent] = []

    async def record(event: AuditEvent) -> None:
        events.append(event)

    async with LocalObjectStore(folder / "objects") as objects:
        accounts = Accounts(objects, "default", clock, keep_s=0, argon2id=CHEAP)
        services = WebServices(
            "default",
            accounts,
            Sessions(accounts, SECRETS, clock),
            ApiKeys(objects, "default", clock, keep_s=0),
            SECRETS,
            clock,
            record,
            oidc,
            **more,
        )
        found: Sequence[BaseRoute] = routes(services)
        app = make_app(list(found)) if make_app else Router(found, redirect_slashes=False)
        async with serving(app, tls) as url:
            yield Site(url, services, clock, events)


@asynccontextmanager
async def serving(app: Any, tls: TlsContexts | None = None) -> AsyncIterator[str]:
    """Serve an application as the archive does; yield its URL."""
    server = HttpServer(server_config(app, ConnectionLimits(), Drain()), tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        task = asyncio.create_task(server.serve([listener]))
        await server.has_started.wait()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await task
