"""What each option keeps, and what the profile leaves without it."""

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from deid_samples import (
    ALL_OPTIONS,
    PROJECT,
    SERIES,
    STUDY,
    made,
    output,
    part10,
    patient,
    with_pixels,
)
from deid_scanner import read
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.option import checked_options
from pacs_cloud.dicom.deid.rules import parse_rules


def full(**values: object) -> Dataset:
    ds = with_pixels(patient())
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def clean(ds: Dataset, *options: str, **given: object) -> Dataset:
    return read(output(part10(ds), *options, **given))


def test_the_basic_profile() -> None:
    before = full(
        PatientAge="070Y",
        PatientWeight=80,
        StudyDescription="CT thorax",
        DeviceSerialNumber="SN998877",
        StationName="CT07",
        SliceThickness=3,
        TimezoneOffsetFromUTC="+0100",
        OperatorsName="Op^One",
        SoftwareVersions="v7",
    )
    after = clean(before)
    for keyword in (
        *("PatientAge", "PatientWeight", "StudyDescription", "InstitutionName", "StationName"),
        *("InstitutionAddress", "PatientTelephoneNumbers", "TimezoneOffsetFromUTC"),
        *("DeviceSerialNumber", "OperatorsName"),
    ):
        assert keyword not in after, keyword
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "PatientSex"):
        assert after[keyword].is_empty, keyword
    assert (after.SliceThickness, after.SoftwareVersions, after.Modality) == (3, "v7", "CT")
    assert after.PixelData == before.PixelData
    assert after.StudyInstanceUID == PROJECT.uid(STUDY)
    assert after.SOPInstanceUID == PROJECT.uid(f"{SERIES}.1")
    assert after.FrameOfReferenceUID == PROJECT.uid(f"{STUDY}.7")
    assert after.LongitudinalTemporalInformationModified == "REMOVED"


def test_attributes_that_must_be_there_are() -> None:
    before = full()
    keywords = (
        *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
        *("PatientBirthDate", "PatientSex", "PatientName", "PatientID"),
    )
    for keyword in keywords:
        delattr(before, keyword)
    after = clean(before)
    assert all(keyword in after for keyword in keywords)
    assert after.PatientID == PROJECT.subject(f"study\0{STUDY}")


def test_modified_dates_keep_their_distances_and_times() -> None:
    before = full(
        SeriesDate="20240103",
        SeriesTime="235959",
        AcquisitionDateTime="20240102101500",
        ContrastBolusStartTime="101800",
        TimezoneOffsetFromUTC="+0100",
    )
    after = clean(before, "retain-modified-dates")
    days = PROJECT.shift_days("id\0PAT-445566\0")
    assert after["StudyDate"].value != "20240102"
    from datetime import date, timedelta

    assert after.StudyDate == (date(2024, 1, 2) + timedelta(days)).strftime("%Y%m%d")
    assert after.SeriesDate == (date(2024, 1, 3) + timedelta(days)).strftime("%Y%m%d")
    assert str(after.AcquisitionDateTime) == f"{after.StudyDate}101500"
    assert (after.StudyTime, after.SeriesTime) == ("101500", "235959")
    assert after["PatientBirthDate"].is_empty
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"


def test_full_dates() -> None:
    after = clean(
        full(StudyDescription="2024-01-02 thorax"), "retain-full-dates", "clean-descriptors"
    )
    assert (after.StudyDate, after.StudyTime) == ("20240102", "101500")
    assert after.StudyDescription == "2024-01-02 thorax"
    assert after["PatientBirthDate"].is_empty
    assert after.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_patient_characteristics() -> None:
    before = full(
        PatientAge="097Y", PatientWeight=80, PatientSize=1.8, Allergies="nuts, as Zellweger says"
    )
    after = clean(before, "retain-patient-characteristics")
    assert (after.PatientAge, after.PatientWeight, after.PatientSex) == ("090Y", 80, "M")
    assert after.Allergies == "nuts, as says"


def test_device_and_institution() -> None:
    before = full(
        DeviceSerialNumber="SN998877", StationName="CT07", InstitutionalDepartmentName="Radiology A"
    )
    after = clean(before, "retain-device-identity")
    assert (after.DeviceSerialNumber, after.StationName) == ("SN998877", "CT07")
    assert "InstitutionName" not in after
    after = clean(before, "retain-institution-identity")
    assert (after.InstitutionName, after.InstitutionAddress) == (
        "Sankt Gallus Spital",
        "Rosenweg 12, Trogen",
    )
    assert "StationName" not in after


def test_uids() -> None:
    after = clean(full(), "retain-uids")
    assert (after.StudyInstanceUID, after.FrameOfReferenceUID) == (STUDY, f"{STUDY}.7")
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == f"{SERIES}.1"


def test_descriptors_are_cleaned_not_kept() -> None:
    before = full(StudyDescription="Thorax, Müller-Lüdenscheidt", SeriesDescription="PAT-445566")
    after = clean(before, "clean-descriptors")
    assert after.StudyDescription == "Thorax,"
    assert "SeriesDescription" not in after, "nothing is left of it, so the basic action counts"


def siemens() -> Dataset:
    ds = full()
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x77, "LO", "not in the table")
    other = ds.private_block(0x0029, "ACME 2", create=True)
    other.add_new(0x05, "LO", "grid 7")
    other.add_new(0x06, "LO", "for Zellweger: grid 8")
    other.add_new(0x07, "LO", "more")
    return ds


