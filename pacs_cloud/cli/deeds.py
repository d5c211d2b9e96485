"""What each command does with somebody's data, for the audit trail: one table for all of them."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any, Final, cast

import typer

from pacs_cloud.cli.this_user import this_user
from pacs_cloud.security.api_keys import is_key_id, read_key
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome

RECORDED: Final[Mapping[str, Kind]] = {
    "import": Kind.IMPORT,
    "demo": Kind.IMPORT,
    "find": Kind.QUERY,
    "get": Kind.EXPORT,
    "send": Kind.SEND,
    "delete": Kind.DELETE,
    "reject": Kind.CHANGE,
    "fsck": Kind.CHANGE,
    "repack": Kind.CHANGE,
    "rebuild": Kind.CHANGE,
    "backup": Kind.EXPORT,
    "restore": Kind.CHANGE,
    "trash list": Kind.READ,
    "trash restore": Kind.CHANGE,
    "trash purge": Kind.ERASE,
    "hold set": Kind.CHANGE,
    "hold release": Kind.CHANGE,
    "hold list": Kind.READ,
    "erase study": Kind.ERASE,
    "erase list": Kind.READ,
    "erase show": Kind.READ,
    "erase lift": Kind.CHANGE,
    "conflicts list": Kind.READ,
    "conflicts show": Kind.READ,
    "conflicts promote": Kind.CHANGE,
    "conflicts undo": Kind.CHANGE,
    "rejections list": Kind.READ,
    "rejections show": Kind.READ,
    "rejections undo": Kind.CHANGE,
    "rejections read": Kind.CHANGE,
    "patient merge": Kind.CHANGE,
    "patient unmerge": Kind.CHANGE,
    "study move": Kind.CHANGE,
    "study correct": Kind.CHANGE,
    "corrections list": Kind.READ,
    "corrections show": Kind.READ,
    "corrections undo": Kind.CHANGE,
    "tier plan": Kind.READ,
    "tier apply": Kind.CHANGE,
    "tier pin": Kind.CHANGE,
    "tier unpin": Kind.CHANGE,
    "tier pins": Kind.READ,
    "tier expired": Kind.DELETE,
    "recall start": Kind.CHANGE,
    "recall list": Kind.READ,
    "recall wait": Kind.READ,
    "recall priors": Kind.CHANGE,
    "recall worklist": Kind.CHANGE,
    "fixity run": Kind.READ,
    "user add": Kind.ADMINISTER,
    "user grant": Kind.ADMINISTER,
    "user change": Kind.ADMINISTER,
    "user disable": Kind.ADMINISTER,
    "user enable": Kind.ADMINISTER,
    "user unlock": Kind.ADMINISTER,
    "user reset": Kind.ADMINISTER,
    "user sign-out": Kind.ADMINISTER,
    "user remove": Kind.ADMINISTER,
    "key add": Kind.ADMINISTER,
    "key revoke": Kind.ADMINISTER,
    "device add": Kind.ADMINISTER,
    "device change": Kind.ADMINISTER,
    "device remove": Kind.ADMINISTER,
    "label add": Kind.CHANGE,
    "label remove": Kind.CHANGE,
    "label list": Kind.READ,
    "break-glass list": Kind.AUDIT,
    "share list": Kind.READ,
    "share show": Kind.AUDIT,
    "deid study": Kind.DEIDENTIFY,
    "deid reveal": Kind.READ,
    "deid project add": Kind.ADMINISTER,
}
"""What is on record before it begins, by `cli.on_record`."""

THEMSELVES: Final[Mapping[str, Kind]] = {
    "audit list": Kind.AUDIT,
    "audit who": Kind.AUDIT,
    "audit export": Kind.AUDIT,
    "share make": Kind.SHARE,
    "share revoke": Kind.SHARE,
    "break-glass end": Kind.BREAK_GLASS,
}
"""What is put on record where it is done, which knows more of it than was typed."""

NOTHING: Final = frozenset(
    {
        *("up", "serve", "status"),
        *("tier validate", "tier lifecycle", "cost report", "cost simulate", "cost explain"),
        *("fixity status", "catalogue hash", "audit verify", "oidc check", "oidc whois"),
        *("user list", "user show", "key list", "device list", "device show"),
        *("deid project list", "deid project show"),
        # A program's files, and no data: also where there is no archive yet, as in an image.
        *("viewer install", "viewer status", "viewer remove"),
    }
)
"""What changes nothing, and reads nothing of patients; processes that serve tell for themselves."""

_DETAILS: Final = (
    *("series", "instance", "level", "code", "conflict_id", "correction", "reason", "by"),
    *("labels", "name", "title", "display", "email", "note", "role", "grant", "institution"),
    *("referring", "modality", "allow", "from_", "user", "to", "until", "days", "disabled"),
    *("codes", "even_last", "escrow", "value", "options", "file", "files", "path"),
    *("with_indexes", "replace", "everything", "retention", "htj2k", "repair"),
)
"""Of what was typed this goes on record: what somebody may not know later is not here."""


@dataclass(slots=True)
class Deed:
    """What the command that runs does.

    Attributes:
        kind: what it is, where it is done.
        command: its name, as it is typed.
        said: what was typed behind it, by the names of its parameters.
        is_on_record: whether it has been put there.
    """

    kind: Kind
    command: str
    said: Mapping[str, Any]
    is_on_record: bool = False

    def event(
        self, tenant: str, when_us: int, outcome: Outcome = Outcome.SUCCESS, *, looks: bool = False
    ) -> AuditEvent:
        """Return what goes on record of it; `looks`: it is looked what would be done."""
        return AuditEvent(
            Kind.READ if looks else self.kind,
            tenant,
            f"system:{this_user()}",
            "cli",
            when_us,
            action=self.command,
            outcome=outcome,
            studies=self._studies(),
            patients=self._patients(),
            query="&".join(_listed(self.said.get("keys"))),
            details=tuple(self._details()),
        )

    def _studies(self) -> tuple[str, ...]:
        if self.kind is Kind.ADMINISTER or self.command == "demo":
            return ()  # there they are a rule's, here a number
        return (*_listed(self.said.get("study")), *_listed(self.said.get("studies")))

    def _patients(self) -> tuple[AuditPatient, ...]:
        said = self.said
        return tuple(
            AuditPatient(said[name], said.get(issuer) or "")
            for name, issuer in (("source", "issuer"), ("target", "target_issuer"))
            if said.get(name)
        )

    def _details(self) -> Iterator[tuple[str, str]]:
        for name in _DETAILS:
            # Where something lies may say more behind a question mark than anybody shall know.
            if text := ", ".join(one.partition("?")[0] for one in _listed(self.said.get(name))):
                yield name.strip("_"), text
        if self.kind is Kind.ADMINISTER and (rule := ", ".join(_listed(self.said.get("study")))):
            yield "study", rule
        if changed := [one.partition("=")[0] for one in _listed(self.said.get("given"))]:
            yield "set", ", ".join(changed)
        if emptied := _listed(self.said.get("emptied")):
            yield "emptied", ", ".join(emptied)
        # Whoever finds a secret may hand it in whole: that is not what goes on record.
        key = str(self.said.get("key_id") or "").strip()
        if is_key_id(name := shown.key_id if (shown := read_key(key)) else key):
            yield "key", name


_current: ContextVar[Deed | None] = ContextVar("deed", default=None)


def deed_under_way() -> Deed | None:
    """Return what the command that runs does; None where it is none of those on record."""
    return _current.get()


def every_command(app: typer.Typer, *before: str) -> Iterator[tuple[str, typer.models.CommandInfo]]:
    """Yield each command of `app` with its name, as it is typed."""
    for info in app.registered_commands:
        name = info.name or cast("Any", info.callback).__name__.rstrip("_").replace("_", "-")
        yield " ".join((*before, name)), info
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from every_command(
                group.typer_instance, *before, *((group.name,) if group.name else ())
            )


def put_on_record(app: typer.Typer) -> None:
    """Let each command of `app` that is on record say what it does when it runs.

    One that no table has is on record as a change.
    """
    for command, info in every_command(app):
        if command not in NOTHING and command not in THEMSELVES and info.callback is not None:
            kind = RECORDED.get(command, Kind.CHANGE)
            info.callback = _saying(info.callback, kind, command)


def _saying(callback: Callable[..., Any], kind: Kind, command: str) -> Callable[..., Any]:
    @wraps(callback)
    def said(**typed: Any) -> Any:
        before = _current.set(Deed(kind, command, typed))
        try:
            return callback(**typed)
        finally:
            _current.reset(before)

    return said


def _listed(value: object) -> list[str]:
    """Return what was typed as texts: none for what was not."""
    match value:
        case None | False | "":
            return []
        case True:
            return ["yes"]
        case Enum():
            return [str(value.value)]
        case str() | int() | float() | Path():
            return [str(value)]
        case list() | tuple() | set() | frozenset():
            some = cast("list[object]", value)
            return [text for one in some for text in _listed(one)]
        case _:
            return []
