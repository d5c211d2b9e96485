"""A real browser, and what is looked at in every page: its width, its sizes, what axe finds."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_S

SIZES = [(390, 844), (820, 1180), (1440, 900)]
"""A phone, a tablet and a desk, in CSS pixels."""

_AGAIN_S = 0.03
_FADED_MS = 300
"""So long after a change of colours none of them is on its way any more."""
_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@asynccontextmanager
async def chromium(*more: str) -> AsyncIterator[Any]:
    """Run Chromium, with `more` options, or skip the test and say why."""
    playwright = pytest.importorskip(
        "playwright.async_api", reason="Playwright is not installed: pip install -e '.[browser]'"
    )
    async with playwright.async_playwright() as running:
        program = shutil.which("chromium") or running.chromium.executable_path
        if not Path(program).exists():
            pytest.skip(
                "Chromium is not installed (Debian: apt-get install chromium; elsewhere:"
                " playwright install chromium)"
            )
        # The sandbox needs what containers do not give to root.
        options = [*more, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await running.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Any, url: str, **options: Any) -> AsyncIterator[Any]:
    """Open an empty page of a new profile; what its console complains of fails the test."""
    context = await browser.new_context(base_url=url, **options)
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    try:
        yield page
        # A refusal's status is on the console, too: that is no fault of the page.
        assert [text for text in said if "the server responded with a status" not in text] == []
    finally:
        await context.close()


async def becomes(page: Any, expression: str, arg: object = None) -> None:
    """Wait until a page's expression is true.

    Not by `wait_for_function`, which evaluates a string inside the page: our policy forbids that.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if await page.evaluate(expression, arg):
            return
        await asyncio.sleep(_AGAIN_S)
    seen = await page.locator("body").inner_html()
    raise AssertionError(f"{expression} is not true of:\n{seen}")


async def looked_at(page: Any, name: str) -> None:
    """Look at a page in every size; with `BROWSER_SHOTS=FOLDER` keep what was seen."""
    folder = os.environ.get("BROWSER_SHOTS")
    await page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"{name} is {too_wide} px too wide at {width}"
        small = await page.evaluate(_SMALL)
        assert small == [], f"{name} at {width}: {small}"
        if folder:
            await page.wait_for_timeout(_FADED_MS)
            shot = Path(folder) / f"{name}-{width}.png"
            await page.screenshot(path=shot, full_page=True)
    if folder and await page.evaluate(_TURN):
        await page.wait_for_timeout(_FADED_MS)
        await page.screenshot(path=Path(folder) / f"{name}-other.png", full_page=True)
        await page.evaluate(_TURN)
        await page.wait_for_timeout(_FADED_MS)
    await no_barriers(page, name)


async def no_barriers(page: Any, name: str) -> None:
    """Find nothing by axe that WCAG 2.1 AA forbids."""
    axe = pytest.importorskip(
        "axe_playwright_python", reason="axe is not installed: pip install -e '.[browser]'"
    )
    source = (resources.files(axe) / "axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(source)
    found = await page.evaluate("tags => axe.run({ runOnly: tags })", [*_WCAG])
    assert found["passes"]
    faults = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert faults == [], f"{name}: {faults}"


# The other colours, light or dark, where a page has them.
_TURN = """
() => {
  const kept = document.documentElement.dataset;
  return Boolean(kept.theme) && (kept.theme = kept.theme === "light" ? "dark" : "light");
}
"""
# Targets below 24 px that stand in no line of text (WCAG 2.2, 2.5.8).
_SMALL = """
() => [...document.querySelectorAll("a, button, input, select, summary")]
  .filter(one => one.checkVisibility() && !one.closest("p") && !one.classList.contains("skip"))
  .map(one => [one, (one.closest("label") ?? one).getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.height < 24 || box.width < 24))
  .map(([one]) => one.outerHTML.slice(0, 80))
"""
