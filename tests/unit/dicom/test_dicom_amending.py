"""Data sets as amendments show them: the new values, what was there, and all else as it was."""

import io
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from dicom_making import (
    UNDEFINED,
    bundled_files,
    dataset_of,
    encapsulated,
    explicit,
    image,
    implicit,
    instance,
    item,
    readable,
    real_files,
    real_folder,
)
from pydicom import Dataset, dcmread

from pacs_cloud.dicom.amended_header import amended_header
from pacs_cloud.dicom.amending import (
    Kept,
    amended_data_set,
    kept_element,
    worth_keeping,
)
from pacs_cloud.dicom.amendment import Amendment, AmendmentReason
from pacs_cloud.dicom.deflate import inflate
from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.header import BulkValue, HeaderReader
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, is_deflated
from pacs_cloud.errors import InvalidInstance

SOP = "1.2.3.4"
LATIN, CYRILLIC, JAPANESE = "Doe^Jane", "Люксембург^Роза", "Yamada^Tarou=山田^太郎=やまだ^たろう"
CHINESE, GERMAN = "Wang^XiaoDong=王^小东", "Müller^Jörg"


def name_of(text: str) -> dict[str, Any]:
    groups = ("Alphabetic", "Ideographic", "Phonetic")
    return {"vr": "PN", "Value": [dict(zip(groups, text.split("="), strict=False))]}


def amendment(name: str = LATIN, number: int = 1, **more: Any) -> Amendment:
    elements = {
        "00100010": name_of(name),
        "00100020": {"vr": "LO", "Value": [f"NEW{number}"]},
        "00100030": {"vr": "DA"},
        "00101010": {"vr": "AS", "Value": ["042Y"]},
        "00081030": {"vr": "LO", "Value": ["Kopf"]},
        "00081032": {
            "vr": "SQ",
            "Value": [
                {
                    "00080100": {"vr": "SH", "Value": ["T-1"]},
                    "00080104": {"vr": "LO", "Value": [name.partition("=")[0]]},
                }
            ],
        },
        "00101030": {"vr": "DS", "Value": [71.5]},
        "00201200": {"vr": "IS", "Value": [12]},
    }
    return Amendment(f"c{number}", elements, 1_700_000_000_000_000 + number, system="RIS", **more)


def amended(
    dataset: bytes, syntax: str, amendments: Sequence[Amendment], bulk: Sequence[BulkValue] = ()
) -> bytes:
    """The amended data set in one piece; what is large in it is not shown to the function."""
    pieces, kept, at = [], list[Kept](), 0
    for value in worth_keeping(bulk):
        one = kept_element(value, dataset[: value.offset])
        pieces.append(dataset[at : one.start])
        kept.append(one)
        at = one.end
    rest = b"".join([*pieces, dataset[at:]])
    parts = amended_data_set(rest, syntax, amendments, SOP, kept)
    if parts is None:
        return dataset
    return b"".join(
        dataset[part.start : part.end] if isinstance(part, Kept) else part for part in parts
    )


def parsed(dataset: bytes, syntax: str) -> Dataset:
    meta = encode_file_meta(sop_class_uid="1.2", sop_instance_uid=SOP, transfer_syntax_uid=syntax)
    with quiet_pydicom():
        return dcmread(io.BytesIO(meta + dataset), force=True)


def originals_of(dataset: Dataset) -> list[Dataset]:
    return list(dataset[0x04000561].value)


def values_of(dataset: Dataset, without: frozenset[int] = frozenset()) -> dict[str, Any]:
    """Every element by pydicom, nested ones too, lengths and character sets left out."""
    found: dict[str, Any] = {}
    with quiet_pydicom():
        for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset gives elements
            if int(tag) in {0x00080001, 0x00080005, *without} or not int(tag) & 0xFFFF:
                continue
            element = dataset[tag]
            if element.VR == "SQ":
                found[str(tag)] = [values_of(one) for one in element.value]
            else:
                found[str(tag)] = element.VR, _plain(element.value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | float):
        return value if value == value else "NaN"  # noqa: PLR0124 - a NaN is not itself
    return str(value)


CHANGED = frozenset(int(tag, 16) for tag in amendment().elements) | {0x04000561}


@pytest.mark.parametrize("name", [LATIN, CYRILLIC, JAPANESE])
@pytest.mark.parametrize("path", [*readable(bundled_files())], ids=lambda path: path.name)
def test_of_every_file_all_else_stays(path: Path, name: str) -> None:
    check_file(path, name)


