"""STOW-RS: every status, and the response that says why (PS3.18 10.5)."""

import asyncio
import gzip
import xml.etree.ElementTree as ET
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pydicom
import pytest
from dicomweb_archive import BOUNDARY, Running, multipart, served
from dicomweb_client import DICOMwebClient

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.dicomweb.app import HttpOptions
from patience import PATIENCE_S

CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


async def test_all_stored_is_200_and_names_where(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), make_instance("1.2.3.4.2"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    body = response.json()
    assert body["00081190"]["Value"] == [f"{archive.url}/studies/1.2.3.1"]
    assert [item["00081155"]["Value"][0] for item in body["00081199"]["Value"]] == [
        "1.2.3.4.1",
        "1.2.3.4.2",
    ]
    assert "00081198" not in body
    assert "0008119A" not in body
    url = body["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert (await archive.client.get(url)).status_code == 200


async def test_an_equal_instance_again_is_success(archive: Running) -> None:
    await archive.store(make_instance("1.2.3.4.1"))
    again = await archive.store(make_instance("1.2.3.4.1"))
    assert again.status_code == 200
    assert "00081198" not in again.json()
    rows = (await archive.client.get("/instances")).json()
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("policy", "status", "shown"),
    [
        (ConflictPolicy.KEEP_FIRST, 202, "Doe^Jane"),
        (ConflictPolicy.QUARANTINE, 202, "Doe^Jane"),
        (ConflictPolicy.REPLACE, 202, "Doe^John"),
    ],
)
async def test_other_content_under_a_known_uid_follows_the_policy(
    tmp_path: Path, policy: ConflictPolicy, status: int, shown: str
) -> None:
    async with served(tmp_path, policy=policy) as archive:
        await archive.store(make_instance("1.2.3.4.1"))
        response = await archive.store(make_instance("1.2.3.4.1", PatientName="Doe^John"))
        assert response.status_code == status
        body = response.json()
        if shown == "Doe^Jane":
            (failed,) = body["00081198"]["Value"]
            assert failed["00081155"]["Value"] == ["1.2.3.4.1"]
            assert failed["00081197"]["Value"] == [0x0111]
            assert "00081199" not in body
        else:
            (referenced,) = body["00081199"]["Value"]
            assert referenced["00081196"]["Value"] == [0xB000]
        (header,) = (await archive.client.get("/studies/1.2.3.1/metadata")).json()
        assert header["00100010"]["Value"] == [{"Alphabetic": shown}]


async def test_good_and_bad_parts_are_202_with_reasons(archive: Running) -> None:
    good = make_instance("1.2.3.4.1")
    other_study = make_instance("1.2.3.4.2", study="1.2.9")
    cut = make_instance("1.2.3.4.3")[:-5]
    response = await archive.store(good, other_study, cut, b"no DICOM", study="1.2.3.1")
    assert response.status_code == 202
    body = response.json()
    assert [item["00081155"]["Value"][0] for item in body["00081199"]["Value"]] == ["1.2.3.4.1"]
    reasons = {
        item["00081155"]["Value"][0]: item["00081197"]["Value"][0]
        for item in body["00081198"]["Value"]
    }
    assert reasons == {"1.2.3.4.2": 0xA900, "1.2.3.4.3": 0xC000}
    assert body["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert (await archive.client.get("/studies/1.2.9")).status_code == 404


async def test_none_stored_is_409(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), study="1.2.9")
    assert response.status_code == 409
    assert "00081199" not in response.json()
    assert response.json()["00081190"] == {"vr": "UR"}


async def test_instances_of_several_studies_have_no_one_url(archive: Running) -> None:
    response = await archive.store(
        make_instance("1.2.3.4.1"), make_instance("1.2.9.1", study="1.2.9", series="1.2.9.1")
    )
    assert response.status_code == 200
    # Of type 2 (PS3.18 Table I.1-1): there, but empty.
    assert response.json()["00081190"] == {"vr": "UR"}


async def test_one_uid_with_two_contents_in_a_body_is_stored_and_refused(archive: Running) -> None:
    response = await archive.store(
        make_instance("1.2.3.4.1"),
        make_instance("1.2.3.4.1"),
        make_instance("1.2.3.4.1", PatientName="Doe^John"),
    )
    assert response.status_code == 202
    body = response.json()
    (stored,), (failed,) = body["00081199"]["Value"], body["00081198"]["Value"]
    assert stored["00081155"]["Value"] == failed["00081155"]["Value"] == ["1.2.3.4.1"]
    assert failed["00081197"]["Value"] == [0x0111]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/dicom", b"", 400),
        ("image/jpeg", b"x", 415),
        ('multipart/related; type="image/jpeg"; boundary=b', b"--b--\r\n", 415),
        ("text/plain", b"x", 415),
        ('multipart/related; type="application/dicom+json"; boundary=b', b"--b--\r\n", 400),
        ('multipart/related; type="application/dicom"', b"", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"--b--\r\n", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"--b\r\n\r\nx", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"--b\n\nx\n--b--\n", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"--b\r\nno colon\r\n\r\n", 400),
        (
            "multipart/related; type=application/dicom; boundary=b",
            b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
            415,
        ),
        ("not a type", b"", 400),
    ],
)
async def test_bodies_that_are_not_understood(
    archive: Running, content_type: str, body: bytes, status: int
) -> None:
    response = await archive.client.post(
        "/studies", content=body, headers={"content-type": content_type}
    )
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


