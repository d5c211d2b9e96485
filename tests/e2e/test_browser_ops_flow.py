"""Operations pages in a real browser: they keep themselves up to date, and say when they cannot."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from e2e.browsers import chromium, looked_at, opened
from e2e.house import house
from pacs_cloud.bootstrap.process_status import telling
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.identity.devices import (
    Device,
    DeviceDestination,
    DeviceService,
    DeviceState,
    write_device,
)
from pacs_cloud.ingest.associations import SeenAssociation
from pacs_cloud.metrics import BYTES_RECEIVED, INSTANCES_RECEIVED
from pacs_cloud.routing.sends import SendEntry, What, enter
from pacs_cloud.security.caller import Role
from pacs_cloud.tiering.pins import Pin, write_pin
from pacs_cloud.web.ops import traffic
from pacs_cloud.workqueue.jobs import Job

MINUTE_US = 60_000_000
POLICIES = """
[[policies]]
name = "by age"

[[policies.steps]]
to = "GLACIER_IR"
study_age_days = 90
"""


def seen(calling: str, state: str, *, over: bool = False, **more: Any) -> SeenAssociation:
    now = now_us()
    begun = now - 4 * MINUTE_US
    ended = now - MINUTE_US if over else 0
    return SeenAssociation(
        *(calling, "PACS", "10.0.3.17", "default", begun, ended, 312, 164_000_000, state),
        **more,
    )


ROLL = [
    seen("CT_WEST", "busy"),
    seen("US_7", "idle"),
    seen("MR_1", "released", over=True),
    seen("CT_EAST", "rejected", over=True, reason="its AE title is not known here"),
    seen("US_7", "connection lost", over=True, reason="the peer closed the connection"),
]


async def test_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "EVERY_S", 0.2)
    (tmp_path / "tiers.toml").write_text(POLICIES)
    origins: set[str] = set()
    async with (
        chromium() as browser,
        house(tmp_path, tier_policies=tmp_path / "tiers.toml") as served,
        telling(served.settings, "dimse", lambda: ROLL),
    ):
        await _furnish(served)
        async with served.signed_in(browser, "olga", Role.OPS) as page:
            page.on("request", lambda one: origins.add("/".join(one.url.split("/")[:3])))
            await page.goto("/ops")
            await page.get_by_text("Nothing needs you.").wait_for()
            await _comes_in_and_dies(served, page)
            for path in ("ops/ingest", "ops/queue", "ops/devices", "ops/tiers", "ops/recalls"):
                await page.goto(f"/{path}")
                await looked_at(page, path.replace("/", "_"))
            await page.set_viewport_size({"width": 1440, "height": 900})
            await _redrives(page)
            await _asks_what_if(page)
            await page.goto("/ops/cost")
            await page.get_by_role("heading", name="The bill, line by line").wait_for()
            await looked_at(page, "ops_cost")
            await _goes_stale(page)
        assert origins == {served.url}
        async with opened(browser, served.url, java_script_enabled=False) as plain:
            await _without_scripts(plain)


async def _furnish(served: Any) -> None:
    objects = served.stores.objects
    await served.store([Path(get_testdata_file(name)) for name in ("CT_small.dcm", "MR_small.dcm")])
    for title, port in (("CT_WEST", None), ("US_7", None), ("VNA_NORTH", 1)):
        place = DeviceDestination("127.0.0.1", port) if port else None
        device = Device(
            *("default", title, ("10.0.3.0/24",), frozenset({DeviceService.STORE})),
            destination=place,
        )
        await write_device(objects, device, DeviceState(), by="the test", now_us=1)
    asked = SendEntry("default", "1.2.3", "s1", What.ASKED, "VNA_NORTH", 4, who="user:anna")
    await enter(objects, asked, now_us=now_us() - MINUTE_US)
    pin = Pin("default", "1.2.77", True, reason="teaching", who="user:tom")
    await write_pin(objects, pin, now_us=now_us())


async def _comes_in_and_dies(served: Any, page: Any) -> None:
    """See on a page that stays open what comes in, and that a job fails."""
    for _ in range(8):
        INSTANCES_RECEIVED.labels("CT_WEST", "dimse").inc(40)
        BYTES_RECEIVED.labels("CT_WEST", "dimse").inc(21_000_000)
        await asyncio.sleep(0.25)
    queue = served.stores.queue
    for number in (1, 2):
        job = Job(
            job_id=f"0198-{number}",
            kind="send-recalled",
            tenant="default",
            body={"destination": "VNA_NORTH", "study_instance_uid": f"1.2.{number}"},
        )
        await queue.send(job)
    for _ in range(5):
        for lease in await queue.lease(10):
            await queue.release(lease)
    await page.get_by_text("2 jobs failed for good").wait_for()
    await page.locator("#in").get_by_role("link", name="CT_WEST").wait_for()
    await looked_at(page, "ops")


async def _redrives(page: Any) -> None:
    await page.goto("/ops/queue")
    await page.get_by_role("button", name="Try again send-recalled 0198-1").click()
    await page.get_by_text("1 job goes round again.").wait_for()
    await page.get_by_role("button", name="Send all round again").click()
    await page.get_by_text("None: whatever was asked for is done").wait_for()


async def _asks_what_if(page: Any) -> None:
    await page.goto("/ops/what-if")
    field = page.get_by_label("Policies", exact=True)
    assert await field.is_disabled()
    await page.get_by_label("These, as in a policy file:").check()
    await field.fill("[[policies]]\nname = 'x'\n[[policies.steps]]\nto = 'MOON'\nstored_days = 1")
    await page.get_by_role("button", name="Reckon").click()
    await page.get_by_text("That cannot be reckoned").wait_for()
    await looked_at(page, "ops_what_if_wrong")
    await page.get_by_label("Cold after three years").check()
    await page.get_by_label("Studies of a made-up hospital").select_option("10000")
    await page.get_by_label("At the prices of").select_option("us-east-1")
    await page.get_by_role("button", name="Reckon").click()
    await page.get_by_role("heading", name="Totals").wait_for()
    assert await page.locator(".chart svg path").count() > 12
    await page.get_by_text("The policies that were asked about").click()
    await page.get_by_text("DEEP_ARCHIVE 3 years after the study").wait_for()
    await looked_at(page, "ops_what_if")
    # It does not change any more, and does not ask any more.
    await page.locator("#state[data-state=still]").wait_for()


async def _goes_stale(page: Any) -> None:
    """Say that figures are old once the archive does not answer, and go on once it does."""
    await page.clock.install()
    await page.goto("/ops/recalls")
    await page.route("**/ops/recalls", lambda route: route.fulfill(status=503))
    state = page.locator("#state")
    for _ in range(1000):
        await page.clock.run_for(3000)
        if await state.get_attribute("data-state") == "stale":
            break
        await asyncio.sleep(0.05)
    assert "The archive does not answer: these figures are" in await state.inner_text()
    assert await state.get_attribute("role") == "alert"
    await page.unroute("**/ops/recalls")
    for _ in range(1000):
        await page.clock.run_for(3000)
        await asyncio.sleep(0.1)
        if await state.get_attribute("data-state") == "live":
            break
    assert await state.get_attribute("data-state") == "live"


async def _without_scripts(page: Any) -> None:
    await page.goto("/sign-in?next=/ops/ingest")
    await page.get_by_label("Name").fill("olga")
    await page.get_by_label("Password", exact=True).fill("horse staple lamp")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Which").select_option("trouble")
    await page.get_by_role("button", name="Show").click()
    await page.get_by_text("its AE title is not known here").wait_for()
    assert await page.get_by_role("link", name="Refresh").is_visible()
    assert "MR_1" not in await page.locator("#associations").inner_text()
