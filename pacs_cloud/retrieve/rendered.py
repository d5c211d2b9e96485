"""Frames as pictures: by themselves, by a presentation state, small, or moving (PS3.18 8.7.4)."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from pacs_cloud import metrics
from pacs_cloud.dicom.element_values import DataSet, number, numbers, text
from pacs_cloud.dicom.render import frame_picture
from pacs_cloud.dicom.render.annotations import patient_lines, technique_lines
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted
from pacs_cloud.dicom.render.picture import JPEG
from pacs_cloud.dicom.render.presentation_state import read_state
from pacs_cloud.dicom.render.viewport import Viewport
from pacs_cloud.errors import InvalidInstance, NotAcceptable
from pacs_cloud.retrieve.appearances import Appearances
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.frames import Frames, check_size, stored_bytes
from pacs_cloud.retrieve.instances import Instances, Located
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from pacs_cloud.retrieve.shown_frames import Shown, ShownFrames
from pacs_cloud.retrieve.viewed_headers import ViewedHeaders
from pacs_cloud.security.caller import Caller

PATIENT: Final = "patient"
TECHNIQUE: Final = "technique"

_QUICK_PIXELS: Final = 1 << 19
"""A native grey frame up to this size, a CT slice, is a JPEG in 1 to 3 ms: handing it to anybody
else costs more than the event loop waits for it. Colour of this size may take 20."""
_THREAD_PIXELS: Final = 1 << 20
_THREAD_BYTES: Final = 2 << 20
"""One up to this size is rendered in a thread: sooner than a worker has it."""
_LARGE_AT_ONCE: Final = 8
"""Of larger ones, and of animations."""
_ANIMATION_PIXELS: Final = 1 << 27
_ANIMATION_FRAMES: Final = 2000
_DEFAULT_FRAME_MS: Final = 100.0


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
        self.shown = ShownFrames(instances, headers)
        self._headers = headers
        self._frames = frames
        self._workers = workers
        self._pictures: BoundedCache[bytes] = BoundedCache(pictures_max_bytes, "pictures")
        self._appearances = Appearances()
        # So many are in memory at once, however many ask: what waits has read nothing yet.
        self._large_slots = asyncio.Semaphore(_LARGE_AT_ONCE)

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
            "/".join(shown.located.shown_key),
            str(shown.number),
            "" if shown.state is None else "/".join(shown.state.shown_key),
            repr(wanted),
            *kinds,
        )

        async def load() -> tuple[bytes, int]:
            made = await self._made(shown, wanted, kinds)
            return made, len(made)

        try:
            picture = await self._pictures.get(key, load)
        except InvalidInstance as error:
            raise NotAcceptable(f"The image cannot be rendered. {error}") from error
        metrics.FRAMES.labels("rendered").inc()
        return picture

    async def thumbnail(
        self, caller: Caller, located: Sequence[Located], frame: int | None, wanted: Wanted
    ) -> bytes:
        """Return a small picture of an instance, or of the image that stands for many.

        Args:
            caller: who asks.
            located: one instance, or those of a series or a study.
            frame: of the one instance; None: the one in the middle.
            wanted: how; nothing is written into it.

        Raises:
            NotFound: there is nothing to be seen.
            NotAcceptable: there is, but it cannot be shown.
        """
        failed: NotAcceptable | None = None
        async for shown in self.shown.standing_for(caller, located, frame):
            try:
                return await self.picture(shown, wanted)
            except NotAcceptable as error:
                failed = failed or error
        assert failed is not None
        raise failed

    async def _made(self, shown: Shown, wanted: Wanted, annotation: Sequence[str]) -> bytes:
        self.shown.check_frame(shown.located, shown.number or 1)
        if _stored_bytes(shown) <= _THREAD_BYTES:
            return await self._rendered(shown, wanted, annotation)
        async with self._large_slots:
            return await self._rendered(shown, wanted, annotation)

    async def _rendered(self, shown: Shown, wanted: Wanted, annotation: Sequence[str]) -> bytes:
        located = shown.located
        with_overlays = TECHNIQUE in annotation or shown.state is not None
        header = await self._headers.read(located, with_overlays=with_overlays)
        if shown.number == 0:
            return await self._animation(
                located, header, wanted, annotation, with_overlays=with_overlays
            )
        frame = await self._frame(located, header, shown.number, with_overlays=with_overlays)
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
            and (view is None or view.width * view.height <= _THREAD_PIXELS)
        )
        if is_plain and len(frame.data) <= _THREAD_BYTES:
            if wanted.media_type == JPEG and _is_quick(frame, view):
                return frame_picture.picture(frame, wanted)
            return await asyncio.to_thread(frame_picture.picture, frame, wanted)
        return await self._workers.run(frame_picture.picture, frame, wanted)

    async def _frame(
        self, located: Located, header: DataSet, number_of: int, *, with_overlays: bool
    ) -> Frame:
        pixels = located.instance.pixels
        self.shown.check_frame(located, number_of)
        check_size(located, number_of)
        assert pixels is not None
        appearance = await self._appearances.read(
            located, header, number_of, with_overlays=with_overlays
        )
        data = await self._frames.data(located, number_of)
        syntax = located.instance.transfer_syntax_uid if pixels.encapsulated else None
        return Frame(data, syntax, appearance)

    async def _animation(
        self,
        located: Located,
        header: DataSet,
        wanted: Wanted,
        annotation: Sequence[str],
        *,
        with_overlays: bool,
    ) -> bytes:
        pixels = located.instance.pixels
        count = self.shown.frame_count(located)
        assert pixels is not None
        view = wanted.viewport
        area = pixels.rows * pixels.columns if view is None else view.width * view.height
        if count > _ANIMATION_FRAMES or max(area * count, pixels.length) > _ANIMATION_PIXELS:
            raise NotAcceptable(
                f"Its {count} frames are too much for one GIF: ask for frames, or for a viewport."
            )
        frames = [
            await self._frame(located, header, one, with_overlays=with_overlays)
            for one in range(1, count + 1)
        ]
        wanted = _annotated(wanted, header, 1, annotation)
        delays_ms = _delays_ms(header, count)
        return await self._workers.run(frame_picture.animation, frames, delays_ms, wanted)


def _is_quick(frame: Frame, view: Viewport | None) -> bool:
    appearance = frame.appearance
    rows, columns = appearance.pixel_format.rows, appearance.pixel_format.columns
    pixels = max(rows * columns, 0 if view is None else view.width * view.height)
    has_table = appearance.is_grey and appearance.pixel_format.bits_allocated <= 16
    return has_table and pixels <= _QUICK_PIXELS


def _stored_bytes(shown: Shown) -> int:
    """Return how much is read to show it."""
    pixels = shown.located.instance.pixels
    assert pixels is not None
    if shown.number == 0:
        return pixels.length
    return stored_bytes(shown.located, shown.number)


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