async def test_a_body_without_a_content_type_is_415(archive: Running) -> None:
    assert (await archive.client.post("/studies", content=b"x")).status_code == 415


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip, gzip"])
async def test_a_coding_that_is_not_taken_is_415(archive: Running, coding: str) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), **{"content-encoding": coding})
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_an_encoded_body_is_taken(
    archive: Running, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    response = await archive.client.post(
        "/studies",
        content=encode(multipart(make_instance("1.2.3.4.1", rows=300))),
        headers={"content-type": CONTENT_TYPE, "content-encoding": coding},
    )
    assert response.status_code == 200
    assert len((await archive.client.get("/instances")).json()) == 1


async def test_a_body_that_is_not_encoded_as_it_says_is_400(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), **{"content-encoding": "gzip"})
    assert response.status_code == 400


async def test_one_instance_alone_is_taken(archive: Running) -> None:
    response = await archive.client.post(
        "/studies",
        content=make_instance("1.2.3.4.1"),
        headers={"content-type": "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"},
    )
    assert response.status_code == 200, response.text
    (stored,) = response.json()["00081199"]["Value"]
    assert stored["00081155"]["Value"] == ["1.2.3.4.1"]
    assert response.headers["location"] == f"{archive.url}/studies/1.2.3.1"


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/related; type=application/dicom; boundary=a-boundary",
        'multipart/related; boundary="a-boundary"; type="application/dicom"; charset=utf-8',
        'Multipart/Related;boundary=a-boundary;type="application/dicom";transfer-syntax=1.2',
        "multipart/related; boundary=a-boundary",
    ],
)
async def test_content_types_as_clients_write_them(archive: Running, content_type: str) -> None:
    body = b"a preamble\r\n" + multipart(make_instance("1.2.3.4.1")) + b"an epilogue"
    body = body.replace(b"Content-Type: application/dicom\r\n", b"")
    response = await archive.client.post(
        "/studies", content=body, headers={"content-type": content_type}
    )
    assert response.status_code == 200, response.text


async def test_what_came_before_a_cut_is_stored_and_said(archive: Running) -> None:
    body = multipart(make_instance("1.2.3.4.1"), make_instance("1.2.3.4.2"))[:-600]
    response = await archive.client.post(
        "/studies", content=body, headers={"content-type": CONTENT_TYPE}
    )
    assert response.status_code == 202
    (stored,) = response.json()["00081199"]["Value"]
    assert stored["00081155"]["Value"] == ["1.2.3.4.1"]
    assert response.json()["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0x0110]}}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"--b\r\n" + b"X: y\r\n" * 1_000_000, 400),
        (b"--b\r\nX: " + b"y" * 1_000_000, 400),
        (b"x" * 1_000_000, 400),
        (b"\r\n--b\r\n" * 30_000 + b"--b--", 400),
        (b"--b\r\n\r\n\r\n" * 30_000 + b"--b--", 400),
        (b"--b\r\n\r\n--b\r\n\r\n--b--", 409),
        (b"--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c--\r\n--b--", 400),
        (b"--b\r\nContent-Type: multipart/related\r\n\r\nx\r\n--b--", 400),
        (b"--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\n\r\n--b--", 400),
        (b"--b" + b" " * 9000 + b"\r\n\r\nx\r\n--b--", 400),
    ],
)
async def test_hostile_bodies(archive: Running, body: bytes, status: int) -> None:
    response = await archive.client.post(
        "/studies",
        content=body,
        headers={"content-type": "multipart/related; type=application/dicom; boundary=b"},
    )
    assert response.status_code == status, response.text[:1000]
    assert (await archive.client.get("/studies")).status_code == 204


