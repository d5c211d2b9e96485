"""Checks that somebody begins from a page: of the archive, and of the audit trail."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.custody.checks.record import (
    Check,
    CheckFinding,
    CheckKind,
    CheckState,
    begin_check,
    read_checks,
    stop_check,
)
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed
from pacs_cloud.web.ops.frame import LIVE_S, Attendance, OpsFrame
from pacs_cloud.web.ops.words import counted
from pacs_cloud.web.refusals import see_other

CHAIN: Final = "/ops/audit/chain"
_AUDIT: Final = "/ops/audit"
_LISTED: Final = 100
_WHAT: Final = {
    CheckKind.ARCHIVE: ("study", "studies"),
    CheckKind.BYTES: ("study", "studies"),
    CheckKind.TRAIL: ("part", "parts"),
}


@dataclass(frozen=True, slots=True)
class CheckText:
    """The checks of one kind as a page shows them.

    Attributes:
        kind: which.
        goes_on: whether one is under way or waits.
        state: how far it is, a sentence; "" where none was ever asked for.
        done: how much of the last one is looked at, 0 to 1; None: that cannot be told.
        result: of the last that came to its end, a sentence; "" without one.
        is_good: whether that has found nothing.
        faults: how much it has found.
        findings: what, of much the first.
    """

    kind: CheckKind
    goes_on: bool
    state: str
    done: float | None
    result: str
    is_good: bool
    faults: int
    findings: tuple[CheckFinding, ...]


async def check_text(services: CustodyServices, kind: CheckKind) -> CheckText:
    """Return what is known of the checks of one kind; raises Corrupt, Unavailable."""
    now_us = services.now_us()
    known = await read_checks(services.objects, services.tenant, kind)
    last, ended = known.last, known.ended
    goes_on = last is not None and last.is_open(now_us)
    # What it finds is seen as it is found.
    shown = last if last is not None and not last.was_stopped and last.faults else ended
    done = None
    if goes_on and last is not None and ended is not None and ended.looked:
        done = min(1.0, last.looked / ended.looked)
    return CheckText(
        kind,
        goes_on,
        _state(last, now_us) if last is not None and last is not ended else "",
        done,
        _result(ended) if ended is not None else "",
        ended is not None and not ended.faults,
        shown.faults if shown is not None else 0,
        shown.findings[:_LISTED] if shown is not None else (),
    )


async def begin(
    services: CustodyServices, to: Attendance, kind: CheckKind, *, audited: Kind
) -> None:
    """Have a worker do a check; raises Conflict where one goes on."""
    async with deed(services.witness, to.caller, audited, f"check {kind}"):
        await begin_check(
            *(services.objects, services.queue, services.tenant, kind),
            by=to.caller.subject,
            now_us=services.now_us(),
        )


async def stop(
    services: CustodyServices, to: Attendance, kind: CheckKind, *, audited: Kind
) -> None:
    """End a check; raises Conflict where none goes on."""
    async with deed(services.witness, to.caller, audited, f"stop check {kind}"):
        await stop_check(services.objects, services.tenant, kind, now_us=services.now_us())


class AuditChain:
    """Whether the trail is whole: what the last verification found, and a new one."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Verify the trail of `services`."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the page."""
        to = await self._frame.enter(request, Action.AUDIT)
        text = await check_text(self._services, CheckKind.TRAIL)
        return self._frame.page(
            request,
            to,
            "audit_chain.html",
            section=_AUDIT,
            every_s=LIVE_S if text.goes_on else 0,
            check=text,
        )

    async def change(self, request: Request) -> Response:
        """Begin a verification, or end the one under way; raises Conflict."""
        to, form = await self._frame.form(request, Action.AUDIT)
        changed = {"begin": begin, "stop": stop}.get(form.text("do"))
        if changed is None:
            raise InvalidRequest("This form says nothing that can be done.")
        await changed(self._services, to, CheckKind.TRAIL, audited=Kind.AUDIT)
        return see_other(f"{CHAIN}#main")


def _state(last: Check, now_us: int) -> str:
    state = last.state(now_us)
    by = f"asked for {minute_text(last.asked_us)} by {last.asked_by}"
    looked = _counted(last)
    match state:
        case CheckState.WAITING:
            return f"Waits for a worker: {by}."
        case CheckState.UNDER_WAY:
            return f"Under way, {by}: {looked} looked at, {_faults(last.faults)} so far."
        case CheckState.SILENT:
            heard = minute_text(last.told_us or last.asked_us)
            return f"Not heard of since {heard}: does a worker run? Another one may begin."
        case CheckState.STOPPED:
            return f"Stopped {minute_text(last.ended_us)}, after {looked}."
        case _:
            return f"Could not go on ({last.failed}), after {looked}: {by}."


def _result(ended: Check) -> str:
    events = f", {ended.events:,} records" if ended.events else ""
    return (
        f"{minute_text(ended.ended_us)}: {_faults(ended.faults)} in {_counted(ended)}{events},"
        f" asked for by {ended.asked_by}."
    )


def _counted(check: Check) -> str:
    return counted(check.looked, *_WHAT[check.kind])


def _faults(count: int) -> str:
    return counted(count, "fault") if count else "no faults"
