"""STOW-RS with metadata and bulk data: what one archive gives, another takes (PS3.18 10.5)."""

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import orjson
import pydicom
import pydicom.data
import pydicom.encaps
import pytest
from dicomweb_archive import BOUNDARY, Running, parts_of, served

from dicom_differences import differences
from dicomweb_samples import make_instance
from pacs_cloud.dicomweb.app import HttpOptions

OCTETS = "application/octet-stream"
XML = "application/dicom+xml"
JSON = "application/dicom+json"
ANY_PARTS = 'multipart/related; type="*/*"; transfer-syntax=*'
Part = tuple[str, str, bytes]
"""Content-Type, Content-Location and content."""

UIDS: dict[str, Any] = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4.1"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3.1"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.1.1"]},
}


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


def body_of(*parts: Part) -> bytes:
    pieces = []
    for kind, location, content in parts:
        lines = [f"--{BOUNDARY}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"Content-Location: {location}"] if location else []
        pieces += ["\r\n".join([*lines, "", ""]).encode(), content, b"\r\n"]
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


async def post(
    archive: Running, *parts: Part, form: str = JSON, study: str = "", **headers: str
) -> Any:
    return await archive.client.post(
        f"/studies{'/' + study if study else ''}",
        content=body_of(*parts),
        headers={
            "content-type": f'multipart/related; type="{form}"; boundary={BOUNDARY}',
            **headers,
        },
    )


def metadata(*instances: Mapping[str, Any]) -> Part:
    return JSON, "", orjson.dumps([{**UIDS, **instance} for instance in instances])


def uris_in(elements: Mapping[str, Any]) -> Iterator[str]:
    for element in elements.values():
        if uri := element.get("BulkDataURI"):
            yield uri
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                yield from uris_in(item)


async def bulk_parts(archive: Running, elements: Mapping[str, Any]) -> list[Part]:
    """Return all bulk data of an instance, in the parts that the archive gives."""
    parts: list[Part] = []
    for uri in uris_in(elements):
        response = await archive.client.get(uri, headers={"accept": ANY_PARTS})
        assert response.status_code == 200, response.text
        parts += [(kind, uri, content) for kind, content in parts_of(response)]
    return parts


async def sent_on(source: Running, target: Running, url: str, form: str) -> Any:
    """Send an instance from one archive to the other as metadata and bulk data."""
    response = await source.client.get(f"{url}/metadata")
    (elements,) = response.json()
    bulk = await bulk_parts(source, elements)
    if form == XML:
        accept = f'multipart/related; type="{XML}"'
        response = await source.client.get(f"{url}/metadata", headers={"accept": accept})
        ((_, document),) = parts_of(response)
    else:
        document = response.content
    stored = await post(target, (form, "", document), *bulk, form=form)
    return elements, stored


def without_empty_components(elements: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header with names as XML has them: it has no place for `^` at their end."""
    found: dict[str, Any] = {}
    for tag, element in elements.items():
        values = element.get("Value", [])
        if element["vr"] == "PN":
            names = [{key: name.rstrip("^") for key, name in value.items()} for value in values]
            values = [{key: name for key, name in one.items() if name} for one in names]
        elif element["vr"] == "SQ":
            values = [without_empty_components(item or {}) for item in values]
        kept = {key: value for key, value in element.items() if key != "Value"}
        is_empty = values == [] or (element["vr"] == "PN" and not any(values))
        found[tag] = {**kept, "Value": values} if not is_empty or element["vr"] == "SQ" else kept
    return found


def part10_files(real_data: Path) -> list[Path]:
    bundled = Path(pydicom.data.__file__).parent
    files = sorted([*bundled.rglob("*"), *real_data.rglob("*1.dcm"), *real_data.glob("single/*")])
    return [path for path in files if path.is_file() and path.read_bytes()[128:132] == b"DICM"]


@pytest.mark.parametrize("form", [JSON, XML])
async def test_what_one_archive_gives_another_takes(
    tmp_path: Path, real_data: Path, form: str
) -> None:
    compared = 0
    async with served(tmp_path / "a") as source, served(tmp_path / "b") as target:
        for path in part10_files(real_data):
            given = await source.store(path.read_bytes())
            if given.status_code != 200:
                continue
            url = given.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
            elements, stored = await sent_on(source, target, url, form)
            assert stored.status_code == 200, (path.name, stored.text)
            copy = url.replace(source.url, target.url)
            (found,) = (await target.client.get(f"{copy}/metadata")).json()
            if form == XML:
                elements = without_empty_components(elements)
            assert differences(elements, found) == [], path.name
            for one, other in zip(
                await bulk_parts(source, elements), await bulk_parts(target, found), strict=True
            ):
                assert one[0] == other[0], path.name
                assert other[2] in {one[2], one[2] + b"\0"}, path.name
            compared += 1
    assert compared > 60


PIXELS = {
    "00280002": {"vr": "US", "Value": [1]},
    "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
    "00280010": {"vr": "US", "Value": [2]},
    "00280011": {"vr": "US", "Value": [4]},
    "00280100": {"vr": "US", "Value": [8]},
    "00280101": {"vr": "US", "Value": [8]},
    "00280102": {"vr": "US", "Value": [7]},
    "00280103": {"vr": "US", "Value": [0]},
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/pixels"},
}
INSTANCE = "/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.1"


async def stored_file(archive: Running, sop: str = "1.2.3.4.1") -> pydicom.Dataset:
    response = await archive.client.get(
        INSTANCE.replace("1.2.3.4.1", sop),
        headers={"accept": "application/dicom; transfer-syntax=*"},
    )
    assert response.status_code == 200, response.text
    return pydicom.dcmread(BytesIO(response.content))


def failures(response: Any) -> dict[str, int]:
    return {
        item["00081155"]["Value"][0]: item["00081197"]["Value"][0]
        for item in response.json().get("00081198", {}).get("Value", ())
    }


def other_failures(response: Any) -> list[int]:
    items = response.json().get("0008119A", {}).get("Value", ())
    return [item["00081197"]["Value"][0] for item in items]


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("bulk/pixels", "bulk/pixels"),
        ("bulk/pixels", "/dicom-web/bulk/pixels"),
        ("ROOT/bulk/pixels", "bulk/pixels"),
        ("bulk/pixels", "ROOT/bulk/pixels"),
        ("jpeg-image", "jpeg-image"),
        ("urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427",) * 2,
        ("cid:part1@example.org", "cid:part1@example.org"),
        ("http://[broken", "http://[broken"),
        ("?id=7&part=a%2Fb", "?id=7&part=a%2Fb"),
        ("bulk/pixels", "<bulk/pixels>"),
    ],
)
async def test_locations_and_uris_meet(archive: Running, uri: str, location: str) -> None:
    uri, location = uri.replace("ROOT", archive.url), location.replace("ROOT", archive.url)
    pixels = {**PIXELS, "7FE00010": {"vr": "OB", "BulkDataURI": uri}}
    response = await post(
        archive, metadata(pixels), ("application/octet-stream", location, b"12345678")
    )
    assert response.status_code == 200, response.text
    assert (await stored_file(archive)).PixelData == b"12345678"


async def test_bulk_data_may_come_before_its_metadata_and_serve_twice(archive: Running) -> None:
    second = {**PIXELS, "00080018": {"vr": "UI", "Value": ["1.2.3.4.2"]}}
    response = await post(archive, ("", "bulk/pixels", b"12345678"), metadata(PIXELS, second))
    assert response.status_code == 200, response.text
    for sop in ("1.2.3.4.1", "1.2.3.4.2"):
        assert (await stored_file(archive, sop)).PixelData == b"12345678"


async def test_bulk_data_may_not_serve_without_end(tmp_path: Path) -> None:
    bulk: Part = (OCTETS, "bulk", bytes(30_000))
    made = [
        {
            "00080018": {"vr": "UI", "Value": [f"1.2.3.4.{number}"]},
            "00091010": {"vr": "OB", "BulkDataURI": "bulk"},
        }
        for number in range(5)
    ]
    async with served(tmp_path, options=HttpOptions(max_body_bytes=100_000)) as archive:
        response = await post(archive, metadata(*made), bulk)
        assert response.status_code == 202
        assert len(response.json()["00081199"]["Value"]) == 3
        assert len(other_failures(response)) == 2


async def test_missing_bulk_data_fails_its_instance_alone(archive: Running) -> None:
    other = {
        **PIXELS,
        "00080018": {"vr": "UI", "Value": ["1.2.3.4.2"]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/lost"},
    }
    response = await post(archive, metadata(other, PIXELS), ("", "bulk/pixels", b"12345678"))
    assert response.status_code == 202
    assert failures(response) == {"1.2.3.4.2": 0xC000}
    assert [item["00081155"]["Value"] for item in response.json()["00081199"]["Value"]] == [
        ["1.2.3.4.1"]
    ]
    assert (await archive.client.get(INSTANCE.replace("4.1", "4.2"))).status_code == 404


async def test_bulk_data_on_other_servers_is_not_fetched(archive: Running) -> None:
    await archive.store(make_instance("1.2.3.4.9"))
    elsewhere = (
        f"{archive.url}/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.9/bulkdata/7FE00010"
    )
    pixels = {**PIXELS, "7FE00010": {"vr": "OW", "BulkDataURI": elsewhere}}
    response = await post(archive, metadata(pixels))
    assert response.status_code == 409
    assert failures(response) == {"1.2.3.4.1": 0xC000}


async def test_bulk_data_that_nothing_refers_to_is_told(archive: Running) -> None:
    response = await post(
        archive, metadata(PIXELS), ("", "bulk/pixels", b"12345678"), ("", "bulk/what", b"x")
    )
    assert response.status_code == 202
    assert other_failures(response) == [0xC000]
    assert (await stored_file(archive)).PixelData == b"12345678"


async def test_the_study_of_the_path_counts(archive: Running) -> None:
    response = await post(
        archive, metadata(PIXELS), ("", "bulk/pixels", b"12345678"), study="1.2.9"
    )
    # Its relative URIs are relative to that study's resource, in metadata and bulk data alike.
    assert response.status_code == 409
    assert failures(response) == {"1.2.3.4.1": 0xA900}


async def test_the_same_again_is_success(archive: Running) -> None:
    for _ in range(2):
        response = await post(archive, metadata(PIXELS), ("", "bulk/pixels", b"12345678"))
        assert response.status_code == 200
        assert "00081198" not in response.json()
    changed = await post(archive, metadata(PIXELS), ("", "bulk/pixels", b"87654321"))
    assert changed.status_code == 202
    assert failures(changed) == {"1.2.3.4.1": 0x0111}


async def test_metadata_alone_is_taken_without_multipart(archive: Running) -> None:
    document = orjson.dumps({**UIDS, "00091001": {"vr": "OB", "InlineBinary": "AAEC/w=="}})
    response = await archive.client.post(
        "/studies", content=document, headers={"content-type": "application/dicom+json"}
    )
    assert response.status_code == 200, response.text
    assert (await stored_file(archive))[0x00091001].value == base64.b64decode("AAEC/w==")


async def test_both_forms_in_one_body(archive: Running) -> None:
    response = await post(
        archive,
        metadata(PIXELS),
        ("application/dicom", "", make_instance("1.2.3.4.7")),
        ("application/octet-stream", "bulk/pixels", b"12345678"),
    )
    assert response.status_code == 200, response.text
    assert len(response.json()["00081199"]["Value"]) == 2


def compressed(name: str, real_data: Path) -> tuple[bytes, pydicom.Dataset]:
    """Return the frame of a compressed file of pydicom's or of the real ones, and the file."""
    folders = (Path(pydicom.data.__file__).parent, real_data)
    path = next(path for folder in folders for path in folder.rglob(name))
    dataset = pydicom.dcmread(path)
    (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    return frame, dataset


IMAGE_PIXEL = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation"),
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SC_rgb_small_odd_jpeg.dcm", "image/jpeg"),
        ("JPEG-LL.dcm", "image/jpeg"),
        ("JPGExtended.dcm", "image/jpeg"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("MR_small_jp2klossless.dcm", "image/jp2"),
        ("HTJ2KLossless_08_RGB.dcm", "image/jphc"),
    ],
)
async def test_an_image_by_its_media_type_alone(
    archive: Running, real_data: Path, name: str, kind: str
) -> None:
    frame, given = compressed(name, real_data)
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "image"}}
    response = await post(archive, metadata(pixels), (kind, "image", frame))
    assert response.status_code == 200, response.text
    found = await stored_file(archive)
    assert found.file_meta.TransferSyntaxUID == given.file_meta.TransferSyntaxUID
    for keyword in IMAGE_PIXEL:
        # JPEG cannot say if it has a sign; the HTJ2K file says RGB, where YBR_RCT is right.
        is_unsure = keyword == "PixelRepresentation" or kind == "image/jphc"
        if not is_unsure or keyword in {"Rows", "Columns", "BitsStored"}:
            assert found[keyword].value == given[keyword].value, keyword
    (kept,) = pydicom.encaps.generate_frames(found.PixelData, number_of_frames=1)
    assert kept == frame