def test_safe_private_attributes_are_kept_with_their_creator() -> None:
    after = clean(siemens(), "retain-safe-private")
    assert after[0x0019100C].value == 1000
    assert after[0x00190010].value == "SIEMENS MR HEADER"
    assert 0x00191077 not in after
    assert not any(element.tag.group == 0x0029 for element in after)
    assert not any(element.tag.is_private for element in clean(siemens()))


def test_a_projects_own_private_attributes() -> None:
    rules = parse_rules(
        'version = 1\n[[private]]\ncreator = "ACME 2"\ngroup = "0029"\nelements = ["05", "06"]\n'
    )
    after = clean(siemens(), "retain-safe-private", rules=rules)
    assert after[0x00291005].value == "grid 7"
    assert after[0x00291006].value == "for : grid 8"
    assert 0x00291007 not in after
    assert 0x00290010 not in clean(siemens(), rules=rules), "the option is not asked for"


def test_marked_regions_are_kept_where_graphics_are_cleaned() -> None:
    ds = full()
    for group, kind in ((0x6000, "R"), (0x6002, "G")):
        base = group << 16
        ds.add_new(base | 0x0010, "US", 8)
        ds.add_new(base | 0x0011, "US", 8)
        ds.add_new(base | 0x0022, "LO", "by Zellweger")
        ds.add_new(base | 0x0040, "CS", kind)
        ds.add_new(base | 0x0050, "SS", [1, 1])
        ds.add_new(base | 0x0100, "US", 1)
        ds.add_new(base | 0x0102, "US", 0)
        ds.add_new(base | 0x3000, "OW", bytes(range(8)))
    after = clean(ds, "clean-graphics")
    assert after[0x60003000].value == bytes(range(8))
    assert after[0x60000022].value == "by"
    assert not any(element.tag.group == 0x6002 for element in after)
    assert not any(element.tag.group >> 8 == 0x60 for element in clean(ds))


def test_types_decide_where_codes_are_combined() -> None:
    """Device Serial Number is Type 1 of an Enhanced MR Image, and optional for a CT."""
    assert "DeviceSerialNumber" not in clean(full(DeviceSerialNumber="SN998877"))
    enhanced = full(DeviceSerialNumber="SN998877")
    enhanced.SOPClassUID = EnhancedMRImageStorage
    assert clean(enhanced).DeviceSerialNumber == "WITHHELD"


def test_what_is_said_of_it() -> None:
    after = clean(full(), *ALL_OPTIONS)
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes == [
        *("113100", "113101", "113103", "113104", "113105", "113107", "113108", "113111"),
    ]
    assert after.PatientIdentityRemoved == "YES"
    assert after.BurnedInAnnotation == "NO"
    unknown = clean(full(), *ALL_OPTIONS, rules=None)
    codes = [item.CodeValue for item in unknown.DeidentificationMethodCodeSequence]
    assert "113101" not in codes, "nobody has looked at the pixels"
    assert "BurnedInAnnotation" not in unknown


@pytest.mark.parametrize("options", [(), ALL_OPTIONS])
def test_the_same_file_gives_the_same_bytes(options: tuple[str, ...]) -> None:
    data = part10(siemens())
    assert output(data, *options) == output(data, *options)


def test_references_within_a_study_still_hold() -> None:
    from deid_samples import presentation_state, report

    ct, sr, pr = (
        read(output(part10(one), "clean-structured-content", "clean-graphics"))
        for one in (full(), report(), presentation_state())
    )
    assert ct.PatientID == sr.PatientID == pr.PatientID
    assert ct.StudyInstanceUID == sr.StudyInstanceUID == pr.StudyInstanceUID
    image = sr.ContentSequence[-1].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == ct.SOPInstanceUID
    assert ct.FrameOfReferenceUID == sr.ContentSequence[2].UID
    series = pr.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == ct.SeriesInstanceUID
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == ct.SOPInstanceUID
    annotated = pr.GraphicAnnotationSequence[0].ReferencedImageSequence[0]
    assert annotated.ReferencedSOPInstanceUID == ct.SOPInstanceUID
    assert annotated.ReferencedSOPClassUID == ct.SOPClassUID


def test_what_stands_for_what_is_told_to_the_escrow_alone() -> None:
    result = made(part10(full()))
    assert result.replaced.uids[PROJECT.uid(STUDY)] == STUDY
    assert result.replaced.subjects == {PROJECT.subject("id\0PAT-445566\0"): "PAT-445566"}
    assert STUDY not in repr(result)


def test_a_runs_options_stand_instead_of_the_projects() -> None:
    from dataclasses import replace

    project = replace(PROJECT, options=checked_options(["retain-full-dates"]))
    data = part10(full())
    own = read(b"".join(Deidentifier(project).file(data).parts()))
    none = read(b"".join(Deidentifier(project, frozenset()).file(data).parts()))
    assert (own.StudyDate, none.StudyDate) == ("20240102", "")


def test_content_about_people_places_and_devices_goes_unless_it_is_kept() -> None:
    from deid_samples import code, report

    ds = report()
    for value in ("121009", "121016", "121033", "125010", "121072"):
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
        item.ConceptNameCodeSequence = [code(value, f"concept {value}")]
        item.TextValue = "said of it"
        ds.ContentSequence.append(item)

    def concepts(*options: str) -> list[str]:
        after = clean(ds, "clean-structured-content", *options)
        return [item.ConceptNameCodeSequence[0].CodeValue for item in after.ContentSequence][4:]

    assert concepts() == ["121072"]
    assert concepts("retain-institution-identity") == ["121009", "121072"]
    assert concepts("retain-device-identity") == ["121016", "121072"]
    assert concepts("retain-patient-characteristics") == ["121033", "121072"]
