"""What stands around every operations page: who may see it, its navigation, and how it is kept up.

A page that is live says `every_s`. Its script then asks for the same address again, as long as
somebody looks, and puts what has changed in place (`static/ops/ops.js`): there is one answer
for people, scripts and printers.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import Denied
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.forms import Form
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.moments import second_text
from pacs_cloud.web.noting import Noting
from pacs_cloud.web.ops.sections import Section, sections_of
from pacs_cloud.web.ops.words import (
    ago_text,
    counted,
    left_text,
    rate_text,
    size_text,
    span_text,
)
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.visits import Visit

LIVE_S: Final = 5
"""How often a live page looks again."""
_WORDS: Final[dict[str, Any]] = {
    "ago": ago_text,
    "counted": counted,
    "left": left_text,
    "rate": rate_text,
    "size": size_text,
    "span": span_text,
}
"""What every template here says figures with."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """Somebody who may see an operations page.

    Attributes:
        visit: their session.
        caller: they, as services know them.
    """

    visit: Visit
    caller: Caller

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections that are open to them."""
        return sections_of(self.caller, has_people=self.visit.is_signed_in)


class OpsFrame:
    """Lets operators in, and makes their pages."""

    def __init__(self, kit: PageKit) -> None:
        """Make them of `kit`."""
        self._kit = kit
        self._noting = Noting(kit.services)

    async def enter(self, request: Request, *actions: Action) -> Attendance:
        """Return who asks, who may do one of `actions`; a refusal goes on record.

        Raises:
            Unidentified: nobody is signed in.
            Denied: they may do none of it.
        """
        return await self._let_in(request, await self._kit.visits.of(request), actions)

    async def form(self, request: Request, *actions: Action) -> tuple[Attendance, Form]:
        """Return who sent a form, and the form; raises as `enter`, and NotOurPage."""
        visit, form = await self._kit.visits.form(request)
        return await self._let_in(request, visit, actions), form

    async def changes(
        self, request: Request, by: Attendance, action: str, *details: tuple[str, str]
    ) -> None:
        """Put on record that somebody changes what is nobody's data, before it is done.

        Raises:
            Unavailable: it cannot be put on record.
        """
        await self._noting.note(request, by.visit, Kind.CHANGE, action, details=details)

    def page(
        self,
        request: Request,
        to: Attendance,
        template: str,
        status: HTTPStatus = HTTPStatus.OK,
        /,
        *,
        section: str,
        every_s: int = 0,
        **context: Any,
    ) -> Response:
        """Return a page below `templates/ops`.

        Args:
            request: it was asked by.
            to: whom.
            template: its file; it extends `ops/layout.html`.
            status: of the answer.
            section: the path of the section that it belongs to.
            every_s: how often its live parts are asked for again; 0: it has none.
            context: what the template needs besides.
        """
        response = self._kit.templates.live(
            f"ops/{template}",
            status,
            **to.visit.context,
            here=OPS,
            section=section,
            sections=to.sections,
            every_s=every_s,
            now_text=second_text(self._kit.services.now_us()),
            may_search=access.may(to.caller, Action.SEARCH),
            **_WORDS,
            **{"notice": "", "failure": None, **context},
        )
        return self._kit.visits.renew(request, to.visit, response)

    async def _let_in(
        self, request: Request, visit: Visit, actions: tuple[Action, ...]
    ) -> Attendance:
        caller = visit.caller(request)
        if not any(access.opens(caller, action) for action in actions):
            wanted = " or ".join(action.value for action in actions)
            await self._noting.note(*(request, visit, Kind.REFUSAL, wanted), outcome=Outcome.MINOR)
            raise Denied(f"{caller.subject} may not {wanted}")
        return Attendance(visit, caller)
