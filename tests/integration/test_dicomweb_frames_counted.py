"""Frames are counted where they are found, or made: not for nothing."""

from collections.abc import AsyncIterator
from io import BytesIO

import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, holding

from dicomweb_samples import make_instance
from pacs_cloud import metrics

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORED, BROKEN = "1.2.3.4.1", "1.2.3.4.2"
INSTANCES = "/studies/1.2.3.1/series/1.2.3.1.1/instances"
OCTETS = {"accept": 'multipart/related; type="application/octet-stream"'}
AS_STORED = {"accept": "multipart/related; type=image/dicom-rle; transfer-syntax=*"}


def broken() -> bytes:
    """Return an instance whose frame says that it is RLE, and is none."""
    dataset = pydicom.dcmread(BytesIO(make_instance(BROKEN, rows=16)))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff" * 64])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    files = (make_instance(STORED, rows=16, frames=3), broken())
    async with holding(tmp_path_factory.mktemp("archive"), files) as running:
        yield running


def given() -> dict[str, float]:
    return metrics.snapshot().by("how", "pacs_frames_total")


async def added(archive: Running, method: str, path: str, **headers: str) -> dict[str, float]:
    """Return the status of an answer, and what it has added to the frames that are counted."""
    before = given()
    response = await archive.client.request(method, f"{INSTANCES}/{path}", headers=headers)
    more = {how: count - before.get(how, 0) for how, count in given().items()}
    return {"status": response.status_code, **{how: one for how, one in more.items() if one}}


async def test_stored_frames_count_once_they_are_found(archive: Running) -> None:
    assert await added(archive, "GET", f"{STORED}/frames/1,3", **OCTETS) == {
        "status": 200,
        "stored": 2,
    }
    assert await added(archive, "GET", f"{BROKEN}/frames/1", **AS_STORED) == {
        "status": 200,
        "stored": 1,
    }
    assert await added(archive, "GET", f"{STORED}/frames/9", **OCTETS) == {"status": 404}


async def test_one_that_cannot_be_decoded_is_not_given(archive: Running) -> None:
    assert await added(archive, "GET", f"{BROKEN}/frames/1", **OCTETS) == {"status": 406}
    picture = {"accept": "image/jpeg"}
    assert await added(archive, "GET", f"{BROKEN}/rendered", **picture) == {"status": 406}
    assert await added(archive, "GET", f"{STORED}/frames/9/rendered", **picture) == {"status": 404}
    answer = await added(archive, "GET", f"{STORED}/frames/2/rendered", **picture)
    assert answer == {"status": 200, "rendered": 1}
