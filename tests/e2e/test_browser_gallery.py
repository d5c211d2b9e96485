"""Pictures that `make gallery` takes: those of the documentation, and of pages no story visits.

The documentation's are of the made-up hospital of `demo`, and are copied to `docs/img`: nobody's
data is in them.
"""

import os
from pathlib import Path
from typing import Any

import pytest

import warm_start
from e2e.browsers import chromium, looked_at
from e2e.house import house
from integration.custody_site import lived_in
from integration.share_house import OTHER, SHARED
from pacs_cloud.demo.hospital import first_uid
from pacs_cloud.security.caller import Role

FOLDER = os.environ.get("BROWSER_SHOTS", "")
STUDY = first_uid(1)
SERIES = f"{STUDY}.2"
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
DEVICES = (
    ("CT1", "--from", "10.1.2.31"),
    ("MR1", "--from", "10.1.2.32"),
    ("US1", "--from", "10.1.4.0/24"),
    ("WS1", "--from", "10.1.3.7", "--allow", "find", "--allow", "move", "--to", "10.1.3.7:104"),
)
CLINICIAN = {
    "list": ("/", DESK),
    "study": (f"/studies/{STUDY}", DESK),
    "search": ("/?name=yamada", DESK),
    "phone-list": ("/", PHONE),
    "phone-light": (f"/light/studies/{STUDY}", PHONE),
    "light": (f"/light/studies/{STUDY}", DESK),
    "upload": ("/upload", DESK),
    "shares": ("/shares", DESK),
}
OPERATOR = {
    "ops": ("/ops", DESK),
    "ops-ingest": ("/ops/ingest", DESK),
    "ops-what-if": ("/ops/what-if", DESK),
    "ops-conflicts": ("/ops/conflicts", DESK),
    "ops-audit": ("/ops/audit", DESK),
    "ops-ae-titles": ("/ops/ae-titles", DESK),
}

# Each page that no story looks at, by the name of its pictures.
FINDS = {
    "studies_none": "/?name=nobody",
    "light_start": "/light/",
    "light_away": "/light/away",
    "viewer_absent": f"/viewer/viewer?StudyInstanceUIDs={SHARED}",
    "not_found": "/studies/1.2.3",
    "shares_none": "/shares",
    "break_glass": "/break-glass",
}
LOOKS_AFTER = {
    "ops_conflicts": "/ops/conflicts",
    "ops_corrections": "/ops/corrections",
    "ops_move": f"/ops/corrections/move?study={SHARED}",
    "ops_attributes": "/ops/corrections/attributes",
    "ops_holds": "/ops/holds",
    "ops_trash": "/ops/trash",
    "ops_users": "/ops/users",
    "ops_keys": "/ops/keys",
    "ops_ae_titles": "/ops/ae-titles",
    "ops_ae_title_new": "/ops/ae-titles/one",
    "ops_shares": "/ops/shares",
    "ops_audit_all": "/ops/audit",
    "ops_audit_chain": "/ops/audit/chain",
    "ops_audit_who": "/ops/audit/who?patient=ID-81",
    "ops_prices": "/ops/cost/prices",
}
# What the light viewer makes of a series; a phone and a desk show it differently.
VIEWS = (("planes", "planes", None), ("mip", "planes", "MIP"), ("3d", "turn", None))

_TO_THE_HEART = """
one => { one.value = 52; for (const kind of ["input", "change"]) one.dispatchEvent(new Event(kind, { bubbles: true })); }
"""

pytestmark = pytest.mark.skipif(not FOLDER, reason="`make gallery` takes them: BROWSER_SHOTS")


async def take(page: Any, name: str, path: str) -> None:
    answer = await page.goto(path)
    assert answer.status == 200, (name, answer.status)
    await page.wait_for_load_state("networkidle")
    slider = page.locator("#slider")
    if await slider.count():
        await slider.evaluate(_TO_THE_HEART)
    await page.wait_for_timeout(900)
    await page.screenshot(path=Path(FOLDER) / f"docs-{name}.png")


async def take_planes(page: Any) -> None:
    await page.locator("[data-view=planes]").first.click()
    being_made = page.get_by_text("being put together")
    await being_made.wait_for(state="visible")
    await being_made.wait_for(state="hidden", timeout=60_000)
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(1500)
    await page.screenshot(path=Path(FOLDER) / "docs-light-planes.png")


async def take_views(page: Any, name: str) -> None:
    for shown, view, choice in VIEWS:
        await page.locator(f"[data-view={view}]").first.click()
        if choice:
            await page.get_by_role("button", name=choice, exact=True).click()
        await page.get_by_text("being put together").wait_for(state="hidden", timeout=60_000)
        await page.wait_for_load_state("networkidle")
        await page.wait_for_timeout(4000)
        await page.screenshot(path=Path(FOLDER) / f"{name}-{shown}.png")
    for sheet in ("more", "help"):
        await page.evaluate("id => document.getElementById(id).showModal()", sheet)
        await page.screenshot(path=Path(FOLDER) / f"{name}-{sheet}.png")
        await page.evaluate("id => document.getElementById(id).close()", sheet)


async def test_pages_that_no_story_visits(tmp_path: Path) -> None:
    async with chromium() as browser, lived_in(tmp_path, works=True) as site:
        for user, role, pages in (
            ("rita", Role.RADIOLOGIST, FINDS),
            ("anna", Role.ADMIN, LOOKS_AFTER),
        ):
            async with site.signed_in(browser, user, role) as page:
                if role is Role.ADMIN:
                    await _merge(page)
                for name, path in pages.items():
                    await page.goto(path)
                    await page.wait_for_load_state("networkidle")
                    await looked_at(page, name)


async def _merge(page: Any) -> None:
    await page.goto("/ops/corrections/merge")
    await page.get_by_label("Patient ID that is given up").fill(f"ID-{OTHER[-2:]}")
    await page.get_by_label("Patient ID that stays").fill(f"ID-{SHARED[-2:]}")
    await page.get_by_label("Why?").fill("one person")
    await page.get_by_role("button", name="Show what changes").click()
    await page.get_by_role("button", name="Merge them").click()
    await page.get_by_role("heading", name="Take it back").wait_for()
    await looked_at(page, "ops_correction")


async def test_pages_over_the_made_up_hospital(tmp_path: Path) -> None:
    made = warm_start.run("demo", "--data", tmp_path / "data", "--studies", "40")
    assert made.returncode == 0, made.stderr
    for device in DEVICES:
        added = warm_start.run("device", "add", *device, "--data", tmp_path / "data")
        assert added.returncode == 0, added.stderr
    async with chromium() as browser, house(tmp_path, works=True) as site:
        for user, roles, pages in (
            ("clara", (Role.RADIOLOGIST,), CLINICIAN),
            ("otto", (Role.ADMIN,), OPERATOR),
        ):
            for number, size in enumerate((DESK, PHONE)):
                some = {name: path for name, (path, its) in pages.items() if its is size}
                if some:
                    async with site.signed_in(
                        browser, user + "-phone" * number, *roles, **size
                    ) as page:
                        for name, path in some.items():
                            await take(page, name, path)
                            if name == "light":
                                await take_planes(page)
                            if name in {"light", "phone-light"}:
                                await take_views(page, name)