GREY = np.arange(24, dtype="u1").reshape(4, 6) * 10
COLOUR = np.dstack([GREY, GREY[::-1], GREY.T.reshape(4, 6)])


@pytest.mark.parametrize(
    ("kind", "image", "expected"),
    [
        ("image/png", imagecodecs.png_encode(GREY), GREY),
        ("image/png", imagecodecs.png_encode(GREY.astype("u2") * 257), GREY.astype("u2") * 257),
        ("image/png", imagecodecs.png_encode(COLOUR), COLOUR),
        ("image/png", imagecodecs.png_encode(np.dstack([COLOUR, GREY])), COLOUR),
        ("image/gif", imagecodecs.gif_encode(GREY), np.dstack([GREY] * 3)),
        ("image/gif", imagecodecs.gif_encode(np.stack([GREY, GREY[::-1]])), None),
    ],
)
async def test_images_without_a_transfer_syntax_are_decoded(
    archive: Running, kind: str, image: bytes, expected: np.ndarray | None
) -> None:
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "image"}}
    response = await post(archive, metadata(pixels), (kind, "image", image))
    assert response.status_code == 200, response.text
    found = await stored_file(archive)
    if expected is None:
        assert found.NumberOfFrames == 2
        expected = np.stack([np.dstack([one] * 3) for one in (GREY, GREY[::-1])])
    assert found.PhotometricInterpretation == ("RGB" if expected.ndim > 2 else "MONOCHROME2")
    assert np.array_equal(found.pixel_array, expected)


