"""WADO-URI over HTTP: instances as DICOM and as pictures, and what is refused (PS3.18 9)."""

from collections.abc import AsyncIterator
from io import BytesIO

import httpx
import numpy as np
import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, served
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, JPEG2000Lossless, RLELossless

from dicomweb_samples import make_instance

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPLICIT_LE = "1.2.840.10008.1.2.1"
UIDS = {"studyUID": "1.2.3.1", "seriesUID": "1.2.3.1.1", "objectUID": "1.2.3.1.1.1"}
MANY = "1.2.3.1.1.3"
STATE = {"presentationSeriesUID": "1.2.3.1.9", "presentationUID": "1.2.3.1.9.1"}
PLAIN = make_instance("1.2.3.1.1.1", rows=16)
# The upper half dark, the lower one bright; of three frames each brighter than the one before.
HALVES = np.repeat(np.array([100, 900], "<u2"), 128).reshape(16, 16)
FRAMES = np.stack([np.full((16, 16), 400 * number, "<u2") for number in range(3)])


def compressed(sop: str) -> bytes:
    dataset = pydicom.dcmread(BytesIO(make_instance(sop, rows=16)))
    dataset.compress(RLELossless, generate_instance_uid=False)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def inverted(sop: str, image: str) -> bytes:
    """Return a presentation state that shows `image` with black and white exchanged."""
    state = pydicom.dcmread(BytesIO(make_instance(sop, series="1.2.3.1.9")))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(state, keyword)
    state.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    state.Modality = "PR"
    reference = Dataset()
    reference.ReferencedSOPClassUID = pydicom.uid.CTImageStorage
    reference.ReferencedSOPInstanceUID = image
    series = Dataset()
    series.SeriesInstanceUID = UIDS["seriesUID"]
    series.ReferencedImageSequence = [reference]
    state.ReferencedSeriesSequence = [series]
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [16, 16]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    state.DisplayedAreaSelectionSequence = [area]
    voi = Dataset()
    voi.WindowCenter, voi.WindowWidth = 500, 1000
    state.SoftcopyVOILUTSequence = [voi]
    state.PresentationLUTShape = "INVERSE"
    buffer = BytesIO()
    state.save_as(buffer)
    return buffer.getvalue()