@pytest.mark.parametrize("name", [CYRILLIC, LATIN])
def test_of_every_real_file_all_else_stays(name: str) -> None:
    if not real_folder().is_dir():
        pytest.skip("no real DICOM data beside the project")
    series: dict[Path, int] = {}
    for path in readable(real_files()):
        series[path.parent] = series.get(path.parent, 0) + 1
        if series[path.parent] <= 4 or path.parent.name == "single":  # its others are like these
            check_file(path, name)


def check_file(path: Path, name: str) -> None:
    dataset, syntax = dataset_of(path)
    try:
        header = HeaderReader().read(dataset, syntax)
    except InvalidInstance:
        return  # no archive has it
    if is_deflated(syntax):
        dataset, syntax = inflate(dataset), EXPLICIT_LE
    two = [amendment("Smith^John"), amendment(name, 2)]
    new = amended(dataset, syntax, two, header.bulk)
    assert new == amended(dataset, syntax, two)  # with all of it at hand
    stored, shown = read_elements(dataset, syntax), read_elements(new, syntax)
    assert amended_header(stored, two, SOP) == shown
    before, after = parsed(dataset, syntax), parsed(new, syntax)
    assert values_of(after, CHANGED) == values_of(before, CHANGED)
    assert str(after.PatientName) == name
    assert after.PatientID == "NEW2"
    assert after.ProcedureCodeSequence[0].CodeMeaning == name.partition("=")[0]
    *former, first, second = originals_of(after)
    assert [values_of(one) for one in former] == [
        values_of(one) for one in before.get("OriginalAttributesSequence", [])
    ]
    assert str(second.ModifiedAttributesSequence[0].PatientName) == "Smith^John"
    with quiet_pydicom():
        was = before.get("PatientName", "") or ""
        assert str(first.ModifiedAttributesSequence[0].PatientName or "") == str(was)
    assert first.SourceOfPreviousValues == ""
    assert (first.ModifyingSystem, first.ReasonForTheAttributeModification) == ("RIS", "CORRECT")
    assert first.AttributeModificationDateTime == "20231114221320.000001+0000"
    # Whoever takes it all back has every byte of what was stored.
    assert amended(dataset, syntax, ()) == dataset


def text(tag: int, vr: str, value: str, encoding: str = "ascii", **more: Any) -> bytes:
    raw = value.encode(encoding)
    return explicit(tag, vr, raw + b" " * (len(raw) % 2), **more)


def test_nothing_changes_where_all_is_so_already() -> None:
    dataset = instance(text(0x00100010, "PN", LATIN), text(0x00100020, "LO", "A"))
    same = {"00100010": name_of(LATIN), "00100020": {"vr": "LO", "Value": ["A"]}}
    one = Amendment("c", same, 1)
    assert amended_data_set(dataset, EXPLICIT_LE, [one], SOP) is None
    other = replace(one, elements={"00100010": name_of(GERMAN)}, sop_instance_uid="1.9")
    assert amended_data_set(dataset, EXPLICIT_LE, [one, other], SOP) is None
    empty = replace(one, elements={"00104000": {"vr": "LT"}, "00101002": {"vr": "SQ"}})
    assert amended_data_set(dataset, EXPLICIT_LE, [one, empty], SOP) is None  # nothing was there
    stored = read_elements(dataset, EXPLICIT_LE)
    assert amended_header(stored, [one, other, empty], SOP) is stored


