"""DICOMDIRs of instances that lack what a record must have, or hold what no VR allows."""

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, ExplicitVRLittleEndian

from pacs_cloud.dicom.dicomdir import Dicomdir, FiledInstance
from pacs_cloud.dicom.elements import Elements

CT = str(CTImageStorage)


def header(sop: str, **attributes: object) -> Elements:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, sop
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset.to_json_dict()


def filed(sop: str, place: int, sop_class: str = CT) -> FiledInstance:
    return FiledInstance(("DICOM", f"IM{place:06d}"), sop_class, sop, ExplicitVRLittleEndian)


def records_of(*instances: tuple[FiledInstance, Elements]) -> tuple[bytes, Dataset]:
    dicomdir = Dicomdir()
    for one, elements in instances:
        dicomdir.add(one, elements)
    content = dicomdir.file()
    return content, pydicom.dcmread(BytesIO(content))


def linked(dataset: Dataset) -> list[tuple[int, str]]:
    """Follow the offsets as a reader does; depth and type of each record."""
    by_offset = {item.seq_item_tell: item for item in dataset.DirectoryRecordSequence}
    found: list[tuple[int, str]] = []

    def follow(offset: int, depth: int) -> int:
        last = 0
        while offset:
            record, last = by_offset.pop(offset), offset
            found.append((depth, record.DirectoryRecordType))
            follow(record.OffsetOfReferencedLowerLevelDirectoryEntity, depth + 1)
            offset = record.OffsetOfTheNextDirectoryRecord
        return last

    first = dataset.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity
    last = follow(first, 0)
    assert last == dataset.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity
    assert not by_offset, "a record that no offset leads to"
    return found


def test_offsets_lead_to_every_record() -> None:
    _, dataset = records_of(
        *(
            (
                filed(f"1.2.{number}", number),
                header(
                    f"1.2.{number}",
                    PatientID=f"P{number % 2}",
                    StudyInstanceUID=f"1.{number % 4}",
                    SeriesInstanceUID=f"1.3.{number % 8}",
                ),
            )
            for number in range(16)
        )
    )
    found = linked(dataset)
    assert [kind for depth, kind in found if depth == 0] == ["PATIENT"] * 2
    assert [kind for depth, kind in found if depth == 1] == ["STUDY"] * 4
    assert [kind for depth, kind in found if depth == 2] == ["SERIES"] * 8
    assert [kind for depth, kind in found if depth == 3] == ["IMAGE"] * 16


def test_numbers_are_counted_where_an_instance_has_none_and_facts_are_not_made_up() -> None:
    _, dataset = records_of(
        *((filed(f"1.2.{number}", number), header(f"1.2.{number}")) for number in (1, 2))
    )
    patient, study, series, *images = dataset.DirectoryRecordSequence
    assert patient.PatientID is None or patient.PatientID == ""
    assert not study.StudyDate
    assert study.StudyID == "1"
    assert series.SeriesNumber == 1
    assert [image.InstanceNumber for image in images] == [1, 2]


def test_a_value_that_its_vr_forbids_is_left_empty_and_the_rest_stays() -> None:
    broken = header("1.2.1", StudyID="S", AccessionNumber="A")
    broken["00200011"] = {"vr": "IS", "Value": ["not a number"]}
    broken["00080060"] = {"vr": "CS", "Value": ["CT"]}
    _, dataset = records_of((filed("1.2.1", 1), broken))
    series = dataset.DirectoryRecordSequence[2]
    assert series.Modality == "CT"
    assert not series.SeriesNumber or series.SeriesNumber == "not a number"


@pytest.mark.parametrize(
    "name", ["Doe^Jane", "Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう"]
)
def test_names_in_any_script(name: str) -> None:
    elements = header("1.2.1")
    parts = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=False))
    elements["00100010"] = {"vr": "PN", "Value": [parts]}
    content, dataset = records_of((filed("1.2.1", 1), elements))
    assert dataset.DirectoryRecordSequence[0].PatientName == name
    assert (b"ISO_IR 192" in content) is not name.isascii()


def test_of_a_document_only_the_modifiers_of_its_title_are_listed() -> None:
    modifier = {
        "0040A010": {"vr": "CS", "Value": ["HAS CONCEPT MOD"]},
        "0040A040": {"vr": "CS", "Value": ["CODE"]},
    }
    text = {
        "0040A010": {"vr": "CS", "Value": ["CONTAINS"]},
        "0040A160": {"vr": "UT", "Value": ["a finding"]},
    }
    elements = {**header("1.2.1"), "0040A730": {"vr": "SQ", "Value": [modifier, text]}}
    content, dataset = records_of((filed("1.2.1", 1, str(ComprehensiveSRStorage)), elements))
    document = dataset.DirectoryRecordSequence[3]
    assert document.DirectoryRecordType == "SR DOCUMENT"
    assert len(document.ContentSequence) == 1
    assert b"a finding" not in content


def test_equal_file_sets_are_equal_bytes_and_others_have_another_uid() -> None:
    one, _ = records_of((filed("1.2.1", 1), header("1.2.1")))
    same, first = records_of((filed("1.2.1", 1), header("1.2.1")))
    _, second = records_of((filed("1.2.2", 1), header("1.2.2")))
    assert one == same
    uids = {dataset.file_meta.MediaStorageSOPInstanceUID for dataset in (first, second)}
    assert len(uids) == 2


def test_an_empty_file_set() -> None:
    _, dataset = records_of()
    assert not dataset.DirectoryRecordSequence
    assert dataset.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity == 0