async def test_frames_of_one_value_in_order(archive: Running) -> None:
    frames = [b"\xff\xd8 first", b"\xff\xd8 the second", b"\xff\xd8 third."]
    syntax = "1.2.840.10008.1.2.4.50"
    several = {**PIXELS, "00280008": {"vr": "IS", "Value": [3]}}
    kind = f"image/jpeg; transfer-syntax={syntax}"
    same = await post(
        archive, metadata(several), *[(kind, "bulk/pixels", frame) for frame in frames]
    )
    assert same.status_code == 200, same.text
    numbered = {**several, "00080018": {"vr": "UI", "Value": ["1.2.3.4.2"]}}
    parts = [(kind, f"bulk/pixels/frames/{n}", frames[n - 1]) for n in (3, 1, 2)]
    by_number = await post(archive, metadata(numbered), *parts)
    assert by_number.status_code == 200, by_number.text
    for sop in ("1.2.3.4.1", "1.2.3.4.2"):
        file = await stored_file(archive, sop)
        assert file.file_meta.TransferSyntaxUID == syntax
        found = pydicom.encaps.generate_frames(file.PixelData, number_of_frames=3)
        assert [one.rstrip(b"\0") for one in found] == frames


async def test_a_multipart_within_the_multipart(archive: Running) -> None:
    inner = b"".join(
        b"--in\r\nContent-Type: image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50\r\n\r\n%b\r\n"
        % frame
        for frame in (b"one!", b"two!")
    )
    several = {**PIXELS, "00280008": {"vr": "IS", "Value": [2]}}
    nested = ('multipart/related; type="image/jpeg"; boundary=in', "bulk/pixels", inner + b"--in--")
    response = await post(archive, metadata(several), nested)
    assert response.status_code == 200, response.text
    file = await stored_file(archive)
    assert list(pydicom.encaps.generate_frames(file.PixelData, number_of_frames=2)) == [
        b"one!",
        b"two!",
    ]


