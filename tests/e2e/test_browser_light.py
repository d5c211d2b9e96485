"""The light viewer in a real browser: by fingers on a phone, by keys on a desk, by a link."""

import asyncio
import html
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydicom import dcmread

from e2e.browsers import becomes, chromium, looked_at, no_barriers, opened
from e2e.house import house
from integration.share_house import OTHER, SHARED, instance_file
from pacs_cloud.security.caller import Role
from real_files import REAL_DATA

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
CT = REAL_DATA / "series_CT_dcm_qa_ct"
HERE = f"/light/studies/{SHARED}"
_AWAY = "blob:", "data:"
_IMAGE = "document.querySelector('.pane [data-of=image]').innerText"
_WINDOW = "document.querySelector('.pane [data-of=window]').innerText"
_COLOUR = "getComputedStyle(document.querySelector('%s')).color"
_OVERLAPS = """
(() => {
  const words = [...document.querySelectorAll(".pane .at, .pane .side")]
    .filter((one) => one.innerText.trim()).map((one) => one.getBoundingClientRect());
  return words.some((one, at) => words.slice(at + 1).some((other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
})()
"""
_BRIGHTEST = """
(() => {
  const canvas = document.querySelector(".pane canvas");
  const copy = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0, 64, 64);
  return Math.max(...copy.getImageData(0, 0, 64, 64).data.filter((_, at) => at % 4 < 3));
})()
"""


def slices(count: int) -> list[bytes]:
    return [
        instance_file(SHARED, number, ImagePositionPatient=rf"-100\-100\{-5 * number}")
        for number in range(1, count + 1)
    ]


@pytest.fixture
async def browser() -> AsyncGenerator[Any]:
    async with chromium() as running:
        yield running


