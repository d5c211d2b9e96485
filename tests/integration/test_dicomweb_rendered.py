"""Rendered resources and thumbnails over HTTP (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.3.5, 8.7.4)."""

import io
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_archive import Running, parts_of, served
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

import presentation_samples as samples
from dicomweb_samples import make_instance
from rendering_samples import make_image, sequence_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PNG = {"accept": "image/png"}
JPEGS = {"accept": 'multipart/related; type="image/jpeg"'}


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


def opened(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)))


def file_of(dataset: Dataset, sop: str, **attributes: Any) -> bytes:
    """Return a made image as a Part 10 file of the study 1.2.3.1."""
    dataset.StudyInstanceUID = "1.2.3.1"
    dataset.SeriesInstanceUID = attributes.pop("series", "1.2.3.1.1")
    dataset.SOPInstanceUID = sop
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = sop
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


async def stored(archive: Running, *files: bytes) -> None:
    response = await archive.store(*files)
    assert response.status_code == 200, response.text


SERIES = "/studies/1.2.3.1/series/1.2.3.1.1"


def path_of(dataset: Dataset) -> str:
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


class TestRealData:
    async def test_every_image_is_rendered_in_its_size(
        self, archive: Running, real_data: Path
    ) -> None:
        rendered = 0
        for path in sorted((real_data / "single").glob("*.dcm")):
            if (await archive.store(path.read_bytes())).status_code != 200:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(path)
            has_pixels = any(
                tag in header for tag in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
            )
            response = await archive.client.get(f"{path_of(header)}/rendered", headers=PNG)
            if not has_pixels:
                assert response.status_code == 406, path.name
                continue
            assert response.status_code == 200, (path.name, response.text)
            shown = opened(response.content)
            assert shown.shape[:2] == (header.Rows, header.Columns), path.name
            assert shown.max() > shown.min(), path.name
            small = await archive.client.get(f"{path_of(header)}/thumbnail")
            assert small.headers["content-type"] == "image/jpeg"
            assert max(opened(small.content).shape[:2]) <= 256
            rendered += 1
        assert rendered >= 50

    async def test_grey_images_with_a_window_are_pydicoms(
        self, archive: Running, real_data: Path
    ) -> None:
        compared = 0
        for path in sorted(real_data.rglob("*.dcm")):
            if "malformed" in path.parts:
                continue
            header = pydicom.dcmread(path)
            is_grey = header.get("PhotometricInterpretation") == "MONOCHROME2"
            if (
                not is_grey
                or "WindowCenter" not in header
                or "PixelPaddingValue" in header
                or header.get("NumberOfFrames", 1) != 1
                or compared >= 30
            ):
                continue
            try:
                values = apply_modality_lut(header.pixel_array, header)
            except Exception:  # noqa: BLE001 - it is ours to decode more than pydicom does
                continue
            if (await archive.store(path.read_bytes())).status_code != 200:
                continue
            response = await archive.client.get(f"{path_of(header)}/rendered", headers=PNG)
            theirs = _spread(apply_voi_lut(values, header), header)
            ours = opened(response.content).astype(float)
            assert np.abs(ours - theirs).max() <= 1, path.name
            compared += 1
        assert compared >= 20

    async def test_a_jpeg_is_near_what_a_png_holds(self, archive: Running, real_data: Path) -> None:
        path = sorted((real_data / "series_CT_dcm_qa_ct").glob("*.dcm"))[5]
        await stored(archive, path.read_bytes())
        url = f"{path_of(pydicom.dcmread(path))}/rendered?window=40,400,linear"
        exact = opened((await archive.client.get(url, headers=PNG)).content).astype(int)
        errors = []
        for quality in (5, 60, 100):
            response = await archive.client.get(f"{url}&quality={quality}")
            assert response.headers["content-type"] == "image/jpeg"
            errors.append(float(np.abs(opened(response.content) - exact).mean()))
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 1


