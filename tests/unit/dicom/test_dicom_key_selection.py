"""Instances that are named for a purpose: a document that others read, and that is read back."""

from dataclasses import replace
from datetime import datetime
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from pacs_cloud.dicom.elements import Elements, element
from pacs_cloud.dicom.key_selection import KeySelection, Reference, document_of, selection_in
from pacs_cloud.errors import InvalidInstance

CT = "1.2.840.10008.5.1.4.1.1.2"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
AT_US = 1_770_000_000_000_000
"""2026-02-02 02:40 UTC."""
STUDY = {
    "00100010": element("PN", {"Alphabetic": "YAMADA^TARO", "Ideographic": "山田^太郎"}),
    "00100020": element("LO", "ID-1"),
    "00080020": element("DA", "20260131"),
}
SELECTION = KeySelection(
    ("113002", "For Referring Provider"),
    (
        Reference("1.2.1", CT, "1.2.1.1"),
        Reference("1.2.1", CT, "1.2.1.2", (3, 7)),
        Reference("1.2.2", CT, "1.2.2.1"),
    ),
    "Look here: ひだり",
    observer="Anna Berg",
)


def made(selection: KeySelection = SELECTION, more: Elements | None = None) -> Dataset:
    document = document_of(selection, "1.2", STUDY | (more or {}), at_us=AT_US)
    found = dcmread(BytesIO(document.file))
    assert found.SOPInstanceUID == document.sop_instance_uid
    return found


def test_it_is_a_key_object_selection_of_its_study() -> None:
    document = made()
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    assert (document.Modality, document.StudyInstanceUID) == ("KO", "1.2")
    assert str(document.PatientName) == "YAMADA^TARO=山田^太郎"
    assert document.ConceptNameCodeSequence[0].CodeMeaning == "For Referring Provider"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    named = {
        one.SeriesInstanceUID: [it.ReferencedSOPInstanceUID for it in one.ReferencedSOPSequence]
        for one in study.ReferencedSeriesSequence
    }
    assert named == {"1.2.1": ["1.2.1.1", "1.2.1.2"], "1.2.2": ["1.2.2.1"]}
    kinds = [item.ValueType for item in document.ContentSequence]
    assert kinds == ["CODE", "PNAME", "TEXT", "IMAGE", "IMAGE", "IMAGE"]
    frames = document.ContentSequence[4].ReferencedSOPSequence[0].ReferencedFrameNumber
    assert list(frames) == [3, 7]


def test_what_has_no_pixels_is_no_image() -> None:
    references = [Reference("1.2.3", one, f"1.2.3.{one}", is_image=False) for one in (ECG, PLAN)]
    document = made(replace(SELECTION, references=references, modifier=("111220", "Other failure")))
    kinds = [item.ValueType for item in document.ContentSequence]
    assert kinds == ["CODE", "CODE", "PNAME", "TEXT", "WAVEFORM", "COMPOSITE"]
    modifier = document.ContentSequence[0]
    assert modifier.RelationshipType == "HAS CONCEPT MOD"
    assert modifier.ConceptCodeSequence[0].CodeValue == "111220"
    assert [one.is_image for one in selection_in(document.to_json_dict()).references] == [False] * 2


def test_each_is_an_instance_of_its_own() -> None:
    one, other = made(), made()
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID


def test_it_is_dated_in_the_zone_of_its_study() -> None:
    document = made(more={"00080201": element("SH", "-0800")})
    assert document.TimezoneOffsetFromUTC == "-0800"
    assert (document.StudyDate, document.ContentDate) == ("20260131", "20260201")
    assert document.SeriesTime == document.ContentTime == "184000"


@pytest.mark.parametrize("zone", ["", "CET"])
def test_of_a_study_without_a_zone_that_can_be_read_it_has_none(zone: str) -> None:
    document = made(more={"00080201": element("SH", zone)})
    assert "TimezoneOffsetFromUTC" not in document
    here = datetime.fromtimestamp(AT_US / 1e6)
    assert document.ContentDate + document.ContentTime == f"{here:%Y%m%d%H%M%S}"


def test_what_of_the_study_is_bulk_data_cannot_be_written() -> None:
    with pytest.raises(InvalidInstance, match="00081030"):
        made(more={"00081030": {"vr": "UN", "BulkDataURI": "x"}})


@pytest.mark.parametrize("selection", [SELECTION, replace(SELECTION, words="", observer="")])
def test_it_is_read_as_it_was_made(selection: KeySelection) -> None:
    assert selection_in(made(selection).to_json_dict()) == selection


@pytest.mark.parametrize(
    ("observer", "name"),
    [("CORP\\anna", "CORP anna"), ("a=b^c", "a b c"), ("王小东", "王小东"), ("x" * 80, "x" * 64)],
)
def test_who_chose_is_one_name_whatever_they_are_called(observer: str, name: str) -> None:
    document = made(replace(SELECTION, observer=observer))
    assert str(document.ContentSequence[1].PersonName) == name


def test_what_names_nothing_has_no_references() -> None:
    document = made()
    del document.ContentSequence[3:]
    assert selection_in(document.to_json_dict()).references == ()
    assert selection_in({}) == KeySelection(("", ""), ())


def test_what_no_evidence_names_is_left_out() -> None:
    document = made()
    study = document.CurrentRequestedProcedureEvidenceSequence[0]
    del study.ReferencedSeriesSequence[1]
    found = selection_in(document.to_json_dict()).references
    assert [one.sop_instance_uid for one in found] == ["1.2.1.1", "1.2.1.2"]
