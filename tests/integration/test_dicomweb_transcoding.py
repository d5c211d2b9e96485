"""WADO-RS in other transfer syntaxes than the stored one: real files, every pair, pixel by pixel."""

import asyncio
import os
import signal
import warnings
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
import pytest_asyncio
from dicomweb_archive import Running, accept_related, parts_of, served
from pydicom.encaps import encapsulate, generate_fragmented_frames, generate_frames
from pydicom.pixels import pixel_array

from dicomweb_samples import make_instance
from pacs_cloud.dicom import uid
from pacs_cloud.dicom.coding.frame_encoding import encode_frame
from pacs_cloud.dicom.pixel_format import PixelFormat

# One archive, which no test changes, for all. pydicom warns of what is odd in the files.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

GREY = PixelFormat(512, 512, 1, 8, 8, 0, "MONOCHROME2")
LOSSLESS = (
    uid.EXPLICIT_LE,
    uid.IMPLICIT_LE,
    uid.RLE_LOSSLESS,
    uid.JPEG_LOSSLESS_SV1,
    uid.JPEG_LS_LOSSLESS,
    uid.JPEG_2000_LOSSLESS,
    uid.HTJ2K_LOSSLESS,
    uid.HTJ2K_LOSSLESS_RPCL,
)
MEDIA = {
    uid.RLE_LOSSLESS: "image/dicom-rle",
    uid.JPEG_LOSSLESS_SV1: "image/jpeg",
    uid.JPEG_LS_LOSSLESS: "image/jls",
    uid.JPEG_2000_LOSSLESS: "image/jp2",
    uid.HTJ2K_LOSSLESS: "image/jphc",
    uid.HTJ2K_LOSSLESS_RPCL: "image/jphc",
    uid.JPEG_BASELINE: "image/jpeg",
}
NAMES = (
    "CT1_UNC.explicit_big_endian.dcm",
    "CT0012.fragmented_no_bot_jpeg_lossless.57.dcm",
    "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
    "IM00001.implicit_little_endian.dcm",
    "JPEGLosslessP14SV1_3s_2f_u_08_08.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "image_dfl.dcm",
    "liver_nonbyte_aligned.dcm",
)
BITS = {"liver_nonbyte_aligned.dcm"}
"""Segmentations of one bit a pixel, which none of the compressed syntaxes takes."""


def url_of(dataset: pydicom.Dataset) -> str:
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def compressed(
    sop: str, codestreams: list[bytes], syntax: str, *, rows: int = 16, **attributes: object
) -> bytes:
    """Return an instance of 8-bit frames that says `codestreams` are in `syntax`."""
    dataset = pydicom.dcmread(
        BytesIO(make_instance(sop, rows=rows, frames=len(codestreams), **attributes))
    )
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate(codestreams)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def _other_tags(dataset: pydicom.Dataset) -> list[int]:
    """Return what has nothing to do with pixels, group lengths left out (PS3.5 7.2)."""
    tags = [element.tag for element in dataset]
    return [tag for tag in tags if tag.group not in {0x0028, 0x7FE0} and tag.element]


class Real:
    """The real files by name, stored in one archive."""

    def __init__(self, running: Running, files: dict[str, bytes]) -> None:
        self.running = running
        self.files = files

    def dataset(self, name: str) -> pydicom.FileDataset:
        return pydicom.dcmread(BytesIO(self.files[name]))

    async def get(
        self, path: str, headers: dict[str, str], status: int = 200
    ) -> list[tuple[str, bytes]]:
        response = await self.running.client.get(path, headers=headers)
        assert response.status_code == status, response.text[:500]
        return parts_of(response) if status == 200 else []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    files = {name: (real_data / "single" / name).read_bytes() for name in NAMES}
    async with served(tmp_path_factory.mktemp("archive")) as running:
        for name, content in files.items():
            response = await running.store(content)
            assert response.status_code in {200, 202}, (name, response.text)
        yield Real(running, files)


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("name", NAMES)
async def test_every_lossless_pair_is_pixel_equal(real: Real, name: str, target: str) -> None:
    source = real.dataset(name)
    native = {uid.EXPLICIT_LE, uid.IMPLICIT_LE}
    if name in BITS and target not in native:
        await real.get(url_of(source), accept_related("application/dicom", target), 406)
        return
    ((content_type, content),) = await real.get(
        url_of(source), accept_related("application/dicom", target)
    )
    assert content_type == f"application/dicom; transfer-syntax={target}"
    made = pydicom.dcmread(BytesIO(content))
    assert made.file_meta.TransferSyntaxUID == target
    assert made.file_meta.MediaStorageSOPInstanceUID == source.SOPInstanceUID
    assert np.array_equal(pixel_array(made), pixel_array(source))
    assert _other_tags(made) == _other_tags(source)
    # Its frames, asked for one by one, are the same.
    count = int(source.get("NumberOfFrames", 1))
    listed = ",".join(str(number) for number in range(count, 0, -1))
    if target in native:
        frames = await real.get(
            f"{url_of(source)}/frames/{listed}", accept_related("application/octet-stream")
        )
        joined = b"".join(data for _, data in reversed(frames))
        if name not in BITS:
            assert joined == made.PixelData[: len(joined)]
            assert len(made.PixelData) - len(joined) in {0, 1}
        return
    frames = await real.get(
        f"{url_of(source)}/frames/{listed}", accept_related(MEDIA[target], target)
    )
    assert {kind for kind, _ in frames} == {f"{MEDIA[target]}; transfer-syntax={target}"}
    whole = list(generate_frames(made.PixelData, number_of_frames=count))
    padded = [data + bytes(len(data) % 2) for _, data in frames]
    assert padded == whole[::-1]


