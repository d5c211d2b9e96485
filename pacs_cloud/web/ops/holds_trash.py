"""What is kept from being removed: studies on hold, and what was deleted and can be restored."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.custody.holds import HoldKind, all_holds
from pacs_cloud.custody.trash.deletion import Restored
from pacs_cloud.custody.trash.listing import Deleted, list_trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, InvalidUid
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.forms import Form
from pacs_cloud.web.moments import day_text, minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed, told
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.integrity import INTEGRITY
from pacs_cloud.web.ops.pages import page_of
from pacs_cloud.web.ops.seen_studies import (
    deleted_words,
    reads_all,
    require_seen,
    seen_studies,
    sees_each,
)
from pacs_cloud.web.ops.words import counted

HOLDS: Final = "/ops/holds"
TRASH: Final = "/ops/trash"
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DeletedText:
    """A deletion as the page lists it.

    Attributes:
        scope: what was deleted.
        about: whose, and of when.
        when: it was deleted.
        until: it can be restored until that day.
        instances: how many of it are in the trash still.
    """

    scope: Scope
    about: str
    when: str
    until: str
    instances: int


class Holds:
    """The list of what is held, for whoever operates."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Tell of the archive of `services`."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the page."""
        to = await self._frame.enter(request, Action.OPERATE)
        services = self._services
        held = all_holds(services.objects, services.tenant, now_us=services.now_us())
        page = await page_of(request, held)
        rows = [
            (
                one,
                "Legal hold" if one.kind is HoldKind.LEGAL else "Retention",
                f"until {day_text(one.until_us - 1)}" if one.until_us else "until it is released",
                minute_text(one.entered_us),
            )
            for one in page.items
        ]
        return self._frame.page(
            request,
            to,
            "holds.html",
            section=INTEGRITY,
            page=page,
            rows=rows,
            shows_reasons=reads_all(services, to.caller),
        )


class TrashPage:
    """What was deleted, for whoever may delete and restore it."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Restore what is in the trash of `services`."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the page."""
        to = await self._frame.enter(request, Action.DELETE)
        return await self._page(request, to)

    async def restore(self, request: Request) -> Response:
        """Bring back what a form names, and say what has become of it.

        Raises:
            InvalidRequest: it names nothing.
            NotFound: nothing of it is in the trash, or not for them.
        """
        to, form = await self._frame.form(request, Action.DELETE)
        services, caller = self._services, to.caller
        scope = _scope(services.tenant, form)
        study = scope.study_instance_uid
        await require_seen(services, caller, Action.DELETE, [study])
        details = {"series": scope.series_instance_uid, "instance": scope.sop_instance_uid}
        doing = partial(deed, services.witness, caller, Kind.CHANGE, "trash restore")
        async with doing(studies=(study,), details=details):
            restored = await services.trash.restore(scope)
        return await self._page(request, to, notice=_said(restored))

    async def _page(self, request: Request, to: Attendance, notice: str = "") -> Response:
        services = self._services
        page = await page_of(request, self._seen(to.caller))
        shown = tuple(dict.fromkeys(one.scope.study_instance_uid for one in page.items))
        seen = await seen_studies(services, to.caller, Action.DELETE, shown)
        if shown:
            await told(services.witness, to.caller, Kind.READ, "trash list", studies=shown)
        retention_us = round(services.trash_days * _DAY_US)
        rows = [
            DeletedText(
                one.scope,
                seen.about(one.scope.study_instance_uid)
                or await deleted_words(services, one.scope.study_instance_uid),
                minute_text(one.deleted_us),
                minute_text(one.deleted_us + retention_us),
                one.instances,
            )
            for one in page.items
        ]
        return self._frame.page(
            request, to, "trash.html", section=TRASH, page=page, rows=rows, notice=notice
        )

    async def _seen(self, caller: Caller) -> AsyncGenerator[Deleted]:
        services = self._services
        found = list_trash(services.objects, services.catalogue, services.tenant, newest_first=True)
        async with aclosing(found):
            async for one in found:
                study = one.scope.study_instance_uid
                if await sees_each(services, caller, Action.DELETE, [study]):
                    yield one


def _scope(tenant: str, form: Form) -> Scope:
    names = [form.text(name) for name in ("study", "series", "instance")]
    try:
        study, series, instance = (parse_uid(name) if name else "" for name in names)
    except InvalidUid as error:
        raise InvalidRequest("That is no UID.") from error
    if not study or (instance and not series):
        raise InvalidRequest("Say what is to be restored.")
    return Scope(tenant, study, series, instance)


def _said(restored: Restored) -> str:
    words = [f"{_are(restored.instances)} back, as before."]
    if restored.left:
        words.append(f"{_are(restored.left)} still in the trash: the UID is visible again.")
    if restored.purged:
        words.append(f"{_are(restored.purged)} gone for good: they were purged meanwhile.")
    return " ".join(words)


def _are(count: int) -> str:
    return counted(count, "instance is", "instances are")
