"""Studies that lie in a cold tier: asked back, with when they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest, NotFound, Offline, PacsError, Unavailable
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.tiering.recall.demand import BeingRecalled
from pacs_cloud.tiering.recall.listing import RecallState, StudyRecall
from pacs_cloud.web.local_paths import RECALL, STUDIES
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, see_other, sentence
from pacs_cloud.web.studies.actions_chosen import (
    Choice,
    Chosen,
    choice_by,
    choice_of,
    choice_sent,
    of_each,
    url_of,
)
from pacs_cloud.web.studies.actions_pin import LONGEST_REASON, Pinning, PinText
from pacs_cloud.web.studies.asides import coming_back
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.visits import Visit

_SECOND_US: Final = 1_000_000
_SOONEST_S, _LATEST_S = 2, 60
_NEARLY: Final = 95
"""Percent: however long it takes, it is here when the store says so."""
_LOOKS: Final = 10
"""How often a page looks before something is due: the nearer it is, the more often."""


@dataclass(frozen=True, slots=True)
class Coming:
    """How a chosen study can be read.

    Attributes:
        study: it.
        recall: how far it is on its way back.
        until: when it should be there, in words; "": nobody knows, or it is there.
        left: how long that is from now, in words.
        percent: how much of it has come, or of the time it takes has gone by.
        pin: that keeps it where it is; None without one, or for who does not operate.
    """

    study: Chosen
    recall: StudyRecall
    until: str = ""
    left: str = ""
    percent: int = 0
    pin: PinText | None = None

    @property
    def is_here(self) -> bool:
        """Whether all of it can be read."""
        return self.recall.state is RecallState.ONLINE

    @property
    def is_coming(self) -> bool:
        """Whether what is cold of it is on its way."""
        return self.recall.state is RecallState.RESTORING


class RecallPage:
    """The page, for whoever may read."""

    def __init__(self, kit: PageKit, services: StudyServices, pinning: Pinning) -> None:
        """Recall what `services.archive` reads; `pinning` tells what is pinned."""
        self._kit = kit
        self._services = services
        self._pinning = pinning

    async def show(self, request: Request) -> Response:
        """Return how far the chosen studies are.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may not read.
            InvalidRequest: the URL names no studies.
        """
        visit, choice = await choice_by(self._kit, self._services, request, Action.READ)
        return await self.page(request, visit, choice)

    async def start(self, request: Request) -> Response:
        """Ask for what is cold of the studies in the form, as whoever reads it does."""
        visit, _, choice = await choice_sent(self._kit, self._services, request, Action.READ)
        failure = await self.asked_back(caller_in(request.scope), choice.allowed)
        if failure is not None:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return await self.page(request, visit, choice, status, failure=failure)
        return see_other(url_of(RECALL, choice.asked))

    async def pin(self, request: Request) -> Response:
        """Pin the studies in the form, or let them go; the page says what is wrong with it.

        Raises:
            Denied: they do not operate the archive.
            InvalidRequest: no reason is said, by who may read none of them.
            Unavailable: it cannot be put on record, or not be written.
        """
        visit, form, choice = await choice_sent(self._kit, self._services, request, Action.OPERATE)
        caller = caller_in(request.scope)
        try:
            await self._pinning.change(caller, choice.allowed, form)
        except InvalidRequest as error:
            seen = await choice_of(self._services, caller, choice.asked, Action.READ)
            if not seen.allowed:
                raise
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return await self.page(request, visit, seen, status, pin_fault=sentence(error))
        return self._kit.visits.renew(request, visit, see_other(url_of(RECALL, choice.asked)))

    async def asked_back(
        self, caller: Caller, studies: Sequence[Chosen], to: Action = Action.READ
    ) -> Failure | None:
        """Have what is cold of these studies recalled; return what kept some from it."""
        instances = self._services.archive.readable.instances

        async def ask(study: Chosen) -> Failure | None:
            if (await self._recall(caller, study)).state is RecallState.OFFLINE:
                try:
                    await instances.locate(caller, study.uid, to=to)
                except (BeingRecalled, NotFound):
                    pass
                except (Offline, Denied, Unavailable) as error:
                    return Failure("A study could not be asked for", _why(error))
            return None

        return next(filter(None, await of_each(studies, ask)), None)

    async def coming(self, caller: Caller, choice: Choice) -> list[Coming]:
        """Return how each study can be read with which that may be done."""
        now_us = self._kit.services.now_us()
        operates = access.may(caller, Action.OPERATE)

        async def of(study: Chosen) -> Coming:
            recall = await self._recall(caller, study)
            expected_us = recall.expected_us if recall.state is RecallState.RESTORING else 0
            until = minute_text(expected_us) if expected_us else ""
            left = _left(expected_us - now_us)
            pin = await self._pinning.text(caller.tenant, study.uid) if operates else None
            return Coming(study, recall, until, left, _percent(recall, now_us), pin)

        return await of_each(choice.allowed, of)

    async def page(
        self,
        request: Request,
        visit: Visit,
        choice: Choice,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        coming: Sequence[Coming] | None = None,
        failure: Failure | None = None,
        pin_fault: str = "",
        is_for_download: bool = False,
    ) -> Response:
        """Return the page about these studies; `coming` as far as that is known."""
        caller = caller_in(request.scope)
        if coming is None:
            coming = await self.coming(caller, choice)
        uids = [one.uid for one in choice.studies]
        may_download = access.may(caller, Action.DOWNLOAD)
        response = self._kit.templates.live(
            "studies/recall.html",
            status,
            **visit.context,
            here=STUDIES,
            choice=choice,
            coming=coming,
            cold=sum(not (one.is_here or one.is_coming) for one in coming),
            waiting=sum(one.is_coming for one in coming),
            again_s=_again_s(coming, self._kit.services.now_us()),
            again_url=url_of(RECALL, uids),
            download=[one.study.uid for one in coming if one.is_here] if may_download else [],
            is_for_download=is_for_download,
            operates=access.may(caller, Action.OPERATE),
            pinned=sum(one.pin is not None for one in coming),
            longest_reason=LONGEST_REASON,
            failure=failure,
            pin_fault=pin_fault,
        )
        return self._kit.visits.renew(request, visit, response)

    async def _recall(self, caller: Caller, study: Chosen) -> StudyRecall:
        now_us = self._kit.services.now_us()
        is_cold = study.row.is_cold
        found = await coming_back(self._services, caller, study.uid, now_us) if is_cold else None
        return found or StudyRecall(caller.tenant, study.uid, RecallState.ONLINE, 0, 0)


def _why(error: PacsError) -> str:
    if isinstance(error, Offline):
        return sentence(error)
    return "The store does not answer, or refuses it. Try again in a minute."


def _again_s(coming: Sequence[Coming], now_us: int) -> int:
    """Return after how many seconds the page looks again; 0: there is nothing to wait for."""
    if not any(one.is_coming for one in coming):
        return 0
    soonest_us = min(one.recall.expected_us for one in coming if one.is_coming)
    due_s = (soonest_us - now_us) // _SECOND_US // _LOOKS
    return int(min(max(due_s, _SOONEST_S), _LATEST_S))


def _percent(recall: StudyRecall, now_us: int) -> int:
    arrived = 100 * recall.arrived // recall.packs if recall.packs else 0
    takes_us = recall.expected_us - recall.since_us
    gone_by = 100 * (now_us - recall.since_us) // takes_us if takes_us > 0 else 0
    return max(arrived, min(gone_by, _NEARLY))


def _left(left_us: int) -> str:
    """Return a time to come in words, "" for one that is over."""
    seconds = left_us // _SECOND_US
    if seconds <= 0:
        return ""
    if seconds < 90:
        return f"about {seconds} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
