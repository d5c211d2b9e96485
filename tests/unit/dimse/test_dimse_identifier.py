"""Identifiers: their level, their keys, their text."""

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import encode

from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.identifier import IdentifierSink, read_identifier, require_higher_keys
from pacs_cloud.dimse.information_models import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT, Model
from pacs_cloud.errors import InvalidInstance, InvalidRequest, InvalidUid
from pacs_cloud.query.request import Level, SearchKey

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def read(model: Model = STUDY_ROOT, syntax: str = IMPLICIT_LE, **keys: object):
    dataset = Dataset()
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    data = encode(dataset, syntax == IMPLICIT_LE, syntax != EXPLICIT_BE)
    assert data is not None
    return read_identifier(data, syntax, model)


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
def test_keys_become_search_keys(syntax: str) -> None:
    item = Dataset()
    item.ScheduledProcedureStepID = "SPS*"
    item.RequestedProcedureID = ""
    identifier = read(
        syntax=syntax,
        QueryRetrieveLevel="SERIES",
        SpecificCharacterSet="ISO_IR 100",
        PatientName="MÜLLER*",
        StudyInstanceUID=["1.2", "1.3"],
        StudyDate="20240101-",
        SeriesNumber="",
        Rows=None,
        RequestAttributesSequence=[item],
        ReferencedStudySequence=[],
    )
    assert identifier.level == Level.SERIES
    assert identifier.charset == ("ISO_IR 100",)
    assert set(identifier.search_keys()) == {
        SearchKey(("00080020",), "20240101-"),
        SearchKey(("00081110",), ""),
        SearchKey(("00100010",), "MÜLLER*"),
        SearchKey(("0020000D",), "1.2\\1.3"),
        SearchKey(("00200011",), ""),
        SearchKey(("00280010",), ""),
        SearchKey(("00400275", "00400009"), "SPS*"),
        SearchKey(("00400275", "00401001"), ""),
    }


def test_a_lone_star_matches_everything_in_any_vr() -> None:
    identifier = read(QueryRetrieveLevel="STUDY", StudyDate="*", StudyInstanceUID="*")
    assert {key.text for key in identifier.search_keys()} == {""}
    assert identifier.unique(Level.STUDY) == ()


def test_an_empty_first_character_set_is_kept() -> None:
    identifier = read(QueryRetrieveLevel="STUDY", SpecificCharacterSet=["", "ISO 2022 IR 87"])
    assert identifier.charset == ("", "ISO 2022 IR 87")
    assert read(QueryRetrieveLevel="STUDY", SpecificCharacterSet="").charset == ()


@pytest.mark.parametrize(
    ("model", "level"),
    [
        (STUDY_ROOT, "PATIENT"),
        (PATIENT_STUDY_ONLY, "IMAGE"),
        (PATIENT_ROOT, "WORKLIST"),
        (PATIENT_ROOT, ""),
    ],
)
def test_a_level_that_the_model_lacks(model: Model, level: str) -> None:
    with pytest.raises(InvalidRequest, match="QueryRetrieveLevel"):
        read(model, QueryRetrieveLevel=level)


def test_no_level() -> None:
    with pytest.raises(InvalidRequest, match="QueryRetrieveLevel"):
        read(PatientID="1")


def test_bytes_that_are_no_data_set() -> None:
    with pytest.raises(InvalidInstance):
        read_identifier(b"\x08\x00\x52\x00\xff\xff\x00\x00STUDY ", IMPLICIT_LE, STUDY_ROOT)


@pytest.mark.parametrize(
    ("model", "keys", "missing"),
    [
        (STUDY_ROOT, {"QueryRetrieveLevel": "STUDY"}, None),
        (STUDY_ROOT, {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2"}, None),
        (STUDY_ROOT, {"QueryRetrieveLevel": "SERIES"}, "StudyInstanceUID"),
        (STUDY_ROOT, {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1"}, "SeriesInstanceUID"),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "STUDY"}, "PatientID"),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "STUDY", "PatientID": "A"}, None),
    ],
)
def test_unique_keys_above(model: Model, keys: dict[str, str], missing: str | None) -> None:
    identifier = read(model, **keys)
    if missing is None:
        require_higher_keys(identifier, model)
    else:
        with pytest.raises(InvalidRequest, match=missing):
            require_higher_keys(identifier, model)


def test_unique_keys_name_one_thing_each() -> None:
    with pytest.raises(InvalidRequest, match="wildcard"):
        read(PATIENT_ROOT, QueryRetrieveLevel="PATIENT", PatientID="A?").unique(Level.PATIENT)
    with pytest.raises(InvalidUid):
        read(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.*").unique(Level.STUDY)


def test_an_endless_identifier_is_refused() -> None:
    sink = IdentifierSink()
    piece = memoryview(bytes(1 << 20))
    with pytest.raises(InvalidRequest):
        for _ in range(5):
            sink.write(piece)
    sink.abort()
    assert not sink.data
