"""DICOM audit messages, against the standard's schema and its tables of each message."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pydicom.sr._concepts_dict import concepts

from pacs_cloud.security import audit_codes
from pacs_cloud.security.audit_codes import Code
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome
from pacs_cloud.security.audit_message import AuditSource, audit_messages
from unit.audit.audit_schema import SCHEMA, read

SOURCE = AuditSource("PACS@pacs.example", "PACS")
EVENT = AuditEvent(
    Kind.READ,
    "default",
    "user:anna",
    "dicomweb",
    1_790_000_000_123_456,
    address="192.0.2.7",
    action="frames",
    studies=("1.2.3",),
    patients=(AuditPatient("P1", "HOSP", "Müller^Jürgen"),),
    sop_classes=(("1.2.840.10008.5.1.4.1.1.2", 3),),
    instances=3,
)


def told(event: AuditEvent) -> etree._Element:
    (message,) = audit_messages(event, SOURCE)
    assert message.count(b"\n") == 0
    return read(message)


def codes(root: etree._Element, path: str) -> list[str]:
    return [one.get("csd-code", "") for one in root.iterfind(path)]


def users(root: etree._Element) -> list[tuple[str, str, list[str]]]:
    """Each participant's ID, whether they asked for it, and in which roles."""
    return [
        (one.get("UserID", ""), one.get("UserIsRequestor", ""), codes(one, "RoleIDCode"))
        for one in root.iterfind("ActiveParticipant")
    ]


def objects(root: etree._Element, id_type: str) -> list[etree._Element]:
    return [
        one
        for one in root.iterfind("ParticipantObjectIdentification")
        if codes(one, "ParticipantObjectIDTypeCode") == [id_type]
    ]


def details(one: etree._Element) -> dict[str, str]:
    return {
        detail.get("type", ""): base64.b64decode(detail.get("value", "")).decode()
        for detail in one.iterfind("ParticipantObjectDetail")
    }


def test_who_saw_which_study_of_whom() -> None:
    root = told(EVENT)
    (event,) = root.iterfind("EventIdentification")
    assert codes(root, "EventIdentification/EventID") == ["110103"]
    assert dict(event.attrib) == {
        "EventActionCode": "R",
        "EventDateTime": "2026-09-21T14:13:20.123456Z",
        "EventOutcomeIndicator": "0",
    }
    assert users(root) == [("user:anna", "true", []), ("PACS@pacs.example", "false", [])]
    anna, we = root.iterfind("ActiveParticipant")
    assert (anna.get("NetworkAccessPointID"), anna.get("NetworkAccessPointTypeCode")) == (
        "192.0.2.7",
        "2",
    )
    assert we.get("AlternativeUserID") == "AETITLES=PACS"
    (study,) = objects(root, "110180")
    assert (study.get("ParticipantObjectTypeCode"), study.get("ParticipantObjectTypeCodeRole")) == (
        "2",
        "3",
    )
    (of_class,) = study.iterfind("ParticipantObjectDescription/SOPClass")
    assert dict(of_class.attrib) == {
        "UID": "1.2.840.10008.5.1.4.1.1.2",
        "NumberOfInstances": "3",
    }
    (patient,) = objects(root, "2")
    assert (
        patient.get("ParticipantObjectTypeCode"),
        patient.get("ParticipantObjectTypeCodeRole"),
        patient.get("ParticipantObjectID"),
        patient.findtext("ParticipantObjectName"),
    ) == ("1", "1", "P1", "Müller^Jürgen")