class Fingers:
    """Fingers on a phone's screen."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self._session: Any = None

    async def _send(self, kind: str, *points: tuple[float, float]) -> None:
        if self._session is None:
            self._session = await self.page.context.new_cdp_session(self.page)
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        await self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    async def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, hold_s: float = 0
    ) -> None:
        await self._send("touchStart", start)
        await asyncio.sleep(hold_s)
        steps = 8
        for step in range(1, steps + 1):
            part = step / steps
            await self._send(
                "touchMove",
                (start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part),
            )
        # It stands still before it is lifted, so that nothing goes on by itself.
        await asyncio.sleep(0.12)
        await self._send("touchMove", end)
        await self._send("touchEnd")

    async def pinch(self, by: float) -> None:
        await self._send("touchStart", (195, 260), (195, 400))
        for step in range(1, 6):
            apart = 70 * (1 + (by - 1) * step / 5)
            await self._send("touchMove", (195, 330 - apart), (195, 330 + apart))
        await self._send("touchEnd")


async def text(page: Any, name: str) -> str:
    return await page.locator(f".pane [data-of={name}]").first.inner_text()


async def shows(page: Any, name: str, wanted: str) -> None:
    await becomes(
        page, f"document.querySelector('.pane [data-of={name}]').textContent.startsWith('{wanted}')"
    )


async def alive(page: Any) -> None:
    await page.locator("main.alive").wait_for()
    await becomes(page, "!document.querySelector('#first')")


def only_here(page: Any) -> list[str]:
    """Return a list that fills with what is asked of other origins."""
    asked: list[str] = []
    own = urlsplit(page.url).netloc

    def hear(request: Any) -> None:
        if not request.url.startswith(_AWAY) and urlsplit(request.url).netloc != own:
            asked.append(request.url)

    page.on("request", hear)
    return asked


@pytest.mark.skipif(not CT.exists(), reason=f"no real DICOM files at {REAL_DATA}")
async def test_a_real_series_by_touch(browser: Any, tmp_path: Path) -> None:
    files = sorted(CT.glob("*.dcm"))
    study = dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    async with house(tmp_path) as archive:
        await archive.store(files)
        async with archive.signed_in(browser, "anna", Role.RADIOLOGIST, **PHONE) as page:
            elsewhere = only_here(page)
            fingers = Fingers(page)
            await page.goto(f"/light/studies/{study}")
            await alive(page)
            assert await text(page, "image") == f"1 / {len(files)}"
            assert await text(page, "left") == "R"

            # Through the stack: up is on, down is back.
            await fingers.drag((195, 480), (195, 300))
            await becomes(
                page,
                "+document.querySelector('.pane [data-of=image]').textContent.split(' ')[0] > 8",
            )
            await fingers.drag((195, 200), (195, 560))
            await shows(page, "image", "1 /")

            # Two fingers enlarge; a double tap fits it again.
            await fingers.pinch(2.0)
            await becomes(
                page, "/%/.test(document.querySelector('.pane [data-of=zoom]').textContent)"
            )
            for _ in range(2):
                await page.touchscreen.tap(195, 330)
            await shows(page, "zoom", "Fit")

            # A window by dragging, by holding, and by name.
            before = await text(page, "window")
            await fingers.drag((195, 300), (260, 300), hold_s=0.5)
            await becomes(page, f"{_WINDOW} !== {before!r}")
            await page.get_by_role("button", name="Window", exact=True).tap()
            await page.get_by_role("button", name="Bone").tap()
            await shows(page, "window", "W 2500  L 480")
            await fingers.drag((195, 300), (195, 340))
            await becomes(page, f"!{_WINDOW}.includes('L 480')")
            await page.get_by_role("button", name="Default").tap()
            await shows(page, "window", before[:5])
            await page.get_by_role("button", name="Scroll", exact=True).tap()

            # Film.
            await page.get_by_role("button", name="Play", exact=True).tap()
            await becomes(
                page,
                "+document.querySelector('.pane [data-of=image]').textContent.split(' ')[0] > 4",
            )
            await page.get_by_role("button", name="Play", exact=True).tap()
            assert await page.locator('[data-do="play"]').get_attribute("aria-pressed") == "false"

            await _keeps_a_key_image(page, study)
            await page.get_by_role("button", name="More", exact=True).tap()
            await no_barriers(page, "light_more")
            await page.get_by_role("button", name="Invert", exact=True).last.tap()
            await page.get_by_role("button", name="Close").first.tap()
            assert "inverted" in await text(page, "zoom")
            await page.keyboard.press("i")
            await _goes_through_planes(page)
            await _lies_on_its_side(page)
            await looked_at(page, "light")
            assert elsewhere == []


async def _goes_through_planes(page: Any) -> None:
    """See the series as planes and as a volume, which the archive renders."""
    await page.get_by_role("button", name="Planes", exact=True).tap()
    await page.get_by_role("button", name="Coronal", exact=True).tap()
    await shows(page, "series", "Coronal")
    await shows(page, "left", "R")
    await shows(page, "top", "H")
    await page.get_by_role("button", name="MIP", exact=True).tap()
    await page.get_by_role("button", name="40 mm", exact=True).tap()
    await _drawn_anew(page)
    await page.locator(".pane").get_by_text("Gantry tilt, put straight.").wait_for()
    assert not await page.evaluate(_OVERLAPS)
    await page.get_by_role("button", name="3D", exact=True).tap()
    await shows(page, "image", "0°")
    await Fingers(page).drag((195, 400), (260, 400))
    await becomes(
        page, "document.querySelector('.pane [data-of=image]').textContent.split('°')[0] > 10"
    )
    await _drawn_anew(page)
    await looked_at(page, "light_3d")
    await page.get_by_role("button", name="Stack", exact=True).click()
    await shows(page, "series", "Series 2")


async def _lies_on_its_side(page: Any) -> None:
    """Turn the phone: tools are pictures only, and have their names all the same."""
    await page.set_viewport_size({"width": 740, "height": 360})
    for name in ("Scroll", "Measure", "More"):
        await page.get_by_role("button", name=name, exact=True).tap()
    await page.get_by_role("button", name="Close").first.tap()


async def _drawn_anew(page: Any) -> None:
    """Return when what is wanted now has been drawn, and is no plain black."""
    await becomes(page, "!document.querySelector('.pane.late')")
    await becomes(page, _BRIGHTEST + " > 60")


async def _keeps_a_key_image(page: Any, study: str) -> None:
    await becomes(page, f"{_IMAGE}.startsWith(document.querySelector('#slider').value + ' ')")
    here = await text(page, "image")
    await page.get_by_role("button", name="Key", exact=True).tap()
    await becomes(page, f"{_COLOUR % '.tools [data-do=star]'} === {_COLOUR % '#marks'}")
    await page.get_by_role("button", name="Key images: 1").tap()
    await page.get_by_label("What for?").select_option("For Teaching")
    await page.get_by_label("A note").fill("ひだり")
    await page.get_by_role("button", name="Keep with the study").tap()
    await page.locator("#keys:not([open])").wait_for(state="attached")
    # Opened again it is there, and leads back to its image.
    await page.goto(f"/light/studies/{study}")
    await alive(page)
    await page.get_by_role("button", name="Key images: 1").tap()
    await page.get_by_role("heading", name="For Teaching").wait_for()
    await page.get_by_text("ひだり").wait_for()
    await page.get_by_role("button", name="Show this key image").tap()
    await shows(page, "image", here)
    await page.locator('[data-do="star"][aria-pressed="true"]').wait_for()


async def test_a_guest_goes_through_it_by_keys(browser: Any, tmp_path: Path) -> None:
    async with house(tmp_path) as archive:
        prior = [
            instance_file(OTHER, number, PatientID="ID-81", StudyDate="20030119")
            for number in (1, 2, 3)
        ]
        others = [
            instance_file(
                SHARED,
                number,
                SeriesInstanceUID=f"{SHARED}.{series}",
                SeriesNumber=str(series + 10),
                SeriesDescription=name,
                SOPInstanceUID=f"{SHARED}.{series}.{number}",
                FrameTime=frame_ms,
            )
            for series, name, count, frame_ms in (
                (2, "SECOND", 4, ""),
                (3, "THIRD", 5, "133.33"),
            )
            for number in range(1, count + 1)
        ]
        await archive.store([*slices(12), *others, *prior])
        async with archive.signed_in(browser, "anna", Role.RADIOLOGIST) as page:
            await _sees_a_prior_beside_it(page)
            await _shows_what_was_chosen_last(page)
            await _plays_each_at_its_own_rate(page)
            await page.goto(f"/shares?study={SHARED}")
            await page.get_by_label("Why?").fill("an opinion")
            await page.get_by_role("button", name="Make the link").click()
            link = html.unescape(await page.locator("#link").inner_text())
        async with opened(browser, archive.url) as page:
            await page.goto(link)
            await page.get_by_role("button", name="Open").click()
            await page.get_by_role("link", name="Open the viewer").click()
            elsewhere = only_here(page)
            await alive(page)
            await _by_keys(page)
            assert await page.locator('[href^="/shares"]').count() == 0
            await page.get_by_role("link", name="Back").click()
            await page.get_by_text("Shared with you").first.wait_for()
            assert elsewhere == []
            await _waits_for_what_is_cold(page)


async def _sees_a_prior_beside_it(page: Any) -> None:
    await page.goto(HERE)
    await alive(page)
    await page.get_by_role("button", name="Compare", exact=True).click()
    await page.locator(".pane").nth(1).get_by_text("1 / 3").wait_for()
    await page.keyboard.press("End")
    # Patients lie otherwise each time: the other one goes along by its share.
    await page.locator(".pane").nth(0).get_by_text("12 / 12").wait_for()
    await page.locator(".pane").nth(1).get_by_text("3 / 3").wait_for()
    await looked_at(page, "light_prior")


async def _shows_what_was_chosen_last(page: Any) -> None:
    """Choose one series after the other while the line is slow."""
    go_on = asyncio.Event()

    async def hold(route: Any) -> None:
        await go_on.wait()
        await route.continue_()

    for first in (2, 1):  # with a series that is there already, and before one is
        await page.route(f"**/series/{SHARED}.{first}/frames", hold)
        await page.goto(f"{HERE}?series={SHARED}.1")
        if first == 2:
            await alive(page)
            await page.locator(f'.strip [data-series="{SHARED}.2"]').click()
        await page.locator(f'.strip [data-series="{SHARED}.3"]').click()
        await shows(page, "image", "1 / 5")
        assert await page.locator("#first").count() == 0
        async with page.expect_response(f"**/series/{SHARED}.{first}/frames"):
            go_on.set()
        await page.keyboard.press("ArrowDown")
        await shows(page, "image", "2 / 5")
        await alive(page)
        assert await page.locator(".pane").get_attribute("data-series") == f"{SHARED}.3"
        assert await text(page, "series") == "THIRD"
        go_on.clear()
        await page.unroute(f"**/series/{SHARED}.{first}/frames")


async def _plays_each_at_its_own_rate(page: Any) -> None:
    """Choose the rate of one series: the others keep theirs."""

    async def choose(series: int, rate: str) -> None:
        await page.locator(f'.strip [data-series="{SHARED}.{series}"]').click()
        await page.locator(f'.pane[data-series="{SHARED}.{series}"]').wait_for()
        await becomes(page, f"document.querySelector('.speed output').textContent === '{rate}'")

    await choose(3, "7.5")
    await choose(2, "12")
    await page.get_by_role("button", name="More", exact=True).click()
    await page.get_by_label("Images a second").fill("30")
    await page.keyboard.press("Escape")
    await choose(3, "7.5")
    assert await page.locator("#rate").input_value() == "8"
    await choose(2, "30")


async def _waits_for_what_is_cold(page: Any) -> None:
    """Open the viewer while its images come back from a cold tier, as DICOMweb says it."""
    expected = (datetime.now(UTC) + timedelta(minutes=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    problem = {"status": 503, "state": "restoring", "expected": expected}

    async def is_cold(route: Any) -> None:
        await route.fulfill(status=503, headers={"retry-after": "1"}, json=problem)

    await page.route("**/rendered?*", is_cold)
    await page.goto(HERE)
    await page.get_by_text("On its way from the long-term store").wait_for()
    await page.get_by_text(re.compile("Expected in about (39|40) minutes, at")).wait_for()
    await page.unroute("**/rendered?*")
    # It goes on by itself.
    await page.get_by_text("On its way from the long-term store").wait_for(state="hidden")
    await shows(page, "image", "1 /")


async def _by_keys(page: Any) -> None:
    for key, shown in (
        ("ArrowDown", "2 /"),
        ("PageDown", "12 /"),
        ("Home", "1 /"),
        ("End", "12 /"),
        ("ArrowUp", "11 /"),
    ):
        await page.keyboard.press(key)
        await shows(page, "image", shown)
    await page.keyboard.press("2")
    await shows(page, "window", "W 400  L 40")
    await page.keyboard.press("+")
    await becomes(page, "/%/.test(document.querySelector('.pane [data-of=zoom]').textContent)")
    sides = [await text(page, one) for one in ("top", "right", "bottom", "left")]
    await page.keyboard.press("t")
    await shows(page, "right", sides[0])
    await page.keyboard.press("f")
    await shows(page, "left", sides[0])
    await page.keyboard.press("t")  # clockwise, flipped or not
    await shows(page, "top", sides[0])
    await page.keyboard.press("r")
    await shows(page, "zoom", "Fit")
    await page.keyboard.press("h")
    await page.get_by_role("heading", name="How it works").wait_for()
    await no_barriers(page, "light_help")
    await page.keyboard.press("Escape")
    await page.locator("#help:not([open])").wait_for(state="attached")
    await page.keyboard.press("Space")
    await becomes(
        page, "!document.querySelector('.pane [data-of=image]').textContent.startsWith('11')"
    )
    await page.keyboard.press("Space")
    assert await page.locator('[data-do="play"]').get_attribute("aria-pressed") == "false"
    # Where one is stands in the address.
    await page.keyboard.press("End")
    await becomes(page, "location.search.endsWith('image=12')")


async def test_where_no_script_runs_there_are_images_and_links(
    browser: Any, tmp_path: Path
) -> None:
    async with house(tmp_path) as archive:
        await archive.store(slices(3))
        async with archive.signed_in(
            browser, "anna", Role.RADIOLOGIST, java_script_enabled=False
        ) as page:
            await page.goto(HERE)
            for number in (1, 2, 3):
                image = page.locator("#first")
                found = re.findall(r"instances/([\d.]+)/", await image.get_attribute("src"))
                assert found == [f"{SHARED}.1.{number}"]
                assert await image.evaluate("one => one.naturalWidth") > 0
                if number < 3:
                    await page.get_by_role("link", name="Image after").click()
            assert await page.get_by_role("toolbar").count() == 0
