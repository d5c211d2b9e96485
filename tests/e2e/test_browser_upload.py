"""Files brought in by a real browser: dropped, chosen, with progress; seen in the archive after."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydicom.data import get_testdata_file

from e2e.browsers import chromium, looked_at, opened
from e2e.house import House, house
from integration.share_house import instance_file
from pacs_cloud.bootstrap.accounts import sessions_of
from wrapping_samples import PDF, jpeg, mp4, png

pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDY = "1.2.826.0.1.71"
DROP_FOLDERS = """() => {
  const file = (name) => ({ isFile: true, name, file: (found) => found(new File(["junk"], name)) });
  const folder = (name, some) => {
    const left = [some, []];
    const readEntries = (read, failed) => (some ? read(left.shift()) : failed(new Error(name)));
    return { isFile: false, name, createReader: () => ({ readEntries }) };
  };
  const root = folder("root", [file("first"), folder("locked", null), file("last")]);
  const items = [{ webkitGetAsEntry: () => root }];
  const dataTransfer = { types: ["Files"], items, files: [] };
  dispatchEvent(Object.assign(new Event("drop"), { dataTransfer }));
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("upload")) as made:
        await made.store([instance_file(STUDY, PatientName="WOUND^WANDA", PatientID="W-1")])
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(browser: Any, archive: House) -> Any:
    """The cookies of anna, who is signed in."""
    async with archive.signed_in(browser, "anna") as page:
        return await page.context.storage_state()


async def test_dicom_and_photos_are_dropped(browser: Any, archive: House, session: Any) -> None:
    files = {
        "ct.dcm": Path(str(get_testdata_file("MR_small.dcm"))).read_bytes(),
        "leg.jpg": jpeg(orientation=6),
        "letter.pdf": PDF,
        "gait.mp4": mp4(),
        "junk.bin": b"junk",
    }
    async with opened(browser, archive.url, storage_state=session) as page:
        heard: list[str] = []
        page.on("request", lambda one: heard.append(one.url))
        await page.goto("/upload")
        await looked_at(page, "upload_empty")
        await drop(page, files)
        row = page.locator("#files > li")
        await row.nth(4).wait_for()
        await row.filter(has_text="ct.dcm").get_by_text("Stored", exact=True).wait_for()
        await row.filter(has_text="junk.bin").get_by_text("neither DICOM nor").wait_for()
        await page.get_by_text("3 wait to be told whose they are").wait_for()
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_text("Say the patient's family name").wait_for()
        await page.get_by_label("Family name").fill("山田")
        await page.get_by_label("Given names").fill("太郎")
        await page.get_by_label("Patient ID", exact=True).fill("T-1")
        await page.get_by_label("Birth date").fill("1970-01-31")
        await page.get_by_label("Sex").select_option("M")
        await page.get_by_label("What is it of?").fill("Wound")
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_text("5 of 5 files · 1 not stored").wait_for()
        await looked_at(page, "upload_done")
        assert await row.get_by_text("Stored", exact=True).count() == 4
        link = await page.get_by_role("link", name="Open 山田 太郎").get_attribute("href")
        assert all(url.startswith(archive.url) for url in heard if not url.startswith("blob:"))
        study = link.rpartition("/")[2]
        instances = await rows(page, f"/dicom-web/studies/{study}/instances")
        assert {one["00080060"]["Value"][0] for one in instances} == {"XC", "DOC"}
        assert len(instances) == 3
        for one in instances:
            path = "/".join(
                f"{level}/{one[tag]['Value'][0]}"
                for level, tag in (("series", "0020000E"), ("instances", "00080018"))
            )
            shown = await page.request.get(f"/dicom-web/studies/{study}/{path}/rendered")
            expected = {"XC": "image/jpeg", "DOC": "application/pdf"}[one["00080060"]["Value"][0]]
            if one["00080016"]["Value"][0].endswith(".77.1.4.1"):
                expected = "video/mp4"
            assert (shown.status, shown.headers["content-type"]) == (200, expected)
        (found,) = await rows(page, f"/dicom-web/studies?StudyInstanceUID={study}")
        assert found["00100010"]["Value"][0]["Ideographic"] == "山田^太郎"


async def test_a_photo_is_added_to_a_study_that_is_here(
    browser: Any, archive: House, session: Any
) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        await page.get_by_label("A study that is here").fill("wound")
        await page.get_by_label("WOUND, WANDA").check()
        await page.locator("#pick").set_input_files(
            {"name": "leg.png", "mimeType": "image/png", "buffer": png()}
        )
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_text("1 of 1 files").wait_for()
        link = page.get_by_role("link", name="Open WOUND, WANDA")
        assert await link.get_attribute("href") == f"/studies/{STUDY}"
        found = await rows(page, f"/dicom-web/studies/{STUDY}/instances")
        assert len(found) == 2


async def test_a_folder_that_cannot_be_read_is_told_of_and_the_rest_is_sent(
    browser: Any, archive: House, session: Any
) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        await page.evaluate(DROP_FOLDERS)
        row = page.locator("#files > li")
        await row.filter(has_text="first").get_by_text("neither DICOM nor").wait_for()
        await row.filter(has_text="locked").get_by_text("It is empty").wait_for()
        await row.filter(has_text="last").get_by_text("neither DICOM nor").wait_for()


