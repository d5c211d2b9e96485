"""What goes on record: who did what with whose data, through which door, and how it ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from pacs_cloud.errors import Corrupt
from pacs_cloud.security.caller import Caller

MOST_STUDIES: Final = 100
"""Of one record; who does more at a time has several."""
_TEXT_LIMIT: Final = 1024
_QUERY_LIMIT: Final = 16_384


class Kind(StrEnum):
    """What somebody did."""

    READ = "read"
    """Saw headers, images or renderings of a study."""
    QUERY = "query"
    """Searched."""
    STORE = "store"
    """Brought instances in, over the network."""
    SEND = "send"
    """Had instances sent to somebody: C-MOVE, C-GET, `send`."""
    IMPORT = "import"
    """Took instances in from files."""
    EXPORT = "export"
    """Took instances out into files: downloads, backups of studies."""
    DEIDENTIFY = "deidentify"
    """Took instances out without what identifies their patients."""
    CHANGE = "change"
    """Corrected, merged, moved, restored, rejected, held; `action` says which."""
    DELETE = "delete"
    """Put into the trash."""
    ERASE = "erase"
    """Removed for ever."""
    SHARE = "share"
    """Let somebody else see it, or ended that."""
    BREAK_GLASS = "break-glass"
    """Saw what no rule lets them see, for a reason."""
    LOGIN = "login"
    """Proved who they are, or could not."""
    LOGOUT = "logout"
    """Signed out."""
    REFUSAL = "refusal"
    """Was refused."""
    ADMINISTER = "administer"
    """Changed users, keys, application entities, or what these may."""
    AUDIT = "audit"
    """Read the audit trail."""
    START = "start"
    """A process of the archive began to serve."""
    STOP = "stop"
    """It ended."""


class Outcome(StrEnum):
    """How it ended (PS3.15 A.5.2, EventOutcomeIndicator)."""

    SUCCESS = "success"
    MINOR = "minor"
    """Failed, and may be tried again: a wrong password, a missing right."""
    SERIOUS = "serious"
    """Failed, and was ended: too many wrong passwords."""
    MAJOR = "major"
    """Failed for good: an account is locked, a service gone."""


COUNTED: Final = frozenset({Kind.READ, Kind.QUERY, Kind.STORE, Kind.SEND, Kind.REFUSAL})
"""Of what comes many times a minute the first is on record at once, the others as their number."""


@dataclass(frozen=True, slots=True)
class AuditPatient:
    """A patient as a record names one; what is not known is ""."""

    patient_id: str
    issuer: str = ""
    name: str = ""


class EventKey(NamedTuple):
    """What is the same of events that are counted together."""

    kind: str
    tenant: str
    subject: str
    address: str
    door: str
    action: str = ""
    outcome: str = Outcome.SUCCESS
    studies: tuple[str, ...] = ()
    query: str = ""
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event, or the further ones of its minute together.

    Attributes:
        kind: what was done.
        tenant: whose data.
        subject: who, as `Caller.subject`: `user:anna`, `ae:CT1`, …; of a failed login, who
            they said they are.
        door: through which: `dicomweb`, `dimse`, `page`, `share`, `cli`, `worker`.
        when_us: when, microseconds since 1970 UTC; of `further` ones the first.
        address: where they are, "" where that is this machine.
        action: more exactly what, a word or two of ours: `frames`, `merge`, `C-GET`.
        outcome: how it ended.
        studies: Study Instance UIDs.
        patients: whose these are, as far as that was known.
        query: of a search, its keys as they came.
        sop_classes: of instances that were read or moved, with how many of each.
        instances: how many, 0 where that is not known.
        details: more, as names and values: a reason, a destination, whose account.
        count: how many events this stands for.
        last_us: when the last of them was; 0: there is but one.
        further: whether the first of them has a record of its own.
    """

    kind: Kind
    tenant: str
    subject: str
    door: str
    when_us: int
    address: str = ""
    action: str = ""
    outcome: Outcome = Outcome.SUCCESS
    studies: tuple[str, ...] = ()
    patients: tuple[AuditPatient, ...] = ()
    query: str = ""
    sop_classes: tuple[tuple[str, int], ...] = ()
    instances: int = 0
    details: tuple[tuple[str, str], ...] = ()
    count: int = 1
    last_us: int = 0
    further: bool = False

    @property
    def key(self) -> EventKey:
        """What is the same of events that are counted with this one."""
        return EventKey(
            self.kind,
            self.tenant,
            self.subject,
            self.address,
            self.door,
            self.action,
            self.outcome,
            self.studies,
            self.query,
            self.details,
        )

    @property
    def is_counted(self) -> bool:
        """Whether those like it within a minute are counted into one record."""
        if self.kind is Kind.LOGIN:
            return self.outcome is not Outcome.SUCCESS
        return self.kind in COUNTED


