"""Names where a table of attributes would not look for them, found by a reader of its own."""

from random import Random
from struct import unpack

import pytest
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from deid_samples import (
    ALL_OPTIONS,
    KNOWN_CLEAN,
    STUDY,
    made,
    output,
    part10,
    patient,
    presentation_state,
    report,
    with_pixels,
)
from deid_scanner import leaks, person_in, read
from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.deid.rules import parse_rules

NAME = "Müller-Lüdenscheidt"
OPTIONS = pytest.mark.parametrize("options", [(), ALL_OPTIONS], ids=["basic", "options"])


def check(data: bytes, options: tuple[str, ...]) -> Dataset:
    """Return what is given out, which the scanner finds nothing in."""
    person = person_in(data)
    assert person.names, "the sample names nobody"
    written = output(data, *options)
    assert leaks(person, written) == []
    return read(written)


def private_block(ds: Dataset, creator: str = "ACME 1.0") -> None:
    block = ds.private_block(0x0029, creator, create=True)
    block.add_new(0x01, "LO", f"for {NAME}")
    block.add_new(0x02, "UN", NAME.encode())
    block.add_new(0x03, "PN", NAME)
    item = Dataset()
    item.PatientName = NAME
    item.add(DataElement(0x00100020, "LO", "PAT-445566"))
    block.add_new(0x04, "SQ", [item])


def nested(ds: Dataset) -> None:
    inner = Dataset()
    inner.PatientName = f"{NAME}^Jean-Luc"
    inner.PatientID = "PAT-445566"
    inner.StudyInstanceUID = STUDY
    inner.ImageComments = NAME
    ds.ReferencedStudySequence = [inner]
    context = Dataset()
    context.ConceptNameCodeSequence = [Dataset()]
    context.ConceptNameCodeSequence[0].CodeValue = "1"
    context.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99X"
    context.ConceptNameCodeSequence[0].CodeMeaning = f"{NAME} stood"
    context.TextValue = f"as {NAME} said"
    ds.AcquisitionContextSequence = [context]
    ds.AnatomicRegionSequence = [context.ConceptNameCodeSequence[0]]


def comments(ds: Dataset) -> None:
    ds.ImageComments = f"{NAME} moved"
    ds.PatientComments = "lives at Rosenweg 12"
    ds.StudyDescription = "CT for MULLER-LUDENSCHEIDT, PAT-445566, 17.03.1954"
    ds.SeriesDescription = "THORAX 2024-01-02 Zellweger 071 555 12 34"
    ds.ProtocolName = "muller-ludenscheidt"
    ds.DerivationDescription = f"from {STUDY}.7"
    ds.WindowCenterWidthExplanation = f"as {NAME} likes it"
    ds.Manufacturer = "Sankt Gallus Spital"
    ds.BodyPartExamined = "ZELLWEGER"


def overlays(ds: Dataset) -> None:
    ds.add_new(0x60000010, "US", 8)
    ds.add_new(0x60000011, "US", 8)
    ds.add_new(0x60000022, "LO", f"drawn by {NAME}")
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60001500, "LO", NAME)
    ds.add_new(0x60003000, "OW", bytes(8))
    ds.add_new(0x60004000, "LT", f"of {NAME}")
    ds.add_new(0x50000020, "CS", "ECG")
    ds.add_new(0x50002500, "LO", NAME)


def unknown(ds: Dataset) -> None:
    ds.add(DataElement(0x0008FFF1, "UN", NAME.encode()))  # no attribute of any edition
    ds.add(DataElement(0x00283002, "US", list(unpack("<5H", b"Zellweger "))))
    ds.add(DataElement(0x00104000, "UN", NAME.encode()))  # Patient Comments, its VR forgotten
    ds.add(DataElement(0x00282000, "OB", b"ICC " + NAME.encode("utf-16-le")))
    ds.add(DataElement(0x00281201, "OW", b"Jean-Luc Muller-Ludenscheidt "[:28]))
    ds.add(DataElement(0x00081030, "LO", f"{NAME} " * 3))


