"""Users: who may sign in, what they may, and what is done when something goes wrong with it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Conflict, InvalidRequest, NotFound, PacsError
from pacs_cloud.identity.user import User
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.web.forms import Form
from pacs_cloud.web.local_paths import welcome_path
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.grant_fields import (
    LONGEST_RULES,
    GrantFields,
    fields_given,
    fields_of,
    grants_in,
    record_of,
    words_of,
)
from pacs_cloud.web.ops.pages import page_in
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, sentence, status_of_form
from pacs_cloud.web.site_url import site_url

USERS: Final = "/ops/users"
_SHOWN: Final = ("name", "display", "email")
_STATES: Final = {"active": "good", "invited": "warn", "disabled": "bad"}


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to a user.

    Attributes:
        action: how the record of it calls it.
        said: what was done, and how to undo it.
        done: does it.
    """

    action: str
    said: str
    done: Callable[[str, str], Awaitable[object]]


class Users:
    """The pages, for whoever administers."""

    def __init__(self, kit: PageKit, services: CustodyServices, frame: OpsFrame) -> None:
        """Change the users of `kit`."""
        self._kit = kit
        self._accounts = kit.services.accounts
        self._services = services
        self._frame = frame
        accounts = self._accounts
        self._changes: Mapping[str, _Change] = {
            "disable": _Change(
                "user disable",
                "They are kept out, and their sessions end within seconds. “Let them in again”"
                " below takes it back.",
                lambda name, by: accounts.disable(name, by=by),
            ),
            "enable": _Change(
                "user enable",
                "They may sign in. Who has no password needs a new link.",
                lambda name, by: accounts.enable(name, by=by),
            ),
            "unlock": _Change(
                "user unlock",
                "They may try again at once.",
                lambda name, _: accounts.unlock(name),
            ),
            "sign-out": _Change(
                "user sign-out",
                "All their sessions end within seconds. They can sign in again.",
                lambda name, by: accounts.sign_out(name, by=by),
            ),
        }

    async def show_all(self, request: Request) -> Response:
        """Return the list, and a form for a new one."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        return await self._list(request, to)

    async def add(self, request: Request) -> Response:
        """Make a user, and show their link: this once."""
        to, form = await self._frame.form(request, Action.ADMINISTER)
        try:
            name, grants = form.text("name"), grants_in(form)
            details = {"name": name, "grant": record_of(grants)}
            async with self._deed(to, "user add", details):
                secret = await self._accounts.create(
                    name,
                    grants,
                    display_name=form.text("display"),
                    email=form.text("email"),
                    by=to.caller.subject,
                )
        except (InvalidRequest, Conflict) as error:
            return await self._list(request, to, form, error)
        return await self._link(request, to, name, secret)

    async def show(self, request: Request) -> Response:
        """Return one; raises NotFound."""
        to = await self._frame.enter(request, Action.ADMINISTER)
        return await self._one(request, to, await self._named(request))

    async def change(self, request: Request) -> Response:
        """Do to one what a form says, and say what was done; raises NotFound."""
        to, form = await self._frame.form(request, Action.ADMINISTER)
        user = await self._named(request)
        what = form.text("do")
        try:
            if what in {"grants", "preview"}:
                return await self._grants(request, to, user, form, sure=what == "grants")
            if what == "names":
                return await self._names(request, to, user, form)
            if what in {"reset", "reset-codes"}:
                return await self._reset(request, to, user, with_codes=what == "reset-codes")
            if what == "remove":
                return await self._remove(request, to, user, form)
            said = await self._do(to, user, what)
        except (InvalidRequest, Conflict) as error:
            return await self._one(request, to, user, form=form, error=error)
        return await self._one(request, to, await self._again(user), notice=said)

    async def _do(self, to: Attendance, user: User, what: str) -> str:
        """Do one of `_changes`; return what was done."""
        change = self._changes.get(what)
        if change is None:
            raise InvalidRequest("This form says nothing that can be done.")
        async with self._deed(to, change.action, {"name": user.name}):
            await change.done(user.name, to.caller.subject)
        return change.said

    async def _grants(
        self, request: Request, to: Attendance, user: User, form: Form, *, sure: bool
    ) -> Response:
        grants = grants_in(form)
        if not sure:
            return await self._one(request, to, user, form=form, preview=words_of(grants))
        if form.text("changed") != str(user.changed_us):
            raise Conflict(f"somebody has changed {user.name} meanwhile: look at it again")
        details = {"name": user.name, "grant": record_of(grants)}
        async with self._deed(to, "user grant", details):
            await self._accounts.set_grants(user.name, grants, by=to.caller.subject)
        before = record_of(user.grants)
        said = f"Changed, in sessions that go on, too. Before: {before or 'nothing'}."
        return await self._one(request, to, await self._again(user), notice=said)

    async def _names(self, request: Request, to: Attendance, user: User, form: Form) -> Response:
        display, email = form.text("display"), form.text("email")
        details = {"name": user.name, "display": display, "email": email}
        async with self._deed(to, "user change", details):
            now = await self._accounts.change(
                user.name, display_name=display, email=email, by=to.caller.subject
            )
        return await self._one(request, to, now, notice="Changed.")

    async def _reset(
        self, request: Request, to: Attendance, user: User, *, with_codes: bool
    ) -> Response:
        details = {"name": user.name, "codes": "true" if with_codes else ""}
        async with self._deed(to, "user reset", details):
            secret = await self._accounts.reset(
                user.name, by=to.caller.subject, with_codes=with_codes
            )
        return await self._link(request, to, user.name, secret)

    async def _remove(self, request: Request, to: Attendance, user: User, form: Form) -> Response:
        if form.text("sure") != user.name:
            raise InvalidRequest("To remove a user, type their name.")
        async with self._deed(to, "user remove", {"name": user.name}):
            await self._accounts.remove(user.name, by=to.caller.subject)
        said = f"{user.name} is removed. What they did stays on record under that name."
        return await self._list(request, to, notice=said)

    async def _list(
        self,
        request: Request,
        to: Attendance,
        form: Form | None = None,
        error: PacsError | None = None,
        *,
        notice: str = "",
    ) -> Response:
        users = await self._accounts.users()
        wanted = request.query_params.get("q", "").strip().lower()[:128]
        found = [one for one in users if wanted in f"{one.name} {one.display_name}".lower()]
        given = form.fields if form else {}
        return self._frame.page(
            request,
            to,
            "users.html",
            status_of_form(error),
            section=USERS,
            page=page_in(request, found),
            states=_STATES,
            words_of=words_of,
            path=user_path,
            q=wanted,
            total=len(users),
            given={name: given.get(name, "") for name in _SHOWN},
            grants=fields_given(given),
            longest_rules=LONGEST_RULES,
            notice=notice,
            failure=Failure("No user was made", sentence(error)) if error else None,
        )

    async def _one(
        self,
        request: Request,
        to: Attendance,
        user: User,
        *,
        notice: str = "",
        form: Form | None = None,
        error: PacsError | None = None,
        preview: tuple[Any, ...] = (),
    ) -> Response:
        locked_us = await self._accounts.locked_until_us(user.name)
        asked = form is not None and form.text("do") in {"grants", "preview"}
        shown: GrantFields = fields_given(form.fields) if form and asked else fields_of(user.grants)
        return self._frame.page(
            request,
            to,
            "user.html",
            status_of_form(error),
            section=USERS,
            user=user,
            state_kind=_STATES[user.state],
            may=words_of(user.grants),
            preview=preview,
            grants=shown,
            longest_rules=LONGEST_RULES,
            locked=minute_text(locked_us) if locked_us else "",
            link_until=minute_text(user.link_until_us) if user.link_until_us else "",
            made=minute_text(user.made_us) if user.made_us else "",
            changed=minute_text(user.changed_us) if user.changed_us else "",
            here_user=user_path(user.name),
            is_self=user.subject == to.caller.subject,
            notice=notice,
            failure=Failure("Nothing was changed", sentence(error)) if error else None,
        )

    async def _link(self, request: Request, to: Attendance, name: str, secret: str) -> Response:
        user = await self._user(name)
        link = site_url(request, self._kit.services.public_url) + welcome_path(secret)
        return self._frame.page(
            request,
            to,
            "user_link.html",
            section=USERS,
            user=user,
            link=link,
            until=minute_text(user.link_until_us),
            here_user=user_path(user.name),
        )

    async def _named(self, request: Request) -> User:
        return await self._user(request.path_params["name"])

    async def _again(self, user: User) -> User:
        return await self._user(user.name)

    async def _user(self, name: str) -> User:
        # Not `user`, which may have been read some seconds ago.
        found = {one.name: one for one in await self._accounts.users()}
        user = found.get(name.strip().lower())
        if user is None:
            raise NotFound("there is no such user")
        return user

    def _deed(self, to: Attendance, action: str, details: Mapping[str, str]) -> Any:
        doing = partial(deed, self._services.witness, to.caller, Kind.ADMINISTER)
        return doing(action, details=details)


def user_path(name: str) -> str:
    """Return the path of a user's page."""
    return f"{USERS}/{quote(name, safe='')}"
