"""Tables E.1-1 and E.3.10-1, and what PS3.3 says of types, as they stand in the package."""

from collections import Counter

import pytest
from pydicom.datadict import dictionary_VR

from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.requirement import OPTIONAL, requirement, resolved
from pacs_cloud.dicom.deid.tables import row_of, rows, safe_private

CT, SR, MR_ENHANCED = (f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("2", "88.33", "4.1"))
BASIC_CODES = {"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
D, M, F = Option.CLEAN_DESCRIPTORS, Option.MODIFIED_DATES, Option.FULL_DATES
DATES = {F: "K", M: "C"}


def test_the_table_is_whole() -> None:
    table = rows()
    assert len(table) == 656
    assert {row.basic for row in table.values()} == BASIC_CODES
    counts = Counter(option for row in table.values() for option in row.options)
    assert counts == {
        Option.UIDS: 60,
        Option.DEVICE_IDENTITY: 57,
        Option.INSTITUTION_IDENTITY: 10,
        Option.PATIENT_CHARACTERISTICS: 19,
        Option.FULL_DATES: 169,
        Option.MODIFIED_DATES: 169,
        Option.CLEAN_DESCRIPTORS: 134,
        Option.CLEAN_STRUCTURED_CONTENT: 3,
        Option.CLEAN_GRAPHICS: 4,
        Option.SAFE_PRIVATE: 1,
    }
    assert {code for row in table.values() for code in row.options.values()} == {"K", "C"}
    assert {row.options[F] for row in table.values() if F in row.options} == {"K"}
    assert {row.options[M] for row in table.values() if M in row.options} == {"C"}


@pytest.mark.parametrize(
    ("tag", "basic", "options"),
    [
        (0x00100010, "Z", {}),
        (0x00100020, "Z/D", {}),
        (0x00100030, "Z", {}),
        (0x00100040, "Z", {Option.PATIENT_CHARACTERISTICS: "K"}),
        (0x00101010, "X", {Option.PATIENT_CHARACTERISTICS: "K"}),
        (0x00102110, "X", {Option.PATIENT_CHARACTERISTICS: "C", D: "C"}),
        (0x00080020, "Z", DATES),
        (0x00080022, "X/Z", DATES),
        (0x0008002A, "X/Z/D", DATES),
        (0x00080050, "Z", {}),
        (0x00080080, "X/Z/D", {Option.INSTITUTION_IDENTITY: "K"}),
        (0x00081030, "X", {D: "C"}),
        (0x00180010, "Z/D", {D: "C"}),
        (0x00181000, "X/Z/D", {Option.DEVICE_IDENTITY: "K"}),
        (0x00181002, "U", {Option.UIDS: "K", Option.DEVICE_IDENTITY: "K"}),
        (0x0020000D, "U", {Option.UIDS: "K"}),
        (0x00081140, "X/Z/U*", {Option.UIDS: "K"}),
        (0x00420011, "D", {}),
        (0x0040A730, "D", {Option.CLEAN_STRUCTURED_CONTENT: "C"}),
        (0x00700001, "D", {Option.CLEAN_GRAPHICS: "C"}),
        (0x00880200, "X", {}),
        (0x04000561, "X", {}),
        (0xFFFAFFFA, "X", {}),
        (0xFFFCFFFC, "X", {}),
        (0x003A0203, "X", {}),
        (0x60003000, "X", {Option.CLEAN_GRAPHICS: "C"}),
        (0x60124000, "X", {Option.CLEAN_GRAPHICS: "C"}),
        (0x50042500, "X", {Option.CLEAN_GRAPHICS: "C"}),
        (0x00291010, "X", {Option.SAFE_PRIVATE: "C"}),
        (0x7FE11001, "X", {Option.SAFE_PRIVATE: "C"}),
    ],
)
def test_well_known_rows(tag: int, basic: str, options: dict[Option, str]) -> None:
    row = row_of(tag)
    assert row is not None
    assert (row.basic, row.options) == (basic, options)


@pytest.mark.parametrize("tag", [0x7FE00010, 0x00280010, 0x00080016, 0x00080060, 0x60000010])
def test_what_stays_has_no_row(tag: int) -> None:
    assert row_of(tag) is None


def test_vrs_are_those_of_the_dictionary() -> None:
    for tag, row in rows().items():
        if "x" not in tag and tag != "private" and row.vr:
            try:
                assert dictionary_VR(int(tag, 16)) == row.vr, tag
            except KeyError:
                continue  # newer than pydicom's


def test_safe_private_attributes() -> None:
    table = safe_private()
    assert len(table) == 460
    assert table["SIEMENS MR HEADER", 0x0019, 0x0C] == "IS"
    assert table["GEMS_PARM_01", 0x0043, 0x6F] == "DS"
    assert table["Philips Imaging DD 001", 0x2001, 0x03] == "FL"
    assert all(group & 1 for _, group, _ in table)


@pytest.mark.parametrize(
    ("code", "required", "action"),
    [
        ("X", 1, "X"),
        ("X/Z/D", 1, "D"),
        ("X/Z/D", 2, "Z"),
        ("X/Z/D", OPTIONAL, "X"),
        ("X/Z/D", None, "D"),
        ("X/Z", 1, "Z"),
        ("X/D", 2, "D"),
        ("X/D", OPTIONAL, "X"),
        ("Z/D", OPTIONAL, "Z"),
        ("Z/D", 1, "D"),
        ("X/Z/U*", 1, "U"),
        ("X/Z/U*", 2, "Z"),
        ("X/Z/U*", OPTIONAL, "X"),
        ("X/Z/U*", None, "U"),
    ],
)
def test_combined_codes(code: str, required: int | None, action: str) -> None:
    assert resolved(code, required) == action


@pytest.mark.parametrize(
    ("sop_class", "tag", "parent", "required"),
    [
        (CT, 0x00080022, None, OPTIONAL),  # Acquisition Date
        (CT, 0x00080023, None, 2),  # Content Date, 2C
        (MR_ENHANCED, 0x0008002A, None, 1),  # Acquisition DateTime, 1C
        (CT, 0x00181000, None, OPTIONAL),  # Device Serial Number
        (MR_ENHANCED, 0x00181000, None, 1),  # of the Enhanced General Equipment Module
        (SR, 0x00081111, None, 2),  # Referenced Performed Procedure Step Sequence
        ("1.2.3", 0x00080022, None, None),
        (CT, 0x00080022, 0x00081115, None),
    ],
)
def test_types(sop_class: str, tag: int, parent: int | None, required: int | None) -> None:
    assert requirement(sop_class, tag, parent) == required
