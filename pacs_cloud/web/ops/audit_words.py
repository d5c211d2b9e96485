"""Events of the trail in words, for people who look for what somebody did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pacs_cloud.audit.backwards import Recorded
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.web.moments import second_text

KIND_WORDS: Final[Mapping[Kind, str]] = {
    Kind.READ: "Saw",
    Kind.QUERY: "Searched",
    Kind.STORE: "Stored",
    Kind.SEND: "Sent",
    Kind.IMPORT: "Imported",
    Kind.EXPORT: "Took out",
    Kind.DEIDENTIFY: "De-identified",
    Kind.CHANGE: "Changed",
    Kind.DELETE: "Deleted",
    Kind.ERASE: "Erased",
    Kind.SHARE: "Shared",
    Kind.BREAK_GLASS: "Broke the glass",
    Kind.LOGIN: "Signed in",
    Kind.LOGOUT: "Signed out",
    Kind.REFUSAL: "Was refused",
    Kind.ADMINISTER: "Administered",
    Kind.AUDIT: "Read the trail",
    Kind.START: "Began to serve",
    Kind.STOP: "Ended",
}
OUTCOME_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.SUCCESS: "Done",
    Outcome.MINOR: "Failed",
    Outcome.SERIOUS: "Failed, and was ended",
    Outcome.MAJOR: "Failed for good",
}
_NOT_SIGNED_IN: Final = "Could not sign in"


@dataclass(frozen=True, slots=True)
class EventText:
    """An event as the page lists it.

    Attributes:
        time: when, to the second.
        who: who did it; "" where nobody knows.
        what: what they did, a few words.
        outcome: how it ended; "" where it went well.
        count: how many times.
        patients: whose data: an ID, with a name where one is known.
        studies: with which studies.
        facts: all that is on record, as names and values.
    """

    time: str
    who: str
    what: str
    outcome: str
    count: int
    patients: tuple[tuple[str, str], ...]
    studies: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def event_text(recorded: Recorded) -> EventText:
    """Return an event in words."""
    event = recorded.event
    return EventText(
        second_text(event.when_us).removesuffix(" UTC"),
        event.subject,
        _what(event),
        "" if event.outcome is Outcome.SUCCESS else OUTCOME_WORDS[event.outcome],
        event.count,
        tuple((one.patient_id, one.name) for one in event.patients),
        event.studies,
        tuple(_facts(recorded)),
    )


def _what(event: AuditEvent) -> str:
    failed = event.outcome is not Outcome.SUCCESS
    words = _NOT_SIGNED_IN if event.kind is Kind.LOGIN and failed else KIND_WORDS[event.kind]
    return f"{words}: {event.action}" if event.action else words


def _facts(recorded: Recorded) -> list[tuple[str, str]]:
    event = recorded.event
    last = second_text(event.last_us) if event.last_us else ""
    said = [
        ("When", second_text(event.when_us)),
        ("Until", last),
        ("Who", event.subject),
        ("From", event.address),
        ("Through", event.door),
        ("Kind", event.kind),
        ("Action", event.action),
        ("Outcome", event.outcome),
        ("Times", str(event.count) if event.count > 1 else ""),
        ("Query", event.query),
        ("Instances", f"{event.instances:,}" if event.instances else ""),
        *((name.replace("_", " ").capitalize(), value) for name, value in event.details),
        *(("SOP class", f"{uid}: {count:,}") for uid, count in event.sop_classes),
        *(
            ("Patient", " · ".join(filter(None, (one.patient_id, one.issuer, one.name))))
            for one in event.patients
        ),
        *(("Study", uid) for uid in event.studies),
        ("Recorded", f"line {recorded.seq:,} of chain {recorded.writer}"),
    ]
    return [(name, text) for name, text in said if text]
