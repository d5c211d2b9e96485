"""Several tenants at one port: what somebody has from one is nobody's at another's host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from oidc_house import real_provider

from integration.share_house import SHARED, instance_file
from pacs_cloud.audit.reading import events
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of
from pacs_cloud.bootstrap.services import Stores, now_us, open_intake, open_stores
from pacs_cloud.bootstrap.tenants import as_tenant, site_of
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.identity.shares import Shares
from pacs_cloud.identity.shares_record import share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.security.caller import Grant, Role, system
from pacs_cloud.settings import Settings
from servers.oidc_provider import API
from web_site import GOOD

NORTH, SOUTH, MAIN = "http://north.example", "http://south.example", "http://pacs.example"
STUDIES = "/dicom-web/studies"


@dataclass(frozen=True)
class House:
    """An archive of the tenants `default`, `north` and `south`; `north` has a study."""

    settings: Settings
    stores: Stores
    app: Any

    def client(self, url: str, **more: Any) -> httpx.AsyncClient:
        """A client of one host: its cookies are that host's, as a browser's would be."""
        transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 1))
        return httpx.AsyncClient(transport=transport, base_url=url, **more)

    async def status(self, url: str, **headers: str) -> int:
        async with self.client(url) as client:
            return (await client.get(STUDIES, headers=headers)).status_code

    async def key(self, tenant: str, role: Role = Role.RADIOLOGIST) -> str:
        keys = api_keys_of(self.settings, self.stores.objects, tenant)
        until_us = now_us() + 60_000_000
        return (await keys.create((Grant(role),), until_us=until_us, note="k"))[1]

    async def on_record(self, tenant: str) -> list[AuditEvent]:
        found = events(self.stores.objects, self.settings.audit_journals, tenant)
        return [event async for event, _ in found]


@asynccontextmanager
async def house(folder: Path, **more: Any) -> AsyncIterator[House]:
    said: dict[str, Any] = {
        "http_tenants": "north.example=north, South.Example=south",
        "host_names": ("pacs.example",),
        "pixel_processes": 1,
        "data": folder,
        **more,
    }
    settings = Settings(**said)
    async with open_stores(settings, create=True) as stores, AsyncExitStack() as stack:
        async with open_intake(settings, stores) as intake:
            session = intake.session(system("north"), Source(Door.IMPORT))
            reception = session.begin_file()
            reception.write(instance_file(SHARED))
            await reception.finish()
            await session.commit()

        async def ready() -> None:
            await asyncio.sleep(0)

        app = await stack.enter_async_context(open_application(settings, stores, ready))
        yield House(settings, stores, app)


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def test_a_host_leads_to_its_tenant_and_no_other_name_to_any(tmp_path: Path) -> None:
    async with house(tmp_path, no_auth=True) as archive:
        for url, found in (
            (NORTH, 200),
            ("http://NORTH.example:8042", 200),
            (SOUTH, 204),
            ("https://south.example:443", 204),
            (MAIN, 204),
            ("http://127.0.0.1:8042", 204),
            ("http://[::1]:8042", 204),
            ("http://localhost", 204),
            ("http://north.example.", 421),
            ("http://evil.example", 421),
            ("http://x.north.example", 421),
        ):
            assert await archive.status(url, accept="application/dicom+json") == found, url
        # What a proxy may have added does not count, whoever it is.
        assert await archive.status(SOUTH, **{"x-forwarded-host": "north.example"}) == 204


async def test_probes_answer_at_every_host(open_house: House) -> None:
    for url in (NORTH, SOUTH, MAIN, "http://127.0.0.1:1"):
        async with open_house.client(url) as client:
            for path in ("/healthz", "/readyz", "/openapi.json", "/sign-in"):
                assert (await client.get(path)).status_code == 200
            assert (await client.get(STUDIES)).status_code == 401


async def test_a_session_is_nobody_at_another_host(open_house: House) -> None:
    objects = open_house.stores.objects
    for tenant in ("north", "south"):
        accounts = accounts_of(open_house.settings, objects, tenant)
        secret = await accounts.create("anna", (Grant(Role.RADIOLOGIST),))
        await accounts.redeem(secret, GOOD)
    async with open_house.client("https://north.example") as client:
        fields = {"name": "anna", "password": GOOD}
        entered = await client.post(
            "/sign-in", data=fields, headers={"origin": client.base_url.scheme + "://north.example"}
        )
        assert entered.status_code == 303
        assert (await client.get(STUDIES)).status_code == 200
        (session,) = client.cookies.items()
    cookie = "=".join(session)
    assert await open_house.status("https://north.example", cookie=cookie) == 200
    for url in ("https://south.example", "https://pacs.example"):
        assert await open_house.status(url, cookie=cookie) == 401
    # The page of another tenant sends its form to none but its own.
    async with open_house.client("https://south.example") as client:
        strange = await client.post(
            "/sign-in", data=fields, headers={"origin": "https://north.example"}
        )
        assert strange.status_code == 403


async def test_a_key_is_nobody_at_another_host(open_house: House) -> None:
    key = await open_house.key("north")
    assert await open_house.status(NORTH, authorization=f"Bearer {key}") == 200
    for url in (SOUTH, MAIN):
        assert await open_house.status(url, authorization=f"Bearer {key}") == 401


async def test_a_link_opens_nothing_at_another_host(open_house: House) -> None:
    stores = open_house.stores

    async def record(event: AuditEvent) -> None:
        del event

    shares = Shares(stores.objects, stores.catalogue, "north", now_us, record)
    made = await shares.create(system("north"), ShareWish((SHARED,), "help"), door="page")
    path = share_path(made.share.share_id, made.secret).partition("#")[0]
    fields = {"secret": made.secret, "open": "1"}
    opened: dict[str, int] = {}
    cookie = ""
    for host in ("south.example", "pacs.example", "north.example"):
        url = f"https://{host}"
        async with open_house.client(url) as client:
            answer = await client.post(path, data=fields, headers={"origin": url})
            opened[host] = answer.status_code
            cookie = "; ".join(map("=".join, client.cookies.items()))
    assert opened["north.example"] == 303
    assert opened["south.example"] == opened["pacs.example"] != 303
    assert await open_house.status("https://north.example", cookie=cookie) == 200
    for host in ("south.example", "pacs.example"):
        assert await open_house.status(f"https://{host}", cookie=cookie) == 401


async def test_a_providers_people_come_in_at_their_own_tenants_host(tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "http_tenants": "anna.example=anna, rolf.example=rolf",
        "oidc_audiences": (API,),
        "oidc_grants": (
            {"claim": "realm_access.roles", "value": "pacs-radiologist", "role": "radiologist"},
        ),
    }
    async with real_provider(tmp_path) as provider:
        told["oidc_issuer"] = provider.issuer
        token = f"Bearer {(await provider.app_tokens('anna'))['access_token']}"
        claim = {"oidc_tenant_claim": "preferred_username"}
        async with house(tmp_path / "claim", **told, **claim) as archive:
            assert await archive.status("http://anna.example", authorization=token) == 204
            for host in ("rolf.example", "pacs.example"):
                assert await archive.status(f"http://{host}", authorization=token) == 403
            assert Kind.REFUSAL in {one.kind for one in await archive.on_record("rolf")}
        # Without the claim they are of `tenant`, and nobody elsewhere.
        async with house(tmp_path / "none", **told) as archive:
            assert await archive.status(MAIN, authorization=token) == 204
            for host in ("anna.example", "rolf.example"):
                assert await archive.status(f"http://{host}", authorization=token) == 401


@pytest.mark.parametrize(
    ("tenant", "said", "site"),
    [
        ("north", {}, "http://north.example:8042"),
        ("west", {}, "http://127.0.0.1:8042"),
        ("north", {"public_url": "https://pacs.example/dicom-web"}, "https://north.example"),
        ("north", {"public_url": "https://pacs.example:8443"}, "https://north.example:8443"),
        ("default", {"public_url": "https://pacs.example/dicom-web"}, "https://pacs.example"),
        ("south", {"public_url": "https://s2.example"}, "https://s2.example"),
        ("default", {"http_tls_certificate": Path("c.pem")}, "https://127.0.0.1:8042"),
    ],
)
def test_links_lead_to_the_tenants_own_host(tenant: str, said: dict[str, Any], site: str) -> None:
    hosts = {"north.example": "north", "south.example": "south", "s2.example": "south"}
    settings = Settings(http_tenants=hosts, **said)
    assert site_of(as_tenant(settings, tenant)) == site
    # A command is told whose by `tenant` itself.
    assert site_of(settings.model_copy(update={"tenant": tenant})) == site


def test_programs_are_told_addresses_at_the_tenants_own_host() -> None:
    settings = Settings(
        http_tenants={"north.example": "north"}, public_url="https://pacs.example/dicom-web"
    )
    assert as_tenant(settings, "north").public_url == "https://north.example/dicom-web"
    assert as_tenant(settings, "default") == settings