RLE = compressed("1.2.3.1.1.2")
FILES = (
    PLAIN,
    RLE,
    make_instance(MANY, rows=16, frames=3, pixels=FRAMES.tobytes()),
    make_instance("1.2.3.1.1.4", rows=16, pixels=HALVES.tobytes()),
    inverted("1.2.3.1.9.1", "1.2.3.1.1.4"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with served(tmp_path_factory.mktemp("archive")) as running:
        response = await running.store(*FILES)
        assert response.status_code in {200, 202}, response.text
        yield running


def shown(response: httpx.Response, kind: str = "image/jpeg") -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == kind
    return np.asarray(Image.open(BytesIO(response.content)).convert("L"), dtype=int)


async def uri(archive: Running, at: str = "/wado", **parameters: str) -> httpx.Response:
    base = archive.url.removesuffix("/dicom-web") if at == "/wado" else archive.url
    return await archive.client.get(
        f"{base}/wado", params={"requestType": "WADO", **UIDS, **parameters}
    )


@pytest.mark.parametrize("at", ["/wado", "/dicom-web/wado"])
async def test_an_instance_by_uri_is_explicit_le_unless_said_otherwise(
    archive: Running, at: str
) -> None:
    response = await uri(archive, at, objectUID="1.2.3.1.1.2", contentType="application/dicom")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    dataset = pydicom.dcmread(BytesIO(response.content))
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert dataset.PixelData == pydicom.dcmread(BytesIO(PLAIN)).PixelData


async def test_an_instance_by_uri_in_the_transfer_syntax_asked_for(archive: Running) -> None:
    response = await uri(
        archive,
        objectUID="1.2.3.1.1.2",
        contentType="application/dicom",
        transferSyntax=RLELossless,
    )
    assert (response.status_code, response.content) == (200, RLE)
    made = await uri(archive, contentType="application/dicom", transferSyntax=JPEG2000Lossless)
    assert made.status_code in {200, 406}
    if made.status_code == 200:
        dataset = pydicom.dcmread(BytesIO(made.content))
        assert dataset.file_meta.TransferSyntaxUID == JPEG2000Lossless


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"contentType": "image/jpeg", "rows": "0"}, 400),
        ({"contentType": "image/jpeg", "rows": "-1"}, 400),
        ({"contentType": "image/jpeg", "columns": "1.5"}, 400),
        ({"contentType": "image/jpeg", "columns": "99999999"}, 400),
        ({"contentType": "image/jpeg", "region": "0,0,1"}, 400),
        ({"contentType": "image/jpeg", "region": "0,0,2,1"}, 400),
        ({"contentType": "image/jpeg", "region": "0.5,0,0.5,1"}, 400),
        ({"contentType": "image/jpeg", "windowCenter": "40"}, 400),
        ({"contentType": "image/jpeg", "windowCenter": "40", "windowWidth": "x"}, 400),
        ({"contentType": "image/jpeg", "windowCenter": "40", "windowWidth": "0"}, 400),
        ({"contentType": "image/jpeg", "imageQuality": "0"}, 400),
        ({"contentType": "image/jpeg", "imageQuality": "101"}, 400),
        ({"contentType": "image/jpeg", "frameNumber": "2"}, 400),
        ({"contentType": "image/jpeg", "frameNumber": "1"}, 200),
        ({"contentType": "image/jpeg", "objectUID": MANY, "frameNumber": "4"}, 400),
        ({"contentType": "image/jpeg", "objectUID": MANY, "frameNumber": "0"}, 400),
        ({"contentType": "image/jpeg", "presentationUID": "1.2.3.1.9.1"}, 400),
        ({"contentType": "image/jpeg", **STATE}, 400),
        ({"contentType": "image/jpeg", **STATE, "presentationUID": "1.2.3.1.9.7"}, 404),
        ({"contentType": "application/dicom", "rows": "8"}, 400),
        ({"contentType": "application/dicom", "frameNumber": "1"}, 400),
        ({"requestType": "WADOX"}, 400),
        ({"requestType": ""}, 400),
        ({"studyUID": ""}, 400),
        ({"studyUID": "1.a"}, 400),
        ({"seriesUID": "1..2"}, 400),
        ({"objectUID": "1.2.3.1.1.9", "contentType": "application/dicom"}, 404),
        ({"seriesUID": "1.2.3.1.9", "contentType": "application/dicom"}, 404),
        ({"studyUID": "1.9"}, 404),
        ({"anonymize": "yes"}, 400),
        ({"anonymize": "no"}, 400),
        ({"contentType": "video/mpeg"}, 406),
        ({"contentType": "application"}, 400),
        ({"contentType": "application/dicom", "transferSyntax": "jpeg"}, 400),
        ({"contentType": "application/dicom", "transferSyntax": "1.2.3.4"}, 406),
        ({"contentType": "image/jpeg", "transferSyntax": EXPLICIT_LE}, 400),
        ({"contentType": "application/dicom", "charset": "klingon"}, 406),
        ({"contentType": "application/dicom", "charset": "utf-8"}, 200),
        ({"contentType": "application/dicom", "unheard": "of"}, 200),
        ({"contentType": "video/mpeg, application/dicom"}, 200),
    ],
)
async def test_what_a_uri_may_ask(
    archive: Running, parameters: dict[str, str], status: int
) -> None:
    response = await uri(archive, **parameters)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_uri_with_a_parameter_missing_or_twice(archive: Running) -> None:
    base = archive.url.removesuffix("/dicom-web")
    for missing in ("requestType", *UIDS):
        asked = {"requestType": "WADO", **UIDS}
        del asked[missing]
        assert (await archive.client.get(f"{base}/wado", params=asked)).status_code == 400
    twice = [("requestType", "WADO"), *UIDS.items(), ("studyUID", "1.2.3.1")]
    assert (await archive.client.get(f"{base}/wado", params=twice)).status_code == 400


