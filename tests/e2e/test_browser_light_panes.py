"""What panes of the light viewer show, and no longer show, when things come late, or not at all."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np

from e2e.browsers import becomes, chromium
from e2e.house import house
from integration.share_house import OTHER, SHARED, instance_file
from pacs_cloud.security.caller import Role
from volume_samples import STUDY, enhanced, part10, series_of

HERE = f"/light/studies/{SHARED}"
LATER = "1.2.826.0.1.84"
_FRAMES = "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"
_IMAGE = "document.querySelector('.pane [data-of=image]').textContent"
_NO_TROUBLE = "document.querySelector('.pane .trouble').hidden"
_LINE = """
async ({ Line }) => {
  let now = 0;
  performance.now = () => now;
  const line = new Line();
  for (let at = 0; at < 8; at += 1) {
    const one = line.begin();
    one.head(); // at once, by this clock
    now += 1;
    one.end(1000);
    now += 1000; // nothing is asked for
  }
  return line.rate;
}
"""
_SERIES = """
async ({ series }) => {
  let asked = 0;
  window.fetch = async () => { asked += 1; return new Response("{}", { status: 503 }); };
  const answered = series("1", "2", () => false).catch(({ kind }) => kind);
  const late = new Promise((go) => { setTimeout(() => go("asks again"), 300); });
  return [await Promise.race([answered, late]), asked];
}
"""
_PICTURES = """
async ({ Pictures }) => {
  const givenUp = [];
  window.fetch = (url, { signal }) => new Promise((_, no) => {
    signal.addEventListener("abort", () => { givenUp.push(url); no(new Error()); });
  });
  const line = { step: { atOnce: 2 }, begin: () => ({ head() {}, end() {} }) };
  const pictures = new Pictures(line, { arrived() {}, troubled() {} });
  const pane = {};
  for (const url of ["view/1", "view/2"]) pictures.want(pane, [{ key: url, url, lasts: true }]);
  pictures.want(pane, []);
  const turned = [...givenUp];
  pictures.want(pane, [{ key: "image", url: "image", lasts: false }]);
  return [turned, givenUp];
}
"""
_STACK = """
async ({ Stack }) => {
  const looks = [{ columns: 4, rows: 4, directions: [1, 0, 0, 0, 1, 0] }, { columns: 4, rows: 4 }];
  const images = [["1.1", 1, 0, 0, 1, 40], ["1.2", 4, [0, 0, 1], 0, 2, [10, 20, 30]]];
  const stack = new Stack("1", "2", { count: 5, looks, windows: [[]], images });
  const at = [0, 1, 2, 3, 4];
  const isDeep = (depths) => new Stack("1", "2", { looks, images: [["1.1", 16, 0, 0, 1, depths]] }).isDeep;
  return [
    at.map((one) => stack.place(one).depth),
    at.map((one) => looks.indexOf(stack.look(one))),
    stack.nearest(22),
    [isDeep(null), isDeep(7), isDeep([...Array(16).keys()]), isDeep([...Array(16).keys()].map((one) => one % 2))],
  ];
}
"""
_BAR = """
async ({ PLAIN, bar, sides }) => {
  const look = { columns: 100, rows: 100, spacing: [1, 1] };
  const box = { width: 400, height: 400 };
  const askew = [14, 16].map((degrees) => {
    const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    return sides(PLAIN, { directions: [cos, sin, 0, -sin, cos, 0] }).right;
  });
  return [bar(PLAIN, look, box).text, bar(PLAIN, { ...look, projected: true }, box).text, ...askew];
}
"""


async def test_what_is_late_or_wrong_is_shown_as_such(tmp_path: Path) -> None:
    files = [
        *(instance_file(SHARED, number) for number in (1, 2, 3)),
        *(
            instance_file(OTHER, number, PatientID="ID-81", StudyDate="20030119")
            for number in (1, 2, 3)
        ),
        instance_file(LATER, PatientID="ID-81", StudyDate="20260501"),
        instance_file(f"{LATER}.1", PatientID="V1", StudyDate="20260501"),
        part10(enhanced(series_of(_ball, shape=(24, 24, 24), spacing=(1, 1, 1)))),
    ]
    for number, one in enumerate(series_of(shape=(2, 8, 8), SeriesNumber=9), 1):
        one.SeriesInstanceUID, one.SOPInstanceUID = f"{STUDY}.9", f"{STUDY}.9.{number}"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        files.append(part10(one))
    async with house(tmp_path) as archive, chromium() as browser:
        await archive.store(files)
        small = {"viewport": {"width": 800, "height": 600}}
        async with archive.signed_in(browser, "anna", Role.RADIOLOGIST, **small) as page:
            await _turns_while_it_is_dragged(page)
            await _leads_back_from_planes_of_the_second_place(page)
            await _asks_for_a_volume_in_two_ways(page)
            await _says_for_how_long_a_volume_takes(page)
            await _keys_before_anything_has_come(page)
            await _forgets_fingers_that_are_up(page)
            await _says_what_cannot_be_shown_of_that_alone(page)
            await _keeps_priors_at_the_second_place(page)
            await _shows_every_frame_of_a_selection(page)
            await _by_itself(page)


def _ball(points: Any) -> Any:
    return np.where(np.linalg.norm(points - (6, 5, 17), axis=-1) < 9, 900.0, -1000.0)


async def _turns_while_it_is_dragged(page: Any) -> None:
    """What the archive works on is not given up for what takes it as long; many frames are deep."""
    asked: list[str] = []
    given_up: list[str] = []
    come: list[str] = []
    go_on = asyncio.Event()
    go_on.set()

    async def hold(route: Any) -> None:
        asked.append(route.request.url)
        await go_on.wait()
        await route.continue_()

    def hear(request: Any) -> None:
        if "/volume/view" in request.url:
            given_up.append(request.url)

    page.on("requestfailed", hear)
    page.on("requestfinished", lambda one: come.append(one.url) if one.url in asked else None)
    await page.route("**/volume/view?*", hold)
    await page.goto(f"/light/studies/{STUDY}")
    await page.get_by_role("button", name="3D", exact=True).click()
    await becomes(page, f"{_IMAGE}.startsWith('0°')")
    while len(come) < 2:  # the small one, and the sharp one at rest
        await asyncio.sleep(0.03)
    assert all("id=" in url for url in asked)
    asked.clear()
    go_on.clear()
    box = await page.locator(".pane").bounding_box()
    await page.mouse.move(box["x"] + 200, box["y"] + 200)
    await page.mouse.down()
    for px in (220, 240, 260):
        await page.mouse.move(box["x"] + px, box["y"] + 200)
        await page.evaluate(_FRAMES)
    assert (len(asked), given_up) == (1, [])
    await page.evaluate(
        "() => { window.drawn = 0; document.addEventListener('drawn', () => { window.drawn += 1; }); }"
    )
    go_on.set()
    await becomes(page, "window.drawn > 0")
    await page.mouse.up()
    await becomes(page, "!document.querySelector('.pane.late')")
    assert given_up == []
    await page.unroute("**/volume/view?*")


async def _leads_back_from_planes_of_the_second_place(page: Any) -> None:
    """Though the series at the first one has none."""
    await page.goto(f"/light/studies/{STUDY}?series={STUDY}.9")
    await page.locator("main.alive").wait_for()
    await page.get_by_role("button", name="Compare", exact=True).click()
    # Another series of it comes before what was made after it.
    await becomes(page, f"document.querySelectorAll('.pane')[1]?.dataset.series === '{STUDY}.1'")
    await page.locator(".pane").nth(1).focus()
    await page.get_by_role("button", name="Planes", exact=True).click()
    await page.get_by_role("button", name="MinIP", exact=True).wait_for()
    await page.locator('[data-view="stack"]').click()
    await becomes(page, f"{_IMAGE}.endsWith('/ 24')")


async def _asks_for_a_volume_in_two_ways(page: Any) -> None:
    """What was left while it was being loaded takes nothing from what came after."""

    async def is_loading(route: Any) -> None:
        await route.fulfill(json={"state": "loading", "progress": 0.5})

    await page.goto(f"/light/studies/{STUDY}")
    await page.route("**/volume", is_loading, times=1)
    await page.get_by_role("button", name="Planes", exact=True).click()
    await page.get_by_text("50 %").wait_for()
    await page.get_by_role("button", name="3D", exact=True).click()
    look = page.get_by_role("button", name="MIP", exact=True)
    await look.wait_for()
    await page.wait_for_timeout(800)  # until planes would ask again
    await look.click()
    await becomes(page, f"{_IMAGE}.startsWith('0°') && !document.querySelector('.pane.late')")
    assert await look.get_attribute("aria-pressed") == "true"


async def _says_for_how_long_a_volume_takes(page: Any) -> None:
    """What comes meanwhile of the images themselves does not hide it."""

    async def is_loading(route: Any) -> None:
        await route.fulfill(json={"state": "loading", "progress": 0.5})

    await page.route("**/volume", is_loading)
    await page.goto(f"/light/studies/{STUDY}")
    await page.get_by_role("button", name="Planes", exact=True).click()
    await page.get_by_text("The volume is being put together").wait_for()
    await page.unroute("**/volume")
    asked = asyncio.Event()

    async def hold(route: Any) -> None:  # no answer shows it once more
        asked.set()

    await page.route("**/volume", hold)
    await asked.wait()
    await page.keyboard.press("3")
    await becomes(page, "!document.querySelector('.pane.late')")
    await page.get_by_text("50 %").wait_for()
    await page.unroute("**/volume")


async def _keys_before_anything_has_come(page: Any) -> None:
    go_on = asyncio.Event()

    async def hold(route: Any) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/frames", hold)
    await page.goto(HERE)
    for key in ("Space", "1", "k", "i", "t", "+", "ArrowDown", "End"):
        await page.keyboard.press(key)
    go_on.set()
    await page.locator("main.alive").wait_for()
    await page.unroute("**/frames")


async def _forgets_fingers_that_are_up(page: Any) -> None:
    """One that has left before it was heard of is no second one beside the next."""
    gone = "new PointerEvent('pointerdown', { pointerId: 99, bubbles: true })"
    await page.evaluate(f"document.querySelector('.pane').dispatchEvent({gone})")
    box = await page.locator(".pane").bounding_box()
    await page.mouse.move(box["x"] + 200, box["y"] + 300)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 200, box["y"] + 200, steps=4)
    await page.mouse.up()
    await becomes(page, f"{_IMAGE} === '3 / 3'")


async def _says_what_cannot_be_shown_of_that_alone(page: Any) -> None:
    async def refuse(route: Any) -> None:
        await route.fulfill(status=406, json={"detail": "It is broken."})

    await page.route(f"**/instances/{SHARED}.1.2/**", refuse)
    await page.goto(HERE)
    await page.locator("main.alive").wait_for()
    await becomes(page, f"{_IMAGE} === '1 / 3'")
    await page.keyboard.press("End")
    await becomes(page, f"{_IMAGE} === '3 / 3' && !document.querySelector('.pane.late')")
    assert await page.evaluate(_NO_TROUBLE)
    await page.keyboard.press("ArrowUp")
    await page.get_by_text("It is broken.").wait_for()
    await page.keyboard.press("ArrowUp")
    await becomes(page, f"{_IMAGE} === '1 / 3' && {_NO_TROUBLE}")
    await page.keyboard.press("Space")  # and a film goes on
    await becomes(page, f"{_IMAGE} === '3 / 3'")
    await page.unroute(f"**/instances/{SHARED}.1.2/**")


async def _keeps_priors_at_the_second_place(page: Any) -> None:
    """The page's own study is at the first; of the second nothing is fetched when it has gone."""
    asked: list[str] = []
    await page.route(
        f"**/studies/{OTHER}/**/rendered?*", lambda route: asked.append(route.request.url)
    )
    await page.goto(HERE)
    await page.locator("main.alive").wait_for()
    compare = page.get_by_role("button", name="Compare", exact=True)
    await compare.click()
    # Not what came later, though that is the newest.
    await becomes(page, f"document.querySelectorAll('.pane')[1]?.dataset.series === '{OTHER}.1'")
    await page.locator(".pane").nth(0).focus()
    await page.locator(f'.strip [data-study="{OTHER}"]').click()
    await becomes(page, "document.querySelectorAll('.pane')[1].classList.contains('active')")
    assert await page.locator(".pane").nth(0).get_attribute("data-series") == f"{SHARED}.1"
    assert await page.locator(".pane").nth(1).get_attribute("data-series") == f"{OTHER}.1"
    before = len(asked)
    assert before
    await compare.click()
    assert await page.locator(".pane").count() == 1
    for _ in range(10):  # until whatever waits for its turn has had it
        await page.evaluate(_FRAMES)
    assert len(asked) == before
    await page.unroute(f"**/studies/{OTHER}/**/rendered?*")


