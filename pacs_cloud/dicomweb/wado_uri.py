"""WADO-URI: one instance by query parameters, as DICOM or rendered (PS3.18 chapter 9)."""

from collections.abc import Sequence

from starlette.requests import Request

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.rendered import Rendered
from pacs_cloud.dicomweb.rendered_parts import Parts, check_presented
from pacs_cloud.dicomweb.rendering_parameters import RenderingParameters
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.dicomweb.wado import Wado
from pacs_cloud.dicomweb.wado_uri_query import (
    RENDERING,
    accepted_types,
    check_charset,
    frame_number,
    one_of,
    rendering_of,
    uid_in,
)
from pacs_cloud.errors import InvalidRequest, NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.caller import Action


class WadoUri:
    """The URI service over one archive: what WADO-RS makes, asked for otherwise."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._wado = Wado(archive)
        self._rendered = Rendered(archive)
        self._parts = Parts(archive)

    async def instance(self, request: Request) -> Answer:
        """Answer GET /wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=….

        Raises:
            InvalidRequest: a parameter is missing, malformed, given twice, or does not go
                with the others; `anonymize`, which nothing here can do.
            NotFound, Gone: no such instance.
            NotAcceptable: it cannot be had as accepted.
        """
        if one_of(request, "requestType") != "WADO":
            raise InvalidRequest("requestType is WADO; nothing else is served here.")
        study, series, instance = (
            uid_in(request, name) for name in ("studyUID", "seriesUID", "objectUID")
        )
        if one_of(request, "anonymize") is not None:
            # Ignoring it would give a patient's name to somebody who asked for none.
            raise InvalidRequest("De-identification is not offered: anonymize cannot be given.")
        check_charset(request)
        ranges = accepted_types(request)
        caller = caller_of(request)
        (located,) = await self._archive.instances.locate(caller, study, series, instance)
        content = await self._choose(located, ranges)
        if content.name == media.DICOM:
            (located,) = await self._archive.instances.locate(
                caller, study, series, instance, to=Action.DOWNLOAD
            )
            return await self._file(request, located, content)
        if one_of(request, "transferSyntax") is not None:
            raise InvalidRequest("transferSyntax goes with application/dicom only.")
        return await self._picture(request, located, content.name)

    async def _choose(self, located: Located, ranges: Sequence[MediaType]) -> MediaType:
        offered = await self._parts.offered(located, is_whole=True)
        for accepted in ranges:
            if accepted.is_multipart:
                continue
            # By default an image is rendered, and what cannot be is DICOM (9.3).
            if accepted.name != "*/*" and accepted.covers(media.DICOM):
                return MediaType(media.DICOM, accepted.parameters)
            for content in offered:
                if accepted.covers(content):
                    return MediaType(content)
            if accepted.name == "*/*":
                return MediaType(media.DICOM)
        raise NotAcceptable(f"This instance is {', '.join((*offered, media.DICOM))}.")

    async def _file(self, request: Request, located: Located, accepted: MediaType) -> Answer:
        given = [name for name in RENDERING if one_of(request, name) is not None]
        if given:
            raise InvalidRequest(f"{given[0]} goes with rendered media types only.")
        syntax = one_of(request, "transferSyntax")
        parameters = {"transfer-syntax": parse_uid(syntax)} if syntax is not None else {}
        wanted = MediaType(media.DICOM, {**accepted.parameters, **parameters})
        answer = await self._wado.files(request, (located,), (wanted,), is_single=True)
        if answer is None:
            raise NotAcceptable("This instance cannot be had in that transfer syntax.")
        return answer

    async def _picture(self, request: Request, located: Located, content: str) -> Answer:
        pixels = located.instance.pixels
        rows, columns = (pixels.rows, pixels.columns) if pixels is not None else (1, 1)
        parameters = rendering_of(request, rows, columns)
        frame = frame_number(request)
        if frame is not None and kind_of(located) is Kind.IMAGE:
            count = self._archive.renderer.shown.frame_count(located)
            if frame > count:
                raise InvalidRequest(f"frameNumber is from 1 to {count} here.")
        elif frame is not None:
            raise InvalidRequest("frameNumber goes with images only.")
        if one_of(request, "presentationUID") or one_of(request, "presentationSeriesUID"):
            return await self._presented(request, located, frame, content, parameters)
        frames = None if frame is None else (frame,)
        return await self._rendered.answer(
            request, (located,), frames, parameters, (MediaType(content),), is_single=True
        )

    async def _presented(
        self,
        request: Request,
        located: Located,
        frame: int | None,
        content: str,
        parameters: RenderingParameters,
    ) -> Answer:
        """Return an image as a presentation state of its study shows it."""
        check_presented(parameters)
        caller = caller_of(request)
        (state,) = await self._archive.instances.locate(
            caller,
            located.pack.study_instance_uid,
            uid_in(request, "presentationSeriesUID"),
            uid_in(request, "presentationUID"),
        )
        if kind_of(state) is not Kind.STATE:
            raise InvalidRequest("presentationUID names something that is no presentation state.")
        shown = [
            one
            for one in await self._archive.renderer.shown.presented(caller, state)
            if one.located.instance.sop_instance_uid == located.instance.sop_instance_uid
            and frame in {None, one.number}
        ]
        if not shown:
            raise InvalidRequest("The presentation state does not show this image or frame.")
        return await self._rendered.presented(request, shown[0], content, parameters)