@pytest.mark.parametrize(
    ("kind", "declared", "more"),
    [
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.5", "", {}),
        ("image/dicom-rle; transfer-syntax=*", "; transfer-syntax=*", {}),
        ("application/octet-stream", "; transfer-syntax=1.2.840.10008.1.2.5", {}),
        ("application/octet-stream", "", {"00020010": "1.2.840.10008.1.2.5"}),
        ("application/octet-stream", "", {"00083002": "1.2.840.10008.1.2.5"}),
        ("image/dicom-rle", "", {}),
        ("image/x-dicom-rle", "", {}),
    ],
)
async def test_where_the_transfer_syntax_may_be_said(
    archive: Running, kind: str, declared: str, more: dict[str, str]
) -> None:
    said = {tag: {"vr": "UI", "Value": [value]} for tag, value in more.items()}
    _, _, document = metadata({**PIXELS, **said})
    response = await post(
        archive, (JSON + declared, "", document), (kind, "bulk/pixels", b"\1\0\0\0 an rle frame")
    )
    assert response.status_code == 200, response.text
    assert (await stored_file(archive)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"


async def test_a_jpeg_2000_file_loses_its_boxes(archive: Running) -> None:
    file = imagecodecs.jpeg2k_encode(GREY, codecformat="jp2", reversible=True, level=0)
    assert file[4:8] == b"jP  "
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "image"}}
    response = await post(archive, metadata(pixels), ("image/jp2", "image", file))
    assert response.status_code == 200, response.text
    found = await stored_file(archive)
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
    (frame,) = pydicom.encaps.generate_frames(found.PixelData, number_of_frames=1)
    assert frame.startswith(b"\xff\x4f\xff\x51")
    assert frame.rstrip(b"\0") in file
    assert np.array_equal(found.pixel_array, GREY)