def icons(ds: Dataset) -> None:
    icon = with_pixels(Dataset())
    icon.PixelData = NAME.encode() + bytes(128 - len(NAME.encode()))
    ds.IconImageSequence = [icon]


def history(ds: Dataset) -> None:
    before = Dataset()
    before.PatientName = "Duckling^Gustav"
    before.PatientID = "OLD-990011"
    item = Dataset()
    item.ModifiedAttributesSequence = [before]
    item.AttributeModificationDateTime = "20240103101010"
    item.ModifyingSystem = "RIS"
    item.SourceOfPreviousValues = "Spital"
    item.ReasonForTheAttributeModification = "CORRECT"
    ds.OriginalAttributesSequence = [item]
    ds.StudyDescription = "was Duckling, OLD-990011"
    ds.EncryptedAttributesSequence = [Dataset()]
    ds.EncryptedAttributesSequence[0].EncryptedContent = NAME.encode()


def odd_values() -> bytes:
    """Return a file with names in values that cannot be names, which pydicom would not write."""
    ds = with_pixels(patient())
    ds.WindowCenterWidthExplanation = "for Mueller-Luedenscheidt"
    ds.ScanOptions = "RUTH ZELLWEGER"
    ds.SliceThickness = "1111111111"
    ds.InstanceNumber = "1222222222"
    ds.StudyTime = "101010.123"
    ds.AcquisitionDateTime = "19990101101010.123"
    ds.PatientAge = "099Y"
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.3333333333"
    item.ReferencedSOPInstanceUID = f"{STUDY}.4"
    ds.ReferencedStudySequence = [item]
    data = part10(ds)
    for placeholder, value in (
        (b"1111111111", b"Zellweger "),
        (b"1222222222", b"PAT-445566"),
        (b"101010.123", b"Zellweger "),
        (b"19990101Zellweger ", b"20240102Zellweger "),
        (b"099Y", b"Ruth"),
        (b"1.2.840.10008.3333333333", b"1.2.840.10008.Zellweger\0"),
    ):
        assert placeholder in data, placeholder
        data = data.replace(placeholder, value)
    return data


def wrong_vrs(ds: Dataset) -> None:
    for tag, vr, value in (
        (0x00081048, "LO", "Gantenbein^Hans"),  # Physicians of Record
        (0x00204000, "SH", "by Gantenbein"),  # Image Comments
        (0x00100032, "LO", "101500"),  # Patient's Birth Time
        (0x00102154, "LT", "071 555 99 88"),  # Patient's Telephone Numbers
    ):
        raw = value.encode()
        ds[tag] = RawDataElement(Tag(tag), vr, len(raw), raw, 0, False, True)
    ds.ContrastBolusRoute = "as Gantenbein says"


def pixels_elsewhere(ds: Dataset) -> None:
    hidden = with_pixels(Dataset())
    hidden.PixelData = NAME.encode() + bytes(128 - len(NAME.encode()))
    ds.AnatomicRegionSequence = [hidden]
    ds.add_new(0x7FE00008, "OF", b"Zellweger1Zellweger2Zellweger3Ze")
    ds.add_new(0x7F000010, "OW", b"Zellweger ")


def two_letters(ds: Dataset) -> None:
    ds.PatientName = "Wu^Li"
    ds.WindowCenterWidthExplanation = "Li Wu, Wu, Li"


@OPTIONS
@pytest.mark.parametrize(
    "hide",
    [
        *(private_block, nested, comments, overlays, unknown, icons, history),
        *(wrong_vrs, pixels_elsewhere, two_letters),
    ],
)
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
    ids=["explicit", "implicit", "big-endian", "deflated"],
)
def test_nothing_is_left(hide, syntax: str, options: tuple[str, ...]) -> None:
    ds = with_pixels(patient())
    hide(ds)
    clean = check(part10(ds, syntax), options)
    assert clean.PixelData, "the pixels went, too"
    assert not any(element.tag.is_private for element in clean.iterall())


