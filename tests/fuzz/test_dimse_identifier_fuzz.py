"""Identifiers of any bytes: read, or refused with one of our own errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import encode

from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.identifier import read_identifier, require_higher_keys
from pacs_cloud.dimse.information_models import MODELS
from pacs_cloud.errors import PacsError
from pacs_cloud.query.criteria import Criteria
from pacs_cloud.query.planner import plan
from pacs_cloud.query.request import SearchRequest

SYNTAXES = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)


def valid(syntax: str) -> bytes:
    item = Dataset()
    item.ScheduledProcedureStepID = "A*"
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.QueryRetrieveLevel = "SERIES"
    dataset.StudyDate = "20240101-20250101"
    dataset.PatientName = "山田*"
    dataset.PatientID = "P1"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesNumber = 3
    dataset.RequestAttributesSequence = [item]
    encoded = encode(dataset, syntax == IMPLICIT_LE, syntax != EXPLICIT_BE)
    assert encoded is not None
    return encoded


def survives(data: bytes, syntax: str) -> None:
    for model in MODELS:
        try:
            identifier = read_identifier(data, syntax, model)
            require_higher_keys(identifier, model)
            request = SearchRequest(identifier.level, identifier.search_keys())
            Criteria(request)
            plan(request)
        except PacsError:
            continue


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_any_bytes(data: bytes, syntax: str) -> None:
    survives(data, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_mutated_identifiers(syntax: str, edits: list[tuple[int, int]]) -> None:
    data = bytearray(valid(syntax))
    for place, byte in edits:
        data[place % len(data)] = byte
    survives(bytes(data), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(length=st.integers(0, 400))
def test_cut_identifiers(syntax: str, length: int) -> None:
    survives(valid(syntax)[:length], syntax)