async def _shows_every_frame_of_a_selection(page: Any) -> None:
    series = f"{SHARED}.1"
    images = [
        {"series": series, "instance": f"{series}.1", "frames": [1, 3]},
        {"series": series, "instance": f"{series}.2", "frames": []},
    ]
    kept = [{"title": "For Teaching", "note": "", "who": "", "at_us": 0, "images": images}]

    async def answer(route: Any) -> None:
        await route.fulfill(json=kept)

    await page.route("**/keys", answer)
    await page.goto(HERE)
    await page.get_by_role("button", name="Key images: 3").click()
    sources = await page.locator("#keys .kept img").evaluate_all("all => all.map(one => one.src)")
    assert [url.split("/instances/")[1].split("/rendered")[0] for url in sources] == [
        f"{series}.1/frames/1",
        f"{series}.1/frames/3",
        f"{series}.2/frames/1",
    ]
    await page.unroute("**/keys")


async def _by_itself(page: Any) -> None:
    """Ask single modules for what a page does not show at once."""
    script = await page.locator("script[src*=viewer]").get_attribute("src")

    async def of(name: str, deed: str) -> Any:
        module = json.dumps(script.replace("viewer.js", f"{name}.js"))
        return await page.evaluate(f"async () => ({deed})(await import({module}))")

    assert await of("sources", _STACK) == [
        [40, 10, 20, 30, 30],
        [0, 0, 0, 1, 1],
        2,
        [False, False, True, False],
    ]
    assert await of("view", _BAR) == ["2 cm", "2 cm at the detector", "L", "LP"]
    # What takes long is for who turns on, not in the way of images that are wanted instead.
    assert await of("pictures", _PICTURES) == [[], ["view/1"]]
    assert await of("sources", _SERIES) == ["away", 1]
    assert await of("line", _LINE) > 500
