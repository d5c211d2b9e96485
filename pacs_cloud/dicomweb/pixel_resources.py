"""WADO-RS: frames, pixel data and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from starlette.requests import Request

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.frame_numbers import frame_numbers
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.negotiation import Choice, choose_bulk, choose_frame
from pacs_cloud.dicomweb.part_answer import Part, Whole, part_answer
from pacs_cloud.dicomweb.requests import accepted, root_url, uid_of
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.pieces import Piece
from pacs_cloud.retrieve.transcodable import can_make, form_of


class _Value(NamedTuple):
    """A bulk value or the frames of an instance, which may go out in several parts.

    Attributes:
        part_count: how many parts it has.
        choose: returns how they are written, None where no range fits.
        parts: returns them, written so.
    """

    part_count: int
    choose: Callable[[Sequence[MediaType], bool], Choice | None]
    parts: Callable[[Choice], Iterator[Part]]


class PixelResources:
    """Frames and bulk values over one archive."""

    def __init__(self, archive: Archive, public_url: str = "") -> None:
        self._archive = archive
        self._public_url = public_url

    async def frames(self, request: Request) -> Answer:
        """Answer GET of some frames of an instance."""
        numbers = frame_numbers(request.path_params["frames"])
        ranges = accepted(request)
        (located,) = await addressed(request, self._archive)
        count = self._archive.frames.count(located)
        if max(numbers) > count:
            raise NotFound(f"There is no frame {max(numbers)}; there are {count}.")
        choice = _choose_frame(located, ranges, len(numbers) == 1)
        if choice is None:
            raise _not_acceptable((located,))
        whole = Whole(
            state_tag((located,)),
            (choice,),
            lambda: (Part(choice, self._frame(located, number, choice)) for number in numbers),
            len(numbers),
        )
        return part_answer(request, self._archive.objects, whole)

    async def pixel_data(self, request: Request) -> Answer:
        """Answer GET of all frames of a study, a series or an instance."""
        located = await addressed(request, self._archive)
        pictured = [one for one in located if one.instance.pixels is not None]
        root = root_url(request, self._public_url)
        values = [self._pixels(one, root) for one in pictured]
        return self._values(request, pictured, values)

    async def all_bulk_data(self, request: Request) -> Answer:
        """Answer GET of every bulk value of a study, a series or an instance."""
        located = await addressed(request, self._archive)
        root = root_url(request, self._public_url)
        values = [
            self._bulk_value(one, value.path, root, value)
            for one in located
            for value in one.instance.bulk
        ]
        return self._values(request, located, values)

    async def bulk_data(self, request: Request) -> Answer:
        """Answer GET of a bulk value by the URI that metadata gives."""
        located = await addressed(request, self._archive)
        root = root_url(request, self._public_url)
        value = self._bulk_value(located[0], request.path_params["path"], root)
        return self._values(request, located, (value,))

    def _values(
        self, request: Request, located: Sequence[Located], values: Sequence[_Value]
    ) -> Answer:
        ranges = accepted(request)
        count = sum(value.part_count for value in values)
        if not count:
            raise NotFound("There is nothing of this kind.")
        is_single = count == 1 and uid_of(request, "instance") is not None
        if not is_single:
            ranges = tuple(one for one in ranges if one.is_multipart or one.name == "*/*")
        chosen = [
            (value, choice)
            for value in values
            if (choice := value.choose(ranges, is_single)) is not None
        ]
        if not chosen:
            raise _not_acceptable(located)
        whole = Whole(
            state_tag(located),
            tuple(dict.fromkeys(choice for _, choice in chosen)),
            lambda: (part for value, choice in chosen for part in value.parts(choice)),
            sum(value.part_count for value, _ in chosen),
            is_partial=len(chosen) < len(values),
            mark=root_url(request, self._public_url),
        )
        return part_answer(request, self._archive.objects, whole)

    def _bulk_value(
        self, located: Located, path: str, root: str, value: BulkValue | None = None
    ) -> _Value:
        """Return the bulk value at `path`: `value`, where it is at hand."""
        location = f"{_instance_url(located, root)}/bulkdata/{path}"
        pixels = located.instance.pixels
        if pixels is not None and pixels.encapsulated and path == pixels.tag:
            return self._pixels(located, root, location)
        bulk = self._archive.bulk
        pieces = bulk.pieces(located, path) if value is None else bulk.pieces_of(located, value)
        document_type = bulk.media_type(located, path)

        def parts(choice: Choice) -> Iterator[Part]:
            yield Part(choice, pieces, location)

        return _Value(1, lambda ranges, _: choose_bulk(ranges, document_type), parts)

    def _pixels(self, located: Located, root: str, location: str = "") -> _Value:
        """Return an instance's frames; `location` is theirs together, else each has its own."""
        pixels = located.instance.pixels
        assert pixels is not None
        if not pixels.frames:
            return self._undivided(located, pixels, root)
        frames = f"{_instance_url(located, root)}/frames"
        count = len(pixels.frames)

        def parts(choice: Choice) -> Iterator[Part]:
            for number in range(1, count + 1):
                pieces = self._frame(located, number, choice)
                yield Part(choice, pieces, location or f"{frames}/{number}")

        return _Value(count, partial(_choose_frame, located), parts)

    def _undivided(self, located: Located, pixels: PixelData, root: str) -> _Value:
        """Return pixel data whose frames cannot be told apart: a video, or without a shape."""
        location = f"{_instance_url(located, root)}/bulkdata/{pixels.tag}"

        def parts(choice: Choice) -> Iterator[Part]:
            bulk = self._archive.bulk
            if pixels.encapsulated:
                yield Part(choice, (bulk.codestream(located, pixels),), location)
            else:
                yield Part(choice, bulk.pieces(located, pixels.tag), location)

        return _Value(1, partial(_choose_frame, located), parts)

    def _frame(self, located: Located, number: int, choice: Choice) -> Sequence[Piece]:
        if choice.is_stored:
            return self._archive.frames.pieces(located, number)
        return (self._archive.transcoder.frame(located, number, choice.transfer_syntax_uid),)


def _choose_frame(
    located: Located,
    ranges: Sequence[MediaType],
    is_single: bool,
) -> Choice | None:
    pixels = located.instance.pixels
    return choose_frame(
        ranges,
        located.instance.transfer_syntax_uid,
        is_encapsulated=pixels is not None and pixels.encapsulated,
        is_single=is_single,
        makes=lambda target: can_make(form_of(located), target),
    )


def _not_acceptable(located: Sequence[Located]) -> NotAcceptable:
    stored = sorted({one.instance.transfer_syntax_uid for one in located})[:8]
    own = ", ".join(f"{media.frame_media(syntax)} in {syntax}" for syntax in stored)
    return NotAcceptable(
        f"This can be had as {media.OCTETS} in {uid.EXPLICIT_LE}, or as stored: {own}; more "
        "than one part as multipart/related."
    )


def _instance_url(located: Located, root: str) -> str:
    pack = located.pack
    return (
        f"{root}/studies/{pack.study_instance_uid}/series/{pack.series_instance_uid}"
        f"/instances/{located.instance.sop_instance_uid}"
    )
