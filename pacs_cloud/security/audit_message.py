"""Events as DICOM audit messages (PS3.15 A.5: the schema of A.5.1, the tables of A.5.3)."""

import base64
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from pacs_cloud.security import audit_codes as codes
from pacs_cloud.security.audit_codes import Code, message_of
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome

_UNPRINTABLE: Final = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, and line ends: a message is one line."""
_APPLICATION_SERVER: Final = "4"
_PERSON, _SYSTEM = "1", "2"
_PATIENT, _REPORT, _SECURITY_RESOURCE = "1", "3", "13"
_AE: Final = "ae:"
_NOBODY: Final = "unknown"


@dataclass(frozen=True, slots=True)
class AuditSource:
    """Who reports.

    Attributes:
        source_id: AuditSourceID: which installation.
        ae_title: ours.
    """

    source_id: str
    ae_title: str


def audit_messages(event: AuditEvent, source: AuditSource) -> Iterator[bytes]:
    """Yield the messages that tell an event, one line of XML in UTF-8 each.

    One for each patient, since most messages may name one only.
    """
    for patient in event.patients or (None,):
        root = Element("AuditMessage")
        _Telling(root, event, source, patient).tell()
        yield tostring(root, "utf-8", xml_declaration=True).replace(b"\n", b"", 1)


class _Telling:
    """One message under way."""

    def __init__(
        self, root: Element, event: AuditEvent, source: AuditSource, patient: AuditPatient | None
    ) -> None:
        self._root = root
        self._event = event
        self._source = source
        self._patient = patient
        self._message = message_of(event)
        self._details = dict(event.details)

    def tell(self) -> None:
        """Add all that there is to say."""
        self._identify()
        self._participants()
        source = SubElement(
            self._root,
            "AuditSourceIdentification",
            AuditSourceID=_token(self._source.source_id),
            AuditEnterpriseSiteID=_token(self._event.tenant),
        )
        SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
        self._objects()

    def _identify(self) -> None:
        event = SubElement(
            self._root,
            "EventIdentification",
            EventActionCode=self._message.action,
            EventDateTime=_moment(self._event.when_us),
            EventOutcomeIndicator=codes.INDICATORS[self._event.outcome],
        )
        _coded(event, "EventID", self._message.event)
        if self._message.type is not None:
            _coded(event, "EventTypeCode", self._message.type)
        if self._event.outcome is not Outcome.SUCCESS:
            said = self._details.get("reason") or self._event.action or self._event.outcome
            SubElement(event, "EventOutcomeDescription").text = _token(said)

    def _participants(self) -> None:
        match self._event.kind:
            case Kind.QUERY | Kind.STORE:
                self._who(codes.SOURCE_ROLE)
                self._we(codes.DESTINATION_ROLE)
            case Kind.SEND:
                self._we(codes.SOURCE_ROLE)
                destination = self._details.get("destination", "")
                if destination:
                    self._participant(
                        destination, codes.DESTINATION_ROLE, titles=_title(destination)
                    )
                    self._who(None)
                else:
                    self._who(codes.DESTINATION_ROLE)
            case Kind.IMPORT:
                self._who(codes.DESTINATION_ROLE)
                self._medium(codes.SOURCE_MEDIA, "source")
            case Kind.EXPORT | Kind.DEIDENTIFY:
                self._who(codes.SOURCE_ROLE)
                self._medium(codes.DESTINATION_MEDIA, "destination")
            case Kind.START | Kind.STOP:
                self._we(codes.APPLICATION)
                self._who(codes.LAUNCHER)
            case Kind.REFUSAL | Kind.SHARE | Kind.BREAK_GLASS | Kind.ADMINISTER:
                self._we(None)
                # Whoever did what an alert is about is never its requestor (A.5.3.11).
                self._who(None, is_requestor=False)
            case _:
                self._who(None)
                self._we(None)

    def _who(self, role: Code | None, *, is_requestor: bool = True) -> None:
        subject = self._event.subject or _NOBODY
        titles = _title(subject.removeprefix(_AE)) if subject.startswith(_AE) else ""
        address = self._event.address or self._source.source_id
        self._participant(subject, role, is_requestor=is_requestor, titles=titles, address=address)

    def _we(self, role: Code | None) -> None:
        self._participant(self._source.source_id, role, titles=_title(self._source.ae_title))

    def _medium(self, role: Code, detail: str) -> None:
        made = self._participant(self._details.get(detail) or self._event.door, role)
        _coded(SubElement(made, "MediaIdentifier"), "MediaType", codes.MEDIA_URI)

    def _participant(
        self,
        user: str,
        role: Code | None,
        *,
        is_requestor: bool = False,
        titles: str = "",
        address: str = "",
    ) -> Element:
        said = {"UserID": _clean(user), "UserIsRequestor": "true" if is_requestor else "false"}
        if titles:
            said["AlternativeUserID"] = _clean(titles)
        if address:
            said["NetworkAccessPointID"] = _token(address)
            said["NetworkAccessPointTypeCode"] = "2" if _is_ip(address) else "1"
        made = SubElement(self._root, "ActiveParticipant", said)
        if role is not None:
            _coded(made, "RoleIDCode", role)
        return made

    def _objects(self) -> None:
        if self._event.kind in {Kind.LOGIN, Kind.LOGOUT, Kind.START, Kind.STOP}:
            return
        if self._event.kind is Kind.QUERY:
            self._query()
        elif self._event.kind is Kind.AUDIT:
            made = self._object(_SYSTEM, _SECURITY_RESOURCE, codes.URI, "audit/")
            SubElement(made, "ParticipantObjectName").text = "Security Audit Log"
            self._say_details(made)
        elif self._message.event is codes.ALERT:
            self._alert()
        for study in self._event.studies:
            made = self._object(_SYSTEM, _REPORT, codes.STUDY_INSTANCE_UID, study)
            SubElement(made, "ParticipantObjectName").text = _token(study)
            self._say_details(made)
            self._describe(made)
        self._say_patient()

    def _say_patient(self) -> None:
        patient = self._patient
        if patient is None:
            if not self._event.studies or self._message.event is codes.ALERT:
                return
            patient = AuditPatient("")  # nobody knows whose: the message still has one
        made = self._object(_PERSON, _PATIENT, codes.PATIENT_NUMBER, patient.patient_id)
        SubElement(made, "ParticipantObjectName").text = _token(patient.name)
        if patient.issuer:
            _detail(made, "IssuerOfPatientID", patient.issuer)
        if not self._event.studies and self._event.kind is not Kind.QUERY:
            self._say_details(made)

    def _query(self) -> None:
        protocol = self._event.action or self._event.door
        made = self._object(_SYSTEM, _REPORT, codes.SEARCH_CRITERIA, protocol)
        SubElement(made, "ParticipantObjectQuery").text = _base64(self._event.query)
        self._say_details(made)

    def _alert(self) -> None:
        resource = self._event.action or self._event.kind
        made = self._object(_SYSTEM, _SECURITY_RESOURCE, codes.NODE_ID, self._source.source_id)
        SubElement(made, "ParticipantObjectName").text = _token(resource)
        _detail(made, "Alert Description", self._details.get("reason") or resource)
        self._say_details(made)

    def _object(self, kind: str, role: str, id_type: Code, name: str) -> Element:
        made = SubElement(
            self._root,
            "ParticipantObjectIdentification",
            ParticipantObjectID=_token(name),
            ParticipantObjectTypeCode=kind,
            ParticipantObjectTypeCodeRole=role,
        )
        _coded(made, "ParticipantObjectIDTypeCode", id_type)
        return made

    def _say_details(self, made: Element) -> None:
        event = self._event
        said = {"door": event.door, "action": event.action} | self._details
        if event.count > 1 or event.further:
            said["count"] = str(event.count)
            said["last"] = _moment(event.last_us or event.when_us)
            said["further"] = "true" if event.further else "false"
        for name, value in said.items():
            if value:
                _detail(made, name, value)

    def _describe(self, made: Element) -> None:
        """Say what of a study: of several together nobody knows how many are of which."""
        event = self._event
        is_anonymous = event.kind is Kind.DEIDENTIFY
        counts = event.sop_classes or ((("", event.instances),) if event.instances else ())
        if len(event.studies) > 1:
            counts = ()
        if not counts and not is_anonymous:
            return
        described = SubElement(made, "ParticipantObjectDescription")
        for uid, number in counts:
            of_class = SubElement(described, "SOPClass", NumberOfInstances=str(number))
            if uid:
                of_class.set("UID", _token(uid))
        if is_anonymous:
            SubElement(described, "Anonymized").text = "true"


def _coded(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent,
        name,
        {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning},
    )


def _detail(parent: Element, name: str, value: str) -> None:
    SubElement(parent, "ParticipantObjectDetail", type=_token(name), value=_base64(value))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _token(text: str) -> str:
    """Return text as the schema's `token`: no blanks at its ends, none twice."""
    return " ".join(_clean(text).split())


def _title(ae_title: str) -> str:
    return f"AETITLES={ae_title}"


def _moment(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
