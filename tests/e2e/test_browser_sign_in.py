"""The sign-in pages in a real browser: by mouse, by keyboard, with and without scripts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from starlette.routing import BaseRoute, Router

from e2e.browsers import chromium, looked_at, opened
from http_certificates import write_certificate
from pacs_cloud.dimse.tls import ClientCertificates, TlsContexts, TlsFiles
from pacs_cloud.security.caller import Role
from pacs_cloud.web.local_paths import welcome_path
from web_site import GOOD, OTHER, Site, site

_FOCUSED = """
() => {
  const one = document.activeElement;
  return [one.tagName, one.id || one.textContent.trim(), getComputedStyle(one).outlineStyle];
}
"""


class Listening:
    """An application that notes every byte of the requests' headers."""

    def __init__(self, routes: list[BaseRoute]) -> None:
        self.router = Router(routes, redirect_slashes=False)
        self.heard = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            fields = b"\n".join(b": ".join(field) for field in scope["headers"])
            self.heard += scope["raw_path"] + b"?" + scope["query_string"] + b"\n" + fields + b"\n"
        await self.router(scope, receive, send)


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest.fixture
def heard() -> list[Listening]:
    return []


@pytest.fixture
async def pages(tmp_path: Path, heard: list[Listening]) -> AsyncIterator[Site]:
    def make_app(routes: list[BaseRoute]) -> Listening:
        heard.append(Listening(routes))
        return heard[0]

    async with site(tmp_path, make_app=make_app) as running:
        yield running


async def sign_in(page: Any, name: str = "anna", password: str = GOOD) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_one_time_link_leaves_its_secret_nowhere(
    browser: Any, pages: Site, heard: list[Listening]
) -> None:
    secret = await pages.accounts.first_link()
    assert secret is not None
    async with opened(browser, pages.url) as page:
        await page.goto(welcome_path(secret))
        await page.get_by_role("heading", name="Choose a password").wait_for()
        assert secret not in page.url
        await looked_at(page, "welcome_password")
        await page.get_by_label("New password", exact=True).fill("short")
        await page.evaluate("document.querySelector('form').noValidate = true")
        await page.get_by_role("button", name="Set password").click()
        await page.get_by_text("Choose another password").wait_for()
        await page.get_by_label("New password", exact=True).fill(GOOD)
        await page.get_by_role("button", name="Set password").click()
        await page.get_by_role("heading", name="Your account").wait_for()
        await looked_at(page, "account_admin")
        entries = await page.evaluate("navigation.entries().map(entry => entry.url)")
        assert len(entries) > 1
        assert secret not in " ".join(entries)
        assert secret.encode() not in heard[0].heard
        assert b"/welcome" in heard[0].heard

        # And it works once.
        await page.goto("/account")
        await page.goto("about:blank")
        await page.goto(welcome_path(secret))
        await page.get_by_text("This link cannot be used").wait_for()
        await looked_at(page, "welcome_used")


async def test_signing_in_and_out(browser: Any, pages: Site) -> None:
    await pages.user("anna", display_name="Anna Bergström-Lindqvist")
    async with opened(browser, pages.url) as page:
        await page.goto("/account?done=revoked")
        assert "/sign-in?next=" in page.url
        await looked_at(page, "sign_in")
        await page.get_by_label("Name").fill("anna")
        await page.get_by_label("Password", exact=True).fill(OTHER)
        await page.keyboard.press("Enter")
        await page.get_by_text("Name or password is not right").wait_for()
        assert await page.get_by_label("Name").input_value() == "anna"
        assert await page.evaluate("document.activeElement.id") == "password"
        await looked_at(page, "sign_in_wrong")
        await page.get_by_label("Password", exact=True).fill(GOOD)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/account?done=revoked")
        await looked_at(page, "account")
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.get_by_text("You are signed out.").wait_for()
        await looked_at(page, "signed_out")
        await page.go_back()
        await page.wait_for_url("**/sign-in?next=**")  # nothing was kept to look at


async def test_codes_from_the_picture_to_the_sign_in(browser: Any, pages: Site) -> None:
    await pages.user("anna")
    async with opened(browser, pages.url) as page:
        await sign_in(page)
        await page.locator("#codes-password").fill(GOOD)
        await page.get_by_role("button", name="Switch on").click()
        await page.get_by_role("img", name="QR code for your authenticator app").wait_for()
        await page.get_by_text("You cannot scan it?").click()
        secret = (await page.locator("#key").inner_text()).replace(" ", "")
        await looked_at(page, "codes")
        totp = pyotp.TOTP(secret)
        await page.get_by_label("One-time code").fill("000000")
        await page.get_by_role("button", name="Switch on").click()
        await page.get_by_text("This code was not right").wait_for()
        await page.get_by_label("One-time code").fill(pages.code(totp))
        await page.get_by_role("button", name="Switch on").click()
        await page.get_by_role("heading", name="Your recovery codes").wait_for()
        await looked_at(page, "recovery")
        recovery = await page.locator("#recovery .secret").all_inner_texts()
        assert len(recovery) == 10
        await page.get_by_role("link", name="I have kept them").click()
        await page.get_by_text("10 recovery codes are left").wait_for()
        await page.goto("/sign-out")
        await looked_at(page, "sign_out")
        await page.get_by_role("button", name="Sign out everywhere").click()
        pages.clock.go(60)
        await sign_in(page)
        await page.get_by_role("heading", name="One-time code").wait_for()
        assert GOOD not in await page.content()
        await looked_at(page, "sign_in_code")
        await page.keyboard.type(pages.code(totp))
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/account")


