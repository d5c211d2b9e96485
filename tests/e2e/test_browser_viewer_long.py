"""OHIF with a CT of more than a thousand slices: every plane comes, and the volume is drawn."""

import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from e2e.browsers import chromium
from e2e.house import house
from e2e.ohif_desk import WEBGL, desk, profile
from pacs_cloud.security.caller import Role
from real_files import REAL_DATA
from servers import ohif

_SLICES = 1024
_STUDY = "1.2.826.0.1.90"


def slices(source: Path) -> Iterator[bytes]:
    """Yield a head of real pixels, a quarter in size, as a scanner of thin slices writes it."""
    ds = dcmread(source)
    pixels = np.ascontiguousarray(ds.pixel_array[::2, ::2]).astype("<i2")
    ds.Rows, ds.Columns, ds.PixelSpacing = 256, 256, [1, 1]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _STUDY, f"{_STUDY}.1"
    ds.ImageOrientationPatient, ds.GantryDetectorTilt = [1, 0, 0, 0, 1, 0], 0
    for number in range(_SLICES):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{_STUDY}.1.{number + 1}"
        ds.InstanceNumber, ds.ImagePositionPatient = number + 1, [-128, -128, number * 0.5]
        ds.SliceLocation = number * 0.5
        ds.PixelData = np.roll(pixels, number % 32, axis=0).tobytes()
        out = BytesIO()
        ds.save_as(out, enforce_file_format=True)
        yield out.getvalue()


@pytest.mark.soak
async def test_a_thousand_slices_are_loaded(tmp_path: Path) -> None:
    folder = REAL_DATA / "series_CT_dcm_qa_ct"
    if not folder.is_dir():
        pytest.skip("the real files are not here: ../shared/data/real")
    try:
        viewer = ohif.installed()
    except ohif.Absent as error:
        pytest.skip(f"OHIF cannot be had: {error}")
    async with house(tmp_path, viewer=viewer) as served, chromium(*WEBGL) as browser:
        await served.store(slices(min(folder.glob("*.dcm"))))
        await served.user("anna", Role.RADIOLOGIST)
        async with (
            profile(browser, served.url, "anna") as anna,
            desk(anna, served.url) as at,
        ):
            begun = time.monotonic()
            await at.open(_STUDY)
            await at.drawn()
            first_s = time.monotonic() - begun
            overlay = at.page.locator('[data-cy="viewport-overlay-bottom-right"]')
            assert f"/{_SLICES}" in await overlay.inner_text()
            await at.page.set_viewport_size({"width": 640, "height": 420})
            begun = time.monotonic()
            await at.open(_STUDY, hangingprotocolId="mpr")
            await at.drawn(3)
            while len(at.loaded) < _SLICES:
                await at.page.wait_for_timeout(500)
            whole_s = time.monotonic() - begun
            print(f"first image {first_s:.1f} s, {_SLICES} slices as planes {whole_s:.1f} s")
