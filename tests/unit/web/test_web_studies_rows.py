"""Studies in words: names in all their writings, ages, days."""

from pathlib import Path
from typing import Any

import pydicom
import pytest

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.web.studies.names import name_text
from pacs_cloud.web.studies.rows import row_of
from real_files import REAL_DATA

CHARSETS = Path(pydicom.__file__).parent / "data/charset_files"
NAMES = {
    "chrArab": ("قباني, لنزار",),
    "chrFren": ("Buc, Jérôme",),
    "chrGerm": ("Äneas, Rüdiger",),
    "chrGreek": ("Διονυσιος",),
    "chrH31": ("Yamada, Tarou", "山田 太郎", "やまだ たろう"),
    "chrH32": ("ﾔﾏﾀﾞ, ﾀﾛｳ", "山田 太郎", "やまだ たろう"),
    "chrHbrw": ("שרון, דבורה",),
    "chrI2": ("Hong, Gildong", "洪 吉洞", "홍 길동"),
    "chrKoreanMulti": ("김희중",),
    "chrRuss": ("Люкceмбypг",),
    "chrX1": ("Wang, XiaoDong", "王 小東"),
    "chrX2": ("Wang, XiaoDong", "王 小东"),
}


def elements(**values: Any) -> Elements:
    """Return DICOM JSON of these keywords, as searches return it."""
    dataset = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset.to_json_dict()


def written(path: Path) -> tuple[str, ...]:
    name = name_text(pydicom.dcmread(path).to_json_dict())
    return name.main, *name.others


@pytest.mark.parametrize("file", NAMES)
def test_names_are_written_as_their_owners_write_them(file: str) -> None:
    assert written(CHARSETS / f"{file}.dcm") == NAMES[file]


@pytest.mark.parametrize("file", ["chrFren", "chrGerm", "chrKoreanMulti", "chrX1"])
def test_so_are_real_ones(file: str) -> None:
    path = REAL_DATA / "single" / f"{file}.dcm"
    if not path.exists():
        pytest.skip("the real DICOM files are not here")
    assert written(path) == NAMES[file]


def test_a_name_may_be_of_many_parts_or_of_none() -> None:
    adams = elements(PatientName="Adams^John Robert Quincy^^Rev.^B.A. M.Div.")
    assert name_text(adams).main == "Adams, Rev. John Robert Quincy B.A. M.Div."
    assert name_text(elements(PatientName="=山田^太郎")).main == "山田 太郎"
    assert name_text(elements(PatientName="^Anna")).main == "Anna"
    assert name_text({}).main == ""
    assert name_text(elements(PatientName="")).main == ""


@pytest.mark.parametrize(
    ("born", "made", "said", "age"),
    [
        ("19800301", "20260228", "", "45 y"),
        ("19800301", "20260301", "", "46 y"),
        ("20250115", "20260301", "", "13 mo"),
        ("20240301", "20260301", "", "2 y"),
        ("20260130", "20260301", "", "30 d"),
        ("20260301", "20260301", "", "0 d"),
        ("", "20260301", "045Y", "45 y"),
        ("", "", "006M", "6 mo"),
        ("20260302", "20260301", "", ""),
        ("19800231", "20260301", "??", ""),
    ],
)
def test_ages(born: str, made: str, said: str, age: str) -> None:
    given = elements(PatientBirthDate=born, StudyDate=made)
    given["00101010"] = {"vr": "AS", "Value": [said]}
    assert row_of(given).age == age


def test_a_row_in_words() -> None:
    given = elements(
        StudyInstanceUID="1.2", StudyDate="20260131", StudyTime="140259.12", PatientSex="F",
        ModalitiesInStudy=["CT", "SR"], StudyDescription="Thorax", AccessionNumber="A1",
        NumberOfStudyRelatedInstances=3, InstanceAvailability="NEARLINE",
        ReferringPhysicianName="House^Gregory",
    )  # fmt: skip
    row = row_of(given, {"vip", "teaching"})
    assert (row.uid, row.date, row.time, row.sex_word) == ("1.2", "2026-01-31", "14:02", "female")
    assert (row.modalities, row.labels) == (("CT", "SR"), ("teaching", "vip"))
    assert (row.instances, row.referrer, row.is_cold) == ("3", "House, Gregory", True)
    assert row.has_picture
    assert not row_of(elements(ModalitiesInStudy=["SR", "KO"])).has_picture


def test_what_is_malformed_is_shown_as_it_is() -> None:
    row = row_of({"00080020": {"vr": "DA", "Value": ["2026.01.31"]}, "00080030": {"vr": "TM"}})
    assert (row.date, row.time, row.is_cold) == ("2026.01.31", "", False)
