"""OHIF over the whole archive: drawn, measured, saved and found again; on real series."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from e2e.browsers import becomes, chromium
from e2e.house import House, house
from e2e.ohif_desk import IS_RED, WEBGL, Desk, desk, profile
from e2e.ohif_objects import pdf, segmentation, structures
from pacs_cloud.security.caller import Role
from real_files import REAL_DATA
from servers import ohif

pytestmark = pytest.mark.asyncio(loop_scope="module")

_CT = REAL_DATA / "series_CT_dcm_qa_ct"
_MR = REAL_DATA / "series_MR_axial_epi_fmri_sequential_i_to_s"
_RETIRED = (
    REAL_DATA / "single" / "CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm"
)
_LINE = 'Object.defineProperty(navigator, "connection", { value: { rtt: 50, saveData: %s } })'
_THIN_LINE, _FAST_LINE = _LINE % "true", (_LINE % "false").replace("50", "0")
_PIXELS = "application/octet-stream"
# Whether anything of OHIF's bar lies over another part of it.
_OVERLAPS = """
() => {
  const bar = document.querySelector('[data-cy="return-to-work-list"]').parentElement.parentElement;
  const boxes = [...bar.children].map((one) => one.getBoundingClientRect());
  return boxes.some((one, at) => boxes.slice(at + 1).some((other) =>
    one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom));
}
"""
_ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"


@pytest.fixture(scope="module")
def viewer() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the real files are not here: ../shared/data/real")
    try:
        return ohif.installed()
    except ohif.Absent as error:
        pytest.skip(f"OHIF cannot be had: {error}")


@pytest.fixture(scope="module")
def ct() -> list[Path]:
    return sorted(_CT.glob("*.dcm"))[:5]


@pytest.fixture(scope="module")
def mr() -> list[Path]:
    """One volume: the series has the same 15 planes again and again."""
    return sorted(_MR.glob("*.dcm"))[:15]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Any]:
    async with chromium(*WEBGL) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(
    viewer: Path, ct: list[Path], mr: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House]:
    planes = [dcmread(path) for path in mr]
    beside = [pdf(planes[0]), segmentation(planes), structures(planes)]
    clip = Path(str(get_testdata_file("examples_ybr_color.dcm")))
    async with house(tmp_path_factory.mktemp("archive"), viewer=viewer) as served:
        await served.store([*ct, *mr, *beside, clip, _RETIRED])
        await served.user("anna", Role.RADIOLOGIST)
        await served.user("carl", Role.CLINICIAN)
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def carl(browser: Any, archive: House) -> AsyncGenerator[Any]:
    """One profile for all: a browser keeps there what it has compiled of the scripts."""
    async with profile(browser, archive.url, "carl") as context:
        yield context


def header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


async def shot(at: Desk, name: str) -> None:
    """With `BROWSER_SHOTS=FOLDER` keep what is seen, in the size of a desk."""
    folder = os.environ.get("BROWSER_SHOTS")
    if folder:
        small = at.page.viewport_size
        await at.page.set_viewport_size({"width": 1440, "height": 900})
        await at.page.wait_for_timeout(2000)
        await at.page.screenshot(path=Path(folder) / f"viewer-{name}.png")
        await at.page.set_viewport_size(small)
        await at.page.wait_for_timeout(1000)


async def test_a_length_is_measured_saved_and_loaded_again_elsewhere(
    browser: Any, carl: Any, archive: House, ct: list[Path]
) -> None:
    study = header(ct[0]).StudyInstanceUID
    async with (
        profile(browser, archive.url, "anna") as anna,
        desk(anna, archive.url, _FAST_LINE) as at,
    ):
        await at.open(study)
        [(lit, shades)] = await at.drawn()
        assert lit > 0.1
        assert shades > 64
        assert at.frames == {_PIXELS}
        assert not await at.page.evaluate(_OVERLAPS)
        # Memory that workers share is there, and the way back is ours.
        assert await at.page.evaluate("crossOriginIsolated")
        back = at.page.get_by_role("link", name="Studies")
        assert await back.get_attribute("href") == "/"
        await at.line()
        await at.save("Night read")
        await at.page.locator('[data-cy="viewport-grid"]').get_by_text("mm").wait_for()
        await at.page.locator('[data-cy="series-description-label"]', has_text="Night").wait_for()
        await shot(at, "saved")
        assert at.posts[-1] == "/dicom-web/studies"
        # OHIF shows it before its request is answered.
        await becomes(
            at.page,
            "url => fetch(url).then(answer => answer.status == 200)",
            arg=f"/dicom-web/studies/{study}/instances?Modality=SR",
        )
        found = await at.page.evaluate(
            "url => fetch(url).then(answer => answer.json())",
            f"/dicom-web/studies/{study}/instances?Modality=SR&includefield=SeriesDescription",
        )
        told = [(one["0008103E"]["Value"], one["00080016"]["Value"]) for one in found]
        assert told == [(["Night read"], [_ENHANCED_SR])]
    async with desk(carl, archive.url, _FAST_LINE) as at:
        await at.open(study)
        await at.drawn()
        await at.show("Night read")
        await at.page.locator("svg.svg-layer").get_by_text("mm").wait_for()
        await shot(at, "reloaded")


async def test_planes_and_a_volume_are_drawn_over_a_thin_line(
    carl: Any, archive: House, mr: list[Path]
) -> None:
    study = header(mr[0]).StudyInstanceUID
    async with desk(carl, archive.url, _THIN_LINE) as at:
        await at.page.set_viewport_size({"width": 640, "height": 420})  # drawn by the processor
        await at.open(study, hangingprotocolId="mpr")
        planes = await at.drawn(3)
        assert len(set(planes)) == 3
        await shot(at, "mpr")
        await at.open(study, hangingprotocolId="only3D")
        [(lit, _)] = await at.drawn()
        assert 0.02 < lit < 0.98
        await shot(at, "volume")
        assert at.frames == {"image/jphc"}


async def test_what_stands_beside_the_images_is_shown(
    carl: Any, archive: House, mr: list[Path]
) -> None:
    async with desk(carl, archive.url) as at:
        await at.open(header(mr[0]).StudyInstanceUID)
        await at.drawn()
        assert await at.red() == 0
        for name in ("Block", "Square"):
            await at.show(name)
            await at.page.get_by_role("button", name="Yes").click()
            await becomes(at.page, f"() => ({IS_RED})() > 0.01")
            await shot(at, name.lower())
        await at.show("Report")
        document = at.page.locator("object[type='application/pdf'][data^='blob:']")
        await document.wait_for()
        assert await at.page.evaluate("navigator.pdfViewerEnabled")
        await shot(at, "pdf")


async def test_a_clip_plays_and_what_only_the_archive_decodes_is_seen(
    carl: Any, archive: House
) -> None:
    clip = header(Path(str(get_testdata_file("examples_ybr_color.dcm"))))
    async with desk(carl, archive.url, _FAST_LINE) as at:
        await at.open(clip.StudyInstanceUID)
        await at.drawn()
        overlay = at.page.locator('[data-cy="viewport-overlay-bottom-right"]')
        before = await overlay.inner_text()
        assert "/30" in before
        await at.page.locator('[data-cy="cine-player-play-pause"]').click()
        await becomes(
            at.page,
            "before => document.querySelector("
            "'[data-cy=viewport-overlay-bottom-right]').innerText !== before",
            arg=before,
        )
        assert at.frames == {"image/jpeg"}
        await at.open(header(_RETIRED).StudyInstanceUID)
        await at.drawn()
        assert at.frames == {"image/jpeg", _PIXELS}
        await _told_that_nothing_is_stored(at)
        await at.open("1.2.3.4.5")
        await at.page.get_by_role("link", name="Go to the studies").click()
        await at.page.wait_for_url(f"{archive.url}/")


async def _told_that_nothing_is_stored(at: Desk) -> None:
    sent = len(at.posts)
    await at.line()
    await at.save("Not mine")
    await at.page.get_by_text("Your account sees studies, and adds nothing").wait_for()
    await shot(at, "may-not-store")
    assert at.posts[sent:] == []
    assert await at.page.get_by_text("Not mine").count() == 0
    # OHIF says the same on the console.
    assert [one for one in at.errors if "adds nothing" not in one] == []
    at.errors.clear()
