"""Who has seen or changed something of one patient: how often, of which kind, and from where."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.audit.asked import Asked
from pacs_cloud.audit.asking import Deeds, who_did
from pacs_cloud.audit.reading import Unreadable, events
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.security.caller import Action
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.audit_search import AUDIT
from pacs_cloud.web.ops.audit_words import KIND_WORDS, OUTCOME_WORDS
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import told
from pacs_cloud.web.ops.frame import OpsFrame
from pacs_cloud.web.refusals import Failure, sentence

_DAYS: Final = 90
"""So far back it looks where nobody says since when."""
_MOST_EVENTS: Final = 300_000
_FIELDS: Final = ("patient", "issuer", "since", "until")
_LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class DeedsText:
    """What somebody has done of one kind, as the page lists it.

    Attributes:
        who: they.
        what: in words.
        is_refused: whether it did not come to it.
        count: how often.
        studies: with how many studies.
        first: the first time.
        last: the last time.
        addresses: from where.
        link: where each of these events is.
    """

    who: str
    what: str
    is_refused: bool
    count: int
    studies: int
    first: str
    last: str
    addresses: str
    link: str


class AuditWho:
    """The page, for whoever may read who did what; that they read is on record before."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Read the trail of `services`."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return who has done what with a patient's data; without one the form for it."""
        to = await self._frame.enter(request, Action.AUDIT)
        given = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
        given["since"] = given["since"] or self._default_since()
        rows, failure, missed = list[DeedsText](), None, Unreadable()
        if given["patient"]:
            try:
                asked = _asked(given)
                asked.span()
                await told(
                    *(self._services.witness, to.caller, Kind.AUDIT, "who"),
                    details=dict(asked.words()),
                )
                rows = await self._rows(asked, missed)
            except InvalidRequest as error:
                failure = Failure("Nothing was looked for", sentence(error))
        return self._frame.page(
            request,
            to,
            "audit_who.html",
            section=AUDIT,
            given=given,
            rows=rows,
            asked=bool(given["patient"]) and failure is None,
            unreadable=missed.lines,
            failure=failure,
        )

    def _default_since(self) -> str:
        now = datetime.fromtimestamp(self._services.now_us() / 1e6, UTC)
        return f"{(now - timedelta(days=_DAYS)).date()}"

    async def _rows(self, asked: Asked, missed: Unreadable) -> list[DeedsText]:
        services = self._services
        wanted = await asked.wanted(services.catalogue, services.tenant)
        done = await who_did(self._events(*asked.span(), missed), wanted)
        ordered = sorted(done.items(), key=lambda item: item[1].last_us, reverse=True)
        return [_row(asked, *key, deeds) for key, deeds in ordered]

    async def _events(
        self, since_us: int, until_us: int | None, missed: Unreadable
    ) -> AsyncIterator[AuditEvent]:
        services, count = self._services, 0
        found = events(
            *(services.objects, services.journals, services.tenant),
            since_us=since_us,
            until_us=until_us,
            unreadable=missed,
        )
        async for event, _ in found:
            count += 1
            if count > _MOST_EVENTS:
                raise InvalidRequest(
                    f"More than {_MOST_EVENTS:,} events are on record then: say a later day, or"
                    " ask on the command line: `pacs-cloud audit who`."
                )
            yield event


def _asked(given: dict[str, str]) -> Asked:
    for name, text in given.items():
        if len(text) > _LONGEST:
            raise InvalidRequest(f"The field {name} is too long.")
    return Asked(
        given["since"], given["until"], patient=given["patient"], issuer=given["issuer"] or None
    )


def _row(asked: Asked, who: str, kind: Kind, outcome: Outcome, deeds: Deeds) -> DeedsText:
    failed = "" if outcome is Outcome.SUCCESS else f": {OUTCOME_WORDS[outcome].lower()}"
    query = {
        "who": who,
        "patient": asked.patient,
        "issuer": asked.issuer or "",
        "kind": kind.value,
        "outcome": outcome.value,
        "since": asked.since,
        "until": asked.until,
    }
    said = {name: text for name, text in query.items() if text}
    return DeedsText(
        who,
        f"{KIND_WORDS[kind]}{failed}",
        outcome is not Outcome.SUCCESS,
        deeds.count,
        len(deeds.studies),
        minute_text(deeds.first_us),
        minute_text(deeds.last_us),
        ", ".join(sorted(deeds.addresses)),
        f"{AUDIT}?{urlencode(said)}",
    )
