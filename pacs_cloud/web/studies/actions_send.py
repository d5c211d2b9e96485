"""Studies sent to a destination: asked for on a page, done by a worker, watched on the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, NotFound, PacsError
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.routing.sends import SendEntry, Sending, SendState, What, enter, sendings_of
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, event_of
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.local_paths import SEND, STUDIES
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, see_other
from pacs_cloud.web.studies.actions_chosen import (
    DOOR,
    Choice,
    Chosen,
    choice_by,
    choice_sent,
    of_each,
    url_of,
)
from pacs_cloud.web.study_services import DestinationText, SendingServices, StudyServices
from pacs_cloud.web.visits import Visit
from pacs_cloud.workqueue.jobs import Job

_SHOWN: Final = 5
"""Sendings of a study that are listed."""
_SECOND_US: Final = 1_000_000
_LONG_US: Final = 900 * _SECOND_US
"""With a second for each instance: by then a worker has most often tried what can be read."""
_LONG: Final = (
    "This takes long. It may be on its way, wait behind others, or never have been queued: send"
    " it again if it is not there in some hours."
)
"""Where this process has died before it was queued nothing else tells."""
_SOONEST_S, _LATEST_S = 1, 60
_STEPS: Final = 4
"""A page looks again after this part of the time that has gone by since something was asked."""
_DEAD: Final = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """A chosen study, and where it was sent lately.

    Attributes:
        study: it.
        sendings: the latest, each with when it was asked for.
    """

    study: Chosen
    sendings: tuple[tuple[Sending, str], ...]


class SendPage:
    """The page, for whoever may send."""

    def __init__(self, kit: PageKit, services: StudyServices, sending: SendingServices) -> None:
        """Send by `sending` what `services` find."""
        self._kit = kit
        self._services = services
        self._sending = sending

    async def show(self, request: Request) -> Response:
        """Return where the chosen studies can be sent, and what became of it.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may send nothing.
            InvalidRequest: the URL names no studies.
        """
        visit, choice = await choice_by(self._kit, self._services, request, Action.SEND)
        return await self._page(request, visit, choice)

    async def send(self, request: Request) -> Response:
        """Have the studies in the form sent; nothing is waited for.

        Raises:
            Unavailable: it cannot be put on record, or not be queued.
        """
        visit, form, choice = await choice_sent(self._kit, self._services, request, Action.SEND)
        caller, title = caller_in(request.scope), form.text("to", max_length=64)
        if title not in {one.title for one in await self._destinations(caller)}:
            failure = Failure("Nothing was sent", "Choose where to.")
            return await self._page(request, visit, choice, failure=failure)
        if not choice.allowed:
            failure = Failure("Nothing was sent", "There is no study that you may send.")
            return await self._page(request, visit, choice, failure=failure)
        for study in choice.allowed:
            await self._send(caller, study.uid, title)
        return see_other(url_of(SEND, choice.asked, to=title) + "#progress")

    async def _send(self, caller: Caller, uid: str, title: str) -> None:
        try:
            located = await self._services.archive.instances.locate(caller, uid, to=Action.SEND)
        except NotFound:
            return  # deleted in this moment: the page has it no more
        services, objects = self._kit.services, self._services.objects
        now_us = services.now_us()
        event = event_of(
            *(caller, Kind.SEND, DOOR, now_us),
            action="send",
            studies=(uid,),
            instances=len(located),
            details=(("destination", title),),
        )
        await services.record(event)
        asked = SendEntry(
            *(caller.tenant, uid, new_pack_id(now_us), What.ASKED, title, len(located)),
            who=caller.subject,
        )
        await enter(objects, asked, now_us=now_us)
        try:
            await self._sending.send_later(title, located, asked.send_id)
        except PacsError:
            ended = replace(asked, what=What.GIVEN_UP, reason="it could not be queued")
            await enter(objects, ended, now_us=services.now_us())
            raise

    async def _page(
        self,
        request: Request,
        visit: Visit,
        choice: Choice,
        *,
        failure: Failure | None = None,
    ) -> Response:
        caller, now_us = caller_in(request.scope), self._kit.services.now_us()
        sent = await self._sent(caller, choice)
        response = self._kit.templates.live(
            "studies/send.html",
            HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
            **visit.context,
            here=STUDIES,
            choice=choice,
            sent=sent,
            destinations=await self._destinations(caller),
            to=request.query_params.get("to", "")[:64],
            again_s=_again_s(sent, now_us),
            again_url=url_of(SEND, [one.uid for one in choice.studies]),
            operates=access.may(caller, Action.OPERATE),
            failure=failure,
        )
        return self._kit.visits.renew(request, visit, response)

    async def _destinations(self, caller: Caller) -> Sequence[DestinationText]:
        found = await self._sending.destinations(caller.tenant)
        return sorted(found, key=lambda one: one.title)

    async def _sent(self, caller: Caller, choice: Choice) -> list[Sent]:
        objects, now_us = self._services.objects, self._kit.services.now_us()

        async def of(study: Chosen) -> list[Sending]:
            return await sendings_of(objects, caller.tenant, study.uid, now_us=now_us)

        found = await of_each(choice.allowed, of)
        failed = any(one.state is SendState.FAILED for sendings in found for one in sendings)
        dead = await self._dead(caller) if failed else frozenset[str]()
        return [
            Sent(study, tuple(_told(one, study, dead, now_us) for one in sendings[:_SHOWN]))
            for study, sendings in zip(choice.allowed, found, strict=True)
            if sendings
        ]

    async def _dead(self, caller: Caller) -> frozenset[str]:
        """Return which sendings the queue has given up, until somebody has it try again."""

        def is_ours(job: Job) -> bool:
            return job.tenant == caller.tenant and bool(job.body.get("send_id"))

        try:
            jobs = await self._services.queue.dead(_DEAD, is_ours)
        except Denied:
            return frozenset()  # this process may not look
        return frozenset(str(dead.job.body["send_id"]) for dead in jobs)


def _told(
    sending: Sending, study: Chosen, dead: frozenset[str], now_us: int
) -> tuple[Sending, str]:
    if sending.goes_on and sending.send_id in dead:
        sending = replace(sending, state=SendState.GIVEN_UP)
    long_us = _LONG_US + sending.instances * _SECOND_US
    waits_long = now_us - sending.asked_us > long_us and not study.row.is_cold
    if sending.state is SendState.WAITING and waits_long:
        sending = replace(sending, reason=_LONG)
    return sending, minute_text(sending.asked_us)


def _again_s(sent: Sequence[Sent], now_us: int) -> int:
    """Return after how many seconds the page looks again; 0: there is nothing to wait for."""
    going = [one.asked_us for each in sent for one, _ in each.sendings if one.goes_on]
    if not going:
        return 0
    waited_s = (now_us - max(going)) // _SECOND_US // _STEPS
    return int(min(max(waited_s, _SOONEST_S), _LATEST_S))
