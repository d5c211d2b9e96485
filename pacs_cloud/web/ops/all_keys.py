"""API keys of everybody: who made them, what they open, when they were used, and their end."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.identity.keys import ApiKey
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.web.moments import day_text, minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.grant_fields import words_of
from pacs_cloud.web.ops.pages import page_in
from pacs_cloud.web.page_kit import PageKit

KEYS: Final = "/ops/keys"
_DAY_US: Final = 86_400_000_000
_ACTIVE: Final = "active"
_STATES: Final = {"active": "good", "revoked": "", "over": "", "maker gone": "warn"}


class AllKeys:
    """The page, for whoever administers."""

    def __init__(self, kit: PageKit, services: CustodyServices, frame: OpsFrame) -> None:
        """List the keys of `kit`."""
        self._keys = kit.services.keys
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the list: those that open something, or with `?all=1` all."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        return await self._page(request, to)

    async def revoke(self, request: Request) -> Response:
        """Let a key open nothing any more; raises NotFound."""
        to, form = await self._frame.form(request, Action.ADMINISTER)
        key_id = form.text("key")
        doing = partial(deed, self._services.witness, to.caller, Kind.ADMINISTER)
        async with doing("key revoke", details={"key": key_id}):
            key = await self._keys.revoke(key_id, by=to.caller.subject)
        said = f"The key {key.key_id} opens nothing any more, within seconds. That is for good."
        return await self._page(request, to, notice=said)

    async def _page(self, request: Request, to: Attendance, *, notice: str = "") -> Response:
        now_us = self._services.now_us()
        keys = await self._keys.list()
        states = {key.key_id: key.state(now_us, opens=await self._keys.opens(key)) for key in keys}
        every = bool(request.query_params.get("all"))
        listed = [key for key in reversed(keys) if every or states[key.key_id] == _ACTIVE]
        page = page_in(request, listed)
        return self._frame.page(
            request,
            to,
            "all_keys.html",
            section=KEYS,
            page=page,
            rows=[_row(key, states[key.key_id]) for key in page.items],
            every=every,
            more=len(keys) - len(listed),
            active=sum(state == _ACTIVE for state in states.values()),
            notice=notice,
        )


def _row(key: ApiKey, state: str) -> dict[str, object]:
    used = day_text(key.used_day * _DAY_US) if key.used_day >= 0 else "never"
    return {
        "key": key,
        "state": state,
        "kind": _STATES[state],
        "is_active": state == _ACTIVE,
        "may": words_of(key.grants),
        "made": f"{minute_text(key.made_us)} by {key.made_by or 'nobody said'}",
        "until": day_text(key.until_us),
        "used": used,
        "revoked": f"{minute_text(key.revoked_us)} by {key.revoked_by or 'nobody said'}"
        if key.revoked_us
        else "",
    }
