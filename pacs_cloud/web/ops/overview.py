"""`/ops`: how the archive is, at a glance, and where to look on."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.web.cookies import UNATTENDED
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.alerts import Alert, alerts_of
from pacs_cloud.web.ops.errands import Errand
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.sections import SECTIONS
from pacs_cloud.web.ops.services import Classes, OpsServices
from pacs_cloud.web.ops.spark import spark
from pacs_cloud.web.ops.words import ago_text, size_text, within_text
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import see_other

_CLASSES_S: Final = 1800
"""How old the walk through the catalogue may be that says what lies in each class."""
_DEVICES_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Held:
    """What lies in one storage class.

    Attributes:
        name: of the class.
        packs: in it.
        length: of these, in words.
        share: of all bytes, 0 to 1.
    """

    name: str
    packs: int
    length: str
    share: float


class Overview:
    """The page that everything else is found from."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show what `services` tells."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._state = Kept(services.state, LIVE_S)

    async def show(self, request: Request) -> Response:
        """Return the page; whoever may see other sections alone is sent to the first of these."""
        entered = await self._frame.enter(request, *{one.action for one in SECTIONS})
        sections = entered.sections
        if sections[0].path != OPS:
            return see_other(sections[0].path)
        now_us = self._kit.services.now_us()
        state = await self._state.get()
        sees_host = self._services.sees_host
        alerts = alerts_of(state, now_us, sees_host=sees_host)
        traffic = self._services.traffic
        rates, since_us = traffic.rates(), traffic.since_us
        walk = await self._counted(request).soon()
        classes, on_hold = walk.outcome if walk.outcome is not None else ({}, 0)
        return self._frame.page(
            request,
            entered,
            "overview.html",
            section=OPS,
            every_s=LIVE_S,
            state=state,
            alerts=[_within(one, {section.path for section in sections}) for one in alerts],
            total=traffic.total(),
            rates=[] if self._services.is_shared else rates[:_DEVICES_SHOWN],
            more_devices=max(0, len(rates) - _DEVICES_SHOWN),
            spark=spark(traffic.minutes()),
            since=ago_text(since_us, now_us),
            within=within_text(since_us, self._kit.services.now_us()),
            is_shared=self._services.is_shared,
            sees_host=sees_host,
            oldest=ago_text(state.spool_oldest_us, now_us),
            held=[] if isinstance(classes, str) else _held(classes),
            held_why=classes if isinstance(classes, str) else walk.failure,
            on_hold=on_hold,
            counting=None if walk.is_over else walk.steps.done,
            counted_ago=ago_text(walk.ended_us, now_us),
        )

    def _counted(self, request: Request) -> Errand:
        """Return the walk through the catalogue: the last one, where another is under way."""
        return self._services.errands.ask(
            ("classes", self._kit.services.tenant),
            self._services.classes,
            keep_s=_CLASSES_S,
            again=UNATTENDED not in request.headers,
        )


def _within(alert: Alert, open_paths: Collection[str]) -> Alert:
    """Return an alert without its link where that leads to what somebody may not see."""
    path = alert.href.partition("#")[0].partition("?")[0]
    return alert if path in open_paths else replace(alert, href="")


def _held(classes: Classes) -> list[Held]:
    """Return what lies in each class, the most bytes first."""
    total = sum(one["bytes"] for one in classes.values()) or 1
    found = sorted(classes.items(), key=lambda one: -one[1]["bytes"])
    return [
        Held(name, one["packs"], size_text(one["bytes"]), one["bytes"] / total)
        for name, one in found
    ]
