"""Views of a whole volume: rays through it, factored into shears and one warp.

After Lacroute and Levoy (1994): slices along the axis that lies nearest to the line of sight are
moved against one another by whole voxels and laid onto each other, front to back; then the one
picture that comes of it is turned and scaled to what is seen. So rays never leave memory's
order. What is transparent, and what lies behind what is opaque, is passed over in bytes; only
the rest, some percent, is coloured and lit.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pacs_cloud.dicom.render.grey_shades import Shades
from pacs_cloud.dicom.volume.bodies import Body
from pacs_cloud.dicom.volume.lighting import Light
from pacs_cloud.dicom.volume.slices import Vector
from pacs_cloud.dicom.volume.transfer import Transfer

Values = TypeVar("Values", np.int16, np.uint8)

_CLOSED: Final = 0.04
"""A ray of which so little is left is at its end."""
_DEPTH_DIMS: Final = 0.35
"""How much darker what lies farthest is."""
_MARGIN: Final = 1.15
_GRAIN: Final = 0.7
"""Voxels around one that it is mixed with."""
_BLOCK: Final = 64
"""Slices that are brought into order at once, where memory has them otherwise."""


@dataclass(frozen=True, slots=True)
class Angle:
    """Where somebody looks from.

    Attributes:
        yaw: degrees around the patient: 0 from the front, 90 from the patient's right.
        pitch: degrees above (below, where negative).
        zoom: at 1 the longest side of the volume fits.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    zoom: float = 1.0

    def axes(self) -> tuple[Vector, Vector, Vector]:
        """Return right and down in the picture, and away from the eye, in a grid's axes."""
        yaw, pitch = math.radians(self.yaw), math.radians(self.pitch)
        right = np.array([0.0, -math.sin(yaw), math.cos(yaw)])
        level = np.array([0.0, math.cos(yaw), math.sin(yaw)])
        upright = np.array([1.0, 0.0, 0.0])
        away = level * math.cos(pitch) + upright * math.sin(pitch)
        down = upright * math.cos(pitch) - level * math.sin(pitch)
        return right, down, away


@dataclass(frozen=True, slots=True, eq=False)
class _Shear:
    """How a volume's slices lie for one line of sight.

    Attributes:
        axis: along which they are laid onto each other.
        order: slices, front to back.
        offsets: of each of them in the picture, by rows and columns.
        size: of the picture.
        step_mm: of a ray from slice to slice.
    """

    axis: int
    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    size: tuple[int, int]
    step_mm: float


def view(
    body: Body,
    levels: NDArray[np.uint8],
    transfer: Transfer,
    angle: Angle,
    size: int,
) -> Shades:
    """Return what is seen of a volume, `size` by `size`, RGB.

    Args:
        body: the volume.
        levels: of its values, as `transfer` has them.
        transfer: what they look like.
        angle: where from.
        size: pixels of a side.
    """
    shear = _shear(body, angle)
    rows, columns = shear.size
    left = np.ones(rows * columns, np.float32)
    is_open = np.ones((rows, columns), np.bool_)
    colours = np.zeros((3, rows * columns), np.float32)
    opacity = 1 - (1 - transfer.opacity) ** np.float32(shear.step_mm)
    seen = transfer.opacity > 0
    first, last = _seen_range(seen)
    light = Light(body, angle.axes(), transfer.surface)
    depth = max(1, len(shear.order) - 1)
    for place, n, plane in _planes(levels, shear):
        top, start = shear.offsets[place]
        tall, wide = plane.shape
        window = is_open[top : top + tall, start : start + wide]
        found = np.flatnonzero((plane >= first) & (plane <= last) & window)
        if not found.size:
            continue
        level = plane.reshape(-1)[found]
        row, column = np.divmod(found, wide)
        pixel = (row + top) * columns + column + start
        share = opacity[level] * left[pixel]
        shine, gleam = light.of(shear.axis, n, row, column)
        dim = np.float32(1 - _DEPTH_DIMS * place / depth)
        lit = share * shine * dim
        gleam *= share
        for colour, table in zip(colours, transfer.colour.T, strict=True):
            colour[pixel] += lit * table[level] + gleam
        remaining = left[pixel] - share
        left[pixel] = remaining
        is_open.reshape(-1)[pixel[remaining < _CLOSED]] = False
    picture = np.clip(colours * 255, 0, 255).astype(np.uint8).T.reshape(rows, columns, 3)
    # Whole voxels leave a grain behind, as wood has.
    smooth = np.asarray(Image.fromarray(picture).filter(ImageFilter.BoxBlur(_GRAIN)))
    return _warped(smooth, body, shear, angle, size)


