"""Rendered resources and thumbnails: what a browser shows by itself (PS3.18 10.4.1.1.3-4)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from starlette.requests import Request

from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import GIF, MEDIA_TYPES
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.frame_numbers import frame_numbers
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.part_answer import CACHING, SOME_ARE_MISSING, etag_of
from pacs_cloud.dicomweb.rendered_answer import NOT_THIS_ONE, rendered_answer
from pacs_cloud.dicomweb.rendered_parts import Asked, Part, Parts, Portion
from pacs_cloud.dicomweb.rendering_parameters import (
    RenderingParameters,
    rendering_parameters,
    thumbnail_viewport,
)
from pacs_cloud.dicomweb.requests import accepted, uid_of
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.errors import InvalidRequest, NotAcceptable, PacsError
from pacs_cloud.objectstore.hot_keys import ThumbKey
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.pieces import Piece
from pacs_cloud.retrieve.shown_frames import Shown

_RENDITION: Final = "1"
"""Part of every ETag: raised when what is made of the same instance looks different."""
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9_,\- ]")


class Rendered:
    """The rendered resources and thumbnails over one archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._parts = Parts(archive)

    async def resource(self, request: Request) -> Answer:
        """Answer GET of `…/rendered` of a study, a series, an instance or frames."""
        parameters = rendering_parameters(request.query_params)
        named: str | None = request.path_params.get("frames")
        frames = None if named is None else frame_numbers(named)
        ranges = accepted(request)
        located = await addressed(request, self._archive)
        return await self.answer(
            request,
            located,
            frames,
            parameters,
            ranges,
            is_single=uid_of(request, "instance") is not None
            and (frames is None or len(frames) == 1),
        )

    async def answer(
        self,
        request: Request,
        located: Sequence[Located],
        frames: Sequence[int] | None,
        parameters: RenderingParameters,
        ranges: Sequence[MediaType],
        *,
        is_single: bool,
    ) -> Answer:
        """Return `located`, rendered.

        Args:
            request: for its validators.
            located: one instance, or those of a series or a study.
            frames: of the one instance; None: all.
            parameters: how its pictures are wanted.
            ranges: what the client accepts, best first.
            is_single: whether a single part will do.

        Raises:
            InvalidRequest: the parameters do not go with what is to be rendered: with any of
                many, which are left out where they go with others.
            NotFound: no such frame.
            NotAcceptable: it has no rendering of a kind that is accepted.
        """
        portions: list[Portion] = []
        failed: PacsError | None = None
        is_multipart = False
        for one in located:
            offered = await self._parts.offered(one, is_whole=frames is None)
            form = _choose(ranges, offered, is_single=is_single)
            if form is None:
                continue
            content, is_multipart = form
            if parameters.wants_profile and content == GIF:
                raise InvalidRequest("A GIF holds no ICC profile: iccprofile can only be no.")
            asked = Asked(caller_of(request), content, frames, parameters, is_multipart)
            try:
                portions.append(await self._parts.portion(one, asked))
            except NOT_THIS_ONE as error:
                if len(located) == 1:
                    raise
                failed = failed or error
        if not portions:
            raise failed or NotAcceptable(await self._why_not(located))
        return await self._answer(
            request,
            portions,
            located,
            parameters,
            f"{frames} {is_multipart}",
            is_multipart=is_multipart,
            is_partial=len(portions) < len(located),
        )

    async def presented(
        self,
        request: Request,
        shown: Shown,
        content: str,
        parameters: RenderingParameters,
    ) -> Answer:
        """Return one frame, as the presentation state in `shown` has it, as `content`.

        Raises:
            NotAcceptable: it cannot be shown.
        """
        asked = Asked(caller_of(request), content, None, parameters, is_multipart=False)
        state = () if shown.state is None else (shown.state,)
        return await self._answer(
            request,
            [self._parts.pictures((shown,), asked)],
            state,
            parameters,
            str(shown.number),
            is_multipart=False,
        )

    async def _answer(
        self,
        request: Request,
        portions: Sequence[Portion],
        located: Sequence[Located],
        parameters: RenderingParameters,
        variant: str,
        *,
        is_multipart: bool,
        is_partial: bool = False,
    ) -> Answer:
        warnings: list[str] = []
        if parameters.unsupported:
            words = _NO_LETTERS.sub("", ", ".join(parameters.unsupported))
            warnings.append(
                f'299 pacs-cloud "The following annotation values are not supported: {words}"'
            )
        if is_partial:
            warnings.append(SOME_ARE_MISSING)
        images = chain.from_iterable(portion.images for portion in portions)
        mark = etag_of(
            state_tag(chain(located, images)),
            _RENDITION,
            # A set has no order of its own, and another process another.
            f"{sorted(parameters.annotation)} {replace(parameters, annotation=frozenset())}",
            variant,
            *{portion.content_type for portion in portions},
        )
        headers = {**CACHING, "etag": mark}
        if warnings:
            headers["warning"] = "\n".join(warnings)
        return await rendered_answer(
            request,
            self._archive.objects,
            chain.from_iterable(portion.parts() for portion in portions),
            portions[0].content_type,
            headers,
            is_multipart=is_multipart,
            status=206 if is_partial else 200,
        )

    async def thumbnail(self, request: Request) -> Answer:
        """Answer GET of `…/thumbnail` of a study, a series, an instance or a frame."""
        viewport = thumbnail_viewport(request.query_params)
        named: str | None = request.path_params.get("frames")
        frames = None if named is None else frame_numbers(named)
        if frames is not None and len(frames) > 1:
            raise InvalidRequest("A thumbnail is of one frame.")
        form = _choose(accepted(request), MEDIA_TYPES, is_single=True)
        if form is None:
            raise NotAcceptable(f"A thumbnail is one of {', '.join(MEDIA_TYPES)}.")
        content, is_multipart = form
        caller, located = caller_of(request), await addressed(request, self._archive)
        wanted = Wanted(content, viewport=viewport, is_thumbnail=True)
        frame = next(iter(frames or ()), None)
        renderer = self._archive.renderer
        thumbnails = self._archive.thumbnails
        chosen = await thumbnails.chosen(caller, located, frame)
        if chosen is None and request.method == "HEAD":
            await renderer.shown.check_thumbnail(caller, located, frame)

        async def pieces() -> Sequence[Piece]:
            if isinstance(chosen, ThumbKey):
                return (await thumbnails.picture(chosen, wanted),)
            if chosen is not None:
                return (await renderer.picture(chosen, wanted),)
            return (await renderer.thumbnail(caller, located, frame, wanted),)

        seen = [*located]
        if chosen is None and len(located) == 1 and kind_of(located[0]) is Kind.STATE:
            # The image it shows may be another one though it is the same.
            shown = renderer.shown.standing_for(caller, located, frame)
            seen += [one.located async for one in shown]
        # What is kept may look different from what is rendered, and goes when all can be read.
        came_from = () if chosen is None else (_name_of(chosen),)
        mark = etag_of(
            state_tag(seen), _RENDITION, repr(wanted), f"{frame} {is_multipart}", *came_from
        )
        return await rendered_answer(
            request,
            self._archive.objects,
            iter((Part(content, pieces),)),
            content,
            {**CACHING, "etag": mark},
            is_multipart=is_multipart,
        )

    async def _why_not(self, located: Sequence[Located]) -> str:
        kinds = {kind_of(one) for one in located}
        if kinds == {Kind.OTHER}:
            return "What is stored here is nothing to look at: it has no rendered media type."
        offered = {
            media for one in located for media in await self._parts.offered(one, is_whole=True)
        }
        if not offered:
            return "What is stored here cannot be rendered."
        return (
            f"It can be rendered as {', '.join(sorted(offered))}; several of them only in "
            "multipart/related."
        )


def _name_of(chosen: Shown | ThumbKey) -> str:
    """Return what tells a thumbnail from others that may stand for the same instances."""
    if isinstance(chosen, ThumbKey):
        return chosen.key
    return f"{state_tag((chosen.located,))} {chosen.number}"


def _choose(
    ranges: Sequence[MediaType], offered: Sequence[str], *, is_single: bool
) -> tuple[str, bool] | None:
    """Return a media type and whether it goes into a multipart body; None when nothing fits."""
    for one in ranges:
        is_multipart = one.is_multipart or (one.name == "*/*" and not is_single)
        if not is_multipart and not is_single:
            continue
        for content in offered:
            if one.covers(content):
                return content, is_multipart
    return None
