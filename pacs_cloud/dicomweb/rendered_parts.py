"""What an instance can be rendered as, and the parts that this makes (PS3.18 8.7.4)."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

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
from pacs_cloud.security.caller import Caller


@dataclass(frozen=True, slots=True)
class Part:
    """One picture, page or file of a response.

    Attributes:
        content_type: of it.
        pieces: makes it, when its turn comes.
        is_found: whether its pieces are only found, so that HEAD may ask for them too.
    """

    content_type: str
    pieces: Callable[[], Awaitable[Sequence[Piece]]]
    is_found: bool = False


@dataclass(frozen=True, slots=True)
class Portion:
    """What one instance has in a response.

    Attributes:
        content_type: of each of its parts.
        parts: yields them, at least one, each made as it is asked for: a study may have a
            million frames.
        images: that a presentation state shows: with others it looks different.
    """

    content_type: str
    parts: Callable[[], Iterator[Part]]
    images: Sequence[Located] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """How an instance is wanted.

    Attributes:
        caller: who asks.
        content: one of the media types that it is offered in.
        frames: that are asked for; None: the whole instance.
        parameters: how pictures are wanted.
        is_multipart: whether there may be more than one part.
    """

    caller: Caller
    content: str
    frames: Sequence[int] | None
    parameters: RenderingParameters
    is_multipart: bool


class Parts:
    """Makes the parts of rendered resources."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

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

    async def portion(self, located: Located, asked: Asked) -> Portion:
        """Return what one instance has in a response.

        Raises:
            InvalidRequest: the parameters do not go with the instance.
            NotAcceptable: its frames cannot be told apart.
            NotFound: there is no such frame, or no image to show.
        """
        renditions = self._archive.renditions
        content = asked.content
        match kind_of(located):
            case Kind.REPORT:

                async def report() -> Sequence[Piece]:
                    if content == XML:  # the Native DICOM Model (PS3.19 A.1)
                        return (native_xml.encode(await renditions.header(located)),)
                    return (await renditions.report(located, content),)

                return _of_one(Part(f"{content}; charset=utf-8", report))
            case Kind.DOCUMENT:
                found = partial(renditions.document, located)
                return _of_one(Part(content, found, is_found=True))
            case Kind.VIDEO:

                async def video() -> Sequence[Piece]:
                    return (await renditions.video(located))[1]

                return _of_one(Part(content, video, is_found=True))
            case Kind.STATE:
                return self.pictures(await self._presented(located, asked), asked)
            case _:
                numbers = await self._numbers(located, asked)
                return Portion(
                    content,
                    lambda: (self._picture(Shown(located, number), asked) for number in numbers),
                )

    def pictures(self, shown: Sequence[Shown], asked: Asked) -> Portion:
        """Return the frames that a presentation state shows as one portion."""
        return Portion(
            asked.content,
            lambda: (self._picture(one, asked) for one in shown),
            [image for image, _ in groupby(one.located for one in shown)],
        )

    async def _presented(self, state: Located, asked: Asked) -> Sequence[Shown]:
        if asked.frames is not None:
            raise NotFound("A presentation state has no frames.")
        check_presented(asked.parameters)
        frames_of = self._archive.renderer.shown
        if asked.is_multipart:
            return await frames_of.presented(asked.caller, state)
        return (await frames_of.first_presented(asked.caller, state),)

    async def _numbers(self, located: Located, asked: Asked) -> Sequence[int]:
        """Return the frames of an image that are shown: one stands for all in a single part.

        A GIF moves: it has them all, as number 0.
        """
        frames_of = self._archive.renderer.shown
        count = frames_of.frame_count(located)
        pixels = located.instance.pixels
        viewport = asked.parameters.viewport
        if viewport is not None and pixels is not None:
            viewport.region(pixels.rows, pixels.columns)  # raises InvalidRequest
        if asked.frames is not None:
            if beyond := [number for number in asked.frames if number > count]:
                raise NotFound(f"There is no frame {beyond[0]}; there are {count}.")
            return asked.frames
        if asked.content == GIF and count > 1:
            return (0,)
        if asked.is_multipart:
            return range(1, count + 1)
        return (await frames_of.representative_frame(located),)

    def _picture(self, shown: Shown, asked: Asked) -> Part:
        content, parameters = asked.content, asked.parameters
        wanted = Wanted(
            content,
            parameters.quality if content == JPEG else 0,
            parameters.window,
            parameters.viewport,
        )

        async def pieces() -> Sequence[Piece]:
            return (await self._archive.renderer.picture(shown, wanted, parameters.annotation),)

        return Part(content, pieces)


def check_presented(parameters: RenderingParameters) -> None:
    """Return where they go with a presentation state; raises InvalidRequest."""
    if parameters.window is not None or parameters.has_region:
        raise InvalidRequest(
            "A presentation state says itself what is shown: a window cannot be given, nor a "
            "region, and a viewport is a width and a height."
        )


def _of_one(part: Part) -> Portion:
    return Portion(part.content_type, lambda: iter((part,)))
