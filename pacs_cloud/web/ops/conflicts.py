"""What contradicts each other: both versions side by side, and which of them is shown."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.catalogue.records import ConflictKind
from pacs_cloud.custody.conflicts.choice import standing_promotions
from pacs_cloud.custody.conflicts.choosing import choose
from pacs_cloud.custody.conflicts.listing import Disagreement, disagreement, disagreements
from pacs_cloud.custody.conflicts.wording import NEWCOMER, OTHER, in_words, shown_side
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import JPEG, PNG
from pacs_cloud.errors import InvalidRequest, NotAcceptable, NotFound, Offline
from pacs_cloud.retrieve.comparing import (
    compared_pixels,
    compared_tags,
    difference_picture,
    locate,
)
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.shown_frames import Shown
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.tiering.cost.figures import size
from pacs_cloud.web.moments import minute_text
from pacs_cloud.web.ops.custody_services import CustodyServices
from pacs_cloud.web.ops.deeds import deed, told
from pacs_cloud.web.ops.frame import Attendance, OpsFrame
from pacs_cloud.web.ops.pages import page_of
from pacs_cloud.web.ops.seen_studies import require_seen, seen_studies, sees_each
from pacs_cloud.web.templating import PAGE_HEADERS

CONFLICTS: Final = "/ops/conflicts"
_FRAMES: Final = 16
"""So many frames of each are compared on the page; the command line compares all."""
_VALUE: Final = 300
_TITLES: Final = {NEWCOMER: "Came later", OTHER: "Came first"}
_KINDS: Final = {
    ConflictKind.CONTENT: "Two contents",
    ConflictKind.ELSEWHERE: "In two places",
    ConflictKind.PATIENT: "Several patients",
}


@dataclass(frozen=True, slots=True)
class SideText:
    """One of two contents as the page shows it.

    Attributes:
        name: NEWCOMER or OTHER, as addresses name it.
        title: how people call it.
        is_shown: whether it is visible.
        facts: where it came from and what it is.
    """

    name: str
    title: str
    is_shown: bool
    facts: tuple[tuple[str, str], ...]


class Conflicts:
    """The pages, for whoever may choose between two contents of one UID."""

    def __init__(self, services: CustodyServices, frame: OpsFrame) -> None:
        """Compare what `services` holds."""
        self._services = services
        self._frame = frame
        self._load = partial(load_table, services.objects, services.catalogue)
        self._locate = partial(locate, services.archive, services.catalogue, services.tenant)
        # Two frames are decoded for each: what waits has read nothing yet.
        self._slots = asyncio.Semaphore(2)

    async def show_all(self, request: Request) -> Response:
        """Return the list, those first that came last."""
        to = await self._frame.enter(request, Action.CORRECT)
        page = await page_of(request, self._seen(to.caller))
        studies = {uid for one in page.items for uid in one.studies}
        if studies:
            witness = self._services.witness
            named = tuple(sorted(studies))
            await told(witness, to.caller, Kind.READ, "conflicts list", studies=named)
        seen = await seen_studies(self._services, to.caller, Action.CORRECT, studies)
        rows = [
            (
                one,
                _KINDS[one.kind],
                in_words(one),
                seen.about(one.newcomer.study_instance_uid),
                minute_text(one.found_us) if one.found_us else "",
            )
            for one in page.items
        ]
        return self._frame.page(
            request, to, "conflicts.html", section=CONFLICTS, page=page, rows=rows
        )

    async def show(self, request: Request) -> Response:
        """Return one, with both of its sides; raises NotFound."""
        to = await self._frame.enter(request, Action.CORRECT)
        return await self._one(request, to, await self._found(request, to))

    async def change(self, request: Request) -> Response:
        """Show the other content, or take that back.

        Raises:
            NotFound: there is no such conflict, or nothing to take back.
            Conflict: both are shown.
        """
        to, form = await self._frame.form(request, Action.CORRECT)
        one = await self._found(request, to)
        undo = {"promote": False, "undo": True}.get(form.text("do"))
        if undo is None:
            raise InvalidRequest("This form says nothing that can be done.")
        if form.text("shown") != shown_side(one):
            raise InvalidRequest(
                "Meanwhile another one is shown than when you opened the page: look again."
            )
        services, caller = self._services, to.caller
        action = "conflicts undo" if undo else "conflicts promote"
        doing = partial(deed, services.witness, caller, Kind.CHANGE, action)
        async with doing(studies=one.studies, details={"conflict_id": one.conflict_id}):
            now = await choose(
                *(services.objects, services.catalogue, one),
                who=caller.subject,
                now_us=services.now_us(),
                undo=undo,
            )
        which = _TITLES[shown_side(now)].lower()
        notice = f"Shown is now the one that {which}. “Take it back” below shows the other again."
        return await self._one(request, to, now, notice=notice if not undo else "Taken back.")

    async def picture(self, request: Request) -> Response:
        """Return a frame of one side, or where both differ; raises NotFound where none is seen."""
        to = await self._frame.enter(request, Action.CORRECT)
        one = await self._found(request, to)
        name, number = request.path_params["picture"], request.query_params.get("frame", "1")
        if one.kind is ConflictKind.PATIENT or not (number.isdecimal() and len(number) < 6):
            raise NotFound("there is no such picture")
        services = self._services
        await told(services.witness, to.caller, Kind.READ, "rendered", studies=one.studies)
        try:
            async with self._slots:
                if name == "difference":
                    newcomer = await self._side(one, NEWCOMER)
                    other = await self._side(one, OTHER)
                    made = await difference_picture(services.archive, newcomer, other, int(number))
                    return _picture(made, PNG)
                located = await self._side(one, name)
                shown = Shown(located, max(1, int(number)))
                return _picture(await services.archive.renderer.picture(shown, Wanted()), JPEG)
        except (NotAcceptable, Offline) as error:
            raise NotFound("there is no picture of this") from error

    async def _one(
        self, request: Request, to: Attendance, one: Disagreement, *, notice: str = ""
    ) -> Response:
        services = self._services
        await told(services.witness, to.caller, Kind.READ, "conflicts show", studies=one.studies)
        seen = await seen_studies(services, to.caller, Action.CORRECT, one.studies)
        context: dict[str, Any] = {"sides": (), "tags": (), "frames": (), "note": "", "choices": ()}
        if one.kind is not ConflictKind.PATIENT:
            sides = [await self._side(one, name) for name in (NEWCOMER, OTHER)]
            async with self._slots:
                pixels = await compared_pixels(services.archive, *sides, most=_FRAMES)
            context = {
                "sides": [
                    _side_text(name, side)
                    for name, side in zip((NEWCOMER, OTHER), sides, strict=True)
                ],
                "tags": [
                    (row["path"], _value(row["other"]), _value(row["newcomer"]))
                    for row in await compared_tags(services.archive, *sides)
                ],
                "frames": pixels["frames"],
                "note": pixels["note"],
                "choices": [
                    (minute_text(choice.chosen_us), choice.who)
                    for choice in await standing_promotions(services.objects, one, self._load)
                ],
            }
        return self._frame.page(
            request,
            to,
            "conflict.html",
            section=CONFLICTS,
            one=one,
            here_one=f"{CONFLICTS}/{one.conflict_id}",
            kind=_KINDS[one.kind],
            words=in_words(one),
            shown=shown_side(one),
            hidden_title=_TITLES[OTHER if shown_side(one) == NEWCOMER else NEWCOMER].lower(),
            about=[(uid, seen.about(uid)) for uid in one.studies],
            most_frames=_FRAMES,
            notice=notice,
            **context,
        )

    async def _side(self, one: Disagreement, name: str) -> Located:
        refs = {NEWCOMER: one.newcomer, OTHER: one.other}
        if name not in refs:
            raise NotFound("there is no such picture")
        return await self._locate(refs[name], one.sop_instance_uid)

    async def _found(self, request: Request, to: Attendance) -> Disagreement:
        services = self._services
        one = await disagreement(
            services.catalogue, services.tenant, request.path_params["conflict"]
        )
        for action in (Action.CORRECT, Action.READ):
            await require_seen(services, to.caller, action, one.studies)
        return one

    async def _seen(self, caller: Caller) -> AsyncGenerator[Disagreement]:
        services = self._services
        async with aclosing(disagreements(services.catalogue, services.tenant)) as found:
            async for one in found:
                if await sees_each(services, caller, Action.CORRECT, one.studies):
                    yield one


def _side_text(name: str, located: Located) -> SideText:
    instance = located.instance
    source = located.index.sources[instance.source]
    reason = located.pack.hidden.get(instance.sop_instance_uid)
    facts = {
        "Received": minute_text(instance.received_us),
        "From": " at ".join(filter(None, (source.calling, source.address))),
        "Through": source.door,
        "Why hidden": reason.value.replace("-", " ") if reason else "",
        "Transfer syntax": instance.transfer_syntax_uid,
        "Length": size(instance.length_bytes),
        "Digest": f"{instance.digest[:16]}…",
        "Series": located.pack.series_instance_uid,
    }
    return SideText(
        name, _TITLES[name], reason is None, tuple((k, v) for k, v in facts.items() if v)
    )


def _value(value: Any) -> str:
    """Return a value of DICOM JSON for people; "—" where it is not there."""
    if value is None:
        return "—"
    text = "\\".join(map(_part, value)) if isinstance(value, list) else _part(value)  # pyright: ignore[reportUnknownArgumentType]
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def _part(value: Any) -> str:
    if isinstance(value, Mapping):
        names: Mapping[str, Any] = value
        return "=".join(str(one) for one in names.values())
    return "" if value is None else str(value)


def _picture(data: bytes, media_type: str) -> Response:
    return Response(data, headers=PAGE_HEADERS, media_type=media_type)