async def test_what_breaks_off_is_tried_again(browser: Any, archive: House, session: Any) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        left = 3

        async def refuse(route: Any) -> None:
            nonlocal left
            left -= 1
            await route.fulfill(status=503 if left else 400, json={"detail": f"No: {left}."})

        await page.clock.install()

        async def answer(route: Any) -> None:
            await (refuse(route) if left and route.request.method == "POST" else route.continue_())

        await page.route("**/upload", answer)
        data = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
        await page.locator("#pick").set_input_files(
            {"name": "us.dcm", "mimeType": "application/dicom", "buffer": data}
        )
        for said, pause_ms in (("No: 2", 2000), ("No: 1", 8000)):
            await page.get_by_text(said).wait_for()
            await page.clock.run_for(pause_ms)
        await page.get_by_text("No: 0").wait_for()
        await page.get_by_role("button", name="Try again: us.dcm").click()
        await page.locator("#files").get_by_text("Stored", exact=True).wait_for()


async def test_who_is_signed_out_signs_in_elsewhere_and_goes_on(
    browser: Any, archive: House, session: Any
) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        await page.context.clear_cookies()
        await drop(page, {"ct.dcm": Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()})
        await page.get_by_text("You are signed out").wait_for()
        anna = await archive.accounts.user("anna")
        assert anna is not None
        token = sessions_of(archive.settings, archive.accounts).issue(anna, address="")
        await page.context.add_cookies([{"name": "pacs", "value": token, "url": archive.url}])
        await page.get_by_role("button", name="Try again: ct.dcm").click()
        await page.locator("#files").get_by_text("Stored", exact=True).wait_for()


async def test_what_waits_stays_whose_it_was(browser: Any, archive: House, session: Any) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        go_on = asyncio.Event()

        async def hold(route: Any) -> None:
            await go_on.wait()
            await route.continue_()

        await page.route("**/upload", hold)
        pictures = [jpeg(mode=mode) for mode in ("RGB", "L", "CMYK")]
        await page.locator("#pick").set_input_files(
            [
                {"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": data}
                for number, data in enumerate(pictures)
            ]
        )
        await page.get_by_label("Family name").fill("First")
        await page.get_by_label("Patient ID", exact=True).fill("FIRST-1")
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_label("Family name").fill("Second")
        await page.get_by_label("Patient ID", exact=True).fill("SECOND-1")
        go_on.set()
        await page.get_by_text("3 of 3 files").wait_for()
        (found,) = await rows(page, "/dicom-web/studies?PatientID=FIRST-1")
        assert found["00201208"]["Value"] == [3]


async def test_who_said_it_wrong_says_it_again(browser: Any, archive: House, session: Any) -> None:
    async with opened(browser, archive.url, storage_state=session) as page:
        await page.goto("/upload")
        await page.get_by_label("Given names").fill("Typed^first")
        await drop(page, {"mr.dcm": Path(str(get_testdata_file("MR_small.dcm"))).read_bytes()})
        await page.get_by_text("1 of 1 files").wait_for()
        assert await page.locator("#files").get_by_text("Not stored").count() == 0
        await drop(page, {"leg.jpg": jpeg()})
        await page.get_by_label("Family name").fill("Right")
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_text("A name has neither ^ nor =").wait_for()
        await page.get_by_label("Given names").fill("Said")
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_role("link", name="Open Right, Said").wait_for()


async def test_by_touch_a_camera_is_offered(browser: Any, archive: House, session: Any) -> None:
    phone = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 844}}
    async with opened(browser, archive.url, storage_state=session, **phone) as page:
        await page.goto("/upload")
        async with page.expect_file_chooser() as chooser:
            await page.get_by_role("button", name="Take a picture").tap()
        assert await (await chooser.value).element.get_attribute("capture") == "environment"


async def test_without_scripts_it_is_a_form(browser: Any, archive: House, session: Any) -> None:
    async with opened(
        browser, archive.url, storage_state=session, java_script_enabled=False
    ) as page:
        await page.goto(f"/upload?study={STUDY}")
        await page.locator("#pick").set_input_files(
            [
                {"name": "leg.jpg", "mimeType": "image/jpeg", "buffer": jpeg(exif=False)},
                {"name": "x.gif", "mimeType": "image/gif", "buffer": b"GIF89a"},
            ]
        )
        await page.get_by_role("button", name="Upload").click()
        await page.get_by_role("heading", name="What became of it").wait_for()
        await page.get_by_text("It is a GIF.").wait_for()
        await page.get_by_role("link", name="Open the study").wait_for()


async def drop(page: Any, files: dict[str, bytes]) -> None:
    """Drop files on the page, as a folder of a desktop is."""
    given = {name: list(data) for name, data in files.items()}
    transfer = await page.evaluate_handle(
        """(files) => {
          const dropped = new DataTransfer();
          for (const [name, data] of Object.entries(files)) {
            dropped.items.add(new File([new Uint8Array(data)], name));
          }
          return dropped;
        }""",
        given,
    )
    for kind in ("dragover", "drop"):
        await page.dispatch_event("#drop", kind, {"dataTransfer": transfer})


async def rows(page: Any, path: str) -> Any:
    """Return what a search of the archive finds."""
    answer = await page.request.get(path, headers={"accept": "application/dicom+json"})
    assert answer.status == 200, await answer.text()
    return await answer.json()
