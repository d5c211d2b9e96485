"""Links in a real browser: their secret stays out of every request, pictures are seen."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from e2e.browsers import becomes, chromium, looked_at, opened
from integration.share_house import ANNA, SHARED, Archived, shared_archive
from pacs_cloud.identity.shares_record import Guest, share_path
from web_site import GOOD

PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        yield made


async def test_from_the_link_to_the_reply(browser: Any, archive: Archived, tmp_path: Path) -> None:
    made = await archive.made(
        may_download=True, may_reply=True, with_codes=True, guest=Guest("Dr. Eve")
    )
    path = share_path(made.share.share_id, made.secret)
    heard: list[str] = []
    async with opened(browser, archive.url) as page:
        page.on("request", lambda one: heard.append(f"{one.url} {one.headers}"))
        await page.goto(path)
        await page.get_by_role("heading", name="Shared with Dr. Eve").wait_for()
        assert made.secret not in page.url
        assert (await archive.shares.read(ANNA, made.share.share_id)).uses == ()
        await looked_at(page, "share_open")
        await page.get_by_label("Code").fill("1")
        await page.get_by_role("button", name="Open").click()
        await page.get_by_text("This code is not right").wait_for()
        await page.get_by_label("Code").fill(made.codes[0])
        await page.get_by_role("button", name="Open").click()
        await page.get_by_text("SHARED, SUSAN").wait_for()
        await pictures_are_there(page)
        await looked_at(page, "share_overview")

        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download ZIP").click()
        assert (await download.value).suggested_filename.endswith(".zip")

        # The link again, in a browser that has opened it: the secret leaves the address bar.
        await page.goto("about:blank")
        await page.goto(path)
        await page.get_by_text("SHARED, SUSAN").wait_for()
        assert made.secret not in page.url

        await page.get_by_role("link", name="AXIAL").click()
        await page.get_by_text("1 of 2").wait_for()
        await pictures_are_there(page)
        await looked_at(page, "share_series")
        await page.get_by_role("link", name="All that is shared").click()

        (tmp_path / "report.pdf").write_bytes(PDF)
        await page.get_by_text("Send a reply").click()
        await page.get_by_label("A report as PDF").set_input_files(tmp_path / "report.pdf")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("1 file was received").wait_for()
        await page.get_by_role("button", name="Leave").click()
        await page.get_by_text("You have left").wait_for()
        await looked_at(page, "share")
    assert not any(made.secret in one for one in heard)
    assert SHARED in "".join(heard)


async def test_it_is_pasted_where_no_script_runs(browser: Any, archive: Archived) -> None:
    made = await archive.made()
    async with opened(browser, archive.url, java_script_enabled=False) as page:
        path = share_path(made.share.share_id, made.secret)
        await page.goto(path)
        await page.get_by_label("Your link").fill(archive.url + path)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("button", name="Open").click()
        await page.get_by_text("SHARED, SUSAN").wait_for()


async def test_staff_make_a_link_and_end_it(browser: Any, archive: Archived) -> None:
    accounts = archive.services.accounts
    await accounts.redeem(await accounts.create("anna", ANNA.grants), GOOD)
    async with opened(browser, archive.url) as page:
        await page.goto("/sign-in")
        await page.get_by_label("Name").fill("anna")
        await page.get_by_label("Password", exact=True).fill(GOOD)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/account**")
        await page.get_by_role("link", name="Share studies").click()
        await page.goto(f"/shares?study={SHARED}")
        await page.get_by_label("Why?").fill("a second opinion")
        await page.get_by_label("For whom?").fill("Dr. Eve")
        await page.get_by_label("Only with a code").check()
        await page.get_by_label("Without who the patient is").check()
        await looked_at(page, "shares_form")
        await page.get_by_role("button", name="Make the link").click()
        await page.get_by_role("heading", name="Copy it now").wait_for()
        await page.get_by_role("button", name="Copy the link").wait_for()
        await looked_at(page, "shared")
        link = await page.locator("#link").inner_text()
        assert link.startswith(f"{archive.url}/share/")
        await page.get_by_role("link", name="I have kept it").click()
        await page.get_by_text("Dr. Eve", exact=True).wait_for()
        await page.get_by_text("Studies and receipts").click()
        await page.get_by_text("It was never opened").wait_for()
        await looked_at(page, "shares")
        await page.get_by_role("button", name="End the link for Dr. Eve").click()
        await page.get_by_text("The link is ended").wait_for()
        assert link.partition("#")[2] not in await page.content()


async def pictures_are_there(page: Any) -> None:
    """Wait until every picture of a page is loaded, and is one."""
    await becomes(page, "[...document.images].every(one => one.complete && one.naturalWidth > 0)")