def _spread(values: np.ndarray, header: Dataset) -> np.ndarray:
    """pydicom spreads over the values that the stored bits can have."""
    if "VOILUTSequence" in header:
        return values / (2 ** header.VOILUTSequence[0].LUTDescriptor[2] - 1) * 255
    low = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
    high = low + 2**header.BitsStored - 1
    slope = float(header.get("RescaleSlope", 1))
    low, high = (end * slope + float(header.get("RescaleIntercept", 0)) for end in (low, high))
    return (values.astype(float) - low) / (high - low) * 255


class TestParameters:
    @pytest.fixture
    async def url(self, archive: Running) -> str:
        ramp = np.tile(np.arange(64, dtype=np.uint16) * 10, (32, 1))
        await stored(
            archive, file_of(make_image(ramp, Modality="CT", PatientID="P1"), "1.2.3.1.1.1")
        )
        return f"{SERIES}/instances/1.2.3.1.1.1/rendered"

    async def test_window(self, archive: Running, url: str) -> None:
        response = await archive.client.get(f"{url}?window=100,201,linear-exact", headers=PNG)
        row = opened(response.content)[0].astype(int)
        expected = np.clip((np.arange(64) * 10 - 100) / 201 + 0.5, 0, 1) * 255
        assert np.abs(row - expected).max() <= 0.51

    async def test_viewport(self, archive: Running, url: str) -> None:
        sizes = {
            "128,128": (64, 128),
            "20,5": (5, 10),
            "16,16,0,0,32,32": (16, 16),
            "100,100,32": (100, 100),
        }
        for viewport, shape in sizes.items():
            response = await archive.client.get(f"{url}?viewport={viewport}", headers=PNG)
            assert opened(response.content).shape == shape, viewport

    async def test_a_flipped_region(self, archive: Running, url: str) -> None:
        plain = opened((await archive.client.get(url, headers=PNG)).content)
        query = "viewport=64,32,,,-64,32"
        flipped = opened((await archive.client.get(f"{url}?{query}", headers=PNG)).content)
        assert np.array_equal(flipped, plain[:, ::-1])

    async def test_annotation(self, archive: Running, url: str) -> None:
        plain = await archive.client.get(url)
        written = await archive.client.get(f"{url}?annotation=technique")
        assert written.status_code == 200
        assert written.content != plain.content
        told = await archive.client.get(f"{url}?annotation=patient,weather")
        assert told.status_code == 200
        assert "not supported: weather" in told.headers["warning"]

    @pytest.mark.parametrize(
        "query",
        [
            "window=1,2",
            "window=1,2,cubic",
            "window=1,0,linear",
            "viewport=0,1",
            "viewport=100000,100000",
            "viewport=64,32,64,0",
            "quality=0",
            "quality=101",
            "quality=x",
            "annotation=",
            "iccprofile=x",
        ],
    )
    async def test_what_is_invalid_is_refused(self, archive: Running, url: str, query: str) -> None:
        response = await archive.client.get(f"{url}?{query}")
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"

    async def test_nothing_is_accepted(self, archive: Running, url: str) -> None:
        nothing = {"accept": "image/png;q=0"}
        response = await archive.client.get(f"{url}?iccprofile=yes", headers=nothing)
        assert response.status_code == 406

    async def test_a_gif_holds_no_profile(self, archive: Running, url: str) -> None:
        gif = {"accept": "image/gif"}
        assert (await archive.client.get(f"{url}?iccprofile=no", headers=gif)).status_code == 200
        for accept in ("image/gif", "image/webp, image/gif"):
            response = await archive.client.get(f"{url}?iccprofile=yes", headers={"accept": accept})
            assert response.status_code == 400

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            ("*/*", "image/jpeg"),
            ("image/*", "image/jpeg"),
            ("image/png;q=0.5, image/gif", "image/gif"),
            ("text/html, image/png;q=0.1", "image/png"),
            ("image/avif,image/webp,*/*;q=0.8", "image/jpeg"),
        ],
    )
    async def test_accept(self, archive: Running, url: str, accept: str, media_type: str) -> None:
        response = await archive.client.get(url, headers={"accept": accept})
        assert response.headers["content-type"] == media_type
        assert Image.open(io.BytesIO(response.content)).get_format_mimetype() == media_type

    async def test_accept_in_the_query(self, archive: Running, url: str) -> None:
        response = await archive.client.get(
            f"{url}?accept=image/png", headers={"accept": "image/gif"}
        )
        assert response.headers["content-type"] == "image/png"

    @pytest.mark.parametrize("accept", ["image/webp", "application/dicom", "text/html"])
    async def test_what_is_not_made_is_not_acceptable(
        self, archive: Running, url: str, accept: str
    ) -> None:
        assert (await archive.client.get(url, headers={"accept": accept})).status_code == 406

    async def test_it_is_asked_for_once(self, archive: Running, url: str) -> None:
        first = await archive.client.get(url)
        assert first.headers["cache-control"] == "private, no-cache"
        mark = first.headers["etag"]
        again = await archive.client.get(url, headers={"if-none-match": mark})
        assert (again.status_code, again.content) == (304, b"")
        other = await archive.client.get(f"{url}?quality=10", headers={"if-none-match": mark})
        assert other.status_code == 200
        head = await archive.client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == mark
        assert head.headers["content-type"] == "image/jpeg"