def projection(body: Body, angle: Angle, size: int, outside: int) -> NDArray[np.int16]:
    """Return the greatest value on each ray, `size` by `size`; `outside` where there is none."""
    shear = _shear(body, angle)
    found = np.full(shear.size, outside, np.int16)
    for place, _, plane in _planes(body.voxels, shear):
        top, start = shear.offsets[place]
        tall, wide = plane.shape
        window = found[top : top + tall, start : start + wide]
        np.maximum(window, plane, out=window)
    # Pillow warps no 16 bits: as 32 they keep their values.
    moved = found.astype(np.int32) - outside
    return (_warped(moved, body, shear, angle, size) + outside).astype(np.int16)


def _shear(body: Body, angle: Angle) -> _Shear:
    _, _, away = angle.axes()
    ray = away / np.array(body.spacing)  # in voxels
    axis = int(np.argmax(np.abs(ray)))
    count = body.voxels.shape[axis]
    order = np.arange(count) if ray[axis] > 0 else np.arange(count)[::-1]
    others = [n for n in range(3) if n != axis]
    # What lies `k` slices behind is seen where the ray was `k` slices before.
    moves = -np.outer(order - (count - 1) / 2, ray[others] / ray[axis])
    least = moves.min(axis=0)
    offsets = np.rint(moves - least).astype(np.int64)
    most = offsets.max(axis=0)
    tall, wide = (body.voxels.shape[n] for n in others)
    step = body.spacing[axis] / abs(float(away[axis]))
    return _Shear(axis, order, offsets, (tall + int(most[0]), wide + int(most[1])), step)


def _planes(values: NDArray[Values], shear: _Shear) -> Iterator[tuple[int, int, NDArray[Values]]]:
    """Yield the slices of `values` in the order of a shear: place, number, and values."""
    for place, n in enumerate(shear.order.tolist()):
        if shear.axis == 0:
            yield place, n, values[n]
        elif shear.axis == 1:
            yield place, n, np.ascontiguousarray(values[:, n])
        elif place % _BLOCK == 0:
            yield from _across(values, place, shear.order[place : place + _BLOCK])


def _across(
    values: NDArray[Values], start: int, order: NDArray[np.int64]
) -> Iterator[tuple[int, int, NDArray[Values]]]:
    """Yield slices across the order of memory, brought into it by tiles that caches hold."""
    low, high = int(order.min()), int(order.max()) + 1
    block = np.empty((high - low, *values.shape[:2]), values.dtype)
    for n, tile in enumerate(values):
        block[:, n] = np.ascontiguousarray(tile[:, low:high]).T
    for place, n in enumerate(order.tolist(), start):
        yield place, n, block[n - low]


def _warped(
    picture: NDArray[Any], body: Body, shear: _Shear, angle: Angle, size: int
) -> NDArray[Any]:
    """Return the picture that slices were laid onto, as it is seen."""
    right, down, away = angle.axes()
    others = [n for n in range(3) if n != shear.axis]
    spacing = np.array(body.spacing)
    reach = float(body.extent_mm.max()) * _MARGIN / angle.zoom
    pixel = reach / size
    # A point of the plane through the middle is seen at (right, down); back from there:
    # the plane's point that is `a` to the right and `b` below lies where the ray meets it.
    columns: list[Vector] = []
    for vector in (right, down):
        on_plane = vector - away * (vector[shear.axis] / away[shear.axis])
        columns.append(on_plane[others] / spacing[others] * pixel)
    (row_by_x, column_by_x), (row_by_y, column_by_y) = columns
    half = size / 2
    tall, wide = shear.size
    matrix = (
        column_by_x,
        column_by_y,
        wide / 2 - half * (column_by_x + column_by_y),
        row_by_x,
        row_by_y,
        tall / 2 - half * (row_by_x + row_by_y),
    )
    image = Image.fromarray(picture)
    method = Image.Transform.AFFINE
    moved = image.transform((size, size), method, matrix, Image.Resampling.BILINEAR)
    return np.asarray(moved)


def _seen_range(seen: NDArray[np.bool_]) -> tuple[np.uint8, np.uint8]:
    found = np.flatnonzero(seen)
    if not found.size:
        return np.uint8(1), np.uint8(0)
    return np.uint8(found[0]), np.uint8(found[-1])
