"""WADO-RS over HTTP: negotiation, transcoding, frames, validators, errors (PS3.18 8.7, 10.4)."""

import asyncio
import re
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, holding, parts_of, related, served
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless

from dicomweb_samples import make_instance

# One archive, which no test changes, for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPLICIT_LE = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
JLS = "1.2.840.10008.1.2.4.80"
NEAR = "1.2.840.10008.1.2.4.81"
MPEG4 = "1.2.840.10008.1.2.4.102"
SERIES = "/studies/1.2.3.1/series/1.2.3.1.1"
NATIVE, IN_RLE, IN_JLS, PDF, PRIVATE, VIDEO, BESIDE = (
    f"1.2.3.4.{number}" for number in range(1, 8)
)
PIXELS = np.arange(3 * 16 * 16, dtype="<u2").tobytes()


def compressed(sop: str, syntax: pydicom.uid.UID) -> bytes:
    dataset = pydicom.dcmread(BytesIO(make_instance(sop, rows=16, frames=3, pixels=PIXELS)))
    dataset.compress(syntax, generate_instance_uid=False)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def document(sop: str) -> bytes:
    dataset = pydicom.dcmread(BytesIO(make_instance(sop, study="1.2.3.2", series="1.2.3.2.1")))
    del dataset.PixelData
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        pydicom.uid.EncapsulatedPDFStorage
    )
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4" + bytes(3000)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def in_private_syntax(sop: str) -> bytes:
    dataset = pydicom.dcmread(BytesIO(make_instance(sop, study="1.2.3.3", series="1.2.3.3.1")))
    del dataset.PixelData
    buffer = BytesIO()
    dataset.save_as(buffer)
    private = f"{EXPLICIT_LE[:-3]}9.9"
    return buffer.getvalue().replace(EXPLICIT_LE.encode(), private.encode().ljust(19, b"\0"), 1)


def video(sop: str) -> bytes:
    """Return an instance that says it is a video, which nothing here decodes."""
    dataset = pydicom.dcmread(BytesIO(make_instance(sop, study="1.2.3.4", series="1.2.3.4.1")))
    dataset.PixelData = pydicom.encaps.encapsulate([CODESTREAM])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG4HP41
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


CODESTREAM = b"\xff\xd8\xff\xee" + bytes(60)
FILES = {
    NATIVE: make_instance(NATIVE, rows=16, frames=3, pixels=PIXELS),
    IN_RLE: compressed(IN_RLE, RLELossless),
    IN_JLS: compressed(IN_JLS, JPEGLSLossless),
    PDF: document(PDF),
    PRIVATE: in_private_syntax(PRIVATE),
    VIDEO: video(VIDEO),
    BESIDE: make_instance(BESIDE, study="1.2.3.4", series="1.2.3.4.1"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with holding(tmp_path_factory.mktemp("archive"), FILES.values()) as running:
        yield running


@pytest.mark.parametrize(
    ("accept", "syntax"),
    [
        (related("application/dicom"), EXPLICIT_LE),
        (related("application/dicom", EXPLICIT_LE), EXPLICIT_LE),
        (related("application/dicom", "*"), RLE),
        (related("application/dicom", RLE), RLE),
        ("multipart/related; type=application/dicom; transfer-syntax=*", RLE),
        ("*/*", EXPLICIT_LE),
        ("multipart/related", EXPLICIT_LE),
        (f"{related('application/dicom', NEAR)}, {related('application/dicom', '*')};q=0.5", RLE),
    ],
)
async def test_an_instance_in_the_transfer_syntax_asked_for(
    archive: Running, accept: str, syntax: str
) -> None:
    response = await archive.client.get(f"{SERIES}/instances/{IN_RLE}", headers={"accept": accept})
    assert response.status_code == 200
    ((content_type, content),) = parts_of(response)
    assert content_type == f"application/dicom; transfer-syntax={syntax}"
    dataset = pydicom.dcmread(BytesIO(content))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.SOPInstanceUID == IN_RLE
    if syntax == RLE:
        assert content == FILES[IN_RLE]
    else:
        assert dataset.PixelData == PIXELS


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        related("application/dicom", NEAR),
        related("application/dicom", "1.2.840.10008.1.2.2"),
        related("image/jpeg"),
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50",
    ],
)
async def test_nothing_that_fits_is_406(archive: Running, accept: str) -> None:
    response = await archive.client.get(f"{SERIES}/instances/{IN_RLE}", headers={"accept": accept})
    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"


