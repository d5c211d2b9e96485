"""Chosen studies in a real browser: sent to DCMTK, downloaded as one medium, recalled."""

import io
import socket
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import pytest_asyncio
from pydicom import dcmread

from e2e.browsers import becomes, chromium, looked_at
from e2e.house import House, house
from integration.share_house import instance_file
from recall_samples import chill

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = {
    "1.2.826.0.1.51": "ADAMS^ADA",
    "1.2.826.0.1.52": "BAKER^BEN",
    "1.2.826.0.1.53": "COLD^CORA",
}
ADA, BEN, CORA = NAMES
DELAY_S = 4


@pytest.fixture(scope="module")
def port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory, port: int) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("actions")
    options: dict[str, Any] = {
        "objects": f"file://{folder}/data/objects?recall_delay_s={DELAY_S}",
        "destinations": ({"aet": "READING", "host": "127.0.0.1", "port": port},),
    }
    async with house(folder, works=True, **options) as made:
        await made.store(
            instance_file(study, number, PatientName=name)
            for study, name in NAMES.items()
            for number in (1, 2)
        )
        await chill(made.stores.objects, made.stores.catalogue, CORA, tenant="default")
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def anna(browser: Any, archive: House) -> AsyncIterator[Any]:
    async with archive.signed_in(browser, "anna") as page:
        yield page


@pytest.fixture
def receiver(port: int, tmp_path: Path) -> Iterator[Path]:
    """A storescp of DCMTK; the folder that it stores in."""
    program = which("storescp")
    if program is None:
        pytest.skip("storescp of DCMTK is not installed")
    process = subprocess.Popen([program, "-aet", "READING", "-od", tmp_path, str(port)])
    yield tmp_path
    process.terminate()
    process.wait()


_TORN = "[...document.images].filter(one => one.checkVisibility({ visibilityProperty: true }) && !one.naturalWidth).length"


async def choose(page: Any, *names: str) -> None:
    await page.goto("/")
    for name in names:
        await page.get_by_label(f"Select {name}").check()


async def test_nothing_is_offered_until_something_is_chosen(anna: Any) -> None:
    await anna.goto("/")
    assert not await anna.get_by_role("button", name="Send").is_visible()
    await choose(anna, "ADAMS", "BAKER")
    await anna.get_by_text("2 studies", exact=True).wait_for()
    # No thumbnail was made of what is cold: its place is empty, and shows no torn picture.
    await becomes(anna, "[...document.images].every(one => one.complete)")
    assert await anna.evaluate(_TORN) == 0
    await looked_at(anna, "actions_chosen")
    await anna.get_by_role("button", name="Choose none").click()
    assert not await anna.get_by_role("button", name="Send").is_visible()


async def test_studies_are_sent_and_watched(anna: Any, archive: House, receiver: Path) -> None:
    await choose(anna, "ADAMS", "BAKER")
    await anna.get_by_role("button", name="Send").click()
    await anna.get_by_role("heading", name="Send 2 studies").wait_for()
    await looked_at(anna, "send")
    await anna.get_by_role("button", name="Send").click()
    await anna.get_by_text("Sent", exact=True).nth(1).wait_for()
    await looked_at(anna, "sent")
    found = [dcmread(path) for path in receiver.iterdir()]
    assert sorted(str(one.PatientName) for one in found) == ["ADAMS^ADA"] * 2 + ["BAKER^BEN"] * 2
    assert "csrf" not in anna.url


async def test_what_cannot_be_sent_is_told(anna: Any) -> None:
    await choose(anna, "ADAMS")
    await anna.get_by_role("button", name="Send").click()
    await anna.get_by_role("button", name="Send").click()
    await anna.get_by_text("Is tried again").wait_for()
    await anna.get_by_text("2 of 2 instances were not stored").wait_for()


async def test_they_are_downloaded_as_one_medium(anna: Any) -> None:
    await choose(anna, "ADAMS", "BAKER")
    async with anna.expect_download() as download:
        await anna.get_by_role("button", name="Download").click()
    got = await download.value
    assert got.suggested_filename == "2-studies.zip"
    with zipfile.ZipFile(io.BytesIO(Path(await got.path()).read_bytes())) as files:
        assert files.testzip() is None
        names = files.namelist()
        directory = dcmread(io.BytesIO(files.read("DICOMDIR")))
    kinds = [one.DirectoryRecordType for one in directory.DirectoryRecordSequence]
    assert (kinds.count("PATIENT"), kinds.count("STUDY"), kinds.count("IMAGE")) == (2, 2, 4)
    assert len(names) == 5
    await choose(anna, "ADAMS")
    async with anna.expect_download() as download:
        await anna.get_by_role("button", name="Download").click()
    assert (await download.value).suggested_filename == f"{ADA}.zip"


async def test_shares_are_made_of_several(anna: Any) -> None:
    await choose(anna, "ADAMS", "BAKER")
    await anna.get_by_role("button", name="Share").click()
    assert set((await anna.get_by_label("Study Instance UID").input_value()).split()) == {ADA, BEN}


async def test_a_recall_is_watched(anna: Any, archive: House) -> None:
    await choose(anna, "ADAMS", "COLD")
    await anna.get_by_role("button", name="Recall").click()
    await anna.get_by_role("heading", name="In a cold tier: 1 study").wait_for()
    answer = await anna.goto(f"/download?study={ADA}&study={CORA}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")
    await anna.get_by_role("heading", name="On the way back: 1 study").wait_for()
    await anna.get_by_text("expected by").wait_for()
    await looked_at(anna, "recall")

    async def restarts(route: Any) -> None:
        await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    await anna.route("**/recall?*", restarts, times=1)
    await anna.evaluate("document.body.dataset.same = ''")
    await anna.get_by_role("heading", name="Ready").wait_for()
    assert await anna.locator("body[data-same]").count() == 1
    await looked_at(anna, "recalled")
    async with anna.expect_download() as download:
        await anna.get_by_role("button", name="Download 2 studies").click()
    assert (await download.value).suggested_filename == "2-studies.zip"
