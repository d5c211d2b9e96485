"""Application entities that may come in: their AE titles, from where, for what, and how often."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Conflict, InvalidRequest, NotFound, PacsError
from pacs_cloud.identity.devices import (
    DeviceState,
    checked,
    devices_of,
    read_device,
    remove_device,
    write_device,
)
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.web.forms import Form
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed
from pacs_cloud.web.ops.device_fields import (
    FIELDS,
    FIRST,
    SERVICES,
    USERS,
    device_of,
    differences,
    given_of,
)
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.pages import page_of
from pacs_cloud.web.refusals import Failure, sentence, status_of_form

AE_TITLES: Final = "/ops/ae-titles"
ONE_TITLE: Final = f"{AE_TITLES}/one"
_LONGEST: Final = 4000


class AeTitles:
    """The pages, for whoever administers."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Change the devices of `services`."""
        self._services = services
        self._frame = frame

    async def show_all(self, request: Request) -> Response:
        """Return the list."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        return await self._list(request, to)

    async def show(self, request: Request) -> Response:
        """Return the form for one, or for a new one; raises NotFound."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        title = request.query_params.get("title", "").strip()
        if not title:
            return self._form(request, to, DeviceState(), {**given_of(FIRST), "title": ""})
        state = await self._known(title)
        assert state.device is not None
        return self._form(request, to, state, given_of(state.device))

    async def change(self, request: Request) -> Response:
        """Show what a form would change, or change it, or know a device no more."""
        to, form = await self._frame.form(request, Action.ADMINISTER)
        title, what = form.text("title"), form.text("do")
        given = {name: form.text(name, max_length=_LONGEST) for name in FIELDS}
        state = DeviceState()
        try:
            is_new = not form.text("number")
            state = await self._state(title, form, is_new=is_new)
            if what == "remove" and state.device is None:
                raise NotFound("no device has this title")
            if what == "remove":
                return await self._remove(request, to, state)
            device = checked(device_of(self._services.tenant, given))
            changes = differences(state.device, device)
            if what != "save":
                return self._form(request, to, state, given, changes=changes)
            action = "device add" if is_new else "device change"
            details = {"title": title, **{name: then for name, _, then in changes}}
            async with self._deed(to, action, details):
                await write_device(
                    self._services.objects,
                    device,
                    state,
                    by=to.caller.subject,
                    now_us=self._services.now_us(),
                )
        except (InvalidRequest, Conflict) as error:
            return self._form(request, to, state, given, error=error)
        before = "; ".join(f"{name}: {now or 'nothing'}" for name, now, _ in changes)
        said = f"{title} may come in." if is_new else f"{title} is changed. Before: {before}."
        return await self._list(request, to, notice=f"{said} Processes know it within seconds.")

    async def _state(self, title: str, form: Form, *, is_new: bool) -> DeviceState:
        """Return what is known of the device of a form; raises Conflict, NotFound."""
        if is_new:
            state = await read_device(self._services.objects, self._services.tenant, title)
            if state.device is not None:
                raise Conflict(f"there is a device called {title} already")
            return state
        state = await self._known(title)
        if str(state.number) != form.text("number"):
            raise Conflict(f"somebody has changed {title} meanwhile: look at it again")
        return state

    async def _remove(self, request: Request, to: Attendance, state: DeviceState) -> Response:
        assert state.device is not None
        services, title = self._services, state.device.title
        async with self._deed(to, "device remove", {"title": title}):
            await remove_device(
                *(services.objects, services.tenant, title, state),
                by=to.caller.subject,
                now_us=services.now_us(),
            )
        said = f"{title} is known no more. Associations that are under way go on."
        return await self._list(request, to, notice=said)

    async def _known(self, title: str) -> DeviceState:
        state = await read_device(self._services.objects, self._services.tenant, title)
        if state.device is None:
            raise NotFound("no device has this title")
        return state

    async def _list(self, request: Request, to: Attendance, *, notice: str = "") -> Response:
        found = devices_of(self._services.objects, self._services.tenant)
        page = await page_of(request, found)
        return self._frame.page(
            request,
            to,
            "ae_titles.html",
            section=AE_TITLES,
            page=page,
            rows=[
                (one.device, given_of(one.device), title_path(one.device.title))
                for one in page.items
                if one.device is not None
            ],
            lets_in_locals=self._services.lets_in_locals,
            notice=notice,
        )

    def _form(
        self,
        request: Request,
        to: Attendance,
        state: DeviceState,
        given: Mapping[str, str],
        *,
        changes: tuple[tuple[str, str, str], ...] | None = None,
        error: PacsError | None = None,
    ) -> Response:
        return self._frame.page(
            request,
            to,
            "ae_title.html",
            status_of_form(error),
            section=AE_TITLES,
            given=given,
            number=state.number if state.device is not None else "",
            services=[(f"may-{one}", words) for one, words in SERVICES.items()],
            users=[(one.value, words) for one, words in USERS.items()],
            changed=f"{minute_text(state.at_us)} by {state.by or 'nobody said'}"
            if state.at_us
            else "",
            changes=changes,
            failure=Failure("Nothing was changed", sentence(error)) if error else None,
        )

    def _deed(self, to: Attendance, action: str, details: Mapping[str, str]) -> Any:
        doing = partial(deed, self._services.witness, to.caller, Kind.ADMINISTER)
        return doing(action, details=details)


def title_path(title: str) -> str:
    """Return the path of a device's page."""
    return f"{ONE_TITLE}?title={quote(title, safe='')}"
