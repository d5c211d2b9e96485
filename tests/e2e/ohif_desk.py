"""OHIF in a real browser: what it draws, says and asks for."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from patience import PATIENCE_S
from web_site import GOOD

WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Options of a Chromium without a graphics card."""

_IGNORED = (
    # A refusal's status is on the console, too; what the viewer says of it is looked at.
    "the server responded with a status",
)
_NO_HOST = ("blob:", "data:", "chrome-extension:", "chrome:")
"""What stays within the browser; the last two are its own PDF viewer's."""

# Of each viewport: its share of pixels that are not black, and how many shades they have.
_DRAWN = """
() => [...document.querySelectorAll("canvas.cornerstone-canvas")].map((canvas) => {
  if (!canvas.width || !canvas.height) return [0, 0];
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const shades = new Set();
  let lit = 0;
  for (let at = 0; at < data.length; at += 4) {
    lit += data[at] + data[at + 1] + data[at + 2] > 0;
    shades.add(data[at]);
  }
  return [lit / (data.length / 4), shades.size];
})
"""
IS_RED = """
() => {
  const canvas = document.querySelector("canvas.cornerstone-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let red = 0;
  for (let at = 0; at < data.length; at += 4) red += data[at] > data[at + 1] + 40;
  return red / (data.length / 4);
}
"""


class Desk:
    """A page in which studies are opened, of somebody who is signed in.

    Attributes:
        page: it.
        frames: in which media types frames came.
        loaded: their URLs.
        posts: what was sent, by its path.
        errors: what the console says of faults.
        elsewhere: what was asked of other hosts.
    """

    def __init__(self, page: Any, origin: str) -> None:
        self.page = page
        self.frames: set[str] = set()
        self.loaded: set[str] = set()
        self.posts: list[str] = []
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self._origin = origin
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not any(one in message.text for one in _IGNORED):
            self.errors.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self._origin, *_NO_HOST)):
            self.elsewhere.append(request.url)
        if request.method == "POST":
            self.posts.append(request.url.removeprefix(self._origin))

    def _answered(self, response: Any) -> None:
        if "/frames/" in response.url and "content-type" in response.headers:
            self.loaded.add(response.url)
            self.frames.add(response.headers["content-type"].split('type="')[1].split('"')[0])

    async def open(self, study: str, **query: str) -> None:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        await self.page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}{more}")

    async def drawn(self, viewports: int = 1, shades: int = 16) -> list[tuple[float, int]]:
        """Return what is drawn in each viewport, once something is in all of them."""
        until = time.monotonic() + PATIENCE_S
        while True:
            found = [tuple(one) for one in await self.page.evaluate(_DRAWN)]
            if len(found) == viewports and all(one[1] >= shades for one in found):
                return found
            assert time.monotonic() < until, (found, self.errors)
            await self.page.wait_for_timeout(500)

    async def red(self) -> float:
        """Return which share of the first viewport is coloured red."""
        return await self.page.evaluate(IS_RED)

    async def line(self) -> None:
        """Draw a length by the mouse, and have it tracked."""
        await self.page.locator('[data-cy="MeasurementTools-split-button-primary"]').click()
        box = await self.page.locator("canvas.cornerstone-canvas").bounding_box()
        across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await self.page.mouse.move(across - 80, down)
        await self.page.mouse.down()
        await self.page.mouse.move(across, down + 20, steps=4)
        await self.page.mouse.move(across + 80, down + 40, steps=4)
        await self.page.mouse.up()
        await self.page.locator('[data-cy="prompt-begin-tracking-yes-btn"]').click()
        await self.page.locator('[data-cy="trackedMeasurements-btn"]').click()

    async def save(self, name: str) -> None:
        """Save what is measured as a report of that name."""
        await self.page.get_by_text("Create SR").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.locator("input").first.fill(name)
        await dialog.get_by_role("button", name="Save").click()

    async def show(self, series: str) -> None:
        """Show a series that has no picture, and say yes where OHIF asks."""
        found = self.page.locator('[data-cy="study-browser-thumbnail-no-image"]', has_text=series)
        await found.dblclick()


@asynccontextmanager
async def profile(browser: Any, url: str, name: str) -> AsyncGenerator[Any]:
    """Sign somebody in, whose password is GOOD, in a new profile of the browser."""
    # Small: without a graphics card each pixel costs.
    small: Any = {"width": 840, "height": 500}
    context = await browser.new_context(base_url=url, viewport=small, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_S * 1000)
    try:
        page = await context.new_page()
        await page.goto("/sign-in")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Password", exact=True).fill(GOOD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(lambda url: "/sign-in" not in url)
        await page.close()
        yield context
    finally:
        await context.close()


@asynccontextmanager
async def desk(context: Any, url: str, script: str = "") -> AsyncGenerator[Desk]:
    """Open a page in a profile; no error, and no other host, may come of it.

    Args:
        context: the profile.
        url: of the archive.
        script: runs in each page before its own.
    """
    page = await context.new_page()
    try:
        if script:
            await page.add_init_script(script)
        found = Desk(page, url)
        yield found
        assert found.elsewhere == [], found.elsewhere
        assert found.errors == [], found.errors
    finally:
        await page.close()
