"""The Native DICOM Model as clients write it (PS3.19 A.1), and what is refused."""

import pytest

from pacs_cloud.dicom.native_model import parse
from pacs_cloud.errors import InvalidRequest

SPACE = 'xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'


def model(inside: str, declaration: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    text = f'{declaration}<NativeDicomModel {SPACE} xml:space="preserve">{inside}'
    return f"{text}</NativeDicomModel>".encode()


def attribute(tag: str, vr: str, inside: str, more: str = "") -> str:
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{more}>{inside}</DicomAttribute>'


@pytest.mark.parametrize(
    ("vr", "inside", "element"),
    [
        ("LO", "", {"vr": "LO"}),
        ("LO", '<Value number="1"> a &amp; b </Value>', {"Value": [" a & b "]}),
        ("LO", '<Value number="3">c</Value>', {"Value": [None, None, "c"]}),
        ("LO", '<Value number="2">b</Value><Value number="1">a</Value>', {"Value": ["a", "b"]}),
        ("UT", '<Value number="1">a&#13;\nb</Value>', {"Value": ["a\r\nb"]}),
        ("US", '<Value number="1"> 7 </Value>', {"Value": [7]}),
        ("SV", '<Value number="1">-9007199254740993</Value>', {"Value": [-9007199254740993]}),
        ("FD", '<Value number="1">1.5e3</Value>', {"Value": [1500.0]}),
        ("FD", '<Value number="1">NaN</Value>', {"Value": ["NaN"]}),
        ("DS", '<Value number="1"> 1.50 </Value>', {"Value": ["1.50"]}),
        ("AT", '<Value number="1">00280010</Value>', {"Value": ["00280010"]}),
        ("OB", "<InlineBinary>\nAAEC\n</InlineBinary>", {"InlineBinary": "\nAAEC\n"}),
        ("OW", '<BulkData uri="a/b?c&amp;d"/>', {"BulkDataURI": "a/b?c&d"}),
        ("OW", '<BulkData uuid="1-2"/>', {"BulkDataURI": "1-2"}),
        (
            "PN",
            (
                '<PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName>'
                "<NameSuffix>Jr</NameSuffix></Alphabetic>"
                "<Ideographic><FamilyName>山田</FamilyName></Ideographic></PersonName>"
            ),
            {"Value": [{"Alphabetic": "Yamada^^^^Jr", "Ideographic": "山田"}]},
        ),
        (
            "SQ",
            f'<Item number="1">{attribute("00100020", "LO", "")}</Item><Item number="2"/>',
            {"Value": [{"00100020": {"vr": "LO"}}, {}]},
        ),
    ],
)
def test_values(vr: str, inside: str, element: dict[str, object]) -> None:
    document = model(attribute("00101010", vr, inside))
    assert parse(document) == {"00101010": {"vr": vr, **element}}


def test_prefixes_other_cases_and_encodings_are_understood() -> None:
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><n:NativeDicomModel xmlns:n="x">'
        '<n:DicomAttribute Tag="0010001a" VR="LO" Keyword="K"><n:Value number="1">é</n:Value>'
        "</n:DicomAttribute></n:NativeDicomModel>"
    )
    assert parse(text.encode("latin-1")) == {"0010001A": {"vr": "LO", "Value": ["é"]}}


def test_private_creators_that_are_only_named_are_added() -> None:
    creator = ' privateCreator="ACME"'
    found = parse(
        model(
            attribute("00091001", "LO", "", creator)
            + attribute("00110010", "LO", '<Value number="1">OTHER</Value>')
            + attribute("00110001", "LO", "", creator)
            + attribute("00110002", "US", "", creator)
        )
    )
    assert found == {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "LO"},
        "00110010": {"vr": "LO", "Value": ["OTHER"]},
        "00110011": {"vr": "LO", "Value": ["ACME"]},
        "00111101": {"vr": "LO"},
        "00111102": {"vr": "US"},
    }


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no xml",
        b"<NativeDicomModel>",
        b"<Other/>",
        model("<a>"),
        model("", BOMB),
        model(attribute("00100020", "LO", '<Value number="1">&c;</Value>'), BOMB),
        model("", '<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
        model("", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'),
        model("&undefined;"),
        model("", '<?xml version="1.0" encoding="no-such"?>'),
        model(attribute("0010", "LO", "")),
        model(attribute("00100020", "LO", "") * 2),
        model(attribute("00280010", "US", '<Value number="1">many</Value>')),
        model(attribute("00100020", "LO", "<Value>a</Value>")),
        model(attribute("00100020", "LO", '<Value number="0">a</Value>')),
        model(attribute("00100020", "LO", '<Value number="9999999999">a</Value>')),
        model(attribute("00100020", "LO", '<Value number="1">a</Value>' * 2)),
        model("<Item>" * 200 + "</Item>" * 200),
        model("x" * 20).replace(b"x", b"\0"),
    ],
)
def test_what_is_no_native_model_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(document)


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pacs_cloud.dicom.native_model.MAX_NODES", 10)
    parse(model("<a/>" * 8))
    with pytest.raises(InvalidRequest, match="too many"):
        parse(model("<a/>" * 10))
