"""What viewers' own libraries see: cornerstone's image loader and dicomweb-client under Node."""

import asyncio
import base64
import json
import warnings
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomweb_archive import Running, served
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from servers.node_clients import Absent, installed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PYDICOM_FILES = (
    "CT_small.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "SC_rgb_rle.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
)
BASELINE_JPEG = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}


@pytest.fixture(scope="session")
def node_clients() -> Path:
    try:
        return installed()
    except Absent as reason:
        pytest.skip(str(reason))


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path) as running:
        yield running


def pydicom_files() -> list[Path]:
    return [Path(str(get_testdata_file(name))) for name in PYDICOM_FILES]


async def run(program: Path, arguments: Sequence[str], lines: Sequence[str]) -> list[Any]:
    """Return the lines of JSON that a program prints for the lines it is given."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(program), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    # Codecs print to the same output.
    told = [json.loads(line) for line in output.decode().splitlines() if line.startswith("{")]
    assert len(told) == len(lines), errors.decode()[-2000:]
    return told


def is_shown_by_cornerstone(dataset: Dataset) -> bool:
    """Tell whether the loader, without a browser around it, can decode such an image."""
    if "PixelData" not in dataset or "Modality" not in dataset:
        return False  # it reads Modality without looking whether there is one
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return False  # it takes palettes only from OHIF's own metadata provider
    is_colour = dataset.SamplesPerPixel > 1
    # The browser decodes these, not the loader.
    return not (is_colour and dataset.file_meta.TransferSyntaxUID in BASELINE_JPEG)


async def load_all(archive: Running, node_clients: Path, files: Sequence[Path], out: Path) -> int:
    """Compare each image that cornerstone loads with pydicom's; return how many were equal."""
    images: dict[str, Dataset] = {}
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(file)
        if is_shown_by_cornerstone(dataset) and dataset.SOPInstanceUID not in images:
            assert (await archive.store(file.read_bytes())).status_code == 200
            images[dataset.SOPInstanceUID] = dataset
    lines = [
        f"{one.StudyInstanceUID} {one.SeriesInstanceUID} {one.SOPInstanceUID}"
        for one in images.values()
    ]
    equal = 0
    for told in await run(node_clients / "cornerstone.mjs", (archive.url, str(out)), lines):
        dataset = images[told["instance"]]
        syntax = dataset.file_meta.TransferSyntaxUID
        assert "error" not in told, (told, syntax)
        shown = np.fromfile(out / f"{told['instance']}.i32", dtype="<i4")
        try:
            expected = dataset.pixel_array
        except Exception:  # noqa: BLE001 - pydicom has no decoder: only that it loads can be said
            continue
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            expected = expected[0]
        assert (told["rows"], told["columns"]) == expected.shape[:2]
        # Colours it converts in a way of its own, 4:2:2 and single bits not at all.
        is_plain = dataset.SamplesPerPixel == 1 and dataset.BitsAllocated > 1
        if is_plain and syntax not in BASELINE_JPEG:
            # Where a codestream and its header disagree on the sign, each believes another.
            differences = (shown - expected.ravel().astype("<i8")) % (1 << dataset.BitsAllocated)
            assert not differences.any(), (told, syntax)
            equal += 1
    return equal


async def test_cornerstone_loads_pydicoms_files(
    archive: Running, node_clients: Path, tmp_path: Path
) -> None:
    assert await load_all(archive, node_clients, pydicom_files(), tmp_path) >= 4


async def test_cornerstone_loads_real_files(
    archive: Running, node_clients: Path, tmp_path: Path, real_data: Path
) -> None:
    files = [
        *sorted((real_data / "single").glob("*.dcm")),
        *sorted((real_data / "series_CT_dcm_qa_ct").glob("*.dcm"))[:3],
    ]
    assert await load_all(archive, node_clients, files, tmp_path) >= 25


async def test_dicomweb_client_stores_searches_and_retrieves(
    archive: Running, node_clients: Path
) -> None:
    file = Path(str(get_testdata_file("CT_small.dcm")))
    dataset = pydicom.dcmread(file)
    study, series, instance = (
        str(uid)
        for uid in (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    )
    one = {
        "studyInstanceUID": study,
        "seriesInstanceUID": series,
        "sopInstanceUID": instance,
    }
    program = node_clients / "dicomweb_client.mjs"

    async def call(*calls: tuple[str, dict[str, Any]]) -> list[Any]:
        lines = [json.dumps({"method": method, "options": options}) for method, options in calls]
        told = await run(program, (archive.url,), lines)
        assert not [one for one in told if "error" in one], told
        return [one["result"] for one in told]

    await call(("storeInstances", {"datasets": [{"file": str(file)}]}))
    # As OHIF's study list, study browser and viewer ask (its DicomWebDataSource).
    studies, all_series, metadata, whole, frames, raw, series_files = await call(
        (
            "searchForStudies",
            {
                "queryParams": {
                    "PatientName": "*compressed*",
                    "limit": 101,
                    "offset": 0,
                    "fuzzymatching": "false",
                    "includefield": "00081030,00080060",
                }
            },
        ),
        (
            "searchForSeries",
            {"studyInstanceUID": study, "queryParams": {"includefield": "0008103E,00080021"}},
        ),
        ("retrieveSeriesMetadata", {"studyInstanceUID": study, "seriesInstanceUID": series}),
        ("retrieveInstance", one),
        ("retrieveInstanceFrames", {**one, "frameNumbers": [1]}),
        (
            "retrieveInstanceFrames",
            {
                **one,
                "frameNumbers": [1],
                "mediaTypes": [{"mediaType": "application/octet-stream", "transferSyntaxUID": "*"}],
            },
        ),
        ("retrieveSeries", {"studyInstanceUID": study, "seriesInstanceUID": series}),
    )
    assert [found["0020000D"]["Value"] for found in studies] == [[study]]
    assert [found["0020000E"]["Value"] for found in all_series] == [[series]]
    assert [found["00080018"]["Value"] for found in metadata] == [[instance]]
    pixels = dataset.PixelData
    assert base64.b64decode(whole["bytes"]) == file.read_bytes()
    assert [base64.b64decode(part["bytes"]) for part in (*frames, *raw)] == [pixels, pixels]
    assert [base64.b64decode(part["bytes"]) for part in series_files] == [file.read_bytes()]
    (bulk,) = await call(
        ("retrieveBulkData", {"BulkDataURI": metadata[0]["7FE00010"]["BulkDataURI"]})
    )
    assert base64.b64decode(bulk[0]["bytes"]) == pixels
