"""Every real file, de-identified: nothing of its patient is left, and it is a valid instance."""

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import config
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset

from deid_samples import ALL_OPTIONS, PROJECT, made
from deid_scanner import leaks, person_in, read
from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.uid import is_encapsulated

_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_REASONS = {Withheld.UNREADABLE, Withheld.NO_UIDS, Withheld.DICOMDIR}
"""Why the broken ones of them are not given out."""


def pydicoms_files() -> list[Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [path for path in map(Path, get_testdata_files()) if path.is_file()]


def dicom_in(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.rglob("*")) if one.is_file() and one.suffix != ".md"]


def checked(files: list[Path], options: tuple[str, ...]) -> Iterator[tuple[Path, Dataset, Dataset]]:
    """Yield each file that is given out, as it came and as it went; assert that nothing is left."""
    withheld: Counter[Withheld] = Counter()
    found = []
    for path in files:
        data = path.read_bytes()
        result = made(data, *options)
        if result.withheld is not None:
            withheld[result.withheld] += 1
            assert result.withheld in _REASONS, path.name
            continue
        out = b"".join(result.parts())
        found += [f"{path.name}: {one}" for one in leaks(person_in(data), out)]
        yield path, read(data), read(out)
    assert found == []
    assert sum(withheld.values()) < len(files) / 2


OPTIONS = pytest.mark.parametrize("options", [(), ALL_OPTIONS], ids=["basic", "options"])


@OPTIONS
@pytest.mark.parametrize("source", ["real", "pydicom"])
def test_nothing_is_left_and_the_rest_is(
    request: pytest.FixtureRequest, source: str, options: tuple[str, ...]
) -> None:
    files = (
        pydicoms_files() if source == "pydicom" else dicom_in(request.getfixturevalue("real_data"))
    )
    count = 0
    for path, before, after in checked(files, options):
        count += 1
        assert_valid(path, after)
        assert_same_pixels(path, before, after)
        assert after.PatientID == PROJECT.subject(_patient(before)), path.name
    assert count > 40


def assert_valid(path: Path, after: Dataset) -> None:
    for keyword in _TYPE_1:
        assert after.get(keyword), f"{path.name}: {keyword}"
    for keyword in _TYPE_2:
        assert keyword in after, f"{path.name}: {keyword}"
    assert after.PatientName == after.PatientID
    assert after.PatientIdentityRemoved == "YES"
    assert after.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPClassUID == after.SOPClassUID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element in after.iterall():
            assert element.value is not None or element.is_empty  # it decodes


def assert_same_pixels(path: Path, before: Dataset, after: Dataset) -> None:
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        assert (keyword in before) == (keyword in after), path.name
    if "PixelData" not in before:
        return
    source, target = (str(ds.file_meta.TransferSyntaxUID) for ds in (before, after))
    if is_encapsulated(source):
        assert source == target, path.name
    if bytes(before.PixelData) == bytes(after.PixelData):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.debug(False)
        try:
            expected = before.pixel_array
        except Exception:  # noqa: BLE001  pydicom cannot decode the original either
            return
        assert np.array_equal(expected, after.pixel_array), path.name


def _patient(before: Dataset) -> str:
    patient_id = str(before.get("PatientID") or "").strip()
    if patient_id:
        return f"id\0{patient_id}\0{str(before.get('IssuerOfPatientID') or '').strip()}"
    name = str(before.get("PatientName") or "").strip(" ^=").casefold()
    if name:
        return f"name\0{name}\0{str(before.get('PatientBirthDate') or '').strip()}"
    return f"study\0{before.StudyInstanceUID}"


def test_the_reader_finds_what_is_there(real_data: Path) -> None:
    """Were it blind, nothing above would say anything."""
    named = found = 0
    for path in dicom_in(real_data / "single"):
        data = path.read_bytes()
        person = person_in(data)
        if person.names or person.ids:
            named += 1
            found += bool(leaks(person, data, with_uids=False))
    assert named > 40
    assert found == named


def test_a_study_refers_to_itself_as_before(real_data: Path) -> None:
    folder = real_data / "series_MR_axial_epi_fmri_sequential_i_to_s"
    instances = [
        (read(path.read_bytes()), read(b"".join(made(path.read_bytes()).parts())))
        for path in dicom_in(folder)
    ]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        before = {str(one[keyword].value) for one, _ in instances}
        after = {str(one[keyword].value) for _, one in instances}
        assert len(before) == len(after) == 1
        assert before != after
    assert len({one.SOPInstanceUID for _, one in instances}) == len(instances)