@OPTIONS
@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东="),
        ("ISO_IR 144", "Люкceмбypг^Иван"),
        ("ISO_IR 126", "Διονυσιος^Ιωαννου"),
        ("ISO_IR 100", "Buc^Jérôme"),
    ],
    ids=["jp", "jp-kana", "kr", "gb18030", "ru", "gr", "fr"],
)
def test_nothing_is_left_in_any_character_set(charset, name: str, options) -> None:
    ds = with_pixels(patient())
    ds.SpecificCharacterSet = charset
    del ds.PatientTelephoneNumbers
    ds.PatientName = name
    group = name.split("=")[1] if "=" in name else name
    ds.WindowCenterWidthExplanation = group.replace("^", " ")
    ds.StudyDescription = f"of {group.replace('^', ' ')}"
    data = part10(ds)
    check(data, options)


def test_nothing_is_left_where_the_character_set_lies() -> None:
    ds = with_pixels(patient())
    ds.WindowCenterWidthExplanation = "x"
    ds.ReferringPhysicianName = ""
    ds.PatientName = "王小东明"
    data = part10(ds)
    spoilt = data.replace(b"LO\x02\x00x ", b"LO\x08\x00" + "王小东明".encode("gb18030"))
    assert spoilt != data
    check(spoilt, ())


def test_nothing_is_left_in_file_meta_and_preamble() -> None:
    ds = with_pixels(patient())
    ds.file_meta = part_meta()
    preamble = NAME.encode().ljust(128, b"\0")
    data = part10(ds, preamble=preamble)
    clean = check(data, ())
    assert clean.preamble == bytes(128)
    names = {element.keyword for element in clean.file_meta}
    assert names == {
        *("FileMetaInformationGroupLength", "FileMetaInformationVersion"),
        *("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"),
        *("ImplementationClassUID", "ImplementationVersionName"),
    }
    assert clean.file_meta.MediaStorageSOPInstanceUID == clean.SOPInstanceUID


def part_meta():
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.SourceApplicationEntityTitle = "GALLUS_CT1"
    meta.SendingApplicationEntityTitle = "GALLUS_CT1"
    meta.PrivateInformationCreatorUID = f"{STUDY}.9"
    meta.PrivateInformation = NAME.encode()
    meta.ImplementationVersionName = "ZELLWEGER"
    return meta


def test_padding_and_group_lengths_go() -> None:
    ds = with_pixels(patient())
    ds.add_new(0xFFFCFFFC, "OB", NAME.encode())
    ds.add_new(0x00080000, "UL", 100)
    clean = check(part10(ds), ())
    assert 0xFFFCFFFC not in clean
    assert 0x00080000 not in clean


@OPTIONS
def test_nothing_is_left_in_a_report(options: tuple[str, ...]) -> None:
    clean = check(part10(report()), options)
    if not options:
        assert [item.TextValue for item in clean.ContentSequence] == ["WITHHELD"]
        return
    text = clean.ContentSequence[0].TextValue
    assert "Nodule of 7 mm." in text
    concepts = [item.ConceptNameCodeSequence[0].CodeValue for item in clean.ContentSequence]
    assert concepts == ["121071", "111060", "112227", "121080"], "who observed, and whom, is gone"


@OPTIONS
def test_nothing_is_left_in_a_presentation_state(options: tuple[str, ...]) -> None:
    clean = check(part10(presentation_state()), options)
    (text,) = clean.GraphicAnnotationSequence[0].TextObjectSequence
    if options:
        assert "left kidney" in text.UnformattedTextValue
    else:
        assert text.UnformattedTextValue == "WITHHELD"


def test_documents_are_not_given_out() -> None:
    ds = patient(EncapsulatedPDFStorage)
    ds.Modality = "DOC"
    ds.EncapsulatedDocument = b"%PDF-1.4 " + NAME.encode()
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result = made(part10(ds), *ALL_OPTIONS)
    assert result.withheld is Withheld.DOCUMENT
    assert b"".join(result.parts()) == b""


