"""The light viewer in a real browser: its first image, a swipe through a stack, and its weight.

A phone of 390 x 844 in headless Chromium, in front of the web processes that `serve web` starts
(as `up` does), over loopback. Each first image is one of a new browser profile, with nothing
cached; the swipe is one of fingers, from the first image of 200 to the last, with no picture
fetched before. An image counts when it is drawn, and once.
"""

import argparse
import asyncio
import shutil
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import async_playwright

from bench.bars import Bar
from bench.datasets import made, uid_of
from bench.reading import store
from bench.servers import pacs, web
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.caller import Grant, Role

SECRET = "s" * 32
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}
FIRST_BAR: Final = Bar(300, "ms")
SWIPE_BAR: Final = Bar(20, "images/s", is_least=True)
WEIGHT_BAR: Final = Bar(200, "kB")
STUDY, SERIES = uid_of("ct200", 50), uid_of("ct200", 50, 0)
_WATCH = """
globalThis.seen = new Map();
globalThis.first = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (one.identifier === "first") first = one.renderTime || one.loadTime;
}).observe({ type: "element", buffered: true });
addEventListener("drawn", ({ detail }) => { if (!seen.has(detail.at)) seen.set(detail.at, performance.now()); });
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--runs", type=int, default=9)
    options = asked.parse_args()
    with pacs(options.work) as server:
        store(server, made("ct200", options.work))
    data = options.work / "pacs"
    cookie = asyncio.run(_session(data / "objects"))
    with web(options.work, data, "light", PACS_SESSION_SECRET=SECRET) as server:
        asyncio.run(_measure(server.web.removesuffix("/dicom-web"), cookie, options.runs))


async def _session(folder: Path) -> str:
    now_us = time.time_ns() // 1000
    async with LocalObjectStore(folder) as objects:
        accounts = Accounts(objects, "default", lambda: now_us, keep_s=0)
        grants = [Grant(Role.RADIOLOGIST)]
        await accounts.redeem(await accounts.create("bench", grants), "horse staple lamp")
        user = await accounts.sign_in("bench", "horse staple lamp", address="")
        return Sessions(accounts, [SECRET.encode()], lambda: now_us).issue(user, address="")


async def _measure(url: str, cookie: str, runs: int) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        firsts: list[tuple[float, float]] = []
        weights: list[tuple[str, int]] = []
        for number in range(runs + 1):
            async with _phone(browser, url, cookie) as page:
                weights = await _opened(page)
                shown = await page.evaluate("[first, seen.get(0)]")
                if number:  # the first one is for warming up
                    firsts.append((shown[0], shown[1]))
        for name, at, bar in (("seen", 0, FIRST_BAR), ("on the canvas", 1, None)):
            values = sorted(one[at] for one in firsts)
            median = statistics.median(values)
            beside = f", {bar.beside(median)}" if bar else ""
            print(
                f"first image {name}: {median:.0f} ms ({values[0]:.0f}-{values[-1]:.0f}){beside}",
                flush=True,
            )
        before = [size for kind, size in weights if kind != "image"]
        weight_kb = sum(before) / 1000
        print(
            f"before images: {weight_kb:.1f} kB in {len(before)} answers,"
            f" {WEIGHT_BAR.beside(weight_kb)}",
            flush=True,
        )
        rates = []
        for _ in range(3):
            async with _phone(browser, url, cookie) as page:
                await _opened(page)
                rates.append(await _swiped(page))
        rate = statistics.median(rates)
        print(
            f"swipe: {rate:.0f} images/s ({min(rates):.0f}-{max(rates):.0f}),"
            f" {SWIPE_BAR.beside(rate)}",
            flush=True,
        )
        await browser.close()


@asynccontextmanager
async def _phone(browser: Any, url: str, cookie: str) -> AsyncGenerator[Any]:
    context = await browser.new_context(base_url=url, service_workers="block", **PHONE)
    await context.add_cookies([{"name": "pacs", "value": cookie, "url": url}])
    page = await context.new_page()
    await page.add_init_script(_WATCH)
    try:
        yield page
    finally:
        await context.close()


async def _opened(page: Any) -> list[tuple[str, int]]:
    """Open the study; return what kind each answer was, and how large, until it was drawn."""
    answers: list[Any] = []
    page.on("response", lambda one: answers.append(one))  # noqa: PLW0108  (Playwright marks what it is given)
    await page.goto(f"/light/studies/{STUDY}")
    # Not wait_for_function: the page's policy lets nobody evaluate strings again and again.
    while not await page.evaluate("seen.has(0) && first > 0"):
        await asyncio.sleep(0.02)
    return [
        (one.request.resource_type, (await one.request.sizes())["responseBodySize"])
        for one in answers
        if one.request.timing["responseEnd"] > 0
    ]


async def _swiped(page: Any) -> float:
    """Return how many images a second a thumb saw that swiped on and on."""
    await page.evaluate("seen.clear()")
    touch = await page.context.new_cdp_session(page)

    async def finger(kind: str, *y: float) -> None:
        points = [{"x": 195, "y": one} for one in y]
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    begun = time.perf_counter()
    while time.perf_counter() - begun < 5:
        await finger("touchStart", 560)
        for step in range(1, 19):
            await finger("touchMove", 560 - step * 24)
            await asyncio.sleep(0.016)
        await finger("touchEnd")
        await asyncio.sleep(0.1)
        if await page.evaluate("seen.has(199)"):
            break
    times = await page.evaluate("[...seen.values()]")
    return (len(times) - 1) * 1000 / (max(times) - min(times))


if __name__ == "__main__":
    main()