@pytest.mark.parametrize(
    ("charset", "encoding", "name", "stays"),
    [
        ("ISO_IR 100", "latin-1", GERMAN, True),
        ("ISO_IR 100", "latin-1", CYRILLIC, False),
        ("ISO_IR 144", "iso8859-5", CYRILLIC, True),
        ("ISO_IR 144", "iso8859-5", GERMAN, False),
        ("", "ascii", LATIN, True),
        ("", "ascii", GERMAN, False),
        ("\\ISO 2022 IR 87", "iso2022_jp", LATIN, True),
        ("\\ISO 2022 IR 87", "iso2022_jp", JAPANESE, True),
        ("\\ISO 2022 IR 87", "iso2022_jp", GERMAN, False),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "latin-1", CYRILLIC, True),
        ("GB18030", "gb18030", LATIN, True),
        ("GB18030", "gb18030", CHINESE, True),
        ("GB18030", "gb18030", CYRILLIC, True),
        ("ISO_IR 192", "utf-8", JAPANESE, True),
    ],
)
def test_the_character_set_stays_where_it_holds_what_is_new(
    charset: str, encoding: str, name: str, stays: bool
) -> None:
    said = {"latin-1": "Größe", "iso8859-5": "Рост", "ascii": "Size"}.get(encoding, "山")
    nested = item(text(0x00080104, "LO", said, encoding))
    dataset = instance(
        text(0x00080005, "CS", charset),
        explicit(0x00081032, "SQ", nested),
        text(0x0008103E, "LO", said, encoding),
        text(0x00204000, "LT", said, encoding),
        explicit(0x00400275, "SQ", nested + item(b"") + nested),
    )
    one = Amendment("c", {"00100010": name_of(name)}, 1, system="RIS")
    new = amended(dataset, EXPLICIT_LE, [one])
    assert amended_header(read_elements(dataset, EXPLICIT_LE), [one], SOP) == read_elements(
        new, EXPLICIT_LE
    )
    shown = parsed(new, EXPLICIT_LE)
    named = shown.get("SpecificCharacterSet", "")
    terms = named if isinstance(named, str) else "\\".join(named)
    assert terms == (charset if stays else "ISO_IR 192")
    assert str(shown.PatientName) == name
    assert shown.SeriesDescription == shown.ImageComments == said
    assert shown.ProcedureCodeSequence[0].CodeMeaning == said
    codes = [one.get("CodeMeaning") for one in shown.RequestAttributesSequence]
    assert codes == [said, None, said]
    # What is not written anew is there byte for byte.
    assert (explicit(0x00400275, "SQ", nested + item(b"") + nested) in new) == stays


def test_an_items_own_character_set_is_made_the_whole_data_sets() -> None:
    own = item(text(0x00080005, "CS", "ISO_IR 144") + text(0x00080104, "LO", "Рост", "iso8859-5"))
    dataset = instance(
        text(0x00080005, "CS", "ISO_IR 100"),
        explicit(0x00081032, "SQ", own + item(text(0x00080104, "LO", "Größe", "latin-1"))),
    )
    one = Amendment("c", {"00100010": name_of(JAPANESE)}, 1)
    new = amended(dataset, EXPLICIT_LE, [one])
    first, second = parsed(new, EXPLICIT_LE).ProcedureCodeSequence
    assert (first.CodeMeaning, second.CodeMeaning) == ("Рост", "Größe")
    assert first.SpecificCharacterSet == "ISO_IR 192"
    assert "SpecificCharacterSet" not in second
    # In a character set that holds the name, items stay as they are.
    kept = amended(dataset, EXPLICIT_LE, [replace(one, elements={"00100010": name_of(GERMAN)})])
    assert own in kept


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE])
def test_each_native_transfer_syntax_stays_what_it_is(syntax: str) -> None:
    order = ">" if syntax == EXPLICIT_BE else "<"

    def element(tag: int, vr: str, value: bytes) -> bytes:
        if syntax == IMPLICIT_LE:
            return implicit(tag, value)
        return explicit(tag, vr, value, order=order)

    dataset = b"".join(
        [
            element(0x00080000, "UL", pack(f"{order}L", 1234)),
            element(0x00080001, "UL", pack(f"{order}L", 9999)),
            element(0x00080018, "UI", b"1.2.3.4\0"),
            element(0x00100010, "PN", b"A^B "),
            element(0x00180060, "DS", b"120 "),
            element(0x00280010, "US", pack(f"{order}H", 2)),
            element(0x00281052, "DS", b"-1024 "),
            element(0x00283006, "OW", pack(f"{order}3H", 1, 2, 3)),
            element(0x7FE00010, "OW", pack(f"{order}4H", 1, 2, 3, 4)),
            element(0x7FE10010, "LO", b"BEHIND"),
        ]
    )
    elements = {
        "00100010": name_of(LATIN),
        "00189074": {"vr": "DT", "Value": ["20240101"]},
        "00281201": {"vr": "OW", "InlineBinary": "AQACAA=="},
        "00186020": {"vr": "SL", "Value": [-7, 7]},
        "00189087": {"vr": "FD", "Value": [1.5]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
        "00289001": {"vr": "UL", "Value": [70000]},
        "0040A043": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}, {}]},
    }
    amendments = [Amendment("c", elements, 1, reason=AmendmentReason.COERCE, source="OLD")]
    new = amended(dataset, syntax, amendments)
    assert amended_header(read_elements(dataset, syntax), amendments, SOP) == (
        read_elements(new, syntax)
    )
    shown = parsed(new, syntax)
    assert (shown.PatientName, shown.FrameIncrementPointer) == (LATIN, 0x00181063)
    assert shown.DiffusionBValue == 1.5
    assert shown[0x00281201].value == pack(f"{order}2H", 1, 2)
    assert (shown.KVP, shown.Rows) == (120, 2)
    (original,) = originals_of(shown)
    assert original.SourceOfPreviousValues == "OLD"
    assert original.ReasonForTheAttributeModification == "COERCE"
    before = original.ModifiedAttributesSequence[0]
    assert before.PatientName == "A^B"
    assert (before.DiffusionBValue, len(before.ConceptNameCodeSequence)) == (None, 0)
    # Lengths that would be wrong now are gone; what lies behind the pixel data is there.
    assert not {0x00080000, 0x00080001} & shown.keys()
    assert new.endswith(
        element(0x7FE00010, "OW", pack(f"{order}4H", 1, 2, 3, 4))
        + element(0x7FE10010, "LO", b"BEHIND")
    )


