"""Where searches start."""

import pytest

from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByName, ByPatient, NamePart
from pacs_cloud.query.planner import FromAnchor, FromStudies, FromUids, plan
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

TAGS = {
    "study": "0020000D",
    "series": "0020000E",
    "sop": "00080018",
    "id": "00100020",
    "issuer": "00100021",
    "name": "00100010",
    "accession": "00080050",
    "date": "00080020",
    "modality": "00080060",
    "modalities": "00080061",
}


def start(*, fuzzy: bool = False, **texts: str) -> object:
    keys = tuple(SearchKey((TAGS[name],), text) for name, text in texts.items())
    found = plan(SearchRequest(Level.STUDY, keys, fuzzy=fuzzy))
    return found.anchor if isinstance(found, FromAnchor) else found


def test_uids_come_before_everything() -> None:
    assert start(id="P", study="1.2\\1.3") == FromStudies(("1.2", "1.3"))
    assert start(id="P", sop="1.2") == FromUids(("1.2",), are_instances=True)
    assert start(id="P", series="1.2 ") == FromUids(("1.2",), are_instances=False)
    assert start(study="1.2", sop="1.9") == FromStudies(("1.2",))


def test_patient_then_accession_then_name_then_date() -> None:
    given = {"id": "P", "accession": "A", "name": "X*", "date": "20240101"}
    expected: list[Anchor] = [
        ByPatient("P"),
        ByAccession("A"),
        ByName(NamePart.NAME, "X"),
        ByDate("20240101", "20240101"),
    ]
    for name, anchor in zip(tuple(given), expected, strict=True):
        assert start(**given) == anchor
        del given[name]


def test_an_issuer_narrows_the_patient() -> None:
    assert start(id="P", issuer="HOSP") == ByPatient("P", "HOSP")
    assert start(id="P", issuer="H*") == ByPatient("P")


@pytest.mark.parametrize("text", ["P*", "P?", "P\\Q", "*", ""])
def test_ids_that_are_no_single_value_are_no_start(text: str) -> None:
    assert start(id=text, accession=text) == ByDate()


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("SMITH*", ByName(NamePart.NAME, "SMITH")),
        ("smith^j*", ByName(NamePart.NAME, "SMITH^J")),
        ("Smith^", ByName(NamePart.NAME, "SMITH")),
        ("SMITH^*^X", ByName(NamePart.NAME, "SMITH")),
        ("SMI?H^J", ByName(NamePart.NAME, "SMI")),
        ("José*", ByName(NamePart.NAME, "JOSE")),
        ("山田*", ByName(NamePart.NAME, "山田")),
        ("*=山田*", ByName(NamePart.NAME, "山田")),
        ("*^ANNA*", ByName(NamePart.GIVEN, "ANNA")),
        ("*^A^B", ByName(NamePart.GIVEN, "A")),
        ("*^?NNA*", ByName(NamePart.INFIX, "NNA")),
        ("*ARO*", ByName(NamePart.INFIX, "ARO")),
        ("?MITH", ByName(NamePart.INFIX, "MITH")),
        ("*AR*", ByDate()),
        ("*", ByDate()),
        ("^^", ByDate()),
        ("A*\\B*", ByDate()),
    ],
)
def test_names(text: str, anchor: Anchor) -> None:
    assert start(name=text) == anchor


def test_fuzzy_names_may_stand_in_any_order() -> None:
    assert start(name="jo smith", fuzzy=True) == ByName(NamePart.SOUND, "SMT")
    assert start(name="Jo^Schmidt*", fuzzy=True) == ByName(NamePart.SOUND, "SMT")
    assert start(name="Lee", fuzzy=True) == ByName(NamePart.SOUND, "L")
    assert start(name="=山田", fuzzy=True) == ByName(NamePart.SOUND, "山田")
    assert start(name="* ^", fuzzy=True) == ByDate()


@pytest.mark.parametrize(
    ("text", "anchor"),
    [
        ("20240102", ByDate("20240102", "20240102")),
        ("20240102-20240203", ByDate("20240102", "20240203")),
        ("20240102-", ByDate("20240102", "")),
        ("-20240102", ByDate("", "20240102")),
        ("", ByDate()),
        ("*", ByDate()),
        ("2024.01.02", ByDate()),  # matched, but not searched by
    ],
)
def test_dates(text: str, anchor: ByDate) -> None:
    assert start(date=text) == anchor


def test_one_modality_is_a_hint() -> None:
    assert start(modality="CT") == ByDate(modality="CT")
    assert start(modalities="MR", date="20240101-") == ByDate("20240101", "", "MR")
    assert start(modality="CT\\MR") == ByDate()
    assert start(modality="C*") == ByDate()


def test_keys_within_sequences_are_no_start() -> None:
    request = SearchRequest(Level.STUDY, (SearchKey(("00400275", "00080050"), "A"),))
    assert plan(request) == FromAnchor(ByDate())
