"""Every attribute of the dictionary, filled with what must not be left in it."""

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from deid_samples import ALL_OPTIONS, STUDY, made, output, part10, patient, with_pixels
from deid_scanner import leaks, person_in, read

_OWN = {0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00080060, 0x00420011}


def attributes(vrs: set[str]) -> list[tuple[int, str, str]]:
    return [
        (tag, vr, keyword)
        for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items())
        if vr in vrs and tag >> 16 >= 8 and tag not in _OWN and tag & 0xFFFF
    ]


def filled(vrs: set[str], value: str) -> Dataset:
    """Return an instance in which every attribute of these VRs says `value`, in items, too."""
    inner, ds = Dataset(), with_pixels(patient())
    for tag, vr, _ in attributes(vrs):
        for one in (inner, ds):
            if one is inner or tag >> 16 != 0x28:
                one.add(DataElement(tag, vr, value))
    ds.AnatomicRegionSequence = [inner]  # which no row of the table names
    return ds


OPTIONS = pytest.mark.parametrize("options", [(), ALL_OPTIONS], ids=["basic", "options"])


@OPTIONS
@pytest.mark.parametrize("value", ["ZELLWEGER", "445566", "MUELLER", "TROGEN"])
def test_names_are_left_in_none(value: str, options: tuple[str, ...]) -> None:
    vrs = {"LO", "SH", "ST", "LT", "UT", "UC", "CS", "PN", "AE"}
    assert len(attributes(vrs)) > 1_500
    data = part10(filled(vrs, value))
    out = output(data, *options)
    person = person_in(part10(patient()))
    (person.ids if value.isdecimal() else person.names).add(value)
    assert leaks(person, out) == []


def test_dates_are_left_in_none_but_where_they_may() -> None:
    ds = filled({"DA"}, "20191204")
    for tag, vr, _ in attributes({"DT"}):
        ds.add(DataElement(tag, vr, "20191204101010"))
    data = part10(ds)
    assert b"20191204" not in output(data)
    moved = output(data, "retain-modified-dates")
    assert b"20191204" not in moved
    assert b"101010" in moved
    kept = read(output(data, "retain-full-dates"))
    assert kept.SeriesDate == "20191204"
    assert kept["PatientBirthDate"].is_empty


@OPTIONS
def test_uids_are_left_in_none(options: tuple[str, ...]) -> None:
    uid = f"{STUDY}.4.5.6"
    result = made(part10(filled({"UI"}, uid)), *options)
    found = read(b"".join(result.parts()))
    for element in found.iterall():
        if element.VR == "UI":
            assert uid not in str(element.value), element.keyword