def test_what_is_large_is_not_read_wherever_it_lies() -> None:
    document, table = bytes(70_000), bytes(range(256)) * 300
    frame = encapsulated(bytes(100_000), b"\1\2", table=bytes(4))
    dataset = instance(
        explicit(0x00281201, "OW", table),
        explicit(0x00420011, "OB", document),
        explicit(0x00420012, "LO", b"application/pdf "),
        frame,
        text(0xFFFCFFFC, "OB", "tail"),
    )
    header = HeaderReader().read(dataset, JPEG_BASELINE)
    assert [one.path for one in worth_keeping(header.bulk)] == ["00281201", "00420011", "7FE00010"]
    one = amendment()
    assert amended(dataset, JPEG_BASELINE, [one], header.bulk) == amended(
        dataset, JPEG_BASELINE, [one]
    )
    # Replaced, it is among the previous values, and still not read.
    small = {"vr": "OW", "InlineBinary": "AQACAA=="}
    replaced = replace(one, elements={"00281201": small})
    new = amended(dataset, JPEG_BASELINE, [replaced], header.bulk)
    assert new == amended(dataset, JPEG_BASELINE, [replaced])
    shown = parsed(new, JPEG_BASELINE)
    assert shown[0x00281201].value == b"\1\0\2\0"
    before = originals_of(shown)[0].ModifiedAttributesSequence[0]
    assert before[0x00281201].value == table
    assert new.endswith(frame + text(0xFFFCFFFC, "OB", "tail"))


@pytest.mark.parametrize("is_unknown", [False, True])
@pytest.mark.parametrize("delimited", [False, True])
def test_items_it_came_with_are_kept_in_front(is_unknown: bool, delimited: bool) -> None:
    if is_unknown:
        inner = item(implicit(0x00100010, b"First^One "))
        former = implicit(0x04000550, inner) + implicit(0x04000565, b"COERCE")
        element = explicit(0x04000561, "UN", item(former, delimited=delimited))
    else:
        inner = item(explicit(0x00100010, "PN", b"First^One "))
        former = explicit(0x04000550, "SQ", inner) + explicit(0x04000565, "CS", b"COERCE")
        element = explicit(0x04000561, "SQ", item(former, delimited=delimited))
    dataset = image(element, explicit(0x7FE00010, "OB", bytes(4)))
    for name in (LATIN, CYRILLIC):
        new = amended(dataset, EXPLICIT_LE, [amendment(name), amendment(name, 2)])
        shown = parsed(new, EXPLICIT_LE)
        first, second, third = originals_of(shown)
        assert first.ModifiedAttributesSequence[0].PatientName == "First^One"
        assert first.ReasonForTheAttributeModification == "COERCE"
        assert second.ModifiedAttributesSequence[0].PatientID in {"", None}
        # The second changes the ID alone.
        assert [one.tag for one in third.ModifiedAttributesSequence[0]] == [0x00100020]
        assert third.ModifiedAttributesSequence[0].PatientID == "NEW1"


