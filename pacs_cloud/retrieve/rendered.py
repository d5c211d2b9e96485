"""Frames as pictures: by themselves, by a presentation state, small, or moving (PS3.18 8.7.4)."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.dicom.element_values import DataSet, number, numbers, text
from pacs_cloud.dicom.render import frame_picture
from pacs_cloud.dicom.render.annotations import patient_lines, technique_lines
from pacs_cloud.dicom.render.appearance import read_appearance
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted
from pacs_cloud.dicom.render.picture import JPEG
from pacs_cloud.dicom.render.presentation_state import Reference, read_state, references
from pacs_cloud.errors import InvalidInstance, NotAcceptable, NotFound
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.depiction import Kind, is_localizer, kind_of, representatives
from pacs_cloud.retrieve.frames import Frames, frame_table
from pacs_cloud.retrieve.instances import Instances, Located
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from pacs_cloud.retrieve.viewed_headers import ViewedHeaders

PATIENT: Final = "patient"
TECHNIQUE: Final = "technique"

_QUICK_BYTES: Final = 1 << 20
"""A native frame up to this size, a CT slice, is a JPEG in less than a millisecond: handing it to
anybody else costs more than the event loop waits for it."""
_QUICK_PIXELS: Final = 1 << 20
_THREAD_BYTES: Final = 2 << 20
"""One up to this size is rendered in a thread: sooner than a worker has it."""
_ANIMATION_PIXELS: Final = 1 << 27
_ANIMATION_FRAMES: Final = 2000
_DEFAULT_FRAME_MS: Final = 100.0
_REPRESENTATIVES_TRIED: Final = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame, and the presentation state that it is shown by.

    Attributes:
        located: the image.
        number: of its frame, 1 for the first; 0 for all of them, as an animation.
        state: says how it is shown; None: as the image itself says.
    """

    located: Located
    number: int
    state: Located | None = None


