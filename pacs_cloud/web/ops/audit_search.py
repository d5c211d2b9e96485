"""Who did what: the audit trail looked through, a page at a time, and taken away as a file."""

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pacs_cloud.audit.asked import Asked
from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.backwards import Found, Span, newest
from pacs_cloud.audit.reading import Unreadable, events
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.security.audit_event import AuditEvent, Kind, event_json
from pacs_cloud.security.caller import Action
from pacs_cloud.web.moments import minute_text, second_text
from pacs_cloud.web.ops.audit_words import KIND_WORDS, OUTCOME_WORDS, event_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import told
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.refusals import Failure, sentence
from pacs_cloud.web.templating import PAGE_HEADERS

AUDIT: Final = "/ops/audit"
WHO: Final = f"{AUDIT}/who"
_FIELDS: Final = ("since", "until", "who", "patient", "issuer", "study", "kind", "outcome")
_LONGEST: Final = 256
_PAGE: Final = 100
_DAY_US: Final = 86_400_000_000
_COLUMNS: Final = (
    *("when", "who", "kind", "action", "outcome", "count", "patients", "studies", "query"),
    *("instances", "details", "door", "address"),
)
_FORMULA: Final = re.compile(r"(^|;\s*)(?=[=+\-@\t\r])")
"""A spreadsheet takes for a formula what begins with one of these; where a comma is decimal,
what stands behind a semicolon is a cell of its own.
"""
_CHUNK: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class _Search:
    """What an address asks for."""

    given: Mapping[str, str]
    asked: Asked
    wanted: Wanted
    since_us: int
    until_us: int | None

    def query(self, **more: str) -> str:
        """Return it as the query of a URL."""
        said = {name: text for name, text in self.given.items() if text} | more
        return urlencode(said)


class AuditSearch:
    """The page, for whoever may read who did what; that they read is on record before."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Read the trail of `services`."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the newest events that are asked for."""
        to = await self._frame.enter(request, Action.AUDIT)
        given = _given(request)
        try:
            search = await self._search(given)
            before_us = _before(request)
        except InvalidRequest as error:
            failure = Failure("Nothing was looked for", sentence(error))
            return self._page(request, to, given, failure=failure)
        await self._told(to, search, "list")
        services, now_us = self._services, self._services.now_us()
        until_us = now_us + _DAY_US
        if search.until_us is not None:
            until_us = min(until_us, search.until_us)
        found = await newest(
            services.objects,
            services.journals,
            services.tenant,
            search.wanted,
            Span(search.since_us, until_us, before_us),
            limit=_PAGE,
        )
        return self._page(request, to, given, search=search, found=found, before_us=before_us)

    async def download(self, request: Request) -> Response:
        """Return all that is asked for as one file, oldest first; raises NotFound for no format.

        It is read as it is sent: memory does not grow with it. What cannot be read its last line
        tells of.
        """
        to = await self._frame.enter(request, Action.AUDIT)
        search = await self._search(_given(request))
        name: str = request.path_params["file"]
        formats = {
            "events.csv": (csv_of, "text/csv; charset=utf-8"),
            "events.jsonl": (_json_lines, "application/jsonl"),
        }
        if name not in formats:
            raise NotFound("there is no such file")
        written, kind = formats[name]
        await self._told(to, search, "export", format=name.partition(".")[2])
        headers = {**PAGE_HEADERS, "content-disposition": f'attachment; filename="audit-{name}"'}
        if request.method == "HEAD":
            return Response(headers=headers, media_type=kind)
        missed = Unreadable()
        lines = written(self._events(search, missed), missed)
        return StreamingResponse(_in_chunks(lines), media_type=kind, headers=headers)

    async def _events(self, search: _Search, missed: Unreadable) -> AsyncIterator[AuditEvent]:
        services = self._services
        found = events(
            services.objects,
            services.journals,
            services.tenant,
            since_us=search.since_us,
            until_us=search.until_us,
            unreadable=missed,
        )
        async for event, _ in found:
            if search.wanted.fits(event):
                yield event

    async def _search(self, given: Mapping[str, str]) -> _Search:
        asked = Asked(**{name: text for name, text in given.items() if name != "issuer" or text})
        since_us, until_us = asked.span()
        services = self._services
        wanted = await asked.wanted(services.catalogue, services.tenant)
        return _Search(given, asked, wanted, since_us, until_us)

    async def _told(self, to: Attendance, search: _Search, action: str, **more: str) -> None:
        words = dict(search.asked.words()) | more
        # A study that is looked for is named as those are that are seen.
        study = search.wanted.study
        words.pop("study", None)
        studies = (study,) if study else ()
        await told(
            self._services.witness, to.caller, Kind.AUDIT, action, studies=studies, details=words
        )

    def _page(
        self,
        request: Request,
        to: Attendance,
        given: Mapping[str, str],
        *,
        search: _Search | None = None,
        found: Found | None = None,
        before_us: int | None = None,
        failure: Failure | None = None,
    ) -> Response:
        query = search.query() if search else ""
        older = ""
        if search and found and found.before_us is not None:
            older = f"{AUDIT}?{search.query(before=str(found.before_us))}#events"
        return self._frame.page(
            request,
            to,
            "audit.html",
            section=AUDIT,
            given=given,
            kinds=[(kind.value, words) for kind, words in KIND_WORDS.items()],
            outcomes=[(one.value, words) for one, words in OUTCOME_WORDS.items()],
            events=[event_text(one) for one in found.events] if found else [],
            searched=found is not None,
            unreadable=found.unreadable if found else 0,
            reached=minute_text(found.reached_us) if found and found.reached_us else "",
            older=older,
            newest=f"{AUDIT}?{query}" if before_us is not None else "",
            filtered=any(given.values()),
            csv=f"{AUDIT}/events.csv?{query}",
            jsonl=f"{AUDIT}/events.jsonl?{query}",
            link=lambda **more: f"{AUDIT}?{urlencode(more)}",
            who_link=lambda patient: f"{WHO}?{urlencode({'patient': patient})}",
            failure=failure,
        )