@pytest.mark.parametrize("sop_class", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.9.4.1"])
def test_what_nobody_can_look_into_is_not_given_out(sop_class: str) -> None:
    result = made(part10(patient(sop_class)))
    assert result.withheld in {Withheld.PRIVATE_CLASS, Withheld.AUDIO}


def test_a_file_cut_short_is_not_given_out() -> None:
    data = part10(with_pixels(patient()))
    assert made(data[:-9]).withheld is Withheld.UNREADABLE
    assert made(b"").withheld is Withheld.UNREADABLE
    assert made(b"no DICOM at all" * 50).withheld is Withheld.UNREADABLE


def test_a_name_in_the_bytes_of_pixels_is_found() -> None:
    ds = with_pixels(patient(), rows=32)
    pixels = bytearray(ds.PixelData)
    pixels[100:110] = b"PAT-445566"
    ds.PixelData = bytes(pixels)
    assert made(part10(ds)).withheld is Withheld.NAMED_IN_PIXELS


def test_an_overlay_in_the_pixels_bits_is_not_given_out() -> None:
    ds = with_pixels(patient())
    ds.BitsStored, ds.HighBit = 12, 11
    ds.add_new(0x60000010, "US", 8)
    ds.add_new(0x60000011, "US", 8)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 15)
    assert made(part10(ds)).withheld is Withheld.OVERLAY_IN_PIXELS


