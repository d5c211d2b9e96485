"""What the fields of the study list's URL ask the archive for."""

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.criteria import Criteria
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.web.studies.filters import MODALITIES, PRESETS, Filters
from pacs_cloud.web.studies.rows import RETURNS

TODAY = dt.date(2026, 3, 1)
NAME, PATIENT_ID, ACCESSION = "00100010", "00100020", "00080050"
DATE, MODALITY, DESCRIPTION = "00080020", "00080061", "00081030"


def searches(**said: str) -> tuple[SearchRequest, ...]:
    return Filters.of(said).searches(RETURNS, TODAY, limit=40, offset=0)


def keys(request: SearchRequest) -> dict[str, str]:
    return {key.path[0]: key.text for key in request.keys}


def finds(said: dict[str, str], **study: Any) -> bool:
    """Tell whether the first search matches a study with these attributes."""
    vr = {NAME: "PN", DATE: "DA", MODALITY: "CS"}
    tags = {"name": NAME, "id": PATIENT_ID, "description": DESCRIPTION, "modality": MODALITY}
    elements: Elements = {
        tags[field]: {"vr": vr.get(tags[field], "LO"), "Value": [value]}
        for field, value in study.items()
    }
    return Criteria(searches(**said)[0]).match(Level.STUDY, elements)


def named(text: str) -> dict[str, str]:
    return dict(zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("=", 2), strict=False))


def test_nothing_said_is_the_whole_list() -> None:
    (request,) = searches()
    assert (request.keys, request.level, request.limit) == ((), Level.STUDY, 40)
    assert Filters.of({}).url() == "/"


@pytest.mark.parametrize(
    ("typed", "name", "is_found"),
    [
        ("smith", "Smith^John", True),
        ("John SMI", "Smith^John", True),
        ("smith, john", "Smith^John", True),
        ("muller", "Müller^Anna", True),
        ("obrien", "O'Brien^Tom", True),
        ("smith", "Schmidt^John", False),
        ("ohn", "Smith^John", False),
        ("SMITH^J", "Smith^John", True),
        ("SMITH^A", "Smith^John", False),
        ("*ohn*", "Smith^John", True),
        ("山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("やまだ", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("שרון", "שרון^דבורה", True),
        ("قباني", "قباني^لنزار", True),
    ],
)
def test_a_name_is_found_as_people_type_it(typed: str, name: str, *, is_found: bool) -> None:
    assert finds({"name": typed}, name=named(name)) is is_found


def test_a_name_is_found_by_its_sound_for_who_asks() -> None:
    assert finds({"name": "smith", "sounds": "1"}, name=named("Schmidt^John"))


@pytest.mark.parametrize("typed", ["王小东", "山田太郎", "김희중"])
def test_a_name_without_a_space_is_parted_where_a_family_name_may_end(typed: str) -> None:
    tried = [keys(one)[NAME] for one in searches(name=typed)]
    assert tried[:3] == [typed, f"{typed[0]}^{typed[1:]}*", f"{typed[:2]}^{typed[2:]}*"]


def test_an_id_is_looked_for_as_it_is_and_then_by_its_beginning() -> None:
    first, second = searches(id="P001", accession="A70", modality="CT")
    assert (keys(first)[PATIENT_ID], keys(first)[ACCESSION]) == ("P001", "A70")
    assert (keys(second)[PATIENT_ID], keys(second)[ACCESSION]) == ("P001*", "A70*")
    assert keys(second)[MODALITY] == "CT"
    assert len(searches(id="P*1")) == 1
    assert len(searches(id="P0")) == 1, "too little to look through the archive for"


def test_a_description_is_found_by_words_in_any_case() -> None:
    assert finds({"description": "schadel ct"}, description="MR, Schädel nach CT vom Montag")
    assert not finds({"description": "ct schadel"}, description="MR, Schädel nach CT vom Montag")


def test_several_modalities_are_any_of_them() -> None:
    assert finds({"modality": "ct, mr"}, modality="MR")
    assert not finds({"modality": "ct, mr"}, modality="US")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"date": "today"}, "20260301-20260301"),
        ({"date": "week"}, "20260223-20260301"),
        ({"since": "2026-01-31"}, "20260131-"),
        ({"until": "2026-01-31"}, "-20260131"),
        ({"since": "2026-02-01", "until": "2026-01-31"}, "20260131-20260201"),
        ({"date": "today", "since": "2026-01-31"}, "20260131-"),
        ({"date": "range"}, None),
    ],
)
def test_dates(said: dict[str, str], text: str | None) -> None:
    assert keys(searches(**said)[0]).get(DATE) == text


@pytest.mark.parametrize(
    "said",
    [{"since": "31.1.2026"}, {"until": "2026-02-30"}, {"date": "never"}, {"name": "x" * 129}],
)
def test_what_cannot_be_asked_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        Filters.of(said)


def test_a_backslash_makes_no_second_value() -> None:
    assert keys(searches(id="A\\B")[0])[PATIENT_ID] == "A B"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("name", "id", "accession", "description", "sounds"), TEXT),
            "date": st.sampled_from(["", "range", *PRESETS]),
            "modality": st.sampled_from(["", *MODALITIES]),
            "since": st.dates().map(str) | st.just(""),
            "until": st.dates().map(str) | st.just(""),
        },
    )
)
def test_a_bookmark_asks_the_same_again(said: dict[str, str]) -> None:
    filters = Filters.of(said)
    again = Filters.of(dict(parse_qsl(urlsplit(filters.url()).query, keep_blank_values=True)))
    assert again == filters
    for request in filters.searches(RETURNS, TODAY, limit=1, offset=0):
        Criteria(request)  # no key is one that its attribute cannot have
