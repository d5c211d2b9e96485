"""`/ops/tiers`: what lies in which class, what moves, and by which policies."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import InvalidRequest, PacsError
from pacs_cloud.security.caller import Action
from pacs_cloud.web.cookies import UNATTENDED
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.policy_words import PolicyWords, words_of
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import sentence

PATH: Final = f"{OPS}/tiers"
_PLAN_S: Final = 1800
_DRIFT_S: Final = 60


class TiersPage:
    """Policies, their plan, and what keeps them from being carried out."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show what `services.tiers` tells."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._drift = Kept(self._find_drift, _DRIFT_S)

    async def show(self, request: Request) -> Response:
        """Return the page; what is due to move is reckoned meanwhile."""
        entered = await self._frame.enter(request, Action.OPERATE)
        policies, file, why = await self._policies()
        plan = None
        if policies:
            plan = await self._services.errands.ask(
                ("plan", self._kit.services.tenant),
                self._services.tiers.plan,
                keep_s=_PLAN_S,
                again=UNATTENDED not in request.headers,
            ).soon()
        drift, unread = await self._drift.get() if policies else (None, "")
        return self._frame.page(
            request,
            entered,
            "tiers.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=self._kit.services.now_us(),
            policies=policies,
            file=file,
            why=why,
            plan=plan,
            drift=drift,
            unread=unread,
        )

    async def _policies(self) -> tuple[list[PolicyWords], str, str]:
        """Return the policies in words, their file, and why they are not carried out."""
        try:
            known = await asyncio.to_thread(self._services.tiers.policies)
        except InvalidRequest as error:
            return [], "", sentence(error)
        if known is None:
            return [], "", ""
        return [words_of(one) for one in known[0]], known[1], ""

    async def _find_drift(self) -> tuple[list[str] | None, str]:
        """Return where the bucket's rules differ, or why that cannot be told."""
        try:
            found = await self._services.tiers.drift()
        except PacsError as error:
            return None, sentence(error)
        return None if found is None else list(found), ""
