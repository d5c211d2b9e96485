"""A frame as a presentation state shows it: area, turn, shutters and graphics (PS3.4 N.2)."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from pacs_cloud.dicom.render.burnt_text import draw_line
from pacs_cloud.dicom.render.graphics import Colour, Label, Mark, Point
from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.dicom.render.overlays import Overlay, burn
from pacs_cloud.dicom.render.presentation_state import PresentationState
from pacs_cloud.dicom.render.shutters import shut
from pacs_cloud.dicom.render.viewport import MAX_SIDE, Region, fitted
from pacs_cloud.errors import InvalidInstance, Refusal

_TEXT_SHARE: Final = 30
_SMALLEST_TEXT, _LARGEST_TEXT = 8, 96
_POINT_RADIUS: Final = 3
_FARTHEST: Final = 1 << 16
"""Pixels; what is drawn farther off is drawn towards there, and not for minutes."""


def present(
    image: Shades,
    state: PresentationState,
    overlays: tuple[Overlay, ...],
    pixel_height: float,
    viewport: tuple[int, int] | None,
) -> Shades:
    """Return a rendered frame as the state shows it.

    Args:
        image: the whole frame in the state's shades, or in colour.
        state: about this frame.
        overlays: the image's own planes that the state shows.
        pixel_height: of a pixel that is 1 wide, as the image says.
        viewport: width and height to fit into; None: the area's own size.

    Raises:
        InvalidInstance: UNREADABLE, an area that is empty or absurdly large.
    """
    if state.palette is not None and image.ndim == 2:
        image = state.palette.colours(_spread(image, len(state.palette.rgb) // 3))
    # Bitmaps lie on the image's own pixels: they go with it.
    image = burn(shut(image, state.shutters), (*overlays, *state.overlays))
    rows, columns = image.shape[:2]
    area = state.area or Region(0, 0, columns, rows)
    if min(area.width, area.height) <= 0 or max(area.width, area.height) > 1 << 20:
        raise InvalidInstance("The displayed area is not one.", Refusal.UNREADABLE)
    height = area.height * (state.pixel_height or pixel_height)
    is_turned = state.rotation % 2 == 1
    wide, high = (height, area.width) if is_turned else (area.width, height)
    if viewport is None:
        limit = MAX_SIDE / max(wide, high)
        scale = min(state.magnification, limit)
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    else:
        size = fitted(wide, high, *viewport)
    upright = (size[1], size[0]) if is_turned else size
    shown = np.rot90(_cut(image, area, upright), -state.rotation)
    if state.flips:
        shown = shown[:, ::-1]
    if not state.marks and not state.labels:
        return np.ascontiguousarray(shown)
    return _drawn(shown, state, _Placing(area, upright, state.rotation, flips=state.flips))


def _spread(shades: Shades, entries: int) -> Shades | np.ndarray:
    return shades if entries == 256 else shades.astype(np.int64) * (entries - 1) // 255


def _cut(image: Shades, area: Region, size: tuple[int, int]) -> Shades:
    """Return the area at a size; what lies beyond the image is black."""
    width, height = size
    if (area.left, area.top) == (0, 0) and size == (area.width, area.height) == (
        image.shape[1],
        image.shape[0],
    ):
        return image
    matrix = (
        area.width / width,
        0.0,
        area.left,
        0.0,
        area.height / height,
        area.top,
    )
    picture = Image.fromarray(image)
    inside = 0 <= area.left < area.right <= image.shape[1] and (
        0 <= area.top < area.bottom <= image.shape[0]
    )
    if inside:
        box = (area.left, area.top, area.right, area.bottom)
        method = Image.Resampling.HAMMING if area.width > width else Image.Resampling.BICUBIC
        return np.asarray(picture.resize(size, method, box=box))
    return np.asarray(
        picture.transform(
            size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=0
        )
    )


class _Placing:
    """Where points of an image, or of the displayed area, come to lie in the picture."""

    def __init__(
        self, area: Region, upright: tuple[int, int], rotation: int, *, flips: bool
    ) -> None:
        self._area = area
        self._rotation = rotation
        self._flips = flips
        self._width, self._height = upright
        self.size = upright if rotation % 2 == 0 else (upright[1], upright[0])

    def place(self, point: Point, *, is_display: bool) -> Point:
        """Return where `point` lies, in pixels of the picture."""
        x, y = self._place(point, is_display=is_display)
        return max(-_FARTHEST, min(x, _FARTHEST)), max(-_FARTHEST, min(y, _FARTHEST))

    def _place(self, point: Point, *, is_display: bool) -> Point:
        if is_display:
            return point[0] * self.size[0], point[1] * self.size[1]
        x = (point[0] - self._area.left) / self._area.width * self._width
        y = (point[1] - self._area.top) / self._area.height * self._height
        match self._rotation:
            case 1:
                x, y = self._height - y, x
            case 2:
                x, y = self._width - x, self._height - y
            case 3:
                x, y = y, self._width - x
            case _:
                pass
        return (self.size[0] - x, y) if self._flips else (x, y)


def _drawn(image: Shades, state: PresentationState, placing: _Placing) -> Shades:
    things: list[Mark | Label] = sorted(
        (*state.marks, *state.labels), key=lambda thing: thing.order
    )
    picture = Image.fromarray(np.ascontiguousarray(image))
    if picture.mode == "L" and any(len(set(thing.colour)) > 1 for thing in things):
        picture = picture.convert("RGB")
    draw = ImageDraw.Draw(picture)
    for thing in things:
        colour = thing.colour if picture.mode == "RGB" else thing.colour[0]
        if isinstance(thing, Mark):
            _draw_mark(draw, thing, placing, colour)
        else:
            _draw_label(draw, thing, placing, colour)
    return np.asarray(picture)


def _draw_mark(
    draw: ImageDraw.ImageDraw, mark: Mark, placing: _Placing, colour: int | Colour
) -> None:
    points = [placing.place(point, is_display=mark.is_display) for point in mark.points]
    if len(points) == 1:
        ((x, y),) = points
        r = _POINT_RADIUS
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif mark.is_filled and len(points) > 2:
        draw.polygon(points, fill=colour, outline=colour)
    else:
        draw.line(points, fill=colour, width=max(1, min(placing.size) // 400), joint="curve")


def _draw_label(
    draw: ImageDraw.ImageDraw, label: Label, placing: _Placing, colour: int | Colour
) -> None:
    pixels = min(_LARGEST_TEXT, max(_SMALLEST_TEXT, min(placing.size) // _TEXT_SHARE))
    anchor = label.anchor and placing.place(label.anchor, is_display=label.is_anchor_display)
    left, top, align = 0.0, 0.0, "l"
    if label.box is not None:
        corners = [placing.place(one, is_display=label.is_box_display) for one in label.box]
        (left, right), (top, bottom) = map(sorted, zip(*corners, strict=True))
        room = (bottom - top) / max(1, len(label.lines)) * 0.8
        pixels = int(min(pixels * 2, max(_SMALLEST_TEXT, room)))
        align = {"CENTER": "m", "RIGHT": "r"}.get(label.justification, "l")
        if anchor is not None and label.shows_anchor:
            start = ((left + right) / 2, (top + bottom) / 2)
            draw.line([_nearest(anchor, left, top, right, bottom, start), anchor], fill=colour)
        left = {"l": left, "m": (left + right) / 2, "r": right}[align]
    elif anchor is not None:
        left, top = anchor[0] + pixels / 2, anchor[1] - pixels / 2
    for place, line in enumerate(_bounded(label.lines)):
        at = (left, top + place * pixels * 1.25)
        draw_line(draw, at, line, pixels, anchor=f"{align}a", fill=colour)


def _nearest(
    anchor: Point, left: float, top: float, right: float, bottom: float, middle: Point
) -> Point:
    """Return the point of a box from which a line to `anchor` does not cross its text."""
    x, y = min(max(anchor[0], left), right), min(max(anchor[1], top), bottom)
    return middle if (x, y) == anchor else (x, y)


def _bounded(lines: Iterable[str]) -> list[str]:
    return list(lines)[:100]
