"""Whether all is as it was stored: the rolling re-read, checks of the archive, what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.custody.checks.record import CheckKind
from pacs_cloud.custody.fixity.findings import OpenFindings
from pacs_cloud.custody.fixity.round import Round, read_round
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.tiering.cost.figures import size
from pacs_cloud.web.moments import day_text, minute_text
from pacs_cloud.web.ops.checks_page import begin, check_text, stop
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.refusals import see_other

INTEGRITY: Final = "/ops/integrity"
_LISTED: Final = 100
_DAY_US: Final = 86_400_000_000
_KINDS: Final = (CheckKind.ARCHIVE, CheckKind.BYTES)


@dataclass(frozen=True, slots=True)
class RoundText:
    """The re-read of all packs as the page shows it.

    Attributes:
        state: a sentence.
        done: how much is behind it, 0 to 1.
        packs: how many were read,
        of_packs: of how many.
        length: of what was read,
        of_length: of how much.
        cold: packs that were passed over, which need recall.
        tells: when it should be over, a sentence; "" where it is, or none is asked for.
    """

    state: str
    done: float
    packs: int
    of_packs: str
    length: str
    of_length: str
    cold: int
    tells: str


@dataclass(frozen=True, slots=True)
class FoundText:
    """Something that the re-read has found, and that is not mended.

    Attributes:
        since: when it was found.
        study: in which study.
        place: the object.
        severity: how bad.
        detail: what.
        repair: what would mend it.
    """

    since: str
    study: str
    place: str
    severity: str
    detail: str
    repair: str


class Integrity:
    """The page, for whoever operates."""

    def __init__(
        self, services: CustodyServices, frame: OpsFrame, *, sees_host: bool, is_shared: bool
    ) -> None:
        """Tell of the archive of `services`; with `sees_host` how much all tenants' packs are.

        `is_shared` says whether there are other tenants.
        """
        self._services = services
        self._frame = frame
        self._sees_host = sees_host
        self._is_shared = is_shared

    async def show(self, request: Request) -> Response:
        """Return the page."""
        to = await self._frame.enter(request, Action.OPERATE)
        services = self._services
        checks = [await check_text(services, kind) for kind in _KINDS]
        found, packs = await self._found()
        at = await read_round(services.objects)
        return self._frame.page(
            request,
            to,
            "integrity.html",
            section=INTEGRITY,
            every_s=LIVE_S if any(one.goes_on for one in checks) else 0,
            checks=checks,
            round=_round_text(at, services.reread_days) if at is not None else None,
            sees_host=self._sees_host,
            is_shared=self._is_shared,
            rereads=services.reread_days > 0,
            found=found,
            packs=packs,
        )

    async def change(self, request: Request) -> Response:
        """Begin a check, or end the one under way; raises Conflict."""
        to, form = await self._frame.form(request, Action.OPERATE)
        changed = {"begin": begin, "stop": stop}.get(form.text("do"))
        kind = form.text("kind")
        if changed is None or kind not in _KINDS:
            raise InvalidRequest("This form says nothing that can be done.")
        await changed(self._services, to, CheckKind(kind), audited=Kind.CHANGE)
        return see_other(f"{INTEGRITY}#check-{kind}")

    async def _found(self) -> tuple[Sequence[FoundText], int]:
        """Return what is not mended, of much the first, and how many packs it is about."""
        kept = OpenFindings(self._services.objects)
        await kept.load()
        mine = [key for key in kept.packs if key.tenant == self._services.tenant]
        told: list[FoundText] = []
        if mine:
            async for one in kept.read():
                if one.key.tenant == self._services.tenant:
                    told += [
                        FoundText(
                            minute_text(one.found_us),
                            one.key.study_instance_uid,
                            finding.key or one.key.pack,
                            finding.severity,
                            f"{finding.kind}: {finding.detail}",
                            finding.repair,
                        )
                        for finding in one.findings
                    ]
                if len(told) >= _LISTED:
                    break
        return told[:_LISTED], len(mine)


def _round_text(at: Round, days: float) -> RoundText:
    began = minute_text(at.started_us)
    done = min(1.0, at.length_bytes / at.total_bytes) if at.total_bytes else 1.0
    if at.is_over:
        state = f"The last round is over; it began {began}."
    else:
        state = f"A round is under way since {began}."
    over = day_text(at.started_us + round(days * _DAY_US))
    return RoundText(
        state,
        1.0 if at.is_over else done,
        at.read,
        f"{at.total_packs:,}",
        size(at.read_bytes),
        size(at.total_bytes),
        at.cold,
        f"Every pack is read once in {days:g} days: this round by {over}."
        if days and not at.is_over
        else "",
    )