def event_of(caller: Caller, kind: Kind, door: str, when_us: int, **more: Any) -> AuditEvent:
    """Return an event of somebody who is known; `more` are fields of it."""
    return AuditEvent(
        kind, caller.tenant, caller.subject, door, when_us, address=caller.address, **more
    )


def key_of(
    caller: Caller, kind: Kind, door: str, action: str = "", studies: tuple[str, ...] = ()
) -> EventKey:
    """Return the key of a successful event without making it; it costs next to nothing."""
    return EventKey(
        kind,
        caller.tenant,
        caller.subject,
        caller.address,
        door,
        action,
        Outcome.SUCCESS,
        studies,
    )


def in_records(event: AuditEvent) -> Iterator[AuditEvent]:
    """Yield an event as those that a record each can hold: with no more than `MOST_STUDIES`.

    Patients that were known before stand in each; those of single studies are found later.
    """
    if len(event.studies) <= MOST_STUDIES:
        yield event
        return
    for start in range(0, len(event.studies), MOST_STUDIES):
        yield replace(event, studies=event.studies[start : start + MOST_STUDIES])


_ADAPTER: Final = TypeAdapter(AuditEvent)
_DEFAULTS: Final = {
    one.name: one.default
    for one in fields(AuditEvent)
    if one.name not in {"kind", "tenant", "subject", "door", "when_us"}
}


def event_json(event: AuditEvent) -> dict[str, object]:
    """Return an event as JSON's values, without what is not said.

    Texts that strangers may have written are cut at a length, and what is no Unicode in them
    is replaced, so that nothing keeps an event from its record.
    """
    said: dict[str, object] = {
        "kind": event.kind,
        "tenant": event.tenant,
        "subject": _clean(event.subject),
        "door": event.door,
        "when_us": event.when_us,
    }
    for name, default in _DEFAULTS.items():
        value = getattr(event, name)
        if value != default:
            said[name] = _plain(value, _QUERY_LIMIT if name == "query" else _TEXT_LIMIT)
    return said


def event_from(said: Mapping[str, object]) -> AuditEvent:
    """Return the event that `event_json` wrote.

    Raises:
        Corrupt: it is none.
    """
    try:
        return _ADAPTER.validate_python(said)
    except ValidationError as error:
        # Its own words would quote what they could not read.
        raise Corrupt(f"an audit record is no event ({error.error_count()} faults)") from None


def _plain(value: object, limit: int) -> object:
    match value:
        case str():
            return _clean(value, limit)
        case AuditPatient():
            named = {"issuer": value.issuer, "name": value.name}
            return {"patient_id": _clean(value.patient_id)} | {
                name: _clean(text) for name, text in named.items() if text
            }
        case tuple():
            parts = cast("tuple[object, ...]", value)
            return [_plain(one, limit) for one in parts[:MOST_STUDIES]]
        case _:
            return value


def _clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    return text[:limit].encode("utf-8", "replace").decode()
