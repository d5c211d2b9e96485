"""Labels put on a study and taken off, by whoever administers: rules of access go by them."""

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.custody.labels import change_labels
from pacs_cloud.errors import Denied, InvalidRequest, NotFound, PacsError
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome, event_of
from pacs_cloud.security.caller import Caller, caller_in
from pacs_cloud.security.labels import label_of
from pacs_cloud.web.forms import Form
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, see_other, sentence
from pacs_cloud.web.resource import uid_in
from pacs_cloud.web.studies.study import StudyPage
from pacs_cloud.web.study_services import StudyServices

_DOOR: Final = "page"
_LONGEST_REASON: Final = 200
_NOTHING: Final = "The label was not changed"


class Labelling:
    """Takes the forms of a study's page."""

    def __init__(self, kit: PageKit, services: StudyServices, page: StudyPage) -> None:
        """Change labels in `services.objects`, and show `page` where that cannot be done."""
        self._kit = kit
        self._services = services
        self._page = page

    async def change(self, request: Request) -> Response:
        """Add the label that a form names, or remove it; with a reason, on record.

        Raises:
            Unidentified: nobody is signed in.
            NotOurPage: the form was not made for this session.
            Denied: they do not administer.
            NotFound: there is no such study.
            Unavailable: it cannot be put on record, or a store does not answer.
        """
        visit, form = await self._kit.visits.form(request)
        caller, uid = caller_in(request.scope), uid_in(request, "study")
        if not access.administers(caller):
            await self._note(caller, Kind.REFUSAL, "label", uid, outcome=Outcome.MINOR)
            raise Denied("no role of theirs changes labels")
        try:
            label = label_of(form.text("label"))
            reason = _reason_of(form)
            is_added = _is_added(form)
        except InvalidRequest as error:
            failure = Failure(_NOTHING, sentence(error))
            return await self._page.page(request, visit, failure, form.fields)
        if not await self._services.catalogue.studies_by_uid(caller.tenant, [uid]):
            raise NotFound("there is no such study")
        details = (("label", label), ("reason", reason))
        action = "label add" if is_added else "label remove"
        note = partial(self._note, caller, Kind.CHANGE, action, uid, details=details)
        await note()
        try:
            await change_labels(
                self._services.objects,
                self._services.catalogue,
                *(caller.tenant, uid, (label,)),
                is_added=is_added,
                reason=reason,
                who=caller.subject,
                now_us=self._kit.services.now_us(),
            )
        except PacsError:
            await note(outcome=Outcome.MINOR)
            raise
        return see_other(f"/studies/{uid}#labels")

    async def _note(self, caller: Caller, kind: Kind, action: str, uid: str, **more: Any) -> None:
        services = self._kit.services
        now_us = services.now_us()
        await services.record(
            event_of(caller, kind, _DOOR, now_us, action=action, studies=(uid,), **more)
        )


def _is_added(form: Form) -> bool:
    change = form.text("change")
    if change not in {"add", "remove"}:
        raise InvalidRequest("Say whether it is added or removed.")
    return change == "add"


def _reason_of(form: Form) -> str:
    reason = form.text("reason", max_length=_LONGEST_REASON)
    if not reason:
        raise InvalidRequest("Say why: whoever asks later who sees what finds it.")
    return reason