async def test_what_looks_like_the_boundary_is_data(archive: Running) -> None:
    tricky = f"\r\n--{BOUNDARY}x\r\n--{BOUNDARY[:-1]}\r\n\r\n-{BOUNDARY}--\r\n--".encode()
    pixels = (tricky * 10).ljust(32 * 32 * 2, b"-")
    file = make_instance("1.2.3.4.1", rows=32, pixels=pixels)
    assert (await archive.store(file)).status_code == 200
    back = await archive.client.get(
        "/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.1",
        headers={"accept": "application/dicom; transfer-syntax=*"},
    )
    assert back.content == file


async def test_a_client_that_goes_away_leaves_nothing_open(archive: Running) -> None:
    host, port = archive.url.split("/")[2].split(":")
    head = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n\r\n"
    ).encode()
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + multipart(make_instance("1.2.3.4.1"), bytes(20 << 20))[:-1000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(PATIENCE_S):
        while (rows := await archive.client.get("/instances")).status_code != 200:
            await asyncio.sleep(0.05)
    assert [row["00080018"]["Value"] for row in rows.json()] == [["1.2.3.4.1"]]
    assert (await archive.store(make_instance("1.2.3.4.2"))).status_code == 200


async def test_a_bad_study_uid_is_400(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), study="1..2")
    assert response.status_code == 400


async def test_the_answer_comes_as_xml_when_that_is_asked_for(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), accept="application/dicom+xml")
    assert response.headers["content-type"] == "application/dicom+xml"
    model = ET.fromstring(response.content)
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    tags = [attribute.get("tag") for attribute in model]
    assert tags == ["00081190", "00081199"]
    assert model.find(f".//{space}DicomAttribute[@tag='00081155']/{space}Value").text == "1.2.3.4.1"


async def test_an_answer_nobody_accepts_is_406_and_stores_nothing(archive: Running) -> None:
    response = await archive.store(make_instance("1.2.3.4.1"), accept="text/html")
    assert response.status_code == 406
    assert (await archive.client.get("/studies")).status_code == 204


async def test_a_chunked_body_is_taken(archive: Running) -> None:
    body = multipart(make_instance("1.2.3.4.1", rows=600))

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1013):
            yield body[at : at + 1013]

    response = await archive.client.post(
        "/studies", content=chunks(), headers={"content-type": CONTENT_TYPE}
    )
    assert response.status_code == 200


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    async with served(tmp_path, options=HttpOptions(max_body_bytes=1000)) as archive:
        said = await archive.store(make_instance("1.2.3.4.1", rows=100))
        assert said.status_code == 413
        body = multipart(make_instance("1.2.3.4.1", rows=100))

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        found = await archive.client.post(
            "/studies", content=chunks(), headers={"content-type": CONTENT_TYPE}
        )
        assert found.status_code == 413


async def test_a_body_that_stops_is_408(tmp_path: Path) -> None:
    async with served(tmp_path, options=HttpOptions(body_idle_s=0.05)) as archive:
        host, port = archive.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n--b\r\n'
        )
        assert b" 408 " in await reader.readline()
        writer.close()


async def test_dicomweb_client_stores_and_retrieves(archive: Running) -> None:
    client = DICOMwebClient(archive.url)
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(make_instance("1.2.3.4.1")))

    def use() -> None:
        report = client.store_instances([dataset])
        assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.1"
        (study,) = client.search_for_studies(search_filters={"PatientID": "P1"})
        assert study["0020000D"]["Value"] == ["1.2.3.1"]
        assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
        (back,) = client.retrieve_series("1.2.3.1", "1.2.3.1.1")
        assert back == dataset
        alone = client.retrieve_instance("1.2.3.1", "1.2.3.1.1", "1.2.3.4.1")
        assert alone == dataset
        (frame,) = client.retrieve_instance_frames("1.2.3.1", "1.2.3.1.1", "1.2.3.4.1", [1])
        assert frame == dataset.PixelData
        (header,) = client.retrieve_series_metadata("1.2.3.1", "1.2.3.1.1")
        assert header["00080018"]["Value"] == ["1.2.3.4.1"]

    await asyncio.to_thread(use)