async def test_frames_in_different_syntaxes_are_refused(archive: Running) -> None:
    several = {**PIXELS, "00280008": {"vr": "IS", "Value": [2]}}
    for location in ("bulk/pixels", "bulk/pixels/frames/{}"):
        response = await post(
            archive,
            metadata(several),
            ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", location.format(1), b"one"),
            ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70", location.format(2), b"two"),
        )
        assert response.status_code == 409
        assert failures(response) == {"1.2.3.4.1": 0xC000}


async def test_plain_pixels_are_plain_whatever_syntaxes_are_available(archive: Running) -> None:
    said = {"00083002": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]}}
    response = await post(
        archive, metadata({**PIXELS, **said}), (OCTETS, "bulk/pixels", b"12345678")
    )
    assert response.status_code == 200, response.text
    file = await stored_file(archive)
    assert file.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert file.PixelData == b"12345678"


@pytest.mark.parametrize(
    ("kind", "frames", "wanted", "reason"),
    [
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", [b"one", b"two"], 3, 0xC000),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", [b"one", b"two"], 1, 0xC000),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", [b""], 1, 0xC000),
        ("image/jpeg", [b"no codestream"], 1, 0xC122),
        ("image/png", [b"no image"], 1, 0xC000),
        ("video/mp4", [b"no video"], 1, 0xC122),
        ("text/html", [b"<p>"], 1, 0xC122),
    ],
)
async def test_pixel_data_that_cannot_be_taken(
    archive: Running, kind: str, frames: list[bytes], wanted: int, reason: int
) -> None:
    several = {**PIXELS, "00280008": {"vr": "IS", "Value": [wanted]}}
    response = await post(
        archive, metadata(several), *[(kind, "bulk/pixels", frame) for frame in frames]
    )
    assert response.status_code == 409
    assert failures(response) == {"1.2.3.4.1": reason}


async def test_a_document_keeps_its_bytes(archive: Running) -> None:
    document = b"%PDF-1.7\r\n--a-boundary-not\r\n\x00" * 100
    pdf = {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.104.1"]},
        "00420011": {"vr": "OB", "BulkDataURI": "doc.pdf"},
        "00420012": {"vr": "LO", "Value": ["application/pdf"]},
    }
    response = await post(archive, metadata(pdf), ("application/pdf", "doc.pdf", document))
    assert response.status_code == 200, response.text
    back = await archive.client.get(f"{INSTANCE}/bulkdata/00420011", headers={"accept": "*/*"})
    assert document in back.content
    assert (await stored_file(archive)).EncapsulatedDocument.rstrip(b"\0") == document.rstrip(b"\0")


XML_HEAD = (
    '<?xml version="1.0"?><NativeDicomModel>'
    '<DicomAttribute tag="00080016" vr="UI"><Value number="1">1.2.840.10008.5.1.4.1.1.7</Value>'
    '</DicomAttribute><DicomAttribute tag="00080018" vr="UI"><Value number="1">{sop}</Value>'
    '</DicomAttribute><DicomAttribute tag="0020000D" vr="UI"><Value number="1">1.2.3.1</Value>'
    '</DicomAttribute><DicomAttribute tag="0020000E" vr="UI"><Value number="1">1.2.3.1.1</Value>'
    "</DicomAttribute>"
)


