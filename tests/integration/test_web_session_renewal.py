"""A viewer that asks for nothing but DICOMweb keeps its session for as long as it is used."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pacs_cloud.bootstrap import accounts
from pacs_cloud.bootstrap.accounts import accounts_of, api_keys_of, sessions_of
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.identity.user import User
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.settings import load_settings
from pacs_cloud.web.assets import Assets
from pacs_cloud.web.cookies import UNATTENDED
from web_site import GOOD, Clock

MINUTE_S = 60
STUDIES = "/dicom-web/studies"


@dataclass
class Viewer:
    """A script that is signed in, and keeps the cookies that it is given."""

    client: httpx.AsyncClient
    clock: Clock
    sessions: Sessions
    user: User
    key: str

    async def get(self, path: str = STUDIES, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)


@pytest.fixture
async def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Viewer]:
    clock = Clock()
    monkeypatch.setattr(accounts, "now_us", clock)
    settings = load_settings({"data": tmp_path / "data"})

    async def ready() -> None:
        pass

    async with (
        open_stores(settings, create=True) as stores,
        open_application(settings, stores, ready) as app,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://127.0.0.1",
            headers={"accept": "application/dicom+json"},
        ) as client,
    ):
        people = accounts_of(settings, stores.objects)
        secret = await people.create("anna", (Grant(Role.RADIOLOGIST),))
        user = await people.redeem(secret, GOOD)
        _, key = await api_keys_of(settings, stores.objects).create(
            (Grant(Role.RADIOLOGIST),), until_us=clock() + 10**15, note="robot"
        )
        sessions = sessions_of(settings, people)
        client.cookies.set("pacs", sessions.issue(user, address=""), "127.0.0.1", "/")
        yield Viewer(client, clock, sessions, user, key)


async def test_it_goes_on_while_it_is_used(viewer: Viewer) -> None:
    set_anew = 0
    for _ in range(12):
        viewer.clock.go(10 * MINUTE_S)
        answer = await viewer.get()
        assert answer.status_code in {200, 204}
        set_anew += "set-cookie" in answer.headers
    assert set_anew == 12
    viewer.clock.go(31 * MINUTE_S)
    ended = await viewer.get()
    assert (ended.status_code, "set-cookie" in ended.headers) == (401, False)


async def test_the_cookie_is_set_anew_every_few_minutes_at_most(viewer: Viewer) -> None:
    set_anew = 0
    for _ in range(20):
        set_anew += "set-cookie" in (await viewer.get()).headers
        viewer.clock.go(30)
    assert set_anew == 3
    viewer.clock.go(10 * MINUTE_S)
    cookie = (await viewer.get()).headers["set-cookie"]
    assert cookie.startswith("pacs=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))


async def test_only_with_answers_that_no_cache_shares(viewer: Viewer) -> None:
    viewer.clock.go(10 * MINUTE_S)
    style = await viewer.get(Assets().url("pacs.css"))
    assert style.status_code == 200
    assert "public" in style.headers["cache-control"]
    assert "set-cookie" not in style.headers
    assert "set-cookie" in (await viewer.get()).headers


@pytest.mark.parametrize("path", [STUDIES, "/account"])
async def test_what_a_page_asks_by_itself_is_no_use(viewer: Viewer, path: str) -> None:
    viewer.clock.go(10 * MINUTE_S)
    by_itself = await viewer.get(path, **{UNATTENDED: "1"})
    assert by_itself.status_code in {200, 204}
    assert "set-cookie" not in by_itself.headers
    assert "set-cookie" in (await viewer.get(path)).headers


async def test_only_for_sessions_and_for_whoever_is_known(viewer: Viewer) -> None:
    viewer.clock.go(10 * MINUTE_S)
    by_key = await viewer.get(authorization=f"Bearer {viewer.key}")
    assert by_key.status_code in {200, 204}
    wrong = await viewer.get(authorization="Bearer pacs_wrong")
    assert wrong.status_code == 401
    for answer in (by_key, wrong):
        assert "set-cookie" not in answer.headers
    await viewer.sessions.end(viewer.client.cookies["pacs"])
    viewer.clock.go(MINUTE_S)
    ended = await viewer.get()
    assert (ended.status_code, "set-cookie" in ended.headers) == (401, False)