@pytest.mark.parametrize("name", ["IM00001.implicit_little_endian.dcm", "SC_rgb_rle_2frame.dcm"])
async def test_jpeg_baseline_only_where_it_is_named(real: Real, name: str) -> None:
    source = real.dataset(name)
    frame = f"{url_of(source)}/frames/1"
    if source.BitsAllocated > 8:
        await real.get(frame, accept_related("image/jpeg", uid.JPEG_BASELINE), 406)
        return
    ((named, lossy),) = await real.get(frame, accept_related("image/jpeg", uid.JPEG_BASELINE))
    ((unnamed, lossless),) = await real.get(frame, accept_related("image/jpeg"))
    assert named == f"image/jpeg; transfer-syntax={uid.JPEG_BASELINE}"
    assert unnamed == f"image/jpeg; transfer-syntax={uid.JPEG_LOSSLESS_SV1}"
    assert lossy != lossless
    ((_, content),) = await real.get(
        url_of(source), accept_related("application/dicom", uid.JPEG_BASELINE)
    )
    made = pydicom.dcmread(BytesIO(content))
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(made.LossyImageCompressionRatio) > 1
    away = np.abs(pixel_array(made).astype(int) - pixel_array(source).astype(int))
    assert away.mean() < 8


async def test_a_frame_that_was_made_is_not_made_again(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = real.running.services.archive
    works = 0
    run = archive.workers.run

    async def counted(work: object, /, *args: object) -> object:
        nonlocal works
        works += 1
        return await run(work, *args)

    monkeypatch.setattr(archive.workers, "run", counted)
    source = real.dataset("emri_small_jpeg_2k_lossless.dcm")
    url = f"{url_of(source)}/frames/7"
    headers = accept_related("image/dicom-rle", uid.RLE_LOSSLESS)
    archive.pixel_cache.clear()
    answers = await asyncio.gather(*(real.get(url, headers) for _ in range(12)))
    assert works == 1
    assert len({data for ((_, data),) in answers}) == 1
    await real.get(url, headers)
    assert works == 1
    await real.get(f"{url_of(source)}/frames/8", headers)
    assert works == 2


async def test_the_workers_heal_when_one_is_killed(real: Real) -> None:
    archive = real.running.services.archive
    source = real.dataset("emri_small_jpeg_2k_lossless.dcm")
    await real.get(f"{url_of(source)}/frames/2", accept_related("image/jls"))
    for pid in archive.workers.pids:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    await real.get(f"{url_of(source)}/frames/3", accept_related("image/jls"))


async def test_representations_have_marks_of_their_own(real: Real) -> None:
    source = real.dataset("SC_rgb_rle_2frame.dcm")
    client = real.running.client
    tags = set()
    for target in (*LOSSLESS, uid.JPEG_BASELINE):
        headers = accept_related("application/dicom", target)
        first = await client.get(url_of(source), headers=headers)
        tags.add(first.headers["etag"])
        headers["if-none-match"] = first.headers["etag"]
        assert (await client.get(url_of(source), headers=headers)).status_code == 304
        del headers["if-none-match"]
        head = await client.head(url_of(source), headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == first.headers["etag"]
        assert head.headers["content-type"] == first.headers["content-type"]
        assert first.headers["cache-control"] == "private, no-cache"
    assert len(tags) == len(LOSSLESS) + 1


@pytest.fixture
async def odd(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


@pytest.mark.asyncio(loop_scope="function")
async def test_a_broken_codestream_is_406_at_the_start_and_breaks_off_later(odd: Running) -> None:
    good = pydicom.dcmread(BytesIO(make_instance("1.2.3.4.1", rows=16)))
    good.BitsAllocated, good.BitsStored, good.HighBit = 8, 8, 7
    good.PixelData = bytes(range(256))
    good["PixelData"].VR = "OB"
    good.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    (codestream,) = (frames[0] for frames in generate_fragmented_frames(good.PixelData))
    broken = b"\x01\x00\x00\x00" + bytes(60)
    for sop, frames in {
        "1.2.3.4.1": [broken, codestream],
        "1.2.3.4.2": [codestream, broken],
    }.items():
        stored = await odd.store(compressed(sop, frames, uid.RLE_LOSSLESS))
        assert stored.status_code == 200
    series = "/studies/1.2.3.1/series/1.2.3.1.1"
    native = accept_related("application/dicom", uid.EXPLICIT_LE)
    first = await odd.client.get(f"{series}/instances/1.2.3.4.1", headers=native)
    assert (first.status_code, first.headers["content-type"]) == (406, "application/problem+json")
    frames = f"{series}/instances/1.2.3.4.2/frames"
    assert (await odd.client.get(f"{frames}/1")).status_code == 200
    assert (await odd.client.get(f"{frames}/2")).status_code == 406
    # As it is stored it can be had all the same.
    for sop in ("1.2.3.4.1", "1.2.3.4.2"):
        answer = await odd.client.get(
            f"{series}/instances/{sop}", headers=accept_related("application/dicom", "*")
        )
        assert answer.status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        await odd.client.get(f"{frames}/1,2")


@pytest.mark.asyncio(loop_scope="function")
async def test_mislabelled_colour_is_had_as_stored_only(odd: Running) -> None:
    """Native frames called YBR_FULL_422 with three samples a pixel: nobody knows where one ends."""
    dataset = pydicom.dcmread(BytesIO(make_instance("1.2.3.4.1", rows=16, frames=2)))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.PixelData = bytes(2 * 16 * 16 * 3)
    dataset["PixelData"].VR = "OB"
    buffer = BytesIO()
    dataset.save_as(buffer)
    assert (await odd.store(buffer.getvalue())).status_code == 200
    url = "/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.1"
    for path, headers in (
        (url, accept_related("application/dicom", uid.RLE_LOSSLESS)),
        (f"{url}/frames/1", accept_related("image/jls", uid.JPEG_LS_LOSSLESS)),
    ):
        assert (await odd.client.get(path, headers=headers)).status_code == 406
    for target in (uid.EXPLICIT_LE, uid.IMPLICIT_LE):
        answer = await odd.client.get(url, headers=accept_related("application/dicom", target))
        assert answer.status_code == 200


@pytest.mark.asyncio(loop_scope="function")
async def test_only_the_frames_asked_for_are_read_and_never_all_at_once(
    odd: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = np.random.default_rng(1)
    frames = dice.integers(0, 255, (24, 512, 512), np.uint8)
    codestreams = [encode_frame(frame.tobytes(), GREY, uid.RLE_LOSSLESS)[0] for frame in frames]
    content = compressed("1.2.3.4.1", codestreams, uid.RLE_LOSSLESS, Rows=512, Columns=512)
    assert (await odd.store(content)).status_code == 200
    reads: list[int] = []
    get = odd.objects.get

    async def counted(key: str, start: int = 0, end: int | None = None) -> bytes:
        data = await get(key, start, end)
        reads.append(len(data))
        return data

    monkeypatch.setattr(odd.objects, "get", counted)
    url = "/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.4.1"
    largest = max(map(len, codestreams))
    answer = await odd.client.get(
        f"{url}/frames/3,20", headers=accept_related("application/octet-stream")
    )
    assert [data for _, data in parts_of(answer)] == [frames[2].tobytes(), frames[19].tobytes()]
    assert sum(reads) <= 2 * (largest + 1)
    reads.clear()
    answer = await odd.client.get(
        url, headers=accept_related("application/dicom", uid.JPEG_LS_LOSSLESS)
    )
    ((_, made),) = parts_of(answer)
    assert np.array_equal(pixel_array(pydicom.dcmread(BytesIO(made))), frames)
    assert max(reads) <= largest
    assert len(reads) >= len(frames)


def test_the_samples_are_not_all_of_one_kind(real_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = [pydicom.dcmread(real_data / "single" / name) for name in NAMES]
    assert len({dataset.file_meta.TransferSyntaxUID for dataset in datasets}) >= 9
    assert {dataset.BitsAllocated for dataset in datasets} == {1, 8, 16}