async def test_one_instance_may_come_alone_a_series_may_not(archive: Running) -> None:
    accept = {"accept": "application/dicom"}
    alone = await archive.client.get(f"{SERIES}/instances/{NATIVE}", headers=accept)
    assert alone.content == FILES[NATIVE]
    assert alone.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    assert (await archive.client.get(SERIES, headers=accept)).status_code == 406


@pytest.mark.parametrize("accept", ["*/*", related("application/dicom")])
async def test_what_no_decoder_knows_goes_out_as_stored(archive: Running, accept: str) -> None:
    url = f"/studies/1.2.3.4/series/1.2.3.4.1/instances/{VIDEO}"
    response = await archive.client.get(url, headers={"accept": accept})
    assert response.status_code == 200, response.text
    assert parts_of(response) == [(f"application/dicom; transfer-syntax={MPEG4}", FILES[VIDEO])]
    frame = await archive.client.get(f"{url}/frames/1", headers={"accept": "*/*"})
    assert parts_of(frame) == [(f"video/mp4; transfer-syntax={MPEG4}", CODESTREAM)]


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("127.0.0.1", "127.0.0.1:{port}"),  # dicomweb-client leaves the port out
        ("localhost", "localhost:{port}"),
        ("localhost:99", "localhost:99"),
        ("pacs.example.org", "pacs.example.org"),  # a proxy's name
    ],
)
async def test_addresses_lead_back_to_where_the_client_is(
    archive: Running, host: str, authority: str
) -> None:
    port = archive.url.split(":")[2].split("/")[0]
    (header,) = (
        await archive.client.get(f"{SERIES}/instances/{NATIVE}/metadata", headers={"host": host})
    ).json()
    expected = f"http://{authority.format(port=port)}/dicom-web{SERIES}/instances/{NATIVE}/"
    assert header["7FE00010"]["BulkDataURI"].startswith(expected)


async def test_some_without_what_was_asked_for_is_206(archive: Running) -> None:
    response = await archive.client.get(
        "/studies/1.2.3.4", headers={"accept": related("application/dicom", MPEG4)}
    )
    assert response.status_code == 206
    assert response.headers["warning"].startswith("299 ")
    assert [content for _, content in parts_of(response)] == [FILES[VIDEO]]


async def test_a_series_of_several_syntaxes_comes_as_explicit_le(archive: Running) -> None:
    response = await archive.client.get(SERIES)
    parts = parts_of(response)
    assert {content_type for content_type, _ in parts} == {
        f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    }
    datasets = [pydicom.dcmread(BytesIO(content)) for _, content in parts]
    assert {dataset.SOPInstanceUID for dataset in datasets} == {NATIVE, IN_RLE, IN_JLS}
    assert {dataset.PixelData for dataset in datasets} == {PIXELS}
    assert FILES[NATIVE] in [content for _, content in parts]


async def test_what_cannot_be_decoded_is_had_as_stored_only(archive: Running) -> None:
    url = f"/studies/1.2.3.3/series/1.2.3.3.1/instances/{PRIVATE}"
    explicit = await archive.client.get(url, headers={"accept": related("application/dicom")})
    assert explicit.status_code == 406
    stored = await archive.client.get(url, headers={"accept": related("application/dicom", "*")})
    ((_, content),) = parts_of(stored)
    assert content == FILES[PRIVATE]


@pytest.mark.parametrize("sop", [NATIVE, IN_RLE, IN_JLS])
async def test_frames_come_decompressed_by_default(archive: Running, sop: str) -> None:
    response = await archive.client.get(f"{SERIES}/instances/{sop}/frames/3,1")
    wanted = f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"
    assert parts_of(response) == [(wanted, PIXELS[1024:]), (wanted, PIXELS[:512])]


@pytest.mark.parametrize(
    ("sop", "accept", "content_type"),
    [
        (IN_RLE, related("application/octet-stream", "*"), "application/octet-stream"),
        (IN_RLE, related("image/dicom-rle"), "image/dicom-rle"),
        (IN_RLE, related("image/x-dicom-rle", RLE), "image/dicom-rle"),
        (IN_RLE, related("image/*"), "image/dicom-rle"),
        (IN_JLS, related("image/jls"), "image/jls"),
        (IN_JLS, related("image/jls", JLS), "image/jls"),
    ],
)
async def test_frames_as_stored(archive: Running, sop: str, accept: str, content_type: str) -> None:
    response = await archive.client.get(
        f"{SERIES}/instances/{sop}/frames/2", headers={"accept": accept}
    )
    assert response.status_code == 200, response.text
    syntax = RLE if sop == IN_RLE else JLS
    dataset = pydicom.dcmread(BytesIO(FILES[sop]))
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    assert parts_of(response) == [(f"{content_type}; transfer-syntax={syntax}", frames[1])]


