"""What a project's key makes: always the same, never guessed; and options, dates, ages."""

import uuid
from dataclasses import replace

import pytest
from pydicom.uid import UID

from deid_samples import PROJECT
from pacs_cloud.dicom.deid.dates import capped_age, shifted
from pacs_cloud.dicom.deid.option import CODES, Option, checked_options
from pacs_cloud.dicom.deid.project import Project, checked_name
from pacs_cloud.errors import InvalidRequest

OTHER = replace(PROJECT, key=bytes(32))


def test_uids_are_uuids_that_follow_from_the_key() -> None:
    made = PROJECT.uid("1.2.3")
    assert UID(made).is_valid
    number = uuid.UUID(int=int(made.removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)
    assert made == PROJECT.uid("1.2.3")
    assert made not in {PROJECT.uid("1.2.4"), OTHER.uid("1.2.3")}
    # Known once, so that what was given out stays what it is.
    assert made == "2.25.323208961630152450876443539203389659764"


def test_subjects_and_shifts_follow_from_the_key() -> None:
    subject = PROJECT.subject("id\0P1\0")
    assert subject.startswith("TRIAL-")
    assert len(subject) == 22
    assert subject != OTHER.subject("id\0P1\0")
    shifts = {PROJECT.shift_days(f"patient {number}") for number in range(500)}
    assert len(shifts) > 400
    assert -3651 < min(shifts) < max(shifts) <= -31


def test_a_project_does_not_show_its_key() -> None:
    assert "key" not in repr(PROJECT)


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "a-", "x" * 33, "a/b", "..", "a_b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidRequest):
        checked_name(name)


def test_names_that_are() -> None:
    assert [checked_name(name) for name in ("A", "a-1", "x" * 32)]


def test_faces_are_not_claimed() -> None:
    with pytest.raises(InvalidRequest, match="faces are not recognised"):
        checked_options(["clean-recognizable-visual-features"])


@pytest.mark.parametrize("names", [["retain-full-dates", "retain-modified-dates"], ["all"]])
def test_options_that_cannot_be(names: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        checked_options(names)


def test_every_option_has_its_code() -> None:
    assert set(CODES) == set(Option)
    assert sorted(value for value, _ in CODES.values()) == [str(n) for n in range(113101, 113113)]


@pytest.mark.parametrize(
    ("text", "vr", "days", "moved"),
    [
        ("20240301", "DA", -1, "20240229"),
        ("2024.03.01", "DA", -1, "20240229"),
        ("20240301\\20240101", "DA", -1, "20240229\\20231231"),
        ("", "DA", -1, ""),
        ("yesterday", "DA", -1, ""),
        ("20241301", "DA", -1, ""),
        ("00010101", "DA", -1, ""),
        ("20240301101500.5+0100", "DT", -1, "20240229101500.5+0100"),
        ("202403", "DT", -31, "202402"),
        ("2024", "DT", -365, "2023"),
        ("101500", "TM", -1, "101500"),
    ],
)
def test_dates_move(text: str, vr: str, days: int, moved: str) -> None:
    assert shifted(text, vr, days) == moved


@pytest.mark.parametrize(
    ("age", "capped"),
    [
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("104Y", "090Y"),
        ("999M", "999M"),
        ("012W", "012W"),
        ("", ""),
        ("old", ""),
    ],
)
def test_ages_end_at_90(age: str, capped: str) -> None:
    assert capped_age(age) == capped


def test_a_project_of_another_name_is_another() -> None:
    assert Project("A", bytes(32)).subject("x") == "A" + Project("B", bytes(32)).subject("x")[1:]
