"""What was merged, moved and corrected: by whom and why, whether it stands, and its undoing."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.custody.corrections.correction import CorrectionKind
from pacs_cloud.custody.corrections.listing import (
    CorrectionState,
    correction_state,
    corrections,
    studies_showing,
)
from pacs_cloud.custody.corrections.undoing import undo_plan
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.element_text import element_text
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed, told
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.pages import page_of
from pacs_cloud.web.ops.preview_text import Changes, changes_of
from pacs_cloud.web.ops.seen_studies import require_seen, seen_studies, sees_each
from pacs_cloud.web.ops.words import counted
from pacs_cloud.web.refusals import Failure, sentence

CORRECTIONS: Final = "/ops/corrections"
LONGEST_REASON: Final = 1000
KIND_WORDS: Final = {
    CorrectionKind.PATIENT_MERGE: "Patients merged",
    CorrectionKind.STUDY_MOVE: "Study moved",
    CorrectionKind.CORRECT: "Attributes corrected",
}


class CorrectionsList:
    """The list and one correction, for whoever may correct."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Tell of the corrections of `services`, and undo them."""
        self._services = services
        self._frame = frame

    async def show_all(self, request: Request) -> Response:
        """Return the list, the newest first."""
        to = await self._frame.enter(request, Action.CORRECT)
        page = await page_of(request, self._seen(to.caller))
        studies = tuple(sorted({uid for one in page.items for uid in one.studies}))
        if studies:
            witness = self._services.witness
            await told(witness, to.caller, Kind.READ, "corrections list", studies=studies)
        rows = [
            (
                one,
                KIND_WORDS[one.correction.kind],
                minute_text(one.correction.corrected_us),
                _about(one),
            )
            for one in page.items
        ]
        return self._frame.page(
            request,
            to,
            "corrections.html",
            section=CORRECTIONS,
            page=page,
            rows=rows,
            may_merge=_may_merge(to.caller),
        )

    async def show(self, request: Request) -> Response:
        """Return one, and what its undoing would change; raises NotFound."""
        to = await self._frame.enter(request, Action.CORRECT)
        state = await self._found(request, to.caller)
        return await self._one(request, to, state)

    async def undo(self, request: Request) -> Response:
        """Take one back; raises NotFound, Conflict."""
        to, form = await self._frame.form(request, Action.CORRECT)
        state = await self._found(request, to.caller)
        reason = form.text("reason", max_length=LONGEST_REASON)
        if not reason:
            error = InvalidRequest("Say why: it stays on record.")
            return await self._one(request, to, state, failure=sentence(error))
        services, name = self._services, state.correction.correction_id
        if state.undone is None and form.text("mark") != (await self._plan(name))[0].mark:
            stale = "It changes something else now than what you looked at. Look again."
            return await self._one(request, to, state, failure=stale)
        doing = partial(deed, services.witness, to.caller, Kind.CHANGE, "corrections undo")
        async with doing(studies=state.studies, details={"correction": name, "reason": reason}):
            done = await services.corrector.undo(
                *(services.tenant, name),
                caller=to.caller,
                who=to.caller.subject,
                reason=reason,
            )
        said = f"Taken back in {counted(done.studies, 'study', 'studies')}."
        if done.unreadable:
            unread = counted(len(done.unreadable), "study", "studies")
            said += f" {unread} cannot be read now: a worker tries again."
        now = await correction_state(services.objects, services.tenant, name)
        return await self._one(request, to, now, notice=said)

    async def _one(
        self,
        request: Request,
        to: Attendance,
        state: CorrectionState,
        *,
        notice: str = "",
        failure: str = "",
    ) -> Response:
        services, correction = self._services, state.correction
        await told(
            *(services.witness, to.caller, Kind.READ, "corrections show"), studies=state.studies
        )
        changes, warnings = changes_of([]), list[str]()
        if state.undone is None:
            changes, warnings = await self._plan(correction.correction_id)
        showing = await studies_showing(services.catalogue, state)
        seen = await seen_studies(services, to.caller, Action.CORRECT, state.studies)
        shown = correction.amendment.elements
        return self._frame.page(
            request,
            to,
            "correction.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
            section=CORRECTIONS,
            state=state,
            correction=correction,
            kind=KIND_WORDS[correction.kind],
            made=minute_text(correction.corrected_us),
            undone=minute_text(state.undone.undone_us) if state.undone else "",
            about=_about(state),
            elements=[(keyword_of(tag), element_text(shown[tag])) for tag in sorted(shown)],
            emptied=", ".join(map(keyword_of, correction.emptied)),
            studies=[(uid, seen.about(uid), showing.get(uid)) for uid in state.studies[:100]],
            more=max(0, len(state.studies) - 100),
            changes=changes,
            warnings=warnings,
            longest_reason=LONGEST_REASON,
            may_merge=_may_merge(to.caller),
            here_one=f"{CORRECTIONS}/{correction.correction_id}",
            notice=notice,
            failure=Failure("Nothing was taken back", failure) if failure else None,
        )

    async def _plan(self, correction_id: str) -> tuple[Changes, list[str]]:
        """Return what an undoing would change, and what to know first."""
        services = self._services
        plan = await undo_plan(services.objects, services.catalogue, services.tenant, correction_id)
        previews, warnings = await plan.preview(services.objects, services.catalogue)
        return changes_of(previews), warnings

    async def _found(self, request: Request, caller: Caller) -> CorrectionState:
        services = self._services
        state = await correction_state(
            services.objects, services.tenant, request.path_params["correction"]
        )
        await require_seen(services, caller, Action.CORRECT, state.studies)
        return state

    async def _seen(self, caller: Caller) -> AsyncGenerator[CorrectionState]:
        services = self._services
        found = corrections(services.objects, services.tenant, newest_first=True)
        async with aclosing(found):
            async for state in found:
                if await sees_each(services, caller, Action.CORRECT, state.studies):
                    yield state


def _may_merge(caller: Caller) -> bool:
    return not access.is_bounded(caller, Action.CORRECT)


def _about(state: CorrectionState) -> str:
    one = state.correction
    target = one.target.patient_id if one.target else ""
    if one.source is not None:
        return f"{one.source.patient_id} → {target}"
    return f"→ {target}" if target else ", ".join(keyword_of(tag) for tag in sorted(one.elements))