async def test_xml_brings_one_instance_a_part(archive: Running) -> None:
    parts = []
    for sop in ("1.2.3.4.1", "1.2.3.4.2"):
        bulk = f'<DicomAttribute tag="00091001" vr="OB"><BulkData uri="{sop}"/></DicomAttribute>'
        document = f"{XML_HEAD.format(sop=sop)}{bulk}</NativeDicomModel>"
        parts += [(XML, "", document.encode()), ("application/octet-stream", sop, sop.encode())]
    response = await post(archive, *parts, form=XML, accept=XML)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == XML
    for sop in ("1.2.3.4.1", "1.2.3.4.2"):
        assert (await stored_file(archive, sop))[0x00091001].value.rstrip(b"\0") == sop.encode()


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'


@pytest.mark.parametrize(
    ("form", "document", "status"),
    [
        (JSON, b"", 400),
        (JSON, b"[]", 400),
        (JSON, b"null", 400),
        (JSON, b"[1]", 400),
        (JSON, b'["text"]', 400),
        (JSON, b"[{}", 400),
        (JSON, b"[{}] x", 400),
        (JSON, b"[{},]", 400),
        (JSON, b"[{} {}]", 400),
        (JSON, b'[{"a]', 400),
        (JSON, b"[" * 100_000, 400),
        (JSON, b'[{"a":' * 100_000, 400),
        (JSON, b'["' + b'\\"' * 1_000_000, 400),
        (JSON, b"[{}]", 409),
        (JSON, b"[{1}]", 409),
        (JSON, b'[{"a":\xff}]', 409),
        (JSON, b'[{"00100020":{"vr":"LO","Value":[NaN]}}]', 409),
        (JSON, b'[{"00100020":{"vr":"LO","Value":[' + b"1," * 4_000_000 + b"1]}}]", 409),
        (JSON, b'[{"00100020":{"vr":"LO","Value":["' + b"x" * (33 << 20) + b'"]}}]', 413),
        (XML, b"", 400),
        (XML, b"<html/>", 400),
        (XML, (ENTITIES + XML_HEAD[21:] + "</NativeDicomModel>").encode(), 400),
        (XML, b"<NativeDicomModel/>", 409),
    ],
)
async def test_hostile_metadata(archive: Running, form: str, document: bytes, status: int) -> None:
    response = await post(archive, (form, "", document), ("", "bulk/pixels", b"1"), form=form)
    assert response.status_code == status, response.text
    assert (await archive.client.get("/studies")).status_code == 204


async def test_a_body_that_is_cut_stores_nothing_of_its_metadata(archive: Running) -> None:
    body = body_of(metadata(PIXELS), ("", "bulk/pixels", b"12345678"))[:-30]
    kind = f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'
    response = await archive.client.post("/studies", content=body, headers={"content-type": kind})
    assert response.status_code == 400
    assert (await archive.client.get("/studies")).status_code == 204


@pytest.mark.parametrize("evil", ["../../../etc/passwd", "1.2/3", "1.2.3.4\\5", "1" * 65, ""])
async def test_uids_that_are_no_paths(archive: Running, evil: str) -> None:
    for tag in ("00080018", "0020000D", "0020000E"):
        response = await post(archive, metadata({tag: {"vr": "UI", "Value": [evil]}}))
        assert response.status_code == 409, response.text
        assert evil == "" or evil not in response.text
    assert (await archive.client.get("/studies")).status_code == 204


async def test_nothing_stays_on_disk(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        body = body_of(metadata(PIXELS), ("", "bulk/pixels", bytes(5 << 20)))
        for cut in (len(body), len(body) // 2):
            await archive.client.post(
                "/studies",
                content=body[:cut],
                headers={"content-type": f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'},
            )
        await archive.services.intake.drained()
        spool = tmp_path / "spool"
        left = [path.name for path in spool.rglob("*") if path.is_file()]
        assert left == ["lock"]
        deleted = [
            str(link)
            for link in Path("/proc/self/fd").iterdir()
            if _is_in(link, spool, "(deleted)")
        ]
        assert deleted == []


def _is_in(link: Path, folder: Path, ending: str) -> bool:
    try:
        target = str(link.readlink())
    except OSError:
        return False
    return target.startswith(str(folder)) and target.endswith(ending)