class TestFrames:
    @pytest.fixture
    async def url(self, archive: Running) -> str:
        frames = np.stack([np.full((8, 8), value, np.uint8) for value in (0, 100, 200)])
        dataset = make_image(frames[0], NumberOfFrames=3, FrameTime=50)
        dataset.PixelData = frames.tobytes()
        await stored(archive, file_of(dataset, "1.2.3.1.1.1"))
        return f"{SERIES}/instances/1.2.3.1.1.1"

    async def test_one(self, archive: Running, url: str) -> None:
        response = await archive.client.get(f"{url}/frames/2/rendered", headers=PNG)
        assert (opened(response.content) == 100).all()

    async def test_many_come_in_their_order(self, archive: Running, url: str) -> None:
        multipart = {"accept": 'multipart/related; type="image/png"'}
        response = await archive.client.get(f"{url}/frames/3,1/rendered", headers=multipart)
        assert 'type="image/png"' in response.headers["content-type"]
        parts = parts_of(response)
        assert [kind for kind, _ in parts] == ["image/png"] * 2
        assert [opened(body)[0, 0] for _, body in parts] == [200, 0]

    async def test_many_do_not_fit_into_one_part(self, archive: Running, url: str) -> None:
        assert (
            await archive.client.get(f"{url}/frames/1,2/rendered", headers=PNG)
        ).status_code == 406
        anything = await archive.client.get(f"{url}/frames/1,2/rendered")
        assert len(parts_of(anything)) == 2

    async def test_the_first_stands_for_all(self, archive: Running, url: str) -> None:
        response = await archive.client.get(f"{url}/rendered", headers=PNG)
        assert (opened(response.content) == 0).all()

    async def test_the_representative_stands_for_all(self, archive: Running) -> None:
        dataset = make_image(
            np.zeros((2, 2), np.uint8), NumberOfFrames=2, RepresentativeFrameNumber=2
        )
        dataset.PixelData = bytes(4) + bytes([200] * 4)
        await stored(archive, file_of(dataset, "1.2.3.1.1.7"))
        response = await archive.client.get(f"{SERIES}/instances/1.2.3.1.1.7/rendered", headers=PNG)
        assert (opened(response.content) == 200).all()

    async def test_all_of_them_as_parts(self, archive: Running, url: str) -> None:
        response = await archive.client.get(f"{url}/rendered", headers=JPEGS)
        assert len(parts_of(response)) == 3

    async def test_all_of_them_as_a_moving_picture(self, archive: Running, url: str) -> None:
        response = await archive.client.get(f"{url}/rendered", headers={"accept": "image/gif"})
        moving = Image.open(io.BytesIO(response.content))
        assert moving.n_frames == 3
        assert moving.info["duration"] == 50

    @pytest.mark.parametrize(
        ("frames", "status"), [("4", 404), ("1,4", 404), ("0", 400), ("x", 400)]
    )
    async def test_what_is_not_there(
        self, archive: Running, url: str, frames: str, status: int
    ) -> None:
        for leaf in ("rendered", "thumbnail"):
            response = await archive.client.get(f"{url}/frames/{frames}/{leaf}")
            assert response.status_code == (
                400 if leaf == "thumbnail" and "," in frames else status
            )

    @pytest.mark.parametrize("frames", ["4", "1,4", "0", "x"])
    async def test_head_knows_it_too(self, archive: Running, url: str, frames: str) -> None:
        for leaf in ("rendered", "thumbnail"):
            path = f"{url}/frames/{frames}/{leaf}"
            head, got = await archive.client.head(path), await archive.client.get(path)
            assert head.status_code == got.status_code >= 400
            assert head.content == b""

    async def test_thumbnails(self, archive: Running, url: str) -> None:
        for leaf, value in (("", 100), ("/frames/3", 200)):
            response = await archive.client.get(f"{url}{leaf}/thumbnail", headers=PNG)
            assert (opened(response.content) == value).all()


