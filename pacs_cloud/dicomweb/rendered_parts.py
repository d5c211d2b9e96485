"""What an instance can be rendered as, and the parts that this makes (PS3.18 8.7.4)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.picture import GIF, JPEG, MEDIA_TYPES
from pacs_cloud.dicomweb import native_xml
from pacs_cloud.dicomweb.rendering_parameters import RenderingParameters
from pacs_cloud.errors import InvalidRequest, NotAcceptable, NotFound
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.depiction import Kind, is_decodable, kind_of
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import Piece
from pacs_cloud.retrieve.renditions import HTML, PLAIN, XML
from pacs_cloud.retrieve.shown_frames import Shown


@dataclass(frozen=True, slots=True)
class Part:
    """One picture, page or file of a response.

    Attributes:
        content_type: of it.
        pieces: makes it, when its turn comes.
        source: what it shows: of a presentation state, its image.
        is_found: whether its pieces are only found, so that HEAD may ask for them too.
    """

    content_type: str
    pieces: Callable[[], Awaitable[Sequence[Piece]]]
    source: Located
    is_found: bool = False


class Parts:
    """Makes the parts of rendered resources."""

    def __init__(self, archive: Archive, tenant: str) -> None:
        self._archive = archive
        self._tenant = tenant

    async def offered(self, located: Located, *, is_whole: bool) -> Sequence[str]:
        """Return the media types that an instance can be had in, the default first."""
        match kind_of(located):
            case Kind.IMAGE:
                return MEDIA_TYPES if is_decodable(located) else ()
            case Kind.STATE:
                return MEDIA_TYPES
            case Kind.REPORT if is_whole:
                return HTML, PLAIN, XML
            case Kind.DOCUMENT if is_whole:
                return (self._archive.renditions.document_type(located),)
            case Kind.VIDEO if is_whole:
                try:
                    media_type, _ = await self._archive.renditions.video(located)
                except (NotAcceptable, NotFound):
                    return ()
                return (media_type,)
            case _:
                return ()

    async def parts(
        self,
        located: Located,
        content: str,
        frames: Sequence[int] | None,
        parameters: RenderingParameters,
        *,
        is_multipart: bool,
    ) -> list[Part]:
        """Return what one instance has in a response.

        Args:
            located: the instance.
            content: one of the media types that it is offered in.
            frames: that are asked for; None: the whole instance.
            parameters: how pictures are wanted.
            is_multipart: whether there may be more than one.

        Raises:
            InvalidRequest: the parameters do not go with the instance.
            NotFound: there is no such frame, or no image to show.
        """
        renditions = self._archive.renditions
        match kind_of(located):
            case Kind.REPORT:

                async def report() -> Sequence[Piece]:
                    if content == XML:  # the Native DICOM Model (PS3.19 A.1)
                        return (native_xml.encode(await renditions.header(located)),)
                    return (await renditions.report(located, content),)

                return [Part(f"{content}; charset=utf-8", report, located)]
            case Kind.DOCUMENT:
                return [
                    Part(content, partial(renditions.document, located), located, is_found=True)
                ]
            case Kind.VIDEO:

                async def video() -> Sequence[Piece]:
                    return (await renditions.video(located))[1]

                return [Part(content, video, located, is_found=True)]
            case _:
                shown = await self._shown(
                    located, content, frames, parameters, is_multipart=is_multipart
                )
                return [self._picture(one, content, parameters) for one in shown]

    async def _shown(
        self,
        located: Located,
        content: str,
        frames: Sequence[int] | None,
        parameters: RenderingParameters,
        *,
        is_multipart: bool,
    ) -> list[Shown]:
        """Return the frames that are shown: of many, a single part has the one that stands for all.

        A GIF moves: it has them all.
        """
        frames_of = self._archive.renderer.shown
        if kind_of(located) is Kind.STATE:
            if frames is not None:
                raise NotFound("A presentation state has no frames.")
            if parameters.window is not None or parameters.has_region:
                raise InvalidRequest(
                    "A presentation state says itself what is shown: window cannot be given, "
                    "and viewport is a width and a height."
                )
            shown = await frames_of.presented(self._tenant, located)
            return shown if is_multipart else shown[:1]
        count = frames_of.frame_count(located)
        if frames is not None:
            if beyond := [number for number in frames if number > count]:
                raise NotFound(f"There is no frame {beyond[0]}; there are {count}.")
            return [Shown(located, number) for number in frames]
        if content == GIF and count > 1:
            return [Shown(located, 0)]
        if is_multipart:
            return [Shown(located, number) for number in range(1, count + 1)]
        return [Shown(located, await frames_of.representative_frame(located))]

    def _picture(self, shown: Shown, content: str, parameters: RenderingParameters) -> Part:
        wanted = Wanted(
            content,
            parameters.quality if content == JPEG else 0,
            parameters.window,
            parameters.viewport,
        )

        async def pieces() -> Sequence[Piece]:
            return (await self._archive.renderer.picture(shown, wanted, parameters.annotation),)

        return Part(content, pieces, shown.located)
