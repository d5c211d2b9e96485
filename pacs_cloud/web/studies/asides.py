"""What a listed study's row tells a moment later: how many more its patient has, what is coming.

Each costs reads of its own, for which the list itself does not wait.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, InvalidUid, NotFound, TooBroad
from pacs_cloud.query import computed
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.tiering.recall.listing import RecallState, StudyRecall, recall_of
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.studies.finding import PAGE
from pacs_cloud.web.studies.rows import ISSUER, PATIENT_ID, STUDY, is_cold
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.templating import LIVE_HEADERS

_OF_ROW: Final = frozenset({STUDY, PATIENT_ID, ISSUER, computed.INSTANCE_AVAILABILITY})
_OF_PATIENT: Final = frozenset({PATIENT_ID, ISSUER, computed.PATIENT_STUDIES})
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Aside:
    """What is told of one study.

    Attributes:
        uid: its Study Instance UID.
        others: how many more studies of its patient one sees.
        coming: when it is expected back from a cold class, "" where it is not on its way.
    """

    uid: str
    others: int
    coming: str


class Asides:
    """Tells them for the rows of one part of the list."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Look by `services`."""
        self._kit = kit
        self._services = services
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def show(self, request: Request) -> Response:
        """Return what is to be put into the rows of the studies that the URL names.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may not search.
            InvalidRequest: the URL names no studies, or too many.
        """
        await self._kit.visits.of(request)
        uids = request.query_params.get("of", "").split(",")
        if len(uids) > PAGE:
            raise InvalidRequest(f"More than {PAGE} studies are too many.")
        asides = await self._of(caller_in(request.scope), list(map(_uid, uids)))
        told = [one for one in asides if one.others or one.coming]
        if not told:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=LIVE_HEADERS)
        return self._kit.templates.live("studies/asides.html", HTTPStatus.OK, asides=told)

    async def _of(self, caller: Caller, uids: list[str]) -> list[Aside]:
        keys = (SearchKey((STUDY,), "\\".join(uids)),)
        request = SearchRequest(Level.STUDY, keys, _OF_ROW)
        studies = await self._services.search.find(caller, request)
        counts = await self._counts(caller, keys)
        cold = [first_text(one, STUDY) for one in studies.rows if is_cold(one)]
        recalls = dict(
            zip(
                cold,
                await asyncio.gather(*(self._recall(caller, uid) for uid in cold)),
                strict=True,
            )
        )
        asides: list[Aside] = []
        for one in studies.rows:
            uid, patient_id = first_text(one, STUDY), first_text(one, PATIENT_ID)
            count = counts.get((first_text(one, ISSUER), patient_id)) if patient_id else None
            asides.append(Aside(uid, int(count or 1) - 1, coming_text(recalls.get(uid))))
        return asides

    async def _counts(
        self, caller: Caller, keys: tuple[SearchKey, ...]
    ) -> dict[tuple[str, str], str]:
        """Return how many studies each patient has, by issuer and ID."""
        request = SearchRequest(Level.PATIENT, keys, _OF_PATIENT)
        try:
            found = await self._services.search.find(caller, request)
        except TooBroad:
            return {}  # one of them has so many that nobody counts them
        return {
            (first_text(one, ISSUER), first_text(one, PATIENT_ID)): first_text(
                one, computed.PATIENT_STUDIES
            )
            for one in found.rows
        }

    async def _recall(self, caller: Caller, uid: str) -> StudyRecall | None:
        async with self._slots:
            return await coming_back(self._services, caller, uid, self._kit.services.now_us())


async def coming_back(
    services: StudyServices, caller: Caller, uid: str, now_us: int
) -> StudyRecall | None:
    """Return how far a cold study is on its way back, None where it has come meanwhile.

    As if it had no other series than those that the caller sees.
    """
    names = caller.tenant, uid
    try:
        seen = await services.archive.instances.admission.admit(caller, Action.SEARCH, uid)
        found = await recall_of(services.objects, services.catalogue, *names, now_us, series=seen)
    except NotFound:
        return None
    return None if found.state is RecallState.ONLINE else found


def _uid(text: str) -> str:
    try:
        return parse_uid(text)
    except InvalidUid as error:
        raise InvalidRequest(
            "Studies are named by their UIDs, with commas between them."
        ) from error


def coming_text(recall: StudyRecall | None) -> str:
    """Return when a study is expected that is on its way back, "" for one that is not."""
    is_coming = recall is not None and recall.state is RecallState.RESTORING
    return f"expected {minute_text(recall.expected_us)}" if recall and is_coming else ""
