"""`/ops/recalls`: studies on their way back from a cold class, and those that are pinned."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.security.caller import Action
from pacs_cloud.tiering.pins import Pin, pins
from pacs_cloud.tiering.recall.cold import cold_packs
from pacs_cloud.tiering.recall.listing import RecallState, StudyRecall, list_recalls
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.seen_studies import reads_all
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit

PATH: Final = f"{OPS}/recalls"
_RECALLS_S: Final = 30
"""Each asks the catalogue, and takes minutes or hours to arrive; a pin lies for years."""
_SHOWN: Final = 200
_ORDER: Final = (RecallState.RESTORING, RecallState.OFFLINE, RecallState.ONLINE)


@dataclass(frozen=True, slots=True)
class ShownRecall:
    """A recall as the page lists it.

    Attributes:
        recall: it.
        cost: of what is on its way, at list prices; "" where nobody knows.
    """

    recall: StudyRecall
    cost: str


class RecallsPage:
    """What was asked back."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show what lies under `recalls/` and `pins/`."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._recalls = Kept(self._look, _RECALLS_S)
        self._pins = Kept(self._look_at_pins, _RECALLS_S)

    async def show(self, request: Request) -> Response:
        """Return the page; `?state=` shows the recalls of one state alone."""
        entered = await self._frame.enter(request, Action.OPERATE)
        recalls = await self._recalls.get()
        state = request.query_params.get("state", "")
        listed = [one for one in recalls if not state or one.recall.state.value == state]
        pinned = await self._pins.get()
        return self._frame.page(
            request,
            entered,
            "recalls.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=self._kit.services.now_us(),
            state=state,
            numbers={
                one.value: sum(shown.recall.state is one for shown in recalls) for one in _ORDER
            },
            recalls=listed[:_SHOWN],
            more=max(0, len(listed) - _SHOWN),
            pins=pinned[:_SHOWN],
            more_pins=max(0, len(pinned) - _SHOWN),
            reads_cold=self._services.tiers.reads_cold,
            shows_reasons=reads_all(self._services.custody, entered.caller),
        )

    async def _look(self) -> list[ShownRecall]:
        services, kit = self._services, self._kit.services
        now_us = kit.now_us()
        listing = list_recalls(services.objects, services.catalogue, kit.tenant, now_us)
        found = [one async for one in listing]
        found.sort(key=lambda one: (_ORDER.index(one.state), -one.since_us))
        return [
            ShownRecall(one, await self._cost(one, now_us) if number < _SHOWN else "")
            for number, one in enumerate(found)
        ]

    async def _cost(self, one: StudyRecall, now_us: int) -> str:
        if one.state is not RecallState.RESTORING:
            return ""
        packs = await self._services.catalogue.packs(one.tenant, one.study_instance_uid)
        return self._services.tiers.recall_price(cold_packs(packs, now_us))

    async def _look_at_pins(self) -> list[Pin]:
        now_us = self._kit.services.now_us()
        found = pins(self._services.objects, self._kit.services.tenant, now_us=now_us)
        return sorted([one async for one in found], key=lambda one: -one.entered_us)
