"""Codes of DICOM audit messages (PS3.15 A.5.3, PS3.16 annex D and CIDs 400 to 405)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome


class Code(NamedTuple):
    """A coded value."""

    value: str
    meaning: str
    scheme: str = "DCM"


SOURCE_ROLE: Final = Code("110153", "Source Role ID")
DESTINATION_ROLE: Final = Code("110152", "Destination Role ID")
SOURCE_MEDIA: Final = Code("110155", "Source Media")
DESTINATION_MEDIA: Final = Code("110154", "Destination Media")
APPLICATION: Final = Code("110150", "Application")
LAUNCHER: Final = Code("110151", "Application Launcher")
MEDIA_URI: Final = Code("110037", "URI")

STUDY_INSTANCE_UID: Final = Code("110180", "Study Instance UID")
PATIENT_NUMBER: Final = Code("2", "Patient Number", "RFC-3881")
SEARCH_CRITERIA: Final = Code("10", "Search Criteria", "RFC-3881")
URI: Final = Code("12", "URI", "RFC-3881")
NODE_ID: Final = Code("110182", "Node ID")

INDICATORS: Final[Mapping[Outcome, str]] = {
    Outcome.SUCCESS: "0",
    Outcome.MINOR: "4",
    Outcome.SERIOUS: "8",
    Outcome.MAJOR: "12",
}
"""EventOutcomeIndicator."""


@dataclass(frozen=True, slots=True)
class Message:
    """What kind of message tells an event.

    Attributes:
        event: EventID.
        action: EventActionCode.
        type: EventTypeCode, None where there is none.
    """

    event: Code
    action: str
    type: Code | None = None


ACTIVITY: Final = Code("110100", "Application Activity")
LOG_USED: Final = Code("110101", "Audit Log Used")
ACCESSED: Final = Code("110103", "DICOM Instances Accessed")
TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED: Final = Code("110105", "DICOM Study Deleted")
EXPORTED: Final = Code("110106", "Export")
IMPORTED: Final = Code("110107", "Import")
PATIENT_RECORD: Final = Code("110110", "Patient Record")
QUERIED: Final = Code("110112", "Query")
ALERT: Final = Code("110113", "Security Alert")
AUTHENTICATION: Final = Code("110114", "User Authentication")

_MESSAGES: Final[Mapping[Kind, Message]] = {
    Kind.READ: Message(ACCESSED, "R"),
    Kind.QUERY: Message(QUERIED, "E"),
    Kind.STORE: Message(TRANSFERRED, "C"),
    Kind.SEND: Message(TRANSFERRED, "R"),
    Kind.IMPORT: Message(IMPORTED, "C"),
    Kind.EXPORT: Message(EXPORTED, "R"),
    Kind.DEIDENTIFY: Message(EXPORTED, "R"),
    Kind.CHANGE: Message(ACCESSED, "U"),
    Kind.DELETE: Message(ACCESSED, "D"),
    Kind.ERASE: Message(ACCESSED, "D"),
    Kind.SHARE: Message(ALERT, "E", Code("110135", "Object Security Attributes Changed")),
    Kind.BREAK_GLASS: Message(ALERT, "E", Code("110127", "Emergency Override Started")),
    Kind.LOGIN: Message(AUTHENTICATION, "E", Code("110122", "Login")),
    Kind.LOGOUT: Message(AUTHENTICATION, "E", Code("110123", "Logout")),
    Kind.REFUSAL: Message(ALERT, "E", Code("110132", "Use of Restricted Function")),
    Kind.ADMINISTER: Message(ALERT, "E", Code("110137", "User Security Attributes Changed")),
    Kind.AUDIT: Message(LOG_USED, "R"),
    Kind.START: Message(ACTIVITY, "E", Code("110120", "Application Start")),
    Kind.STOP: Message(ACTIVITY, "E", Code("110121", "Application Stop")),
}

WHOLE_STUDY: Final = "study"
"""The `action` of a deletion that takes a study whole: that has a message of its own."""


OVERRIDE_STARTED: Final = "override started"
OVERRIDE_STOPPED: Final = "override stopped"
"""The `action` of broken glass, for DICOM an emergency override, by which its messages differ."""
_STOPPED: Final = Message(ALERT, "E", Code("110138", "Emergency Override Stopped"))


def message_of(event: AuditEvent) -> Message:
    """Return what kind of message tells an event."""
    if event.kind in {Kind.DELETE, Kind.ERASE} and event.action == WHOLE_STUDY:
        return Message(STUDY_DELETED, "D")
    if event.kind is Kind.BREAK_GLASS and event.action == OVERRIDE_STOPPED:
        return _STOPPED
    if event.kind is Kind.CHANGE and not event.studies and event.patients:
        return Message(PATIENT_RECORD, "U")
    return _MESSAGES[event.kind]