async def test_any_syntax_of_native_frames_is_explicit_le(archive: Running) -> None:
    response = await archive.client.get(
        f"{SERIES}/instances/{NATIVE}/frames/1",
        headers={"accept": related("application/octet-stream", "*")},
    )
    assert parts_of(response) == [
        (f"application/octet-stream; transfer-syntax={EXPLICIT_LE}", PIXELS[:512])
    ]


async def test_one_frame_may_come_alone(archive: Running) -> None:
    accept = {"accept": "application/octet-stream"}
    one = await archive.client.get(f"{SERIES}/instances/{NATIVE}/frames/2", headers=accept)
    assert one.content == PIXELS[512:1024]
    two = await archive.client.get(f"{SERIES}/instances/{NATIVE}/frames/1,2", headers=accept)
    assert two.status_code == 406


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ("0", 400),
        ("1,0", 400),
        ("x", 400),
        ("1,", 400),
        ("1-2", 400),
        ("-1", 400),
        ("4", 404),
        ("1,4", 404),
        ("99999999999", 400),
        ("1;2", 400),
    ],
)
async def test_bad_frame_lists(archive: Running, frames: str, status: int) -> None:
    response = await archive.client.get(f"{SERIES}/instances/{NATIVE}/frames/{frames}")
    assert response.status_code == status


async def test_frames_of_what_has_none_are_404(archive: Running) -> None:
    response = await archive.client.get(
        f"/studies/1.2.3.2/series/1.2.3.2.1/instances/{PDF}/frames/1"
    )
    assert response.status_code == 404


async def test_an_encapsulated_document_has_its_own_media_type(archive: Running) -> None:
    url = f"/studies/1.2.3.2/series/1.2.3.2.1/instances/{PDF}"
    (header,) = (await archive.client.get(f"{url}/metadata")).json()
    uri = header["00420011"]["BulkDataURI"]
    assert uri == f"{archive.url}{url}/bulkdata/00420011"
    expected = b"%PDF-1.4" + bytes(3000)
    alone = await archive.client.get(uri, headers={"accept": "application/pdf"})
    assert (alone.headers["content-type"], alone.content) == ("application/pdf", expected)
    related = await archive.client.get(uri)
    assert parts_of(related) == [("application/pdf", expected)]
    assert f"Content-Location: {uri}\r\n".encode() in related.content
    octets = await archive.client.get(uri, headers={"accept": "application/octet-stream"})
    assert octets.content == expected
    assert (await archive.client.get(uri, headers={"accept": "image/png"})).status_code == 406


async def test_bulk_data_that_is_not_there_is_404(archive: Running) -> None:
    for path in ("00420011", "7FE00010/0", "../x", "0"):
        url = f"{SERIES}/instances/{NATIVE}/bulkdata/{path}"
        assert (await archive.client.get(url)).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "/studies/1.2.9",
        "/studies/1.2.3.1/series/1.2.9",
        f"{SERIES}/instances/1.2.9",
        f"/studies/1.2.3.2/series/1.2.3.1.1/instances/{NATIVE}",
        "/studies/1.2.9/metadata",
        f"{SERIES}/instances/1.2.9/frames/1",
        f"{SERIES}/nothing",
    ],
)
async def test_what_is_not_there_is_404(archive: Running, url: str) -> None:
    response = await archive.client.get(url)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("uid", ["abc", "1..2", "1." * 33 + "1", "1.2%00", "1.2%20"])
async def test_a_bad_uid_is_400(archive: Running, uid: str) -> None:
    for url in (f"/studies/{uid}", f"/studies/{uid}/metadata", f"/studies/1.2/series/{uid}"):
        response = await archive.client.get(url)
        assert response.status_code == 400


