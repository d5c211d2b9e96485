"""API keys on the account page: those that one has made, a new one, and revoking one."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied, InvalidRequest, NotFound
from pacs_cloud.identity.keys import ApiKey
from pacs_cloud.identity.user import LockedOut, User
from pacs_cloud.security import access
from pacs_cloud.security.access import BOUNDED
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.web.forms import NotProven
from pacs_cloud.web.local_paths import HOME
from pacs_cloud.web.moments import day_text
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.proving import prove
from pacs_cloud.web.refusals import see_other
from pacs_cloud.web.roles_text import ROLE_NAMES, grant_text
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visit, Visits

_DAYS: Final = (7, 30, 90, 365)
_DAY_US: Final = 86_400_000_000
_ROLES: Final = {role.value: role for role in Role if role not in BOUNDED}
"""What a key can be without rules that name studies."""


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as the page lists it.

    Attributes:
        key_id: which.
        label: what it is for.
        about: what it is, until when, and when it was used.
        is_over: whether it opens nothing any more, by itself.
    """

    key_id: str
    label: str
    about: str
    is_over: bool


class OwnKeys:
    """The keys of whoever looks."""

    def __init__(self, services: WebServices, templates: Templates, visits: Visits) -> None:
        """Keep them by `services.keys`."""
        self._services = services
        self._templates = templates
        self._visits = visits
        self._noting = Noting(services)

    async def of(self, visit: Visit) -> list[KeyText]:
        """Return the keys that somebody has made and not revoked, the newest first."""
        now_us = self._services.now_us()
        return [_text(key, now_us) for key in reversed(await self._made_by(visit))]

    async def make(self, request: Request) -> Response:
        """Make a key, and show it once.

        Raises:
            Denied: for whoever does not administer: a key may be more than its maker is.
            LockedOut: there were too many tries.
            NotProven: a local user's password, or code, is wrong: a key outlasts their session.
            InvalidRequest: its note, role or time is none of those offered.
        """
        visit, form = await self._visits.form(request)
        if not may_make(visit):
            raise Denied("only administrators make keys")
        label = form.text("label", max_length=80)
        days, role = form.text("days"), _ROLES.get(form.text("role"))
        if not label or role is None or not days.isdecimal() or int(days) not in _DAYS:
            raise InvalidRequest("Say what the key is for, what it is, and how long it is good.")
        if isinstance(visit.who, User):
            try:
                await prove(self._services.accounts, request, visit.who, form)
            except Denied as error:
                await self._noting.note(
                    request, visit, Kind.ADMINISTER, "key made", outcome=Outcome.MINOR
                )
                if isinstance(error, LockedOut):
                    raise
                raise NotProven("the password is not right") from error
        until_us = self._services.now_us() + int(days) * _DAY_US
        key, secret = await self._services.keys.create(
            (Grant(role),), until_us=until_us, note=label, by=visit.who.subject
        )
        details = (("key", key.key_id), ("role", role.value))
        await self._noting.note(request, visit, Kind.ADMINISTER, "key made", details=details)
        return self._templates.page(
            "key.html",
            HTTPStatus.OK,
            **visit.context,
            label=label,
            role=ROLE_NAMES[role],
            secret=secret,
            until=day_text(until_us),
        )

    async def revoke(self, request: Request) -> Response:
        """Revoke a key that one has made; raises NotFound for anybody else's."""
        visit, form = await self._visits.form(request)
        key_id = form.text("key")
        if key_id not in {key.key_id for key in await self._made_by(visit)}:
            raise NotFound("there is no such key of yours")
        await self._services.keys.revoke(key_id, by=visit.who.subject)
        details = (("key", key_id),)
        await self._noting.note(request, visit, Kind.ADMINISTER, "key revoked", details=details)
        return see_other(f"{HOME}?done=revoked#main")

    async def _made_by(self, visit: Visit) -> list[ApiKey]:
        keys = await self._services.keys.list()
        return [key for key in keys if key.made_by == visit.who.subject and not key.revoked_us]


def may_make(visit: Visit) -> bool:
    """Return whether somebody may make keys, whatever these open."""
    return access.administers(visit.who.caller(address=""))


def role_choices() -> list[tuple[str, str, str]]:
    """Return what a key can be: value, name, and what that may."""
    return [
        (value, ROLE_NAMES[role], grant_text(Grant(role)).may) for value, role in _ROLES.items()
    ]


def _text(key: ApiKey, now_us: int) -> KeyText:
    is_over = not key.is_good(now_us)
    used = "never used" if key.used_day < 0 else f"last used {day_text(key.used_day * _DAY_US)}"
    until = f"{'over since' if is_over else 'good until'} {day_text(key.until_us)}"
    roles = ", ".join(ROLE_NAMES[grant.role] for grant in key.grants)
    about = f"{roles} · {until} · {used}"
    return KeyText(key.key_id, key.note, about, is_over)
