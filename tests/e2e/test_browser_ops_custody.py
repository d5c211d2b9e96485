"""The pages about custody and people in a real browser, on a phone, a tablet and a desk."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from e2e.browsers import becomes, chromium, looked_at
from e2e.house import House
from integration.custody_site import lived_in
from pacs_cloud.security.caller import Role

PHONE = {"width": 390, "height": 844}


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[tuple[House, Any]]:
    async with chromium() as browser, lived_in(tmp_path, works=True) as made:
        yield made, browser


async def test_what_an_administrator_looks_after(opened: tuple[House, Any]) -> None:
    made, browser = opened
    async with made.signed_in(browser, "anna", Role.ADMIN, viewport=PHONE) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        # A check, which is seen to go on and to end without a reload.
        await page.goto("/ops/integrity")
        place = await page.locator(".ops-nav [aria-current]").bounding_box()
        assert 0 <= place["x"] <= PHONE["width"] - place["width"]
        await page.get_by_role("button", name="Check now").click()
        await page.get_by_text("no faults in 3 studies").wait_for()
        await looked_at(page, "ops-integrity")

        await page.goto("/ops/conflicts")
        await page.get_by_role("link", name="Compare").click()
        await page.get_by_role(
            "img", name="Where the first frames differ"
        ).scroll_into_view_if_needed()
        await becomes(
            page, "[...document.querySelectorAll('.side img')].every(one => one.naturalWidth)"
        )
        await looked_at(page, "ops-conflict")
        await page.get_by_role("button", name="Show the one that came later").click()
        await page.get_by_text("Shown is now the one that came later").wait_for()

        await page.goto("/ops/corrections/merge")
        await page.get_by_label("Patient ID that is given up").fill("ID-82")
        await page.get_by_label("Patient ID that stays").fill("ID-81")
        await page.get_by_label("Why?").fill("one person")
        await page.get_by_role("button", name="Show what changes").click()
        await page.get_by_role("heading", name="Look at it first").wait_for()
        await looked_at(page, "ops-merge")
        await page.get_by_role("button", name="Merge them").click()
        await page.get_by_role("heading", name="Take it back").wait_for()

        await page.goto("/ops/ae-titles/one")
        await page.get_by_label("AE title").fill("CT1")
        await page.get_by_label("Comes from").fill("10.1.2.0/24")
        await page.get_by_role("button", name="Show what that means").click()
        await page.get_by_role("heading", name="Then it may come in").wait_for()
        await page.get_by_role("button", name="Save it").click()
        await page.get_by_text("CT1 may come in").wait_for()

        await page.goto("/ops/users/anna")
        await page.get_by_text("Change it", exact=True).click()
        await page.get_by_label("Auditor").check()
        await page.get_by_role("button", name="Show what that means").click()
        await page.get_by_role("heading", name="Then they may").wait_for()
        await looked_at(page, "ops-user")

        await page.goto("/ops/audit")
        await page.get_by_text("Look for something").click()
        await page.get_by_label("What they did").select_option("change")
        await page.get_by_role("button", name="Search").click()
        await page.locator("summary", has_text="patient merge").first.click()
        await page.get_by_text("one person").first.wait_for()
        await looked_at(page, "ops-audit")
        assert [url for url in asked if not url.startswith(made.url)] == []


async def test_without_scripts_on_a_phone(opened: tuple[House, Any]) -> None:
    made, browser = opened
    still = {"viewport": PHONE, "java_script_enabled": False}
    async with made.signed_in(browser, "tom", Role.TECHNOLOGIST, **still) as page:
        await page.goto("/ops")
        await page.get_by_role("heading", name="Conflicts").wait_for()
        await page.get_by_role("link", name="Compare").click()
        await page.get_by_role("button", name="Show the one that came later").click()
        await page.get_by_role("button", name="Take it back").click()
        await page.get_by_text("Taken back.", exact=True).wait_for()
        await page.get_by_role("link", name="Trash").click()
        await page.get_by_role("button", name="Restore").click()
        await page.get_by_text("2 instances are back").wait_for()