class TestMany:
    @pytest.fixture(autouse=True)
    async def some(self, archive: Running) -> None:
        files = [
            file_of(
                make_image(np.full((4, 4), 50 * n, np.uint8)), f"1.2.3.1.1.{n}", InstanceNumber=n
            )
            for n in (1, 2, 3)
        ]
        other = make_image(
            np.full((4, 4), 222, np.uint8), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
        )
        other.SeriesNumber = 0
        files.append(file_of(other, "1.2.3.1.2.1", series="1.2.3.1.2"))
        await stored(archive, *files)

    async def test_a_series_has_a_part_for_each(self, archive: Running) -> None:
        for headers in (JPEGS, {"accept": "*/*"}, {}):
            response = await archive.client.get(f"{SERIES}/rendered", headers=headers)
            assert response.status_code == 200
            assert 'type="image/jpeg"' in response.headers["content-type"]
            assert len(parts_of(response)) == 3

    async def test_a_study_has_a_part_for_each(self, archive: Running) -> None:
        assert len(parts_of(await archive.client.get("/studies/1.2.3.1/rendered"))) == 4

    async def test_parameters_count_for_all(self, archive: Running) -> None:
        response = await archive.client.get(
            f"{SERIES}/rendered?viewport=9,9",
            headers={"accept": 'multipart/related; type="image/png"'},
        )
        assert [opened(body).shape for _, body in parts_of(response)] == [(9, 9)] * 3

    async def test_one_part_cannot_hold_them(self, archive: Running) -> None:
        response = await archive.client.get(f"{SERIES}/rendered", headers={"accept": "image/jpeg"})
        assert response.status_code == 406
        assert "multipart" in response.json()["detail"]

    async def test_a_series_is_shown_by_the_one_in_its_middle(self, archive: Running) -> None:
        response = await archive.client.get(f"{SERIES}/thumbnail", headers=PNG)
        assert (opened(response.content) == 100).all()

    async def test_a_study_is_not_shown_by_a_localizer(self, archive: Running) -> None:
        response = await archive.client.get("/studies/1.2.3.1/thumbnail", headers=PNG)
        assert (opened(response.content) == 100).all()

    async def test_a_thumbnail_has_a_viewport(self, archive: Running) -> None:
        response = await archive.client.get("/studies/1.2.3.1/thumbnail?viewport=7,9", headers=PNG)
        assert opened(response.content).shape == (7, 7)
        for query in ("viewport=7,9,1", "viewport=0,0", "viewport=x"):
            response = await archive.client.get(f"{SERIES}/thumbnail?{query}")
            assert response.status_code == 400

    async def test_a_broken_image_is_told_in_its_place(self, archive: Running) -> None:
        broken = make_image(np.zeros((4, 4), np.uint8), PhotometricInterpretation="PALETTE COLOR")
        await stored(archive, file_of(broken, "1.2.3.1.1.9"))
        parts = parts_of(await archive.client.get(f"{SERIES}/rendered", headers=JPEGS))
        kinds = sorted(kind for kind, _ in parts)
        assert kinds == ["application/problem+json", *["image/jpeg"] * 3]
        alone = await archive.client.get(f"{SERIES}/instances/1.2.3.1.1.9/rendered")
        assert alone.status_code == 406

    async def test_where_none_can_be_shown_the_status_says_so(self, archive: Running) -> None:
        series = "1.2.3.1.3"
        broken = [
            make_image(np.zeros((4, 4), np.uint8), PhotometricInterpretation="PALETTE COLOR")
            for _ in range(5)
        ]
        await stored(
            archive,
            *(file_of(one, f"{series}.{n}", series=series) for n, one in enumerate(broken, 1)),
        )
        response = await archive.client.get(f"/studies/1.2.3.1/series/{series}/rendered")
        assert response.status_code == 406
        assert response.headers["content-type"] == "application/problem+json"

    async def test_what_a_region_lies_outside_of_is_left_out(self, archive: Running) -> None:
        large = make_image(np.full((32, 32), 7, np.uint8))
        await stored(archive, file_of(large, "1.2.3.1.1.9"))
        query = "viewport=8,8,16,16,8,8"
        response = await archive.client.get(f"{SERIES}/rendered?{query}", headers=JPEGS)
        assert (response.status_code, len(parts_of(response))) == (206, 1)
        assert response.headers["warning"].startswith("299 ")
        small = f"{SERIES}/instances/1.2.3.1.1.1"
        for url in (
            f"{small}/rendered?{query}",
            f"/studies/1.2.3.1/series/1.2.3.1.2/rendered?{query}",
        ):
            for method in ("GET", "HEAD"):
                assert (await archive.client.request(method, url)).status_code == 400

    async def test_a_syntax_that_is_not_decoded_is_left_out(self, archive: Running) -> None:
        strange = make_image(np.zeros((4, 4), np.uint8))
        strange.PixelData = pydicom.encaps.encapsulate([b"\xff\x0a" + bytes(30)])
        strange["PixelData"].VR = "OB"
        strange["PixelData"].is_undefined_length = True
        strange.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.110"
        await stored(archive, file_of(strange, "1.2.3.1.1.9"))
        response = await archive.client.get(f"{SERIES}/rendered", headers=JPEGS)
        assert (response.status_code, len(parts_of(response))) == (206, 3)
        assert (await archive.client.get(f"{SERIES}/thumbnail")).status_code == 200
        for leaf in ("rendered", "thumbnail", "frames/1/rendered", "frames/1/thumbnail"):
            for method in ("GET", "HEAD"):
                url = f"{SERIES}/instances/1.2.3.1.1.9/{leaf}"
                assert (await archive.client.request(method, url)).status_code == 406

    async def test_what_is_not_there(self, archive: Running) -> None:
        for path in ("/studies/9.9", f"{SERIES}9", f"{SERIES}/instances/9.9"):
            for leaf in ("rendered", "thumbnail"):
                assert (await archive.client.get(f"{path}/{leaf}")).status_code == 404


