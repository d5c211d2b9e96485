"""Graphic annotations of a presentation state, read into plain lines and texts (PS3.3 C.10.5)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pacs_cloud.dicom.element_values import DataSet

Point: TypeAlias = tuple[float, float]
Colour: TypeAlias = tuple[int, int, int]

_WHITE: Final[Colour] = (255, 255, 255)
_ROUND_STEPS: Final = 72
_SMOOTH_STEPS: Final = 12
_MAX_POINTS: Final = 20_000
_PIXEL, _DISPLAY = "PIXEL", "DISPLAY"


@dataclass(frozen=True, slots=True)
class Mark:
    """A line, or a point where it has a single one.

    Attributes:
        points: column and row of the image from its top left corner, or shares of the
            displayed area's width and height.
        is_display: whether they are shares of the displayed area.
        is_filled: whether what the line encloses is filled.
        colour: red, green and blue.
        order: of its layer; higher ones lie over lower ones.
    """

    points: tuple[Point, ...]
    is_display: bool
    is_filled: bool
    colour: Colour
    order: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text.

    Attributes:
        lines: of it.
        box: top left and bottom right corner, as in `Mark.points`; None where it has an anchor.
        anchor: the point it is about.
        is_box_display: whether the box is in shares of the displayed area.
        is_anchor_display: whether the anchor is.
        shows_anchor: whether a line is drawn from the text to the anchor.
        justification: LEFT, CENTER or RIGHT, within the box.
        colour: red, green and blue.
        order: as in `Mark`.
    """

    lines: tuple[str, ...]
    box: tuple[Point, Point] | None
    anchor: Point | None
    is_box_display: bool
    is_anchor_display: bool
    shows_anchor: bool
    justification: str
    colour: Colour
    order: float


@dataclass(frozen=True, slots=True)
class Layer:
    """A graphic layer: its order and colour (PS3.3 C.10.7)."""

    order: float
    colour: Colour


def read_layers(state: DataSet) -> dict[str, Layer]:
    """Return a state's layers by name."""
    return {
        item.text("00700002"): Layer(item.number("00700062") or 0, _colour(item))
        for item in state.items("00700060")
    }


def read_marks(annotation: DataSet, layers: Mapping[str, Layer]) -> Iterator[Mark]:
    """Yield the graphic objects of an item of the Graphic Annotation Sequence."""
    layer = layers.get(annotation.text("00700002"), Layer(0, _WHITE))
    for item in annotation.items("00700009"):
        numbers = item.numbers("00700022")[: 2 * _MAX_POINTS]
        points = tuple(zip(numbers[::2], numbers[1::2], strict=False))
        line = _line(item.text("00700023"), points)
        if line:
            yield Mark(
                line,
                item.text("00700005") == _DISPLAY,
                item.text("00700024") == "Y",
                layer.colour,
                layer.order,
            )


def read_labels(annotation: DataSet, layers: Mapping[str, Layer]) -> Iterator[Label]:
    """Yield the text objects of an item of the Graphic Annotation Sequence."""
    layer = layers.get(annotation.text("00700002"), Layer(0, _WHITE))
    for item in annotation.items("00700008"):
        first, last = item.numbers("00700010"), item.numbers("00700011")
        anchor = item.numbers("00700014")
        box = None
        if len(first) >= 2 and len(last) >= 2:
            box = ((first[0], first[1]), (last[0], last[1]))
        if box is None and len(anchor) < 2:
            continue
        yield Label(
            tuple(item.text("00700006").splitlines()),
            box,
            (anchor[0], anchor[1]) if len(anchor) >= 2 else None,
            item.text("00700003") == _DISPLAY,
            item.text("00700004") == _DISPLAY,
            item.text("00700015") == "Y",
            item.text("00700012") or "LEFT",
            layer.colour,
            layer.order,
        )


def _line(kind: str, points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the points of the line that draws a graphic, none for one that lacks points."""
    match kind, len(points):
        case "POINT", count if count >= 1:
            return points[:1]
        case "POLYLINE", count if count >= 2:
            return points
        case "INTERPOLATED", count if count >= 2:
            return _smooth(points)
        case "CIRCLE", count if count >= 2:
            middle, edge = points[:2]
            radius = math.dist(middle, edge)
            return _round(middle, (radius, 0.0), (0.0, radius))
        case "ELLIPSE", count if count >= 4:
            left, right, top, bottom = points[:4]
            middle = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
            major = ((right[0] - left[0]) / 2, (right[1] - left[1]) / 2)
            minor = ((bottom[0] - top[0]) / 2, (bottom[1] - top[1]) / 2)
            return _round(middle, major, minor)
        case _:
            return ()


def _round(middle: Point, major: Point, minor: Point) -> tuple[Point, ...]:
    angles = [2 * math.pi * step / _ROUND_STEPS for step in range(_ROUND_STEPS + 1)]
    return tuple(
        (
            middle[0] + math.cos(angle) * major[0] + math.sin(angle) * minor[0],
            middle[1] + math.cos(angle) * major[1] + math.sin(angle) * minor[1],
        )
        for angle in angles
    )


def _smooth(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return a Catmull-Rom curve through the points; how it is smoothed is the viewer's choice."""
    is_closed = points[0] == points[-1] and len(points) > 2
    before, after = (points[-2], points[1]) if is_closed else (points[0], points[-1])
    padded = (before, *points, after)
    line = [points[0]]
    for place in range(len(points) - 1):
        a, b, c, d = padded[place : place + 4]
        for step in range(1, _SMOOTH_STEPS + 1):
            t = step / _SMOOTH_STEPS
            x, y = (_between(a[axis], b[axis], c[axis], d[axis], t) for axis in (0, 1))
            line.append((x, y))
    return tuple(line)


def _between(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )


def _colour(layer: DataSet) -> Colour:
    lab = layer.numbers("00700401")
    if len(lab) >= 3:
        return _from_lab(lab[0] / 65535 * 100, lab[1] / 257 - 128, lab[2] / 257 - 128)
    shade = layer.number("00700066")
    if shade is None:
        return _WHITE
    grey = int(shade) >> 8 & 0xFF
    return (grey, grey, grey)


def _from_lab(lightness: float, a: float, b: float) -> Colour:
    """Return a PCS colour (CIELab, D50) in sRGB (PS3.3 C.10.7.1.1)."""
    middle = (lightness + 16) / 116
    x, y, z = (
        white * (one**3 if one > 6 / 29 else (one - 16 / 116) * 3 * (6 / 29) ** 2)
        for white, one in zip(
            (0.9642, 1.0, 0.8249), (middle + a / 500, middle, middle - b / 200), strict=True
        )
    )
    linear = (
        3.1339 * x - 1.6169 * y - 0.4906 * z,
        -0.9788 * x + 1.9161 * y + 0.0335 * z,
        0.0719 * x - 0.2290 * y + 1.4052 * z,
    )
    red, green, blue = (
        round(255 * (12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055))
        for c in (min(max(c, 0.0), 1.0) for c in linear)
    )
    return (red, green, blue)
