"""Bulk data, pixel data and byte ranges over HTTP (PS3.18 10.4.1.1.5, -6; RFC 9110 14)."""

from collections.abc import AsyncIterator
from io import BytesIO

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, accept_related, holding, parts_of
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from dicomweb_samples import make_instance

# One archive, which no test changes, for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPLICIT_LE = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
MPEG4 = "1.2.840.10008.1.2.4.102"
STUDY = "/studies/1.2.3.1"
SERIES = f"{STUDY}/series/1.2.3.1.1"
NATIVE, IN_RLE, BIG, PDF, VIDEO = (f"1.2.3.4.{number}" for number in range(1, 6))
PIXELS = np.arange(3 * 32 * 32, dtype="<u2").tobytes()
FRAME_BYTES = 32 * 32 * 2
TABLE = bytes(range(256)) * 8
CODESTREAM = [bytes(range(100)), b"second fragment."]


def written(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def native(sop: str, **attributes: object) -> Dataset:
    content = make_instance(sop, rows=32, frames=3, pixels=PIXELS, **attributes)
    return pydicom.dcmread(BytesIO(content))


def in_rle() -> bytes:
    dataset = native(IN_RLE)
    dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    return written(dataset)


def big_endian() -> bytes:
    dataset = native(BIG)
    dataset["PixelData"].value = np.frombuffer(PIXELS, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, little_endian=False, implicit_vr=False)
    return buffer.getvalue()


def document() -> bytes:
    dataset = native(PDF, series="1.2.3.1.2")
    for keyword in ("PixelData", "NumberOfFrames", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        pydicom.uid.EncapsulatedPDFStorage
    )
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4" + bytes(3000)
    return written(dataset)


def video() -> bytes:
    """Return an instance of 30 frames in one stream of two fragments."""
    dataset = native(VIDEO, study="1.2.3.5", series="1.2.3.5.1")
    dataset.NumberOfFrames = 30
    dataset.PixelData = encapsulate(CODESTREAM, fragments_per_frame=1, has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = MPEG4
    return written(dataset)


FILES = {
    NATIVE: make_instance(
        NATIVE, rows=32, frames=3, pixels=PIXELS, RedPaletteColorLookupTableData=TABLE
    ),
    IN_RLE: in_rle(),
    BIG: big_endian(),
    PDF: document(),
    VIDEO: video(),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with holding(tmp_path_factory.mktemp("archive"), FILES.values()) as running:
        yield running


OCTETS = {"accept": "application/octet-stream"}


@pytest.mark.parametrize("sop", [NATIVE, BIG])
async def test_bulk_data_in_ranges(archive: Running, sop: str) -> None:
    url = f"{SERIES}/instances/{sop}/bulkdata/7FE00010"
    whole = await archive.client.get(url, headers=OCTETS)
    assert whole.content == PIXELS
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-length"] == str(len(PIXELS))
    for asked, start, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=4095-4097", 4095, 4098),
        ("bytes=6000-", 6000, len(PIXELS)),
        ("bytes=-1", len(PIXELS) - 1, len(PIXELS)),
    ):
        part = await archive.client.get(url, headers={**OCTETS, "range": asked})
        assert part.status_code == 206
        assert part.content == PIXELS[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(PIXELS)}"
        assert part.headers["content-length"] == str(end - start)
        assert part.headers["etag"] == whole.headers["etag"]


async def test_what_a_range_does_not_reach_is_416(archive: Running) -> None:
    url = f"{SERIES}/instances/{NATIVE}/bulkdata/7FE00010"
    answer = await archive.client.get(url, headers={**OCTETS, "range": f"bytes={len(PIXELS)}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(PIXELS)}"


async def test_conditions_of_ranges(archive: Running) -> None:
    url = f"{SERIES}/instances/{NATIVE}/bulkdata/7FE00010"
    etag = (await archive.client.get(url, headers=OCTETS)).headers["etag"]
    asked = {**OCTETS, "range": "bytes=0-9"}
    for condition, status in ((etag, 206), ('"other"', 200)):
        answer = await archive.client.get(url, headers={**asked, "if-range": condition})
        assert answer.status_code == status
    unchanged = await archive.client.get(url, headers={**asked, "if-none-match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    several = await archive.client.get(url, headers={**OCTETS, "range": "bytes=0-1,4-5"})
    assert (several.status_code, several.content) == (200, PIXELS)
    head = await archive.client.head(url, headers=asked)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(PIXELS)))


@pytest.mark.parametrize("accept", ["application/dicom", "multipart/related"])
async def test_a_download_goes_on_where_it_broke_off(archive: Running, accept: str) -> None:
    url = f"{SERIES}/instances/{NATIVE}"
    whole = await archive.client.get(url, headers={"accept": accept})
    first = await archive.client.get(url, headers={"accept": accept, "range": "bytes=0-1999"})
    rest = await archive.client.get(
        url,
        headers={"accept": accept, "range": "bytes=2000-", "if-range": first.headers["etag"]},
    )
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.content + rest.content == whole.content
    assert first.headers["content-type"] == whole.headers["content-type"]


async def test_what_is_made_is_not_offered_in_ranges(archive: Running) -> None:
    url = f"{SERIES}/instances/{IN_RLE}"
    answer = await archive.client.get(
        url, headers={"accept": "application/dicom", "range": "bytes=0-9"}
    )
    assert answer.status_code == 200
    assert "accept-ranges" not in answer.headers
    assert pydicom.dcmread(BytesIO(answer.content)).PixelData == PIXELS


async def test_bulk_data_of_an_instance(archive: Running) -> None:
    url = f"{SERIES}/instances/{NATIVE}/bulkdata"
    answer = await archive.client.get(url)
    assert [content for _, content in parts_of(answer)] == [TABLE, PIXELS]
    for path in ("00281201", "7FE00010"):
        location = f"{archive.url}{url}/{path}"
        assert f"Content-Location: {location}\r\n".encode() in answer.content
        assert (await archive.client.get(location)).status_code == 200
    assert (await archive.client.get(url, headers=OCTETS)).status_code == 406


async def test_bulk_data_of_a_study_and_of_its_series(archive: Running) -> None:
    study = parts_of(await archive.client.get(f"{STUDY}/bulkdata"))
    series = parts_of(await archive.client.get(f"{SERIES}/bulkdata"))
    frames = [PIXELS[at : at + FRAME_BYTES] for at in range(0, len(PIXELS), FRAME_BYTES)]
    assert sorted(content for _, content in series) == sorted([TABLE, PIXELS, PIXELS, *frames])
    (document,) = [part for part in study if part not in series]
    assert document == ("application/pdf", b"%PDF-1.4" + bytes(3000))


async def test_bulk_data_that_cannot_be_had_as_asked_for_is_left_out(archive: Running) -> None:
    answer = await archive.client.get(
        f"{STUDY}/bulkdata", headers=accept_related("image/dicom-rle")
    )
    assert answer.status_code == 206
    assert answer.headers["warning"].startswith("299 ")
    assert {kind for kind, _ in parts_of(answer)} == {f"image/dicom-rle; transfer-syntax={RLE}"}
    nothing = await archive.client.get(f"{STUDY}/bulkdata", headers=accept_related("image/png"))
    assert nothing.status_code == 406


@pytest.mark.parametrize("level", [STUDY, SERIES])
async def test_pixel_data_of_many_instances(archive: Running, level: str) -> None:
    answer = await archive.client.get(f"{level}/pixeldata")
    frames = [PIXELS[at : at + FRAME_BYTES] for at in range(0, len(PIXELS), FRAME_BYTES)]
    octets = f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"
    assert parts_of(answer) == [(octets, frame) for frame in frames * 3]
    for sop in (NATIVE, IN_RLE, BIG):
        for number in (1, 2, 3):
            location = f"{archive.url}{SERIES}/instances/{sop}/frames/{number}"
            assert f"Content-Location: {location}\r\n".encode() in answer.content


async def test_pixel_data_of_an_instance_is_compressed_where_that_is_asked_for(
    archive: Running,
) -> None:
    url = f"{SERIES}/instances/{NATIVE}"
    made = parts_of(
        await archive.client.get(f"{url}/pixeldata", headers=accept_related("image/jls"))
    )
    frames = parts_of(
        await archive.client.get(f"{url}/frames/1,2,3", headers=accept_related("image/jls"))
    )
    assert made == frames
    assert len({content for _, content in made}) == 3


async def test_a_video_comes_as_one_stream(archive: Running) -> None:
    url = f"/studies/1.2.3.5/series/1.2.3.5.1/instances/{VIDEO}"
    for path in ("pixeldata", "bulkdata/7FE00010", "bulkdata"):
        alone = await archive.client.get(f"{url}/{path}", headers={"accept": "video/mp4"})
        assert alone.status_code == 200, (path, alone.text)
        assert alone.headers["content-type"] == f"video/mp4; transfer-syntax={MPEG4}"
        assert alone.content == b"".join(CODESTREAM)
    ((_, content),) = parts_of(await archive.client.get(f"{url}/pixeldata"))
    assert content == b"".join(CODESTREAM)
    assert (await archive.client.get(f"{url}/frames/1")).status_code == 404


@pytest.mark.parametrize("path", ["bulkdata", "pixeldata"])
async def test_what_is_not_there_is_404(archive: Running, path: str) -> None:
    for level in ("/studies/1.2.9", f"{STUDY}/series/1.2.9", f"{SERIES}/instances/1.2.9"):
        assert (await archive.client.get(f"{level}/{path}")).status_code == 404
    assert (await archive.client.get(f"/studies/x/{path}")).status_code == 400
    if path == "pixeldata":
        pdf = f"{STUDY}/series/1.2.3.1.2/instances/{PDF}"
        assert (await archive.client.get(f"{pdf}/{path}")).status_code == 404


async def test_accept_may_stand_in_the_query(archive: Running) -> None:
    url = f"{SERIES}/instances/{NATIVE}/frames/2"
    answer = await archive.client.get(
        url,
        params={"accept": f"image/dicom-rle;transfer-syntax={RLE}"},
        headers={"accept": "text/html"},
    )
    assert answer.headers["content-type"] == f"image/dicom-rle; transfer-syntax={RLE}"
