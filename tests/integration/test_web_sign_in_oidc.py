"""Signing in to pages by a real OpenID provider."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from oidc_house import Clock, archive_of, real_provider

from pacs_cloud.security.audit_event import Kind, Outcome
from servers import oidc_provider
from web_site import Browser, Site, site, visible

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[oidc_provider.Provider]:
    async with real_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def pages(provider: oidc_provider.Provider, tmp_path: Path) -> AsyncIterator[Site]:
    await provider.reset()
    async with (
        archive_of(provider, Clock(), tenant="default") as oidc,
        site(tmp_path, oidc=oidc, provider_name="St. Elsewhere") as running,
    ):
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def browser(pages: Site) -> AsyncIterator[Browser]:
    async with pages.browser() as one:
        yield one


async def back(browser: Browser, account: str, next_: str = "/account") -> httpx.Response:
    """Go to the provider by the button, sign in there, and come back."""
    start = await browser.client.get("/oidc/start", params={"next": next_})
    assert start.status_code == 303
    cookie = start.headers["set-cookie"]
    assert cookie.startswith("pacs-oidc=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"} <= set(cookie.split("; "))
    query = await oidc_provider.Browser().sign_in(start.headers["location"], account)
    return await browser.client.get("/oidc/callback", params=list(query))


class TestProvider:
    async def test_the_page_has_its_button(self, browser: Browser) -> None:
        page = (await browser.client.get("/sign-in", params={"next": "/studies?a=1&b=2"})).text
        assert "Sign in with St. Elsewhere" in visible(page)
        assert 'href="/oidc/start?next=/studies%3Fa%3D1%26b%3D2"' in page

    async def test_whoever_it_vouches_for_comes_in(self, pages: Site, browser: Browser) -> None:
        answer = await back(browser, "anna", "/studies?a=1&b=2")
        assert (answer.status_code, answer.headers["location"]) == (303, "/studies?a=1&b=2")
        assert "pacs-oidc" not in browser.client.cookies
        text = visible((await browser.get("/account")).text)
        assert "Anna Radiologist" in text
        assert "Radiologist" in text
        assert "oidc:test:anna" in text
        assert "Present password" not in text
        event = pages.events[-1]
        assert (event.kind, event.subject, event.outcome) == (
            Kind.LOGIN, "oidc:test:anna", Outcome.SUCCESS,
        )  # fmt: skip

    async def test_they_sign_out_everywhere(self, pages: Site, browser: Browser) -> None:
        await back(browser, "anna")
        async with pages.browser() as other:
            await back(other, "anna")
            await browser.post("/sign-out", {"where": "everywhere"}, csrf=True)
            assert not await other.is_signed_in()

    async def test_whose_claims_give_nothing_may_nothing(self, browser: Browser) -> None:
        await back(browser, "nina")
        assert "You have no role yet" in (await browser.get("/account")).text

    async def test_they_have_no_password_here(self, browser: Browser) -> None:
        await back(browser, "anna")
        for path in ("/account/password", "/account/codes", "/account/codes/drop"):
            answer = await browser.post(path, {"password": "x"}, csrf=True)
            assert answer.status_code == 400
            assert "Your provider keeps your password" in visible(answer.text)

    async def test_an_answer_without_its_beginning_signs_nobody_in(
        self, pages: Site, browser: Browser
    ) -> None:
        start = await browser.get("/oidc/start")
        query = await oidc_provider.Browser().sign_in(start.headers["location"], "anna")
        async with pages.browser() as other:  # it has no cookie of the beginning
            answer = await other.client.get("/oidc/callback", params=list(query))
            assert answer.status_code == 403
            assert "in another browser: begin again" in visible(answer.text)
            assert 'href="/sign-in"' in answer.text
            assert not await other.is_signed_in()
        assert pages.events[-1].outcome is Outcome.MINOR

    async def test_another_browser_s_answer_signs_nobody_in(
        self, pages: Site, browser: Browser
    ) -> None:
        start = await browser.get("/oidc/start")
        query = await oidc_provider.Browser().sign_in(start.headers["location"], "anna")
        async with pages.browser() as other:
            await other.get("/oidc/start")
            answer = await other.client.get("/oidc/callback", params=list(query))
            assert answer.status_code == 403
            assert not await other.is_signed_in()

    async def test_whoever_declines_is_told(self, browser: Browser) -> None:
        start = await browser.get("/oidc/start")
        query = await oidc_provider.Browser().sign_in(
            start.headers["location"], "anna", declines=True
        )
        answer = await browser.client.get("/oidc/callback", params=list(query))
        assert answer.status_code == 403
        assert "or you declined" in visible(answer.text)

    async def test_no_link_leads_elsewhere(self, browser: Browser) -> None:
        answer = await back(browser, "anna", "https://evil.example/")
        assert answer.headers["location"] == "/account"

    async def test_a_provider_that_is_away_is_said(
        self, provider: oidc_provider.Provider, browser: Browser
    ) -> None:
        await provider.answer("/.well-known/openid-configuration", status=503)
        answer = await browser.get("/oidc/start")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "the sign-in provider, cannot be reached" in visible(answer.text)

    async def test_its_own_session_can_be_ended_too(
        self, provider: oidc_provider.Provider, browser: Browser
    ) -> None:
        await back(browser, "anna")
        await browser.post("/sign-out", {"where": "here"}, csrf=True)
        page = (await browser.get("/sign-in?done=out")).text
        assert 'href="/oidc/end"' in page
        answer = await browser.get("/oidc/end")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{provider.issuer}/session/end?")

    async def test_another_tenant_s_people_stay_outside(
        self, provider: oidc_provider.Provider, tmp_path: Path
    ) -> None:
        async with (
            archive_of(provider, Clock(), tenant="elsewhere") as oidc,
            site(tmp_path / "other", oidc=oidc) as pages,
            pages.browser() as browser,
        ):
            answer = await back(browser, "anna")
            assert answer.status_code == 403
            assert "belongs to another archive" in visible(answer.text)
            assert not await browser.is_signed_in()


async def test_without_a_provider_there_is_no_button(tmp_path: Path) -> None:
    async with site(tmp_path) as pages, pages.browser() as browser:
        page = await browser.get("/sign-in")
        assert "/oidc/start" not in page.text
        assert (await browser.get("/oidc/start")).status_code == 404