def _given(request: Request) -> dict[str, str]:
    """Return what an address asks for; raises InvalidRequest where a field is too long."""
    given = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    for name, text in given.items():
        if len(text) > _LONGEST:
            raise InvalidRequest(f"The field {name} is too long.")
    return given


def _before(request: Request) -> int | None:
    text = request.query_params.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 17):
        raise InvalidRequest("before is a time in microseconds")
    return int(text)


def _note(missed: Unreadable) -> str:
    records = "record" if missed.lines == 1 else "records"
    return f"At least {missed.lines:,} {records} could not be read: verify the trail to see which."


async def _json_lines(found: AsyncIterator[AuditEvent], missed: Unreadable) -> AsyncIterator[bytes]:
    async for event in found:
        said = {"when": second_text(event.when_us), **event_json(event)}
        yield orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    if missed.lines:
        said = {"unreadable": missed.lines, "note": _note(missed)}
        yield orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


async def csv_of(found: AsyncIterator[AuditEvent], missed: Unreadable) -> AsyncIterator[bytes]:
    """Yield events as a table for spreadsheets, in which no cell is a formula.

    Its last row tells of what was `missed` by then.
    """
    # With its mark spreadsheets take it for Unicode.
    yield "\ufeff".encode() + _row(_COLUMNS)
    async for event in found:
        patients = (" ".join(filter(None, (one.patient_id, one.name))) for one in event.patients)
        yield _row(
            (
                second_text(event.when_us).removesuffix(" UTC"),
                event.subject,
                event.kind,
                event.action,
                event.outcome,
                str(event.count),
                "; ".join(patients),
                " ".join(event.studies),
                event.query,
                str(event.instances or ""),
                "; ".join(f"{name}={value}" for name, value in event.details),
                event.door,
                event.address,
            )
        )
    if missed.lines:
        told = {"kind": "unreadable", "count": str(missed.lines), "details": _note(missed)}
        yield _row(tuple(told.get(name, "") for name in _COLUMNS))


def _row(cells: tuple[str, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([_FORMULA.sub(r"\1'", one) for one in cells])
    return line.getvalue().encode("utf-8", "replace")


async def _in_chunks(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    async for line in lines:
        chunk += line
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