@pytest.mark.parametrize("path", ["", "/metadata", f"/instances/{NATIVE}/frames/1"])
async def test_an_etag_saves_the_second_answer(archive: Running, path: str) -> None:
    first = await archive.client.get(SERIES + path)
    assert first.headers["cache-control"] == "private, no-cache"
    etag = first.headers["etag"]
    second = await archive.client.get(SERIES + path, headers={"if-none-match": f'"x", W/{etag}'})
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["etag"] == etag
    other = await archive.client.get(SERIES + path, headers={"if-none-match": '"x"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_representations_have_etags_of_their_own(archive: Running) -> None:
    url = f"{SERIES}/instances/{IN_RLE}"
    tags = {
        (await archive.client.get(url, headers={"accept": accept})).headers["etag"]
        for accept in (
            related("application/dicom"),
            related("application/dicom", "*"),
            "application/dicom",
        )
    }
    assert len(tags) == 3


async def test_head_has_the_header_of_get(archive: Running) -> None:
    for path in ("", "/metadata", f"/instances/{NATIVE}", f"/instances/{NATIVE}/frames/1"):
        got = await archive.client.get(SERIES + path)
        head = await archive.client.head(SERIES + path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "etag"):
            assert head.headers[name] == got.headers[name]
        if path == "/metadata":  # it would have to be encoded to be measured (RFC 9110 9.3.2)
            assert "content-length" not in head.headers
        else:
            assert head.headers.get("content-length") == got.headers.get("content-length")


async def test_methods_that_a_resource_does_not_have_are_405(archive: Running) -> None:
    response = await archive.client.request("PUT", SERIES)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert (await archive.client.post(SERIES)).status_code == 405


async def test_metadata_in_xml(archive: Running) -> None:
    response = await archive.client.get(
        f"{SERIES}/metadata", headers={"accept": related("application/dicom+xml")}
    )
    parts = parts_of(response)
    assert len(parts) == 3
    assert 'keyword="PatientName"' in parts[0][1].decode()
    assert "bulkdata/7FE00010" in parts[0][1].decode()


async def test_metadata_of_a_study_holds_all_its_series(archive: Running) -> None:
    headers = (await archive.client.get("/studies/1.2.3.1/metadata")).json()
    assert {header["00080018"]["Value"][0] for header in headers} == {NATIVE, IN_RLE, IN_JLS}


async def test_every_answer_has_a_request_id(archive: Running) -> None:
    own = await archive.client.get("/studies", headers={"x-request-id": "mine-1"})
    assert own.headers["x-request-id"] == "mine-1"
    odd = await archive.client.get("/nothing", headers={"x-request-id": "a b"})
    another = await archive.client.get("/nothing")
    made = {odd.headers["x-request-id"], another.headers["x-request-id"]}
    assert len(made) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{8,64}", one) for one in made)


async def test_a_host_that_could_break_json_is_refused(archive: Running) -> None:
    response = await archive.client.get(f"{SERIES}/metadata", headers={"host": 'a"b'})
    assert response.status_code == 400


async def test_a_header_over_the_limit_is_431(archive: Running) -> None:
    response = await archive.client.get("/studies", headers={"x-much": "x" * 70_000})
    assert response.status_code in {400, 431}


async def test_probes(archive: Running) -> None:
    root = archive.url.removesuffix("/dicom-web")
    for name, text in (("healthz", "ok\n"), ("readyz", "ready\n")):
        response = await archive.client.get(f"{root}/{name}")
        assert (response.status_code, response.text) == (200, text)


async def test_a_hidden_instance_is_nowhere(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        await archive.store(make_instance("1.2.3.4.1"), make_instance("1.2.3.4.2"))
        await archive.store(
            make_instance("1.2.3.4.1", PatientComments="newcomer"), make_instance("1.2.3.4.3")
        )
        rows = (await archive.client.get(f"{SERIES}/instances")).json()
        assert [row["00080018"]["Value"][0] for row in rows] == [
            "1.2.3.4.1",
            "1.2.3.4.2",
            "1.2.3.4.3",
        ]
        headers = (await archive.client.get(f"{SERIES}/metadata")).json()
        assert len(headers) == 3
        assert not any("00104000" in header for header in headers)
        parts = parts_of(await archive.client.get(SERIES))
        assert len(parts) == 3
        assert not any(b"newcomer" in content for _, content in parts)


async def test_a_pack_that_is_gone_breaks_off_or_says_so(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        await archive.store(make_instance("1.2.3.4.1"))
        async for found in archive.objects.list("packs/"):
            await archive.objects.delete(found.key)
        response = await archive.client.get(f"{SERIES}/instances/1.2.3.4.1")
        assert response.status_code == 404


async def test_many_readers_of_one_cold_pack_read_its_table_once(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        await archive.store(make_instance("1.2.3.4.1"))
        url = f"{SERIES}/instances/1.2.3.4.1"
        answers = await asyncio.gather(*(archive.client.get(url) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}


async def test_the_samples_are_what_they_should_be() -> None:
    for sop, syntax in ((NATIVE, EXPLICIT_LE), (IN_RLE, RLE), (IN_JLS, JLS)):
        dataset: Dataset = pydicom.dcmread(BytesIO(FILES[sop]))
        assert dataset.file_meta.TransferSyntaxUID == syntax