def report() -> Dataset:
    dataset = make_image(np.zeros((1, 1), np.uint8))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    dataset.Modality = "SR"
    dataset.ConceptNameCodeSequence = sequence_of(CodeMeaning="Résumé & <more>")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ContentSequence = sequence_of(
        ValueType="TEXT",
        RelationshipType="CONTAINS",
        ConceptNameCodeSequence=sequence_of(CodeMeaning="Finding"),
        TextValue="nothing",
    )
    return dataset


def document(content: bytes, media_type: str, sop_class: str) -> Dataset:
    dataset = report()
    del dataset.ContentSequence
    dataset.SOPClassUID = sop_class
    dataset.Modality = "DOC"
    dataset.MIMETypeOfEncapsulatedDocument = media_type
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    dataset.EncapsulatedDocumentLength = len(content)
    return dataset


class TestOtherThings:
    URL = f"{SERIES}/instances/1.2.3.1.1.1/rendered"

    async def test_a_report_is_a_page_or_text(self, archive: Running) -> None:
        await stored(archive, file_of(report(), "1.2.3.1.1.1"))
        page = await archive.client.get(self.URL)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "Résumé &amp; &lt;more&gt;" in page.text
        (policy,) = page.headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "nothing" in page.text
        text = await archive.client.get(self.URL, headers={"accept": "text/plain"})
        assert "Finding: nothing" in text.text
        model = await archive.client.get(self.URL, headers={"accept": "text/xml"})
        assert model.headers["content-type"] == "text/xml; charset=utf-8"
        assert "NativeDicomModel" in model.text
        assert (await archive.client.get(self.URL, headers=PNG)).status_code == 406
        thumbnail = await archive.client.get(self.URL.replace("rendered", "thumbnail"))
        assert thumbnail.status_code == 404

    async def test_a_study_with_a_report_is_partial_as_images(self, archive: Running) -> None:
        image = make_image(np.zeros((4, 4), np.uint8))
        await stored(
            archive,
            file_of(report(), "1.2.3.1.1.1"),
            file_of(image, "1.2.3.1.2.1", series="1.2.3.1.2"),
        )
        response = await archive.client.get("/studies/1.2.3.1/rendered", headers=JPEGS)
        assert response.status_code == 206
        assert len(parts_of(response)) == 1
        assert response.headers["warning"].startswith("299 ")
        everything = await archive.client.get("/studies/1.2.3.1/rendered")
        assert everything.status_code == 200
        assert sorted(kind for kind, _ in parts_of(everything)) == [
            "image/jpeg",
            "text/html; charset=utf-8",
        ]

    @pytest.mark.parametrize("size", [101, 20_001])
    @pytest.mark.parametrize(
        ("media_type", "sop_class"),
        [
            ("application/pdf", "1.2.840.10008.5.1.4.1.1.104.1"),
            ("text/xml", "1.2.840.10008.5.1.4.1.1.104.2"),
            ("model/stl", "1.2.840.10008.5.1.4.1.1.104.3"),
        ],
    )
    async def test_a_document_is_itself(
        self, archive: Running, size: int, media_type: str, sop_class: str
    ) -> None:
        content = b"%PDF-" + b"x" * (size - 5)
        await stored(archive, file_of(document(content, media_type, sop_class), "1.2.3.1.1.1"))
        head = await archive.client.head(self.URL)
        assert head.headers["content-length"] == str(size)
        for accept in ("*/*", media_type):
            response = await archive.client.get(self.URL, headers={"accept": accept})
            assert response.headers["content-type"] == media_type
            assert response.content == content
        assert (await archive.client.get(self.URL, headers=PNG)).status_code == 406

    @pytest.mark.parametrize(
        ("begin", "media_type"),
        [
            (b"\0\0\0\x18ftypisom", "video/mp4"),
            (b"\0\0\x01\xba\x44\0\x04\0", "video/mpeg"),
            (b"\0\0\0\x01\x67\x42\0\x0a", None),
        ],
    )
    async def test_a_video_is_itself(
        self, archive: Running, begin: bytes, media_type: str | None
    ) -> None:
        stream = begin + bytes(1000)
        dataset = make_image(np.zeros((4, 4, 3), np.uint8), NumberOfFrames=25)
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
        dataset.PixelData = pydicom.encaps.encapsulate([stream])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.PhotometricInterpretation = "YBR_PARTIAL_420"
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        await stored(archive, file_of(dataset, "1.2.3.1.1.1"))
        response = await archive.client.get(self.URL)
        if media_type is None:
            assert response.status_code == 406
            return
        assert response.headers["content-type"] == media_type
        assert response.content == stream
        part = await archive.client.get(self.URL, headers={"range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, stream[:4])
        assert (await archive.client.get(self.URL, headers=PNG)).status_code == 406

    async def test_bytes_that_are_lost_are_said_before_anything_is_sent(
        self, archive: Running
    ) -> None:
        pdf = document(b"%PDF-" + b"x" * 20_000, "application/pdf", "1.2.840.10008.5.1.4.1.1.104.1")
        await stored(archive, file_of(pdf, "1.2.3.1.1.1"))
        async for info in archive.objects.list("packs/"):
            await archive.objects.delete(info.key)
        for accept in ("application/pdf", 'multipart/related; type="application/pdf"'):
            response = await archive.client.get(self.URL, headers={"accept": accept})
            assert response.status_code >= 400
            assert response.headers["content-type"] == "application/problem+json"

    async def test_what_cannot_be_looked_at_says_so(self, archive: Running) -> None:
        plan = report()
        del plan.ContentSequence
        plan.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.5"
        await stored(archive, file_of(plan, "1.2.3.1.1.1"))
        response = await archive.client.get(self.URL)
        assert response.status_code == 406
        assert "nothing to look at" in response.json()["detail"]
        for leaf, status in (("rendered", 406), ("thumbnail", 404)):
            head = await archive.client.head(self.URL.replace("rendered", leaf))
            assert head.status_code == status
        thumbnail = await archive.client.get(self.URL.replace("rendered", "thumbnail"))
        assert thumbnail.status_code == 404


class TestPresentationStates:
    @pytest.fixture
    async def image(self, archive: Running) -> Dataset:
        content = make_instance("1.2.3.1.1.1", rows=8, Modality="CT")
        await stored(archive, content)
        return pydicom.dcmread(io.BytesIO(content))

    async def asked(
        self, archive: Running, state: bytes, query: str = "", **headers: str
    ) -> httpx.Response:
        await stored(archive, state)
        path = path_of(pydicom.dcmread(io.BytesIO(state)))
        return await archive.client.get(f"{path}/rendered{query}", headers=headers or PNG)

    async def test_it_shows_its_image(self, archive: Running, image: Dataset) -> None:
        state = samples.make_state(
            image, "1.2.3.1.9.1", window=(16384, 32768), ImageRotation=90, ImageHorizontalFlip="N"
        )
        response = await self.asked(archive, state)
        values = np.frombuffer(image.PixelData, "<u2").reshape(8, 8).astype(float)
        expected = np.clip((values - 16383.5) / 32767 + 0.5, 0, 1) * 255
        assert np.abs(opened(response.content) - np.rot90(expected, -1)).max() <= 0.51

    async def test_its_size_is_the_viewports(self, archive: Running, image: Dataset) -> None:
        state = samples.make_state(image, "1.2.3.1.9.1", window=(16384, 32768))
        assert opened((await self.asked(archive, state, "?viewport=40,30")).content).shape == (
            30,
            30,
        )

    @pytest.mark.parametrize("query", ["window=1,2,linear", "viewport=8,8,1,1,2,2"])
    async def test_it_says_itself_what_is_shown(
        self, archive: Running, image: Dataset, query: str
    ) -> None:
        state = samples.make_state(image, "1.2.3.1.9.1", window=(16384, 32768))
        assert (await self.asked(archive, state, f"?{query}")).status_code == 400

    @pytest.mark.parametrize("query", ["window=1,2,linear", "viewport=8,8,1,1,2,2"])
    async def test_among_others_it_is_left_out_where_the_parameters_do_not_go_with_it(
        self, archive: Running, image: Dataset, query: str
    ) -> None:
        await stored(archive, samples.make_state(image, "1.2.3.1.9.1"))
        whole = await archive.client.get("/studies/1.2.3.1/rendered", headers=JPEGS)
        assert (whole.status_code, len(parts_of(whole))) == (200, 2)
        response = await archive.client.get(f"/studies/1.2.3.1/rendered?{query}", headers=JPEGS)
        assert (response.status_code, len(parts_of(response))) == (206, 1)
        assert response.headers["warning"].startswith("299 ")

    async def test_where_all_are_states_a_window_is_refused(
        self, archive: Running, image: Dataset
    ) -> None:
        states = [samples.make_state(image, f"1.2.3.1.9.{number}") for number in (1, 2)]
        await stored(archive, *states)
        series = pydicom.dcmread(io.BytesIO(states[0])).SeriesInstanceUID
        url = f"/studies/1.2.3.1/series/{series}/rendered"
        assert (await archive.client.get(f"{url}?window=1,2,linear")).status_code == 400
        assert (await archive.client.get(url)).status_code == 200

    async def test_several_images_are_several_parts(self, archive: Running, image: Dataset) -> None:
        second = make_instance("1.2.3.1.1.2", rows=8, Modality="CT")
        await stored(archive, second)
        other = pydicom.dcmread(io.BytesIO(second))
        about = sequence_of(
            SeriesInstanceUID="1.2.3.1.1",
            ReferencedImageSequence=[samples.reference(image), samples.reference(other)],
        )
        state = samples.make_state(
            image, "1.2.3.1.9.1", window=(16384, 32768), ReferencedSeriesSequence=about
        )
        assert len(parts_of(await self.asked(archive, state, **JPEGS))) == 2
        assert (await self.asked(archive, state)).status_code == 200

    async def test_a_study_is_shown_though_the_image_of_a_state_is_elsewhere(
        self, archive: Running, image: Dataset
    ) -> None:
        image.SOPInstanceUID = "1.2.3.1.1.99"
        await stored(archive, samples.make_state(image, "1.2.3.1.9.1"))
        response = await archive.client.get("/studies/1.2.3.1/rendered", headers=JPEGS)
        assert (response.status_code, len(parts_of(response))) == (206, 1)

    async def test_its_thumbnail_has_another_etag_when_it_shows_another_image(
        self, archive: Running, image: Dataset
    ) -> None:
        later = make_instance("1.2.3.1.1.2", rows=8, Modality="CT")
        about = sequence_of(
            SeriesInstanceUID="1.2.3.1.1",
            ReferencedImageSequence=[
                samples.reference(pydicom.dcmread(io.BytesIO(later))),
                samples.reference(image),
            ],
        )
        state = samples.make_state(
            image, "1.2.3.1.9.1", window=(16384, 32768), ReferencedSeriesSequence=about
        )
        await stored(archive, state)
        path = f"{path_of(pydicom.dcmread(io.BytesIO(state)))}/thumbnail"
        before = await archive.client.get(path)
        await stored(archive, later)
        again = await archive.client.get(path, headers={"if-none-match": before.headers["etag"]})
        assert (before.status_code, again.status_code) == (200, 200)

    async def test_without_its_image_there_is_nothing(
        self, archive: Running, image: Dataset
    ) -> None:
        image.SOPInstanceUID = "1.2.3.1.1.99"
        state = samples.make_state(image, "1.2.3.1.9.1")
        assert (await self.asked(archive, state)).status_code == 404
        for leaf in ("rendered", "thumbnail"):
            path = f"{path_of(pydicom.dcmread(io.BytesIO(state)))}/{leaf}"
            assert (await archive.client.head(path)).status_code == 404

    async def test_a_thumbnail_holds_no_text(self, archive: Running, image: Dataset) -> None:
        note = samples.annotation([], [samples.boxed_label("DOE JANE", (0, 0), (1, 1))])
        bodies = []
        for number, form in enumerate(({}, {"GraphicAnnotationSequence": [note]}), 1):
            state = samples.make_state(image, f"1.2.3.1.9.{number}", window=(16384, 32768), **form)
            await stored(archive, state)
            path = path_of(pydicom.dcmread(io.BytesIO(state)))
            response = await archive.client.get(f"{path}/thumbnail?viewport=64,64", headers=PNG)
            bodies.append(response.content)
        assert bodies[0] == bodies[1]
