"""Patients merged, a study moved, attributes corrected: looked at first, then done."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.custody.corrections.correction import CorrectionKind
from pacs_cloud.custody.corrections.given import given_elements
from pacs_cloud.custody.corrections.merges import refuse_bounded
from pacs_cloud.custody.corrections.orders import Order, Orders
from pacs_cloud.custody.corrections.patients import patient_named
from pacs_cloud.custody.corrections.preview import preview
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import (
    Conflict,
    Denied,
    InvalidInstance,
    InvalidRequest,
    NotFound,
    PacsError,
)
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.ops.corrections_list import CORRECTIONS, LONGEST_REASON
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed, told
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.preview_text import Changes, changes_of
from pacs_cloud.web.ops.seen_studies import require_seen, seen_studies, study_words
from pacs_cloud.web.refusals import Failure, see_other, sentence, status_of_form

MERGE: Final = f"{CORRECTIONS}/merge"
MOVE: Final = f"{CORRECTIONS}/move"
ATTRIBUTES: Final = f"{CORRECTIONS}/attributes"
_FIELDS: Final = (
    *("source", "issuer", "target", "target_issuer"),
    *("study", "series", "instance", "attributes", "reason"),
)
_LONGEST: Final = 4000
_LISTED: Final = 50
_NO_PATIENT: Final = (
    "There is no such patient, or not all of their studies are yours to correct: whoever"
    " administers this archive sees them all."
)
_KINDS: Final = {
    MERGE: (CorrectionKind.PATIENT_MERGE, "patient merge"),
    MOVE: (CorrectionKind.STUDY_MOVE, "study move"),
    ATTRIBUTES: (CorrectionKind.CORRECT, "study correct"),
}


class NewCorrections:
    """The three forms, for whoever may correct."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Correct what `services` shows."""
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return an empty form; a study may be named by the address."""
        to = await self._frame.enter(request, Action.CORRECT)
        given = dict.fromkeys(_FIELDS, "")
        given["study"] = request.query_params.get("study", "")[:64]
        try:
            _refuse(request.url.path, to.caller)
        except Denied as error:
            return self._page(request, to, given, error=error)
        return self._page(request, to, given)

    async def make(self, request: Request) -> Response:
        """Show what would change, or change it where somebody has seen just that."""
        to, form = await self._frame.form(request, Action.CORRECT)
        given = {name: form.text(name, max_length=_LONGEST) for name in _FIELDS}
        _, action = _KINDS[request.url.path]
        try:
            _refuse(request.url.path, to.caller)
            order, patients = await self._order(request.url.path, to.caller, given)
        except (Denied, InvalidRequest, InvalidInstance, NotFound, Conflict) as error:
            return self._page(request, to, given, error=error)
        services, studies = self._services, order.correction.studies
        await told(services.witness, to.caller, Kind.READ, action, studies=studies)
        changes = changes_of(
            await preview(services.objects, services.catalogue, order.correction, studies),
            order.correction,
        )
        if form.text("do") != "apply" or form.text("mark") != changes.mark:
            return self._page(
                *(request, to, given), order=order, changes=changes, patients=patients
            )
        details = {"correction": order.correction.correction_id, "reason": given["reason"]}
        doing = partial(deed, services.witness, to.caller, Kind.CHANGE, action)
        async with doing(studies=studies, details=details):
            await services.corrector.apply(order.correction)
        return see_other(f"{CORRECTIONS}/{order.correction.correction_id}#main")

    async def _order(
        self, path: str, caller: Caller, given: Mapping[str, str]
    ) -> tuple[Order, list[tuple[str, list[str]]]]:
        """Return what a form asks for, and whose studies the patients have whom it names."""
        services = self._services
        orders = Orders(
            *(services.objects, services.catalogue, services.tenant),
            caller=caller,
            who=caller.subject,
            reason=given["reason"][:LONGEST_REASON],
            system=services.aet,
            now_us=services.now_us(),
        )
        if path == ATTRIBUTES:
            study = parse_uid(given["study"])
            await require_seen(services, caller, Action.CORRECT, [study])
            elements = given_elements(
                filter(None, map(str.strip, given["attributes"].splitlines()))
            )
            series, instance = (
                parse_uid(given[name]) if given[name] else "" for name in ("series", "instance")
            )
            return await orders.correct(study, series, instance, elements), []
        issuer, target_issuer = given["issuer"] or None, given["target_issuer"] or None
        theirs = await self._patient(caller, given["target"], target_issuer)
        patients = [(given["target"], theirs)]
        if path == MOVE:
            study = parse_uid(given["study"])
            await require_seen(services, caller, Action.CORRECT, [study])
            return await orders.move(study, given["target"], issuer=target_issuer), patients
        sources = await self._patient(caller, given["source"], issuer)
        order = await orders.merge(
            given["source"], given["target"], issuer=issuer, target_issuer=target_issuer
        )
        return order, [(given["source"], sources), *patients]

    async def _patient(self, caller: Caller, patient_id: str, issuer: str | None) -> list[str]:
        """Return the studies of a patient in words.

        Raises:
            NotFound: somebody may not correct all of them; no word tells whether there are any.
        """
        services = self._services
        _, studies = await patient_named(services.catalogue, services.tenant, patient_id, issuer)
        uids = [one.study_instance_uid for one in studies]
        seen = await seen_studies(services, caller, Action.CORRECT, uids)
        if not all(map(seen.has, uids)) or (not uids and not seen.sees_all):
            raise NotFound(_NO_PATIENT)
        return _lines(studies)

    def _page(
        self,
        request: Request,
        to: Attendance,
        given: Mapping[str, str],
        *,
        order: Order | None = None,
        changes: Changes | None = None,
        patients: list[tuple[str, list[str]]] | None = None,
        error: PacsError | None = None,
    ) -> Response:
        kind, _ = _KINDS[request.url.path]
        return self._frame.page(
            request,
            to,
            "correction_new.html",
            status_of_form(error),
            section=CORRECTIONS,
            kind=kind.value,
            action=request.url.path,
            given=given,
            changes=changes,
            warnings=order.warnings if order else (),
            patients=patients or [],
            longest_reason=LONGEST_REASON,
            is_refused=isinstance(error, Denied),
            failure=Failure("Nothing was changed", sentence(error)) if error else None,
        )


def _refuse(path: str, caller: Caller) -> None:
    """Return where a form is for somebody; raises Denied, before a patient is looked for."""
    if path == MERGE:
        refuse_bounded(caller)


def _lines(studies: list[StudyRecord]) -> list[str]:
    lines = [study_words(one) for one in studies[:_LISTED]]
    return [*lines, f"and {len(studies) - _LISTED:,} more"] if len(studies) > _LISTED else lines
