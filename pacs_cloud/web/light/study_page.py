"""The page of the light viewer: a study's head, its strip of series, and its first image."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import NotFound
from pacs_cloud.identity.shares_record import share_id_of
from pacs_cloud.retrieve.depiction import Kind, is_decodable, kind_of
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, caller_in
from pacs_cloud.web.light.frame_list import FrameList, FrameLists
from pacs_cloud.web.light.key_titles import TITLES
from pacs_cloud.web.light.study_head import (
    Made,
    Prior,
    current_series,
    facts,
    made_when,
    seen_series,
    tiles,
)
from pacs_cloud.web.local_paths import STUDIES, share_url
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import uid_in
from pacs_cloud.web.share_contents import ShareContents, SharedSeries, SharedStudy
from pacs_cloud.web.studies.contents import Contents
from pacs_cloud.web.studies.names import name_text
from pacs_cloud.web.studies.rows import row_of
from pacs_cloud.web.study_services import StudyServices

FIRST_SIDE: Final = 512
FIRST_QUALITY: Final = 70
_THIN_SIDE: Final = 256
_MOST_LOOKED_AT: Final = 3000
"""Instances whose rows are gone through to know which series have pictures."""
_MOST_PRIORS: Final = 6
_NO_FRAMES: Final = FrameList((), (), "", b"", b"")


class StudyPage:
    """The viewer of one study."""

    def __init__(self, kit: PageKit, services: StudyServices, lists: FrameLists) -> None:
        """Show what `services.search` finds, in the order of `lists`."""
        self._kit = kit
        self._contents = ShareContents(services.search)
        self._studies = Contents(services.search)
        self._archive = services.archive
        self._lists = lists

    async def show(self, request: Request) -> Response:
        """Return the page; its first image is there before any script has run.

        Raises:
            Unidentified, Denied: whoever asks sees no studies.
            NotFound: there is no such study, or series, or not for them.
        """
        caller = caller_in(request.scope)
        uid = uid_in(request, "study")
        study = await self._contents.study(caller, uid)
        if study is None:
            raise NotFound("there is no such study")
        wanted = request.query_params.get("series", "")
        series = current_series(study, wanted)
        if wanted and (series is None or series.uid != wanted):
            raise NotFound("there is no such series")
        frames = await self._lists.of(caller, uid, series.uid) if series else _NO_FRAMES
        at = _at(request, frames.count)
        visit = await self._kit.visits.find(request)
        guest = share_id_of(caller.subject)
        response = self._kit.templates.live(
            "light/study.html",
            uid=uid,
            name=name_text(study.elements),
            facts=facts(study),
            back=share_url(guest) if guest else STUDIES,
            series=series,
            tiles=tiles(
                seen_series(study),
                series.uid if series else "",
                await self._pictured(caller, study),
            ),
            priors=await self._priors(caller, study),
            frames=frames,
            at=at,
            first=_first(request, uid, series, frames, at),
            before=_place(uid, series, at - 1) if at > 1 else "",
            after=_place(uid, series, at + 1) if at < frames.count else "",
            csrf=visit.csrf if visit and access.may(caller, Action.STORE) else "",
            may_share=visit is not None and access.may(caller, Action.SHARE),
            titles=TITLES,
        )
        return response if visit is None else self._kit.visits.renew(request, visit, response)

    async def _priors(self, caller: Caller, study: SharedStudy) -> list[Prior]:
        """Return the patient's other studies that can be looked at beside this one.

        Those from before it come first, of each kind the newest.
        """
        found: list[Prior] = []
        here, order = row_of(study.elements), list(Made)
        others = [(made_when(row, here), row) for row in await self._studies.priors(caller, here)]
        others.sort(key=lambda other: order.index(other[0]))
        for made, row in others[:_MOST_PRIORS]:
            other = await self._contents.study(caller, row.uid)
            series = current_series(other, "") if other else None
            if other and series:
                about = " · ".join(one for one in (other.modalities, other.description) if one)
                found.append(Prior(row.uid, series.uid, about, other.date, made))
        return found

    async def _pictured(self, caller: Caller, study: SharedStudy) -> frozenset[str] | None:
        """Return the series of which there can be a picture; None where that takes too long."""
        counts = [one.instances for one in study.series]
        if study.has_more or sum(int(one) for one in counts if one.isdecimal()) > _MOST_LOOKED_AT:
            return None
        if not study.series:
            return frozenset()
        located = await self._archive.instances.locate(caller, study.uid)
        return frozenset(
            one.pack.series_instance_uid
            for one in located
            if kind_of(one) is Kind.IMAGE and is_decodable(one)
        )


def frame_url(study: str, series: str, instance: str, frame: int) -> str:
    """Return where a frame's picture is, without how it is wanted."""
    return (
        f"/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frame}/rendered"
    )


def _first(
    request: Request, study: str, series: SharedSeries | None, frames: FrameList, at: int
) -> str:
    if series is None or not frames.count:
        return ""
    side = _THIN_SIDE if request.headers.get("save-data", "").lower() == "on" else FIRST_SIDE
    how = urlencode({"viewport": f"{side},{side}", "quality": FIRST_QUALITY}, safe=",")
    return f"{frame_url(study, series.uid, *frames.at(at))}?{how}"


def _at(request: Request, count: int) -> int:
    """Return which image is asked for, 1 the first."""
    text = request.query_params.get("image", "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 7
    return max(1, min(int(text) if is_number else 1, count))


def _place(study: str, series: SharedSeries | None, at: int) -> str:
    return (
        f"/light/studies/{study}?{urlencode({'series': series.uid if series else '', 'image': at})}"
    )