def test_a_patient_called_like_a_defined_term_does_not_break_the_image() -> None:
    ds = with_pixels(patient())
    ds.PatientName = "MONOCHROME2^AXIAL"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    clean = read(output(part10(ds)))
    assert clean.PhotometricInterpretation == "MONOCHROME2"
    assert list(clean.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_the_report_names_nobody() -> None:
    ds = with_pixels(patient())
    comments(ds)
    private_block(ds)
    said = repr(made(part10(ds), *ALL_OPTIONS)) + repr(
        made(part10(ds), *ALL_OPTIONS).tally.by_deed()
    )
    for word in ("ller", "PAT-", "Zellweger", STUDY):
        assert word not in said


def test_ct_and_captures_are_told_apart() -> None:
    assert made(part10(with_pixels(patient(CTImageStorage))), rules=None).withheld is None
    capture = part10(with_pixels(patient(SecondaryCaptureImageStorage)))
    assert made(capture, rules=None).withheld is Withheld.BURNED_IN
    assert made(capture, rules=KNOWN_CLEAN).withheld is None


def test_a_character_set_that_is_a_name() -> None:
    data = part10(with_pixels(patient()))
    spoilt = data.replace(b"ISO_IR 192", b"Zellweger ")
    assert spoilt != data
    assert b"Zellweger" not in output(spoilt)


@pytest.mark.parametrize(
    "options",
    [
        *((), ALL_OPTIONS, ("retain-full-dates",), ("retain-uids",)),
        ("retain-patient-characteristics", "retain-device-identity"),
    ],
    ids=" ".join,
)
def test_a_name_in_a_value_that_cannot_be_one(options: tuple[str, ...]) -> None:
    data = odd_values()
    out = output(data, *options)
    assert leaks(person_in(data), out, with_uids="retain-uids" not in options) == []
    assert b"Zellweger" not in out


def test_long_texts_take_no_long_time() -> None:
    """Each of these is quadratic for a careless pattern."""
    for text in (
        "a" * 60_000,
        " " * 59_000 + "Zellweger",
        "1 " * 30_000,
        "Zell" * 8_000 + "weger" * 5_000,
    ):
        ds = with_pixels(patient())
        element = DataElement(0x00324000, "OB", text.encode())
        ds.add(element)  # Study Comments, as bytes
        data = part10(ds).replace(b"\x32\x00\x00\x40OB", b"\x32\x00\x00\x40UT")
        assert made(data, "clean-descriptors").withheld is None


def test_too_many_names_are_refused() -> None:
    ds = with_pixels(patient())
    ds.OtherPatientNames = [f"Name{number}^Given{number}" for number in range(3_000)]
    ds["OtherPatientNames"].VR = "UN"
    ds["OtherPatientNames"]._value = "\\".join(map(str, ds.OtherPatientNames)).encode()
    assert made(part10(ds)).withheld is Withheld.UNREADABLE


@pytest.mark.parametrize("seed", range(8))
def test_broken_files_break_nothing(seed: int) -> None:
    """What becomes of them is a result, or they are withheld: never another error."""
    rng = Random(seed)
    ds = with_pixels(patient())
    for hide in (private_block, nested, comments, overlays, icons, history):
        hide(ds)
    data = part10(ds)
    for _ in range(40):
        spoilt = bytearray(data)
        for _ in range(rng.randint(1, 12)):
            spoilt[rng.randrange(132, len(spoilt))] = rng.randrange(256)
        if rng.random() < 0.2:
            del spoilt[rng.randrange(132, len(spoilt)) :]
        b"".join(made(bytes(spoilt), *ALL_OPTIONS).parts())


def test_what_is_encrypted_goes_unseen() -> None:
    ds = with_pixels(patient())
    ds.EncryptedAttributesSequence = [Dataset()]
    ds.EncryptedAttributesSequence[0].EncryptedContent = b"\x13\x07"
    assert "EncryptedAttributesSequence" not in read(output(part10(ds)))


def test_a_private_creator_that_is_a_name() -> None:
    ds = with_pixels(patient())
    ds.private_block(0x0029, "ZELLWEGER", create=True).add_new(0x05, "LO", "grid")
    rules = parse_rules(
        'version = 1\n[[pixels]]\n[[private]]\ncreator = "ZELLWEGER"\ngroup = "0029"\n'
        'elements = ["05"]\n'
    )
    out = read(output(part10(ds), "retain-safe-private", rules=rules))
    assert not any(element.tag.is_private for element in out)


def long_values(ds: Dataset) -> None:
    """In implicit VR nothing keeps a text from being longer than 64 KiB."""
    for tag, text in (
        (0x00080021, "20240102\\"),  # Series Date
        (0x00080031, "101010\\"),
        (0x00081150, "1.2.826.0.1.99.1\\"),  # Referenced SOP Class UID
        (0x00080014, "1.2.826.0.1.99.1\\"),  # Instance Creator UID
        (0x00281055, "for Zellweger "),
    ):
        ds.add(DataElement(tag, "OB", text.encode() * 10_000))


@pytest.mark.parametrize("option", ["retain-full-dates", "retain-modified-dates", "retain-uids"])
def test_texts_too_long_to_be_read_go(option: str) -> None:
    ds = with_pixels(patient())
    long_values(ds)
    data = part10(ds, ImplicitVRLittleEndian)
    out = output(data, option)
    assert len(out) < 5_000
    assert leaks(person_in(data), out, with_uids=False) == []


def test_contours_longer_than_64_kib_stay() -> None:
    ds = with_pixels(patient())
    numbers = b"1.25\\-3.5e1\\" * 8_000 + b"0 "
    ds.add(DataElement(0x30060050, "OB", numbers))  # Contour Data
    out = output(part10(ds, ImplicitVRLittleEndian))
    assert numbers in out
    ds[0x30060050].value = numbers[:-10] + b"Zellweger "
    assert b"1.25" not in output(part10(ds, ImplicitVRLittleEndian))


def test_an_identifier_that_is_a_sequence_goes() -> None:
    ds = with_pixels(patient())
    inner = Dataset()
    inner.PatientName = NAME
    outer = Dataset()
    outer.add(DataElement(0x00100020, "SQ", [inner]))
    ds.AnatomicRegionSequence = [outer]
    data = part10(ds)
    assert leaks(person_in(data), output(data)) == []