# PS3.15 A.5.3: of each kind the event, its action and type, and who is in which role.
WE = ("PACS@pacs.example", "false")
ANNA = ("user:anna", "true")
TABLE: dict[Kind, tuple[str, str, list[str], list[Any]]] = {
    Kind.READ: ("110103", "R", [], [(*ANNA, []), (*WE, [])]),
    Kind.QUERY: ("110112", "E", [], [(*ANNA, ["110153"]), (*WE, ["110152"])]),
    Kind.STORE: ("110104", "C", [], [(*ANNA, ["110153"]), (*WE, ["110152"])]),
    Kind.SEND: ("110104", "R", [], [(*WE, ["110153"]), (*ANNA, ["110152"])]),
    Kind.IMPORT: ("110107", "C", [], [(*ANNA, ["110152"]), ("dicomweb", "false", ["110155"])]),
    Kind.EXPORT: ("110106", "R", [], [(*ANNA, ["110153"]), ("dicomweb", "false", ["110154"])]),
    Kind.DEIDENTIFY: ("110106", "R", [], [(*ANNA, ["110153"]), ("dicomweb", "false", ["110154"])]),
    Kind.CHANGE: ("110103", "U", [], [(*ANNA, []), (*WE, [])]),
    Kind.DELETE: ("110103", "D", [], [(*ANNA, []), (*WE, [])]),
    Kind.ERASE: ("110103", "D", [], [(*ANNA, []), (*WE, [])]),
    Kind.SHARE: ("110113", "E", ["110135"], [(*WE, []), ("user:anna", "false", [])]),
    Kind.BREAK_GLASS: ("110113", "E", ["110127"], [(*WE, []), ("user:anna", "false", [])]),
    Kind.LOGIN: ("110114", "E", ["110122"], [(*ANNA, []), (*WE, [])]),
    Kind.LOGOUT: ("110114", "E", ["110123"], [(*ANNA, []), (*WE, [])]),
    Kind.REFUSAL: ("110113", "E", ["110132"], [(*WE, []), ("user:anna", "false", [])]),
    Kind.ADMINISTER: ("110113", "E", ["110137"], [(*WE, []), ("user:anna", "false", [])]),
    Kind.AUDIT: ("110101", "R", [], [(*ANNA, []), (*WE, [])]),
    Kind.START: ("110100", "E", ["110120"], [(*WE, ["110150"]), (*ANNA, ["110151"])]),
    Kind.STOP: ("110100", "E", ["110121"], [(*WE, ["110150"]), (*ANNA, ["110151"])]),
}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_its_message(kind: Kind) -> None:
    root = told(replace(EVENT, kind=kind))
    event, action, types, participants = TABLE[kind]
    assert codes(root, "EventIdentification/EventID") == [event]
    assert root.find("EventIdentification").get("EventActionCode") == action
    assert codes(root, "EventIdentification/EventTypeCode") == types
    assert users(root) == participants
    # No message names two patients, and none about a study leaves its patient out.
    assert len(objects(root, "2")) == (kind not in {Kind.LOGIN, Kind.LOGOUT, Kind.START, Kind.STOP})


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("outcome", Outcome)
def test_the_schema_allows_all_that_little_is_known_of(kind: Kind, outcome: Outcome) -> None:
    root = told(AuditEvent(kind, "default", "", "page", 0, outcome=outcome))
    assert root.find("EventIdentification").get("EventOutcomeIndicator") in {"0", "4", "8", "12"}


def test_a_deletion_of_a_whole_study_has_a_message_of_its_own() -> None:
    root = told(replace(EVENT, kind=Kind.DELETE, action="study"))
    assert codes(root, "EventIdentification/EventID") == ["110105"]


def test_a_change_of_a_patient_alone_is_one_of_a_patient_record() -> None:
    root = told(replace(EVENT, kind=Kind.CHANGE, studies=()))
    assert codes(root, "EventIdentification/EventID") == ["110110"]
    assert root.find("EventIdentification").get("EventActionCode") == "U"


def test_a_query_is_told_as_it_came() -> None:
    query = "PatientName=M\udcffüller*\0&x=<y>"
    root = told(replace(EVENT, kind=Kind.QUERY, action="QIDO-RS", studies=(), query=query))
    (asked,) = objects(root, "10")
    said = base64.b64decode(asked.findtext("ParticipantObjectQuery") or "")
    assert said == query.encode("utf-8", "replace")