def test_an_element_without_a_vr_does_not_hide_that_of_others() -> None:
    # The first of the data set, once its group length is gone, and the first that was replaced.
    odd = pack("<HH2sH", 0x0008, 0x0005, b"C\xa0", 10) + b"ISO_IR 100"
    study = pack("<HH2sH", 0x0008, 0x1030, b"L\xff", 4) + b"Head"
    dataset = explicit(0x00080000, "UL", bytes(4)) + odd + study + explicit(0x00100010, "PN", b"A")
    for name in (LATIN, CYRILLIC):
        shown = parsed(amended(dataset, EXPLICIT_LE, [amendment(name)]), EXPLICIT_LE)
        assert shown.PatientName == name
        was = originals_of(shown)[0].ModifiedAttributesSequence[0]
        assert (was.PatientName, was[0x00081030].value) == ("A", "Head")


def test_the_modifying_system_is_always_said() -> None:
    one = Amendment("c", {"00100010": name_of(LATIN)}, 0)
    shown: Elements = amended_header({"00100010": name_of("A")}, [one], SOP)
    (said,) = shown["04000561"]["Value"]
    assert said["04000563"]["Value"] == ["PACS_CLOUD"]
    assert said["04000562"]["Value"] == ["19700101000000.000000+0000"]


LARGE = bytes(range(256)) * 300
_ODD = {
    "twice, the first small": (
        EXPLICIT_LE,
        [explicit(0x7FE00010, "OB", b"\1\2"), explicit(0x7FE00010, "OB", LARGE)],
    ),
    "twice, both large": (
        EXPLICIT_LE,
        [explicit(0x7FE00010, "OB", LARGE[1:] + b"\1"), explicit(0x7FE00010, "OB", LARGE)],
    ),
    "bytes that should be nil are not": (
        EXPLICIT_LE,
        [pack("<HH2sHL", 0x0042, 0x0011, b"OB", 7, len(LARGE)) + LARGE],
    ),
    "a group that looks like a VR": (IMPLICIT_LE, [implicit(0x41410000, LARGE)]),
    "a tag that looks like a VR": (IMPLICIT_LE, [implicit(0x424F0002, LARGE)]),
    "a large length": (EXPLICIT_LE, [explicit(0x00290000, "UN", LARGE)]),
    "large without a VR": (EXPLICIT_LE, [implicit(0x00431010, LARGE)]),
    "large character sets": (
        EXPLICIT_LE,
        [explicit(0x00080005, "CS", b"ISO_IR 192"), explicit(0x00080005, "OB", LARGE)],
    ),
    "large former attributes": (
        EXPLICIT_LE,
        [explicit(0x04000561, "SQ", item(b"")), explicit(0x04000561, "OB", LARGE)],
    ),
}


@pytest.mark.parametrize("odd", _ODD)
def test_what_is_odd_and_large_is_shown_alike_whether_it_is_read_or_not(odd: str) -> None:
    syntax, elements = _ODD[odd]
    values = {0x00080016: b"1.2\0", 0x00080018: b"1.2.3.4\0", 0x0020000D: b"1.2\0"}
    values[0x0020000E] = b"1.3\0"
    is_implicit = syntax == IMPLICIT_LE
    uids = [
        implicit(tag, value) if is_implicit else explicit(tag, "UI", value)
        for tag, value in values.items()
    ]
    check_large(b"".join([*uids, *elements]), syntax)


def test_a_large_first_element_still_tells_how_the_others_are_written() -> None:
    first = explicit(0x00080008, "OB", LARGE)
    check_large(first + implicit(0x00080016, b"1.2\0") + instance(without=0x00080016), EXPLICIT_LE)


def check_large(dataset: bytes, syntax: str) -> None:
    bulk = HeaderReader().read(dataset, syntax).bulk
    for name in (GERMAN, CYRILLIC):
        new = amended(dataset, syntax, [amendment(name)], bulk)
        assert new == amended(dataset, syntax, [amendment(name)])
        stored = read_elements(dataset, syntax)
        assert amended_header(stored, [amendment(name)], SOP) == read_elements(new, syntax)
        assert not read_elements(new, syntax)["00100010"].keys() ^ {"vr", "Value"}


@pytest.mark.parametrize("vr", ["OB", "LO", "US"])
def test_former_attributes_that_are_no_sequence_are_none(vr: str) -> None:
    dataset = instance(explicit(0x04000561, vr, b"abcd"))
    new = amended(dataset, EXPLICIT_LE, [amendment()])
    assert len(originals_of(parsed(new, EXPLICIT_LE))) == 1
    stored = read_elements(dataset, EXPLICIT_LE)
    assert amended_header(stored, [amendment()], SOP) == read_elements(new, EXPLICIT_LE)