class Renderer:
    """Makes pictures beside the event loop, and keeps the latest."""

    def __init__(
        self,
        instances: Instances,
        headers: ViewedHeaders,
        frames: Frames,
        workers: PixelWorkers,
        *,
        pictures_max_bytes: int = 64 << 20,
    ) -> None:
        """Put it together; keep pictures up to so many bytes."""
        self._instances = instances
        self._headers = headers
        self._frames = frames
        self._workers = workers
        self._pictures: BoundedCache[bytes] = BoundedCache(pictures_max_bytes)

    async def picture(self, shown: Shown, wanted: Wanted, annotation: Iterable[str] = ()) -> bytes:
        """Return a frame as a picture, or all of an image's frames as an animation.

        Args:
            shown: what.
            wanted: how; its lines are filled in.
            annotation: PATIENT, TECHNIQUE: what is written into it.

        Raises:
            NotFound: there is no such frame.
            NotAcceptable: it cannot be shown.
            InvalidRequest: the viewport shows nothing of it.
        """
        kinds = tuple(sorted(annotation))
        key = (
            shown.located.pack.pack_id,
            shown.located.instance.sop_instance_uid,
            str(shown.number),
            "" if shown.state is None else shown.state.pack.pack_id,
            "" if shown.state is None else shown.state.instance.sop_instance_uid,
            repr(wanted),
            *kinds,
        )
        kept = self._pictures.peek(key)
        if kept is not None:
            return kept

        async def load() -> tuple[bytes, int]:
            made = await self._made(shown, wanted, kinds)
            return made, len(made)

        try:
            return await self._pictures.get(key, load)
        except InvalidInstance as error:
            raise NotAcceptable(f"The image cannot be rendered. {error}") from error

    async def representative_frame(self, located: Located) -> int:
        """Return the number of the frame that stands for all: the one it names, else the first."""
        count = self.frame_count(located)
        if count <= 1:
            return 1
        header = await self._headers.read(located)
        named = int(number(header.elements, "00286010") or 1)
        return named if 1 <= named <= count else 1

    async def middle_frame(self, located: Located) -> int:
        """Return the number of the frame that it names as representative, else the middle one."""
        count = self.frame_count(located)
        if count <= 1:
            return 1
        named = int(number((await self._headers.read(located)).elements, "00286010") or 0)
        return named if 1 <= named <= count else count // 2 + 1

    def frame_count(self, located: Located) -> int:
        """Return how many frames there are whole.

        Raises:
            NotAcceptable: none, or they cannot be told apart.
        """
        try:
            count = len(frame_table(located))
        except NotFound as error:
            raise NotAcceptable(str(error)) from error
        if not count:
            raise NotAcceptable("Its pixel data is cut short: no frame is there whole.")
        return count

    async def presented(self, tenant: str, state: Located) -> list[Shown]:
        """Return the frames that a presentation state is about, as far as they are here.

        Raises:
            NotFound: none of its images is here.
        """
        header = await self._headers.read(state)
        found: list[Shown] = []
        for reference in references(header):
            image = await self._referenced(tenant, state, reference)
            if image is None or kind_of(image) is not Kind.IMAGE:
                continue
            try:
                count = self.frame_count(image)
            except NotAcceptable:
                continue
            frames = reference.frames or tuple(range(1, count + 1))
            found.extend(Shown(image, one, state) for one in frames if 1 <= one <= count)
        if not found:
            raise NotFound("None of the images that the presentation state shows is here.")
        return found

    async def thumbnail(
        self, tenant: str, located: Sequence[Located], frame: int | None, wanted: Wanted
    ) -> bytes:
        """Return a small picture of an instance, or of the image that stands for many.

        Args:
            tenant: whose they are.
            located: one instance, or those of a series or a study.
            frame: of the one instance; None: the one in the middle.
            wanted: how; nothing is written into it.

        Raises:
            NotFound: there is nothing to be seen.
            NotAcceptable: there is, but it cannot be shown.
        """
        candidates = representatives(located)
        if frame is None and len(located) == 1 and kind_of(located[0]) is Kind.STATE:
            shown = (await self.presented(tenant, located[0]))[0]
            return await self.picture(shown, wanted)
        if not candidates:
            raise NotFound("There is no image in it that a thumbnail could show.")
        if frame is not None:
            return await self.picture(Shown(candidates[0], frame), wanted)
        failed: NotAcceptable | None = None
        for candidate in await self._without_localizers(candidates[:_REPRESENTATIVES_TRIED]):
            try:
                middle = await self.middle_frame(candidate)
                return await self.picture(Shown(candidate, middle), wanted)
            except NotAcceptable as error:
                failed = failed or error
        assert failed is not None
        raise failed

    async def _made(self, shown: Shown, wanted: Wanted, annotation: Sequence[str]) -> bytes:
        located = shown.located
        with_overlays = TECHNIQUE in annotation or shown.state is not None
        header = await self._headers.read(located, with_overlays=with_overlays)
        if shown.number == 0:
            return await self._animation(located, header, wanted, annotation)
        frame = await self._frame(located, header, shown.number)
        wanted = _annotated(wanted, header, shown.number, annotation)
        if shown.state is not None:
            state_header = await self._headers.read(shown.state, with_overlays=True)
            state = read_state(
                state_header,
                located.instance.sop_instance_uid,
                shown.number,
                with_graphics=not wanted.is_thumbnail,
            )
            return await self._workers.run(frame_picture.presented_picture, frame, state, wanted)
        view = wanted.viewport
        is_plain = (
            frame.transfer_syntax_uid is None
            and not annotation
            and (view is None or view.width * view.height <= _QUICK_PIXELS)
        )
        if is_plain and len(frame.data) <= _THREAD_BYTES:
            if len(frame.data) <= _QUICK_BYTES and wanted.media_type == JPEG:
                return frame_picture.picture(frame, wanted)
            return await asyncio.to_thread(frame_picture.picture, frame, wanted)
        return await self._workers.run(frame_picture.picture, frame, wanted)

    async def _frame(self, located: Located, header: DataSet, number_of: int) -> Frame:
        pixels = located.instance.pixels
        count = self.frame_count(located)
        if not 1 <= number_of <= count:
            raise NotFound(f"There is no frame {number_of}; there are {count}.")
        assert pixels is not None
        appearance = read_appearance(header, number_of, pixels.tag)
        data = await self._frames.data(located, number_of)
        syntax = located.instance.transfer_syntax_uid if pixels.encapsulated else None
        return Frame(data, syntax, appearance)

    async def _animation(
        self, located: Located, header: DataSet, wanted: Wanted, annotation: Sequence[str]
    ) -> bytes:
        pixels = located.instance.pixels
        count = self.frame_count(located)
        assert pixels is not None
        view = wanted.viewport
        area = pixels.rows * pixels.columns if view is None else view.width * view.height
        if count > _ANIMATION_FRAMES or max(area * count, pixels.length) > _ANIMATION_PIXELS:
            raise NotAcceptable(
                f"Its {count} frames are too much for one GIF: ask for frames, or for a viewport."
            )
        frames = [await self._frame(located, header, one) for one in range(1, count + 1)]
        wanted = _annotated(wanted, header, 1, annotation)
        delays_ms = _delays_ms(header, count)
        return await self._workers.run(frame_picture.animation, frames, delays_ms, wanted)

    async def _referenced(
        self, tenant: str, state: Located, reference: Reference
    ) -> Located | None:
        try:
            (image,) = await self._instances.locate(
                tenant,
                state.pack.study_instance_uid,
                reference.series_instance_uid,
                reference.sop_instance_uid,
            )
        except NotFound:
            return None
        return image

    async def _without_localizers(self, candidates: Sequence[Located]) -> list[Located]:
        """Return the candidates, localizers behind the others."""
        if len(candidates) < 2:
            return list(candidates)
        localizers = [
            one for one in candidates if is_localizer((await self._headers.read(one)).elements)
        ]
        return [one for one in candidates if one not in localizers] + localizers


def _annotated(wanted: Wanted, header: DataSet, frame: int, annotation: Sequence[str]) -> Wanted:
    if not annotation:
        return wanted
    return replace(
        wanted,
        left_lines=patient_lines(header.elements) if PATIENT in annotation else (),
        right_lines=technique_lines(header.elements, frame) if TECHNIQUE in annotation else (),
        shows_overlays=TECHNIQUE in annotation,
    )


def _delays_ms(header: DataSet, count: int) -> list[float]:
    """Return how long each frame is shown, in ms (PS3.3 C.7.6.5)."""
    elements = header.elements
    vector = numbers(elements, "00181065")
    if len(vector) == count and count > 1 and text(elements, "00280009") == "00181065":
        # Each says how much later its frame is than the one before; the last stays as long.
        return [*vector[1:], vector[-1]]
    for rate in (number(elements, "00082144"), number(elements, "00180040")):
        if rate is not None and rate > 0:
            return [1000 / rate] * count
    frame_ms = number(elements, "00181063")
    return [frame_ms if frame_ms and frame_ms > 0 else _DEFAULT_FRAME_MS] * count