def test_sending_names_whoever_receives_and_whoever_asked() -> None:
    root = told(replace(EVENT, kind=Kind.SEND, subject="ae:WS1", details=(("destination", "WS2"),)))
    assert users(root) == [
        (*WE, ["110153"]),
        ("WS2", "false", ["110152"]),
        ("ae:WS1", "true", []),
    ]
    titles = [one.get("AlternativeUserID") for one in root.iterfind("ActiveParticipant")]
    assert titles == ["AETITLES=PACS", "AETITLES=WS2", "AETITLES=WS1"]


def test_an_alert_says_what_it_is_about() -> None:
    root = told(
        replace(EVENT, kind=Kind.BREAK_GLASS, details=(("reason", "unconscious"),), action="open")
    )
    (subject,) = objects(root, "110182")
    assert details(subject)["Alert Description"] == "unconscious"


def test_a_failure_says_why() -> None:
    root = told(
        replace(EVENT, kind=Kind.LOGIN, outcome=Outcome.SERIOUS, details=(("reason", "locked"),))
    )
    assert root.find("EventIdentification").get("EventOutcomeIndicator") == "8"
    assert root.findtext("EventIdentification/EventOutcomeDescription") == "locked"
    (anna, _) = root.iterfind("ActiveParticipant")
    assert anna.get("NetworkAccessPointID") == "192.0.2.7"


def test_what_was_counted_says_how_many_and_until_when() -> None:
    root = told(replace(EVENT, count=999, further=True, last_us=EVENT.when_us + 1_000_000))
    (study,) = objects(root, "110180")
    said = details(study)
    assert (said["count"], said["further"], said["last"]) == (
        "999",
        "true",
        "2026-09-21T14:13:21.123456Z",
    )


def test_each_patient_has_a_message() -> None:
    event = replace(EVENT, patients=(AuditPatient("1"), AuditPatient("2")))
    found = [read(message) for message in audit_messages(event, SOURCE)]
    ids = [objects(root, "2")[0].get("ParticipantObjectID") for root in found]
    assert ids == ["1", "2"]


def test_what_is_taken_out_without_identities_says_so() -> None:
    root = told(replace(EVENT, kind=Kind.DEIDENTIFY))
    (said,) = root.iterfind(".//Anonymized")
    assert said.text == "true"


@given(st.text(), st.text(), st.text())
def test_whatever_strangers_write_the_message_stays_whole(one: str, other: str, more: str) -> None:
    event = replace(
        EVENT,
        subject=one,
        address=other,
        action=more,
        studies=(one,),
        patients=(AuditPatient(one, other, more),),
        details=((one, other), ("reason", more)),
        outcome=Outcome.MINOR,
    )
    for kind in Kind:
        told(replace(event, kind=kind))


def test_every_code_means_what_the_standard_says() -> None:
    known = {
        code: meaning
        for entries in concepts["DCM"].values()
        for code, (meaning, _) in entries.items()
    }
    ours = [value for value in vars(audit_codes).values() if isinstance(value, Code)]
    ours += [one.type for one in audit_codes._MESSAGES.values() if one.type is not None]
    ours = [code for code in ours if code.scheme == "DCM"]
    assert len(ours) > 25
    assert [code for code in ours if known.get(code.value) != code.meaning] == []


def test_the_schema_refuses_what_is_no_message() -> None:
    (message,) = audit_messages(EVENT, SOURCE)
    for old, new in (
        (b'EventActionCode="R"', b'EventActionCode="X"'),
        (b'UserIsRequestor="true"', b""),
        (b'ParticipantObjectTypeCodeRole="3"', b'ParticipantObjectTypeCodeRole="99"'),
    ):
        assert old in message
        assert not SCHEMA.validate(etree.fromstring(message.replace(old, new)))
