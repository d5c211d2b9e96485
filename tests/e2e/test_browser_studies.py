"""The study list and a study's page in a real browser: typing, scrolling, keys, phones, colours."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from e2e.browsers import becomes, chromium, looked_at, opened
from e2e.house import House, house
from study_samples import documents, made, study_uid, written_names

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = 40
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house")) as served:
        await served.store([*made(100), *documents(), *written_names()])
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(browser: Any, archive: House) -> Any:
    """What a browser keeps of a session: signing in takes its time, and is tested elsewhere."""
    async with archive.signed_in(browser) as page:
        assert page.url == f"{archive.url}/"
        return await page.context.storage_state()


@asynccontextmanager
async def at(
    browser: Any, archive: House, kept: Any, path: str, **options: Any
) -> AsyncGenerator[Any]:
    """Open a page as somebody who is signed in; no request may leave the origin."""
    async with opened(browser, archive.url, storage_state=kept, **options) as page:
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        await page.goto(path)
        yield page
        assert [url for url in asked if not url.startswith((archive.url, "data:"))] == []


def rows(page: Any) -> Any:
    return page.locator("tr.study")


async def shown(page: Any, count: int) -> None:
    await rows(page).nth(count).wait_for(state="detached")
    await rows(page).nth(count - 1).wait_for()


async def test_it_searches_as_one_types_and_goes_back(
    browser: Any, archive: House, kept: Any
) -> None:
    async with at(browser, archive, kept, "/") as page:
        await shown(page, PAGE)
        await page.evaluate("window.isSamePage = true")
        await page.get_by_label("Patient", exact=True).press_sequentially("müll", delay=20)
        await page.wait_for_url("**/?name=m%C3%BCll")
        await page.get_by_label("Patient", exact=True).press_sequentially("er maria", delay=20)
        await page.wait_for_url("**/?name=m%C3%BCller+maria")
        await shown(page, 3)
        assert await page.locator("#told").inner_text() == "3 studies"
        await page.get_by_label("Modality").select_option("CT")
        await page.wait_for_url("**/?name=m%C3%BCller+maria&modality=CT")
        assert await page.evaluate("window.isSamePage")
        # The name was one step, the modality another.
        await page.go_back()
        await shown(page, 3)
        assert page.url.endswith("/?name=m%C3%BCller+maria")
        assert await page.get_by_label("Patient", exact=True).input_value() == "müller maria"
        assert await page.get_by_label("Modality").input_value() == ""
        await page.go_back()
        await shown(page, PAGE)
        assert page.url == f"{archive.url}/"
        await page.get_by_label("Patient", exact=True).fill("nobody at all")
        await page.get_by_text("No study matches").wait_for()
        await page.get_by_role("link", name="Clear all filters").first.click()
        await shown(page, PAGE)


async def test_it_goes_on_as_one_scrolls_and_is_there_again(
    browser: Any, archive: House, kept: Any
) -> None:
    async with at(browser, archive, kept, "/") as page:
        await page.mouse.wheel(0, 100_000)
        await shown(page, 2 * PAGE)
        await page.wait_for_url("**/?rows=80")
        await page.mouse.wheel(0, 100_000)
        await shown(page, 100 + 13)
        last = rows(page).last.locator(".who > a")
        await last.scroll_into_view_if_needed()
        before = await page.evaluate("scrollY")
        await last.click()
        await page.get_by_role("link", name="All studies").click()
        await shown(page, 100 + 13)
        await becomes(page, "y => Math.abs(scrollY - y) < 200", arg=before)
        # What comes later is told of each study, not before.
        await page.locator(".others").first.wait_for()


async def test_what_comes_in_meanwhile_lists_none_twice(
    browser: Any, archive: House, kept: Any
) -> None:
    async with at(browser, archive, kept, "/") as page:
        # A study more, ahead of all others, pushes each on by one.
        pushed = f"{archive.url}/?from={PAGE - 1}"
        await page.route(f"**/?from={PAGE}", lambda route: route.continue_(url=pushed))
        await page.mouse.wheel(0, 100_000)
        await shown(page, 2 * PAGE - 1)
        uids = [await one.input_value() for one in await rows(page).locator("input").all()]
        assert uids == [study_uid(number) for number in range(1, 2 * PAGE)]


async def test_it_is_used_by_keys(browser: Any, archive: House, kept: Any) -> None:
    focused = "document.activeElement.textContent.trim() || document.activeElement.id"
    async with at(browser, archive, kept, "/") as page:
        await page.keyboard.press("/")
        assert await page.evaluate(focused) == "name"
        await page.keyboard.type("j?x")  # letters, not commands
        assert await page.get_by_label("Patient", exact=True).input_value() == "j?x"
        await page.wait_for_url("**/?name=j%3Fx")
        await page.get_by_label("Patient", exact=True).fill("")
        await page.wait_for_url(f"{archive.url}/")
        await shown(page, PAGE)
        await page.keyboard.press("Escape")
        names = await rows(page).locator(".who > a").all_inner_texts()
        for key, expected in (
            ("j", 0),
            ("j", 1),
            ("ArrowDown", 2),
            ("k", 1),
            ("ArrowUp", 0),
            ("k", 0),
        ):
            await page.keyboard.press(key)
            assert await page.evaluate(focused) == names[expected], key
        await page.keyboard.press("x")
        chosen = "new FormData(document.getElementById('selection')).getAll('study')"
        assert await page.evaluate(chosen) == [study_uid(1)]
        await page.keyboard.press("x")
        assert await page.evaluate(chosen) == []
        await page.get_by_label("Select all that are listed").check()
        assert len(await page.evaluate(chosen)) == PAGE
        await page.keyboard.press("?")
        await page.get_by_role("dialog").get_by_text("Select it, or not").wait_for()
        await page.keyboard.press("j")
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="hidden")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/studies/*")
        await page.go_back()
        await shown(page, PAGE)
        await page.keyboard.press("j")
        await page.keyboard.press("v")
        await page.wait_for_url(f"**/light/studies/{study_uid(1)}")


async def test_all_of_it_works_where_no_script_runs(
    browser: Any, archive: House, kept: Any
) -> None:
    async with at(browser, archive, kept, "/", java_script_enabled=False) as page:
        await page.get_by_role("link", name="More studies").click()
        assert await rows(page).count() == PAGE
        assert page.url.endswith("/?from=40")
        await page.get_by_role("link", name="Newer studies").click()
        await page.get_by_label("Date", exact=True).select_option("range")
        await page.get_by_label("From", exact=True).fill("2026-11-24")
        await page.get_by_label("To", exact=True).fill("2026-11-26")
        await page.get_by_role("button", name="Search").click()
        assert await rows(page).count() == 2
        assert "since=2026-11-24" in page.url
        await rows(page).first.locator(".who > a").click()
        await page.get_by_role("heading", name="Smith, Anna").wait_for()


async def test_a_phone(browser: Any, archive: House, kept: Any) -> None:
    async with at(browser, archive, kept, "/", **PHONE) as page:
        for path in ("/", f"/studies/{study_uid(1)}", "/shares", "/account"):
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
                path
            )
            bar = await page.get_by_role("navigation", name="Main").bounding_box()
            assert round(bar["y"] + bar["height"]) == 640
        await page.goto("/")
        assert (
            await page.get_by_role("link", name="Studies", exact=True).get_attribute("aria-current")
            == "page"
        )
        assert not await page.get_by_label("Modality").is_visible()
        await page.get_by_role("button", name="Filters").tap()
        await page.get_by_label("Modality").select_option("US")
        await page.wait_for_url("**/?modality=US")
        await page.get_by_role("button", name="Filters 1").wait_for()
        # A first and a last day are one filter; a way to write the name is none.
        await page.goto("/?since=1900-01-01&until=2100-12-31&name=a&sounds=1")
        await page.get_by_role("button", name="Filters 1").wait_for()
        await page.get_by_role("button", name="Filters").tap()
        await page.get_by_label("Modality").select_option("US")
        await page.get_by_role("button", name="Filters 2").wait_for()
        await page.goto("/?modality=US")
        await page.get_by_text("Abdomen ultrasound").first.tap()
        await page.wait_for_url("**/studies/*")


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Kathmandu", "+0545"), ("Pacific/Marquesas", "-0930")]
)
async def test_it_says_where_its_day_is(
    browser: Any, archive: House, kept: Any, zone: str, offset: str
) -> None:
    async with at(browser, archive, kept, "/", timezone_id=zone) as page:
        assert await page.evaluate("document.cookie") == f"zone={offset}"
        await page.goto("/upload")
        assert await page.locator("[name=zone]").input_value() == offset


async def test_colours_are_kept_and_do_not_flash(browser: Any, archive: House, kept: Any) -> None:
    noted = """
      new MutationObserver(() => {
        if (document.body) window.themeAtFirst ??= document.documentElement.dataset.theme;
      }).observe(document, { childList: true, subtree: true })
    """
    ground = "getComputedStyle(document.body).backgroundColor"
    async with at(browser, archive, kept, "/", color_scheme="dark") as page:
        await page.context.add_init_script(noted)
        dark = await page.evaluate(ground)
        switch = page.locator("button.theme")
        assert await switch.get_attribute("aria-label") == "Colours: dark"
        await switch.click()
        light = await page.evaluate(ground)
        assert light != dark
        await page.reload()
        assert await page.evaluate("window.themeAtFirst") == "light"
        assert await page.evaluate(ground) == light
        await looked_at(page, "studies-light")
        await page.locator("button.theme").click()  # as the device has them
        assert await page.evaluate(ground) == dark
        await page.emulate_media(color_scheme="light")
        await becomes(page, f"light => {ground} === light", arg=light)
        await page.emulate_media(media="print")
        assert not await page.locator(".bar").is_visible()
        scheme = "getComputedStyle(document.documentElement).colorScheme"
        assert await page.evaluate(scheme) == "light"


async def test_names_read_as_they_are_written(browser: Any, archive: House, kept: Any) -> None:
    direction = "one => getComputedStyle(one).direction"
    async with at(browser, archive, kept, "/?modality=OT") as page:
        for name, expected in (("שרון, דבורה", "rtl"), ("قباني, لنزار", "rtl"), ("Wang", "ltr")):
            link = page.get_by_role("link", name=re.compile(f"^{name}")).first
            assert await link.evaluate(direction) == expected, name
        await page.get_by_text("山田 太郎").first.wait_for()


async def test_pages_look_right(browser: Any, archive: House, kept: Any) -> None:
    async with at(browser, archive, kept, "/") as page:
        await page.locator(".others").first.wait_for()
        await looked_at(page, "studies")
        await page.goto(f"/studies/{study_uid(1)}")
        await page.get_by_text("Change labels").click()
        await looked_at(page, "study")
        assert await page.get_by_role("link", name="Referral letter").count() == 1


async def test_who_is_signed_out_meanwhile_signs_in_and_goes_on(
    browser: Any, archive: House, kept: Any
) -> None:
    async with at(browser, archive, kept, "/?modality=CT") as page:
        await page.context.clear_cookies()
        await page.get_by_label("Patient", exact=True).fill("smith")
        await page.wait_for_url("**/sign-in?next=/%3Fmodality%3DCT")