async def test_a_uri_answer_is_validated(archive: Running) -> None:
    first = await uri(archive, contentType="application/dicom")
    base = archive.url.removesuffix("/dicom-web")
    again = await archive.client.get(
        f"{base}/wado",
        params={"requestType": "WADO", **UIDS, "contentType": "application/dicom"},
        headers={"if-none-match": first.headers["etag"]},
    )
    assert again.status_code == 304


async def test_an_image_is_a_jpeg_by_default(archive: Running) -> None:
    by_default = shown(await uri(archive))
    assert by_default.shape == (16, 16)
    assert shown(await uri(archive, contentType="image/png"), "image/png").shape == (16, 16)
    several = await uri(archive, contentType="video/mpeg, image/png;q=0.5, image/gif;q=0.2")
    assert shown(several, "image/png").shape == (16, 16)


async def test_the_accept_header_counts_where_there_is_no_content_type(archive: Running) -> None:
    base = archive.url.removesuffix("/dicom-web")
    asked = {"requestType": "WADO", **UIDS}
    header = {"accept": "image/png"}
    assert shown(
        await archive.client.get(f"{base}/wado", params=asked, headers=header), "image/png"
    ).any()
    asked["contentType"] = "application/dicom"
    response = await archive.client.get(f"{base}/wado", params=asked, headers=header)
    assert response.headers["content-type"].startswith("application/dicom;")


async def test_frame_window_size_and_region(archive: Running) -> None:
    window = {"contentType": "image/png", "windowCenter": "500", "windowWidth": "1000"}
    means = [
        shown(
            await uri(archive, objectUID=MANY, frameNumber=str(number), **window), "image/png"
        ).mean()
        for number in (1, 2, 3)
    ]
    assert means == sorted(means)
    assert means[0] < 5
    assert means[2] > 200
    halves = {"objectUID": "1.2.3.1.1.4", **window}
    whole = shown(await uri(archive, **halves), "image/png")
    assert whole[:7].max() < 40
    assert whole[9:].min() > 215
    lower = shown(await uri(archive, **halves, region="0,0.5,1,1"), "image/png")
    assert lower.shape == (8, 16)
    assert lower.min() > 215
    assert shown(await uri(archive, **halves, rows="32"), "image/png").shape == (32, 32)
    assert shown(await uri(archive, **halves, rows="64", columns="8"), "image/png").shape == (8, 8)


async def test_an_image_by_a_presentation_state(archive: Running) -> None:
    asked = {"objectUID": "1.2.3.1.1.4", "contentType": "image/png"}
    response = await uri(archive, **asked, **STATE)
    by_state = shown(response, "image/png")
    assert by_state[:7].min() > 215
    assert by_state[9:].max() < 40
    windowed = await uri(archive, **asked, **STATE, windowCenter="1", windowWidth="2")
    assert windowed.status_code == 400


async def test_head_of_a_presentation_state_renders_nothing(archive: Running) -> None:
    base = archive.url.removesuffix("/dicom-web")
    asked = {"requestType": "WADO", **UIDS, "objectUID": "1.2.3.1.1.4", "rows": "19", **STATE}
    renderer = archive.services.archive.renderer
    before = len(renderer._pictures._kept)
    head = await archive.client.head(f"{base}/wado", params=asked)
    assert (head.status_code, head.headers["content-type"]) == (200, "image/jpeg")
    assert len(renderer._pictures._kept) == before
    got = await archive.client.get(f"{base}/wado", params=asked)
    assert len(renderer._pictures._kept) == before + 1
    assert head.headers["etag"] == got.headers["etag"]


async def test_the_etag_of_a_presentation_states_picture_says_how_it_is_wanted(
    archive: Running,
) -> None:
    asked = {"objectUID": "1.2.3.1.1.4", "contentType": "image/png", **STATE}
    marks = [
        (await uri(archive, **asked, **more)).headers["etag"]
        for more in ({}, {"annotation": "patient,technique"}, {"annotation": "technique,patient"})
    ]
    assert marks[0] != marks[1] == marks[2]
    told = await uri(archive, **asked, annotation="weather")
    assert "not supported: weather" in told.headers["warning"]


async def test_more_quality_is_more_bytes(archive: Running) -> None:
    few, many = [len((await uri(archive, imageQuality=q)).content) for q in ("5", "100")]
    assert few < many