@pytest.mark.parametrize("name", [LATIN, CYRILLIC])
def test_former_attributes_that_were_unknown_get_vrs(name: str) -> None:
    former = implicit(0x04000550, item(implicit(0x00100010, b"First^One "))) + implicit(
        0x04000565, b"COERCE"
    )
    dataset = instance(explicit(0x04000561, "UN", item(former)))
    new = amended(dataset, EXPLICIT_LE, [amendment(name)])
    assert explicit(0x00100010, "PN", b"First^One ") in new
    assert explicit(0x04000565, "CS", b"COERCE") in new
    stored = read_elements(dataset, EXPLICIT_LE)
    assert amended_header(stored, [amendment(name)], SOP) == read_elements(new, EXPLICIT_LE)


@pytest.mark.parametrize("name", [LATIN, CYRILLIC])
def test_a_sequence_without_a_vr_and_a_length_hides_no_vrs_either(name: str) -> None:
    code = item(explicit(0x00080100, "SH", b"AB")) + implicit(0xFFFEE0DD, b"")
    dataset = (
        explicit(0x00080000, "UL", bytes(4))
        + implicit(0x00080006, code, length=UNDEFINED)
        + instance(implicit(0x00081032, code, length=UNDEFINED))
    )
    for one in (amendment(name), Amendment("c", {"00081032": {"vr": "SQ"}}, 1)):
        new = amended(dataset, EXPLICIT_LE, [one])
        stored = read_elements(dataset, EXPLICIT_LE)
        assert amended_header(stored, [one], SOP) == read_elements(new, EXPLICIT_LE)
        was = originals_of(parsed(new, EXPLICIT_LE))[0].ModifiedAttributesSequence[0]
        assert was.ProcedureCodeSequence[0].CodeValue == "AB"


def test_what_was_there_is_written_anew_in_headers_as_in_data_sets() -> None:
    own = text(0x00080005, "CS", "ISO_IR 144") + text(0x00080104, "LO", "Рост", "iso8859-5")
    other = item(explicit(0x00080000, "UL", bytes(4)) + own)
    dataset = instance(
        text(0x00080005, "CS", "ISO_IR 100"),
        explicit(0x00081032, "SQ", other),
        explicit(0x00400275, "UN", implicit(0xFFFEE0DD, b""), length=UNDEFINED),
        explicit(0x00281201, "UN", implicit(0xFFFEE0DD, b""), length=UNDEFINED),
        explicit(0x04000561, "SQ", other),
    )
    new = amended(dataset, EXPLICIT_LE, [amendment(JAPANESE)])
    stored = read_elements(dataset, EXPLICIT_LE)
    assert amended_header(stored, [amendment(JAPANESE)], SOP) == read_elements(new, EXPLICIT_LE)
    first, second = originals_of(parsed(new, EXPLICIT_LE))
    was = second.ModifiedAttributesSequence[0].ProcedureCodeSequence[0]
    assert (first.CodeMeaning, was.CodeMeaning) == ("Рост", "Рост")


def test_a_new_sequence_names_no_character_set_of_its_own() -> None:
    # As it comes from another patient's study, whose items were in others.
    alias = {"00080005": {"vr": "CS", "Value": ["ISO_IR 144"]}, "00100010": name_of(CYRILLIC)}
    one = Amendment("c", {"00101002": {"vr": "SQ", "Value": [alias]}}, 1)
    dataset = instance(text(0x00080005, "CS", "ISO_IR 100"))
    new = amended(dataset, EXPLICIT_LE, [one])
    shown = parsed(new, EXPLICIT_LE)
    assert str(shown.OtherPatientIDsSequence[0].PatientName) == CYRILLIC
    stored = read_elements(dataset, EXPLICIT_LE)
    assert amended_header(stored, [one], SOP) == read_elements(new, EXPLICIT_LE)


def test_text_deep_in_a_large_data_set_is_written_anew_in_little_memory() -> None:
    content = explicit(0x00420011, "OB", bytes(1 << 20))
    for _ in range(60):
        content = explicit(0x0040A730, "SQ", item(content))
    dataset = instance(content)
    tracemalloc.start()
    new = amended(dataset, EXPLICIT_LE, [amendment(CYRILLIC)])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10 * len(dataset)
    assert read_elements(new, EXPLICIT_LE)["0040A730"]["vr"] == "SQ"