async def test_a_key_is_shown_once_and_revoked(browser: Any, pages: Site) -> None:
    await pages.user("ada", Role.ADMIN)
    async with opened(
        browser, pages.url, permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        await sign_in(page, "ada")
        await page.get_by_text("Make a key").click()
        await page.get_by_label("What is it for?").fill("Nightly export to the research archive")
        await page.get_by_role("radio", name="Technologist").check()
        await page.locator("#key-password").fill(GOOD)
        await looked_at(page, "account_key")
        await page.get_by_role("button", name="Make key").click()
        secret = await page.locator("#key").inner_text()
        assert await pages.services.keys.caller(secret, address="") is not None
        await looked_at(page, "key")
        await page.get_by_role("button", name="Copy").click()
        await page.get_by_role("button", name="Copied").wait_for()
        assert await page.evaluate("navigator.clipboard.readText()") == secret
        await page.get_by_role("link", name="I have kept it").click()
        await page.get_by_role("button", name="Revoke").click()
        await page.get_by_text("The key is revoked.").wait_for()
        assert await pages.services.keys.caller(secret, address="") is None


async def test_a_password_is_changed_and_shown_on_demand(browser: Any, pages: Site) -> None:
    await pages.user("anna")
    async with opened(browser, pages.url) as page:
        await sign_in(page)
        new = page.get_by_label("New password", exact=True)
        await page.get_by_label("Present password", exact=True).fill(GOOD)
        await new.fill(OTHER)
        assert await new.get_attribute("type") == "password"
        await page.get_by_role("button", name="Show new password").click()
        assert await new.get_attribute("type") == "text"
        await page.get_by_role("button", name="Change password").click()
        await page.get_by_text("Your password is changed.").wait_for()
        assert await page.get_by_text("Your password is changed.").is_visible()


async def test_everything_works_without_scripts(browser: Any, pages: Site) -> None:
    secret = await pages.accounts.create("anna", ())
    async with opened(browser, pages.url, java_script_enabled=False) as page:
        await page.goto("/welcome")
        await page.get_by_label("Your link").fill(pages.url + welcome_path(secret))
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_label("New password").fill(GOOD)
        await page.get_by_role("button", name="Set password").click()
        await page.wait_for_url("**/account")
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await sign_in(page)
        await page.wait_for_url("**/account")


async def test_the_keyboard_reaches_everything(browser: Any, pages: Site) -> None:
    await pages.user("anna")
    async with opened(browser, pages.url) as page:
        await sign_in(page)
        await page.wait_for_url("**/account")
        await page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        assert await skip.evaluate("one => one === document.activeElement")
        box = await skip.bounding_box()
        assert box is not None
        assert box["y"] >= 0  # it can be seen
        reached: set[str] = set()
        for _ in range(40):
            await page.keyboard.press("Tab")
            tag, name, outline = await page.evaluate(_FOCUSED)
            if tag == "BODY":  # once around
                break
            assert outline == "solid", name
            reached.add(name)
        assert {"old", "new", "codes-password", "Change password", "Sign out everywhere"} <= reached


async def test_a_strange_page_posts_nothing_here(browser: Any, pages: Site) -> None:
    """A page of another origin (the same server by its other name) sends our form."""
    await pages.user("anna")
    elsewhere = pages.url.replace("127.0.0.1", "localhost")
    form = (
        f'<form method="post" action="{pages.url}/sign-in">'
        f'<input name="name" value="anna"><input name="password" value="{GOOD}">'
        "<button>Win</button></form>"
    )
    async with opened(browser, elsewhere, bypass_csp=True) as page:
        await page.route(
            "**/prize", lambda route: route.fulfill(body=form, content_type="text/html")
        )
        await page.goto("/prize")
        await page.get_by_role("button", name="Win").click()
        await page.get_by_role("heading", name="This form was not accepted").wait_for()
        await looked_at(page, "refusal")
        assert await page.context.cookies() == []


async def test_over_tls_the_cookie_is_bound_to_this_host(browser: Any, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = TlsContexts(TlsFiles(certificate, key), ClientCertificates.NONE)
    async with site(tmp_path, tls=tls) as pages:
        await pages.user("anna")
        async with opened(browser, pages.url, ignore_https_errors=True) as page:
            await sign_in(page)
            await page.wait_for_url("**/account")
            (cookie,) = await page.context.cookies()
            assert cookie["name"] == "__Host-pacs"
            assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, True, "/")
            assert cookie["sameSite"] == "Lax"
            assert await page.evaluate("document.cookie") == ""
            await page.get_by_role("button", name="Sign out", exact=True).click()
            await page.get_by_text("You are signed out.").wait_for()
            assert await page.context.cookies() == []
