"""`no_auth` in a real browser: pages at once, each with its mark, and nothing for other origins."""

from pathlib import Path
from typing import Any

from e2e.browsers import becomes, chromium, looked_at, opened
from e2e.house import house
from integration.share_house import SHARED, instance_file
from web_site import serving

_DRAWN = """
() => {
  const canvas = document.querySelector(".pane canvas");
  if (!canvas?.width) return false;
  const copy = new OffscreenCanvas(64, 64).getContext("2d");
  copy.drawImage(canvas, 0, 0, 64, 64);
  return copy.getImageData(0, 0, 64, 64).data.some((one, at) => at % 4 < 3 && one > 64);
}
"""
_STRANGE = """
async (url) => {
  const shown = await new Promise((done) => {
    const image = new Image();
    image.onload = () => done("shown");
    image.onerror = () => done("not shown");
    image.src = `${url}/static/mark.svg`;
  });
  const read = await fetch(`${url}/`).then(() => "read", () => "not read");
  return [shown, read];
}
"""


async def _empty(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    head = {"type": "http.response.start", "status": 200}
    await send({**head, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>Strange</title>"})


async def test_studies_are_found_and_looked_at_without_signing_in(tmp_path: Path) -> None:
    async with house(tmp_path, no_auth=True) as archive, chromium() as browser:
        await archive.store([instance_file(SHARED)])
        async with opened(browser, archive.url) as page:
            mark = page.get_by_text("No sign-in", exact=True)
            await page.goto("/")
            await looked_at(page, "no-auth-list")
            assert await mark.is_visible()
            assert await page.get_by_role("button", name="Sign out").count() == 0
            await page.goto("/ops")
            await looked_at(page, "no-auth-ops")
            assert await mark.is_visible()
            await page.goto(f"/light/studies/{SHARED}")
            await becomes(page, _DRAWN)
            await looked_at(page, "no-auth-light")
            assert await mark.is_visible()
            # What a form does here goes by its token, as with a session.
            await page.goto(f"/studies/{SHARED}")
            await page.get_by_text("Change labels").click()
            await page.get_by_label("Label", exact=True).fill("teaching")
            await page.get_by_label("Why?").fill("a lesson")
            await page.get_by_role("button", name="Add it").click()
            await page.locator(".labels .chip", has_text="teaching").wait_for()


async def test_a_page_of_another_origin_sees_nothing(tmp_path: Path) -> None:
    async with (
        house(tmp_path, no_auth=True) as archive,
        serving(_empty) as strange,
        chromium() as browser,
    ):
        context = await browser.new_context()
        try:
            page = await context.new_page()
            await page.goto(strange)
            assert await page.evaluate(_STRANGE, archive.url) == ["not shown", "not read"]
            await page.evaluate("url => { location.href = url }", archive.url)
            await page.get_by_text("No sign-in", exact=True).wait_for()
        finally:
            await context.close()
