"""What STOW-RS takes comes back by WADO-RS: bytes, frames, metadata, bulk data."""

import itertools
import re
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicomweb_archive import Running, parts_of, served
from pydicom.encaps import generate_frames

from pacs_cloud.dicom import uid

# pydicom warns of what is odd in the samples, which is why they are samples.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

AS_STORED = {"accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
FRAMES_AS_STORED = {
    "accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
}
EXPLICIT_LE = "1.2.840.10008.1.2.1"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


class Sample:
    """One file, with a SOP Instance UID of its own so that no two are the same instance."""

    _numbers = itertools.count(1)

    def __init__(self, content: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
            old = str(dataset.SOPInstanceUID)
            if dataset.file_meta.TransferSyntaxUID != pydicom.uid.DeflatedExplicitVRLittleEndian:
                tail = f".{next(self._numbers)}"
                new = old[: len(old) - len(tail)].rstrip(".")
                new = new + "." + tail[1:].rjust(len(old) - len(new) - 1, "1")
                content = content.replace(old.encode(), new.encode())
            self.content = content
            self.dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
        self.syntax = str(self.dataset.file_meta.TransferSyntaxUID)
        self.is_encapsulated = uid.is_encapsulated(self.syntax)
        self.is_little_endian = self.syntax != uid.EXPLICIT_BE
        self.sop = str(self.dataset.SOPInstanceUID)
        self.path = (
            f"/studies/{self.dataset.StudyInstanceUID}/series/{self.dataset.SeriesInstanceUID}"
            f"/instances/{self.sop}"
        )

    def frames(self) -> list[bytes]:
        """Return the frames by pydicom: encapsulated as they are, native little endian."""
        dataset = self.dataset
        count = int(getattr(dataset, "NumberOfFrames", 1) or 1)
        if self.is_encapsulated:
            return list(generate_frames(dataset.PixelData, number_of_frames=count))
        data: bytes = dataset.PixelData
        samples = dataset.SamplesPerPixel
        if dataset.PhotometricInterpretation == "YBR_FULL_422":
            samples = 2
        bits = dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated
        if bits % 8:
            value = int.from_bytes(data, "little")
            return [
                (value >> (number * bits) & ((1 << bits) - 1)).to_bytes(-(-bits // 8), "little")
                for number in range(count)
            ]
        if not self.is_little_endian:
            width = {16: 2, 32: 4}.get(dataset.BitsAllocated) or (
                2 if dataset["PixelData"].VR == "OW" else 1
            )
            data = b"".join(
                data[at : at + width][::-1] for at in range(0, len(data) - len(data) % width, width)
            )
        size = bits // 8
        return [data[number * size : (number + 1) * size] for number in range(count)]


def samples_of_pydicom() -> list[Sample]:
    found = []
    for name in sorted((Path(pydicom.__file__).parent / "data").rglob("*.dcm")):
        content = name.read_bytes()
        if content[128:132] != b"DICM":
            continue
        try:
            found.append(Sample(content))
        except Exception:  # noqa: BLE001 - what pydicom itself cannot read is no sample
            continue
    return found


def samples_of(folder: Path) -> list[Sample]:
    return [
        Sample(path.read_bytes())
        for path in sorted(folder.rglob("*.dcm"))
        if "malformed" not in path.parts
    ]


async def store_all(archive: Running, samples: list[Sample]) -> list[Sample]:
    """Store the samples in a few requests; return those that were taken."""
    taken: set[str] = set()
    for some in batches(samples):
        response = await archive.store(*(sample.content for sample in some))
        assert response.status_code in {200, 202}, response.text
        taken |= {
            item["00081155"]["Value"][0]
            for item in response.json().get("00081199", {}).get("Value", [])
        }
    return [sample for sample in samples if sample.sop in taken]


def batches(samples: list[Sample]) -> list[list[Sample]]:
    return [samples[at : at + 16] for at in range(0, len(samples), 16)]


async def check(archive: Running, sample: Sample) -> None:
    await check_bytes(archive, sample)
    if "PixelData" in sample.dataset:
        await check_frames(archive, sample)
    await check_metadata(archive, sample)


async def check_bytes(archive: Running, sample: Sample) -> None:
    response = await archive.client.get(sample.path, headers=AS_STORED)
    assert response.status_code == 200, response.text
    ((content_type, content),) = parts_of(response)
    assert content_type == f"application/dicom; transfer-syntax={sample.syntax}"
    assert content == sample.content
    alone = await archive.client.get(
        sample.path, headers={"accept": "application/dicom; transfer-syntax=*"}
    )
    assert alone.content == sample.content
    assert alone.headers["content-type"] == content_type


async def check_frames(archive: Running, sample: Sample) -> None:
    try:
        frames = sample.frames()
    except (AttributeError, ValueError):
        return
    for number, frame in list(enumerate(frames, start=1))[:5]:
        response = await archive.client.get(
            f"{sample.path}/frames/{number}", headers=FRAMES_AS_STORED
        )
        assert response.status_code == 200, (sample.path, response.text)
        ((content_type, content),) = parts_of(response)
        if sample.is_encapsulated:
            assert content_type == f"application/octet-stream; transfer-syntax={sample.syntax}"
            # pydicom keeps the padding of fragments; so do we.
        else:
            assert content_type == f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"
        assert content == frame, (sample.path, number, len(content), len(frame))
    if len(frames) > 2:
        response = await archive.client.get(f"{sample.path}/frames/3,1,2", headers=FRAMES_AS_STORED)
        assert [part for _, part in parts_of(response)] == [frames[2], frames[0], frames[1]]


async def check_metadata(archive: Running, sample: Sample) -> None:
    response = await archive.client.get(f"{sample.path}/metadata")
    assert response.status_code == 200
    (header,) = response.json()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # bulk values are compared below, by what their URIs give
            expected: dict[str, Any] = sample.dataset.to_json_dict(
                bulk_data_threshold=1025, bulk_data_element_handler=lambda element: "bulk"
            )
        except Exception:  # noqa: BLE001 - pydicom's own JSON fails on some of its files
            return
    assert header.keys() == {tag for tag in expected if not tag.startswith("0002")}
    for tag, element in header.items():
        if "BulkDataURI" in element:
            assert element["vr"] == expected[tag]["vr"]
            assert element["BulkDataURI"] == f"{archive.url}{sample.path}/bulkdata/{tag}"
            await check_bulk(archive, sample, tag, element["BulkDataURI"])


async def check_bulk(archive: Running, sample: Sample, tag: str, uri: str) -> None:
    element = sample.dataset[int(tag, 16)]
    if not isinstance(element.value, bytes) or not sample.is_little_endian:
        return
    if tag == "7FE00010" and sample.is_encapsulated:
        response = await archive.client.get(uri, headers=FRAMES_AS_STORED)
        assert [part for _, part in parts_of(response)] == sample.frames()
        return
    response = await archive.client.get(uri)
    ((_, content),) = parts_of(response)
    assert content == element.value
    alone = await archive.client.get(uri, headers={"accept": "application/octet-stream"})
    assert alone.content == element.value


async def test_pydicoms_own_files_come_back_as_they_went_in(archive: Running) -> None:
    samples = samples_of_pydicom()
    taken = await store_all(archive, samples)
    assert len(taken) > 50
    syntaxes = {sample.syntax for sample in taken}
    assert len(syntaxes) >= 8
    for sample in taken:
        await check(archive, sample)


async def test_real_files_come_back_as_they_went_in(archive: Running, real_data: Path) -> None:
    samples = samples_of(real_data)
    taken = await store_all(archive, samples)
    assert [sample.path for sample in samples if sample not in taken] == []
    for sample in taken:
        await check(archive, sample)


async def test_a_whole_series_is_one_answer_of_known_length(
    archive: Running, real_data: Path
) -> None:
    samples = samples_of(real_data / "series_CT_dcm_qa_ct")
    await store_all(archive, samples)
    url = samples[0].path.rpartition("/instances/")[0]
    response = await archive.client.get(url, headers=AS_STORED)
    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)
    assert sorted(part for _, part in parts_of(response)) == sorted(s.content for s in samples)
    again = await archive.client.get(
        url, headers={**AS_STORED, "if-none-match": response.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    explicit = await archive.client.get(url)
    assert re.match(r'"[0-9a-f-]+"', response.headers["etag"])
    assert len(parts_of(explicit)) == len(samples)
