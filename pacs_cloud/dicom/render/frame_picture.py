"""Frames as the bytes of a picture: what a pixel worker is asked for.

Each function takes a frame's bytes and plain values and returns bytes, so that
it can run in another process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.render.appearance import Appearance
from pacs_cloud.dicom.render.burnt_text import burn_lines
from pacs_cloud.dicom.render.grey_shades import Shades, Window
from pacs_cloud.dicom.render.overlays import burn
from pacs_cloud.dicom.render.picture import DEFAULT_QUALITY, JPEG, animate, encode
from pacs_cloud.dicom.render.presentation_state import PresentationState
from pacs_cloud.dicom.render.presenting import present
from pacs_cloud.dicom.render.rendering import render, value_range
from pacs_cloud.dicom.render.viewport import Region, Viewport, fitted, resampled, scaled

THUMBNAIL_SIDE: Final = 256


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it is stored, and how it looks.

    Attributes:
        data: its bytes, native ones little endian.
        transfer_syntax_uid: how they are encoded; None for native pixels.
        appearance: as its header says.
    """

    data: bytes
    transfer_syntax_uid: str | None
    appearance: Appearance


@dataclass(frozen=True, slots=True)
class Wanted:
    """The picture that is asked for.

    Attributes:
        media_type: `image/jpeg`, `image/png` or `image/gif`.
        quality: 1 to 100, of JPEG.
        window: in place of the image's own.
        viewport: what is shown and how large; None: the whole frame, pixel by pixel.
        is_thumbnail: without a viewport, a small picture; nothing is drawn into it.
        shows_overlays: whether the image's overlay planes are burnt in.
        left_lines: text in its upper left corner.
        right_lines: text in its upper right corner.
    """

    media_type: str = JPEG
    quality: int = DEFAULT_QUALITY
    window: Window | None = None
    viewport: Viewport | None = None
    is_thumbnail: bool = False
    shows_overlays: bool = False
    left_lines: tuple[str, ...] = ()
    right_lines: tuple[str, ...] = ()


def picture(frame: Frame, wanted: Wanted) -> bytes:
    """Return one frame as a picture.

    Raises:
        InvalidInstance: it cannot be decoded or shown.
        InvalidRequest: the viewport shows nothing of it.
    """
    data, appearance = _native(frame)
    return encode(_finished(data, appearance, wanted), wanted.media_type, wanted.quality)


def presented_picture(frame: Frame, state: PresentationState, wanted: Wanted) -> bytes:
    """Return one frame as a presentation state shows it; raises as `picture`."""
    data, appearance = _native(frame)
    if state.grey is not None and appearance.is_grey:
        appearance = replace(appearance, grey=state.grey)
    planes = tuple(
        overlay for overlay in appearance.overlays if overlay.group in state.overlay_groups
    )
    size = None if wanted.viewport is None else (wanted.viewport.width, wanted.viewport.height)
    shown = present(render(data, appearance), state, planes, appearance.pixel_height, size)
    if wanted.is_thumbnail and size is None:
        shown = _thumbnail(shown, 1.0)
    shown = _annotated(shown, wanted)
    return encode(shown, wanted.media_type, wanted.quality)


def animation(frames: Sequence[Frame], delays_ms: Sequence[float], wanted: Wanted) -> bytes:
    """Return the frames as a GIF; without a window they share one, so that it does not flicker.

    Raises:
        InvalidInstance, InvalidRequest: as `picture`.
    """
    first = frames[0].appearance
    if wanted.window is None and first.is_grey and first.grey.needs_range and first.shown is None:
        natives = ((data, appearance.pixel_format) for data, appearance in map(_native, frames))
        shown = value_range(natives, first)
        frames = [
            replace(frame, appearance=replace(frame.appearance, shown=shown)) for frame in frames
        ]

    def images() -> Iterator[Shades]:
        for frame in frames:
            yield _finished(*_native(frame), wanted)

    return animate(images(), delays_ms)


def _native(frame: Frame) -> tuple[bytes, Appearance]:
    if frame.transfer_syntax_uid is None:
        return frame.data, frame.appearance
    appearance = frame.appearance
    data, pixel_format = decode_frame(
        frame.data, frame.transfer_syntax_uid, appearance.pixel_format
    )
    return data, appearance.with_format(pixel_format)


def _finished(data: bytes, appearance: Appearance, wanted: Wanted) -> Shades:
    if wanted.window is not None and appearance.is_grey:
        appearance = replace(appearance, grey=appearance.grey.windowed(wanted.window))
    image = render(data, appearance)
    if wanted.shows_overlays:
        image = burn(image, appearance.overlays)
    if wanted.viewport is not None:
        image = scaled(image, wanted.viewport, appearance.pixel_height)
    elif wanted.is_thumbnail:
        image = _thumbnail(image, appearance.pixel_height)
    return _annotated(image, wanted)


def _thumbnail(image: Shades, pixel_height: float) -> Shades:
    rows, columns = image.shape[:2]
    high = rows * pixel_height
    side = min(THUMBNAIL_SIDE, max(1, round(max(high, columns))))
    return resampled(image, Region(0, 0, columns, rows), fitted(columns, high, side, side))


def _annotated(image: Shades, wanted: Wanted) -> Shades:
    if not wanted.left_lines and not wanted.right_lines:
        return image
    return burn_lines(image, wanted.left_lines, wanted.right_lines)
