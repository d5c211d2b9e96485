"""The page of one study: its patient, its series, its reports, and the patient's other studies."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import NotFound
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.local_paths import STUDIES
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure
from pacs_cloud.web.resource import uid_in
from pacs_cloud.web.studies.asides import coming_back, coming_text
from pacs_cloud.web.studies.contents import Contents, StudyContents
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.visits import Visit

_HOME_CLASS: Final = "STANDARD"
_OFFERED: Final = (Action.READ, Action.DOWNLOAD, Action.SEND, Action.SHARE)
"""What this page has buttons for, where it may be done with this study."""
_GIVEN: Final = ("label", "reason")


@dataclass(frozen=True, slots=True)
class Kept:
    """How a series is kept: its bytes, and the storage classes that are not the usual one."""

    length_bytes: int
    classes: tuple[str, ...]


class StudyPage:
    """The page, for whoever sees the study."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Show what `services` find."""
        self._kit = kit
        self._services = services
        self._contents = Contents(services.search)

    async def show(self, request: Request) -> Response:
        """Return the page.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may not search.
            NotFound: there is no such study, or not for them.
        """
        visit = await self._kit.visits.of(request)
        return await self.page(request, visit)

    async def page(
        self,
        request: Request,
        visit: Visit,
        failure: Failure | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the page of the study that the URL names, with what went wrong.

        Args:
            request: for the page.
            visit: of whoever asks.
            failure: what went wrong.
            given: the fields of the form about labels, as they were sent.
        """
        caller, uid = caller_in(request.scope), uid_in(request, "study")
        study = await self._contents.study(caller, uid)
        if study is None:
            raise NotFound("there is no such study")
        now_us = self._kit.services.now_us()
        recall = None
        if study.row.is_cold:
            recall = await coming_back(self._services, caller, uid, now_us)
        response = self._kit.templates.live(
            "studies/study.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
            **visit.context,
            here=STUDIES,
            study=study.row,
            contents=study,
            kept=await self._kept(caller, study),
            priors=await self._contents.priors(caller, study.row),
            recall=recall,
            expected=coming_text(recall),
            may=await self._may(caller, uid),
            may_label=access.administers(caller),
            has_viewer=self._services.has_viewer,
            failure=failure,
            given={name: (given or {}).get(name, "") for name in _GIVEN},
        )
        return self._kit.visits.renew(request, visit, response)

    async def _may(self, caller: Caller, uid: str) -> set[str]:
        """Return what somebody may do: of what is done with a study, with this one."""
        admission = self._services.archive.instances.admission
        others = {str(action) for action in Action if access.may(caller, action)}
        denied = {one for one in _OFFERED if not await admission.allows(caller, one, uid)}
        return others - set(map(str, denied))

    async def _kept(self, caller: Caller, study: StudyContents) -> Mapping[str, Kept]:
        packs = await self._services.catalogue.packs(caller.tenant, study.row.uid)
        of_series: defaultdict[str, list[PackRecord]] = defaultdict(list)
        for pack in packs:
            of_series[pack.series_instance_uid].append(pack)
        return {
            one.uid: Kept(
                sum(pack.length_bytes for pack in of_series[one.uid]),
                tuple(sorted({pack.storage_class for pack in of_series[one.uid]} - {_HOME_CLASS})),
            )
            for one in study.series
        }
