"""Rendered resources and thumbnails: what a browser shows by itself (PS3.18 10.4.1.1.3-4)."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from starlette.requests import Request

from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import GIF, MEDIA_TYPES
from pacs_cloud.dicomweb import problems
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.byte_ranges import piece_answer
from pacs_cloud.dicomweb.frame_numbers import frame_numbers
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.part_answer import CACHING, SOME_ARE_MISSING, etag_of
from pacs_cloud.dicomweb.rendered_parts import Part, Parts
from pacs_cloud.dicomweb.rendering_parameters import (
    RenderingParameters,
    rendering_parameters,
    thumbnail_viewport,
)
from pacs_cloud.dicomweb.requests import accepted, is_unchanged, uid_of
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import InvalidRequest, NotAcceptable, NotFound
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.pieces import Piece, stream
from pacs_cloud.retrieve.renditions import HTML, PDF

_RENDITION: Final = "1"
"""Part of every ETag: raised when what is made of the same instance looks different."""
_POLICIES: Final = {
    # Our own page has a style of its own; browsers show no PDF in a sandbox, and run none of it.
    HTML: "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    PDF: "default-src 'none'; frame-ancestors 'none'",
}
_AHEAD: Final = 2
"""Parts that are made while another is sent."""
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9_,\- ]")


class Rendered:
    """The rendered resources and thumbnails over one archive."""

    def __init__(self, archive: Archive, tenant: str) -> None:
        self._archive = archive
        self._tenant = tenant
        self._parts = Parts(archive, tenant)

    async def resource(self, request: Request) -> Answer:
        """Answer GET of `…/rendered` of a study, a series, an instance or frames."""
        parameters = rendering_parameters(request.query_params)
        named: str | None = request.path_params.get("frames")
        frames = None if named is None else frame_numbers(named)
        ranges = accepted(request)
        located = await addressed(request, self._archive, self._tenant)
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
            InvalidRequest: the parameters do not go with what is to be rendered.
            NotFound: no such frame.
            NotAcceptable: it has no rendering of a kind that is accepted.
        """
        if parameters.wants_profile and ranges and ranges[0].content == GIF:
            raise InvalidRequest("A GIF holds no ICC profile: iccprofile can only be no.")
        parts: list[Part] = []
        without = 0
        is_multipart = False
        for one in located:
            offered = await self._parts.offered(one, is_whole=frames is None)
            form = _choose(ranges, offered, is_single=is_single)
            if form is None:
                without += 1
                continue
            content, is_multipart = form
            try:
                parts += await self._parts.parts(
                    one, content, frames, parameters, is_multipart=is_multipart
                )
            except (NotAcceptable, NotFound):
                if len(located) == 1:
                    raise
                without += 1
        if not parts:
            raise NotAcceptable(await self._why_not(located))
        warnings: list[str] = []
        if parameters.unsupported:
            words = _NO_LETTERS.sub("", ", ".join(parameters.unsupported))
            warnings.append(
                f'299 pacs-cloud "The following annotation values are not supported: {words}"'
            )
        if without:
            warnings.append(SOME_ARE_MISSING)
        headers = dict(CACHING)
        if warnings:
            headers["warning"] = "\n".join(warnings)
        return await self._send(
            request,
            parts,
            etag_of(
                state_tag([*located, *(part.source for part in parts)]),
                _RENDITION,
                # A set has no order of its own, and another process another.
                f"{sorted(parameters.annotation)} {replace(parameters, annotation=frozenset())}",
                f"{frames} {is_multipart}",
                *{part.content_type for part in parts},
            ),
            headers,
            is_multipart=is_multipart,
            status=206 if without else 200,
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
        located = await addressed(request, self._archive, self._tenant)
        wanted = Wanted(content, viewport=viewport, is_thumbnail=True)
        frame = next(iter(frames or ()), None)
        renderer = self._archive.renderer
        if request.method == "HEAD":
            await renderer.shown.check_thumbnail(self._tenant, located, frame)

        async def pieces() -> Sequence[Piece]:
            return (await renderer.thumbnail(self._tenant, located, frame, wanted),)

        seen = [*located]
        if len(located) == 1 and kind_of(located[0]) is Kind.STATE:
            # The image it shows may be another one though it is the same.
            shown = renderer.shown.standing_for(self._tenant, located, frame)
            seen += [one.located async for one in shown]
        mark = etag_of(state_tag(seen), _RENDITION, repr(wanted), f"{frame} {is_multipart}")
        return await self._send(
            request,
            [Part(content, pieces, located[0])],
            mark,
            dict(CACHING),
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

    async def _send(
        self,
        request: Request,
        parts: Sequence[Part],
        mark: str,
        headers: dict[str, str],
        *,
        is_multipart: bool,
        status: int = 200,
    ) -> Answer:
        headers["etag"] = mark
        policy = _POLICIES.get(parts[0].content_type.partition(";")[0])
        if policy is not None and not is_multipart:
            headers["content-security-policy"] = policy
        if is_unchanged(request, mark):
            return Answer(status=304, headers=headers)
        if is_multipart:
            writer = MultipartWriter(parts[0].content_type.partition(";")[0], mark.strip('"'))
            return Stream(
                self._multipart(writer, parts), writer.content_type, status=status, headers=headers
            )
        if request.method == "HEAD" and not parts[0].is_found:
            # Only GET is worth a rendering; its length is not known before (RFC 9110 9.3.2).
            return Answer(parts[0].content_type, status=status, headers=headers)
        pieces = await parts[0].pieces()
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            return Bytes(pieces[0], parts[0].content_type, status=status, headers=headers)
        content_type, objects = parts[0].content_type, self._archive.objects
        return piece_answer(request, objects, pieces, content_type, headers)

    async def _multipart(
        self, writer: MultipartWriter, parts: Sequence[Part]
    ) -> AsyncGenerator[bytes]:
        """Yield the parts, the next ones made while one is sent."""
        waiting = iter(parts)
        ahead: deque[tuple[Part, asyncio.Task[Sequence[Piece]]]] = deque()
        try:
            while True:
                for part in islice(waiting, _AHEAD + 1 - len(ahead)):
                    ahead.append((part, asyncio.create_task(_made(part))))
                if not ahead:
                    break
                part, task = ahead.popleft()
                content_type = part.content_type
                try:
                    pieces = await task
                except (NotAcceptable, NotFound) as error:
                    if len(parts) == 1:
                        raise
                    # One image that cannot be shown is said in its place; the others come.
                    content_type = problems.PROBLEM_JSON
                    pieces = (problems.of_error(error).content,)
                yield writer.begin(content_type)
                async for chunk in stream(self._archive.objects, pieces):
                    yield chunk
            yield writer.end()
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


async def _made(part: Part) -> Sequence[Piece]:
    return await part.pieces()


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
