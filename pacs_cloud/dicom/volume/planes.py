"""Planes through a volume: plain cuts, slabs of them, and planes that lie askew."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.grid import AXES, Grid
from pacs_cloud.dicom.volume.slices import Vector
from pacs_cloud.dicom.volume.volume import Volume
from pacs_cloud.errors import InvalidRequest

_MOST_SAMPLES: Final = 96
"""Through a slab that lies askew."""
_MOST_SIDE: Final = 4096
_BAND: Final = 32
"""Rows of a plane that lies askew."""


class Mode(StrEnum):
    """What becomes of the values that lie behind one another."""

    MPR = "mpr"
    """One plane, as it is."""
    MIP = "mip"
    """The greatest."""
    MINIP = "minip"
    """The least."""
    AVERAGE = "average"
    """Their mean."""


@dataclass(frozen=True, slots=True)
class PlaneShape:
    """One of the three planes, as it is shown: with square pixels.

    Attributes:
        axis: of the volume, which it cuts.
        count: how many there are.
        width: of its picture, in pixels.
        height: likewise.
        mm: from pixel to pixel, across and down.
        labels: of its left, right, top and bottom: R, L, A, P, H, F.
    """

    axis: int
    count: int
    width: int
    height: int
    mm: tuple[float, float]
    labels: tuple[str, str, str, str]

    def sized(self, width: int, height: int) -> "PlaneShape":
        """Return the same in a picture of another size."""
        across, down = self.width * self.mm[0] / width, self.height * self.mm[1] / height
        return replace(self, width=width, height=height, mm=(across, down))


@dataclass(frozen=True, slots=True)
class Cut:
    """Which plane is wanted.

    Attributes:
        plane: axial, coronal or sagittal.
        at: its number, 0 for the first: nearest to the head, the front, the right.
        mode: what becomes of a slab.
        slab_mm: how thick it is; None: all of the volume.
        yaw: degrees by which it is turned about its picture's vertical.
        pitch: degrees by which it is then turned about its picture's horizontal.
    """

    plane: str
    at: int
    mode: Mode = Mode.MPR
    slab_mm: float | None = None
    yaw: float = 0.0
    pitch: float = 0.0

    @property
    def axis(self) -> int:
        """Of the volume, which it cuts."""
        return AXES.index(self.plane)

    @property
    def is_askew(self) -> bool:
        """Whether it lies between the values that there are."""
        return bool(self.yaw or self.pitch)


def plane_shape(grid: Grid, axis: int) -> PlaneShape:
    """Return how the planes that cut an axis are shown."""
    down, across = (n for n in range(3) if n != axis)
    tall, wide = (grid.shape[n] * grid.spacing[n] for n in (down, across))
    pixel = min(grid.spacing[down], grid.spacing[across])
    pixel = max(pixel, max(tall, wide) / _MOST_SIDE)
    width, height = max(1, round(wide / pixel)), max(1, round(tall / pixel))
    ends = [grid.end(n, is_last=last) for n in (across, down) for last in (False, True)]
    left, right, top, bottom = ends
    return PlaneShape(
        axis,
        grid.shape[axis],
        width,
        height,
        (wide / width, tall / height),
        (left, right, top, bottom),
    )


def index_at(grid: Grid, cut: Cut, x: float, y: float) -> Vector:
    """Return which index of the volume a point of a plane's picture is.

    Args:
        grid: the volume's.
        cut: the plane.
        x: pixels from the left edge of the picture at its full size.
        y: pixels from its top edge.

    Raises:
        InvalidRequest: there is no such plane.
    """
    shape = _checked(grid, cut)
    middle, across, down = _frame(grid, cut)
    moved = (x - shape.width / 2) * shape.mm[0] * across
    moved = moved + (y - shape.height / 2) * shape.mm[1] * down
    return middle + moved / np.array(grid.spacing)


def cut_plane(volume: Volume, cut: Cut, size: tuple[int, int] | None = None) -> NDArray[np.int16]:
    """Return a plane's values: as many as the volume has there, or one a pixel where it is askew.

    Args:
        volume: whose.
        cut: which.
        size: width and height of its picture; None: its full size.

    Raises:
        InvalidRequest: there is no such plane.
    """
    shape = _checked(volume.grid, cut)
    if cut.is_askew:
        return _askew(volume, cut, shape if size is None else shape.sized(*size))
    axis, at = shape.axis, cut.at
    voxels = volume.voxels
    if cut.mode is Mode.MPR:
        return np.ascontiguousarray(np.take(voxels, at, axis))
    count = voxels.shape[axis]
    if cut.slab_mm is not None:
        count = max(1, min(count, round(cut.slab_mm / volume.grid.spacing[axis])))
    first = max(0, min(at - count // 2, voxels.shape[axis] - count))
    slab = voxels[(slice(None),) * axis + (slice(first, first + count),)]
    match cut.mode:
        case Mode.MIP:
            return slab.max(axis)
        case Mode.MINIP:
            return slab.min(axis)
        case _:
            return np.rint(slab.sum(axis, dtype=np.int64) / count).astype(np.int16)


def sampled(volume: Volume, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values between those that there are, trilinear; outside there is air, or nothing.

    Args:
        volume: whose.
        points: indices of the volume in the first of their axes, which has three.
    """
    voxels = volume.voxels
    last = np.array(voxels.shape, np.float32).reshape(3, *(1,) * (points.ndim - 1)) - 1
    inner = np.clip(points, 0, last)
    low = np.minimum(inner.astype(np.int32), np.maximum(last.astype(np.int32) - 1, 0))
    shares = inner - low
    strides = (voxels.shape[1] * voxels.shape[2], voxels.shape[2], 1)
    start = low[0].astype(np.int64) * strides[0] + low[1] * strides[1] + low[2]
    flat = voxels.reshape(-1)
    steps = [stride if size > 1 else 0 for stride, size in zip(strides, voxels.shape, strict=True)]
    corners = [
        flat[a + b + c :].take(start).astype(np.float32)
        for a in (0, steps[0])
        for b in (0, steps[1])
        for c in (0, steps[2])
    ]
    # Along the last axis first: of eight corners four edges, of these two sides, of these one.
    for share in shares[::-1]:
        pairs = zip(corners[::2], corners[1::2], strict=True)
        corners = [one + (other - one) * share for one, other in pairs]
    is_inside = ((points >= -0.5) & (points <= last + 0.5)).all(axis=0)
    return np.where(is_inside, corners[0], np.float32(volume.scale.outside))


def _askew(volume: Volume, cut: Cut, shape: PlaneShape) -> NDArray[np.int16]:
    grid = volume.grid
    spacing = np.array(grid.spacing)
    middle, across, down = _frame(grid, cut)
    normal = (np.cross(across, down) / spacing)[:, None, None]
    xs = (np.arange(shape.width) + 0.5 - shape.width / 2) * shape.mm[0]
    ys = (np.arange(shape.height) + 0.5 - shape.height / 2) * shape.mm[1]
    first = middle[:, None, None] + (across / spacing)[:, None, None] * xs
    depths = _depths(grid, cut)
    found = np.empty((shape.height, shape.width), np.int16)
    for top in range(0, shape.height, _BAND):  # so much is in the processor's own memory
        rows = ys[top : top + _BAND, None] * (down / spacing)[:, None, None]
        band = sampled(volume, (first + rows + normal * depths[0]).astype(np.float32))
        for depth in depths[1:]:
            more = sampled(volume, (first + rows + normal * depth).astype(np.float32))
            if cut.mode is Mode.MIP:
                np.maximum(band, more, out=band)
            elif cut.mode is Mode.MINIP:
                np.minimum(band, more, out=band)
            else:
                band += more
        if cut.mode is Mode.AVERAGE:
            band /= len(depths)
        found[top : top + _BAND] = np.rint(band)
    return found


def _depths(grid: Grid, cut: Cut) -> list[float]:
    """Return how far before and behind its plane a slab that lies askew is sampled, in mm."""
    if cut.mode is Mode.MPR:
        return [0.0]
    whole = float(np.linalg.norm(np.array(grid.shape) * np.array(grid.spacing)))
    thick = whole if cut.slab_mm is None else min(whole, cut.slab_mm)
    count = max(1, min(_MOST_SAMPLES, round(thick / min(grid.spacing))))
    return [(n + 0.5 - count / 2) * thick / count for n in range(count)]


def _checked(grid: Grid, cut: Cut) -> PlaneShape:
    shape = plane_shape(grid, cut.axis)
    if not 0 <= cut.at < shape.count:
        raise InvalidRequest(f"at: there are {shape.count} {cut.plane} planes, from 0 on.")
    return shape


def _frame(grid: Grid, cut: Cut) -> tuple[Vector, Vector, Vector]:
    """Return the index of a plane's middle, and how its picture lies: across, down, unit mm."""
    axis = cut.axis
    middle = (np.array(grid.shape) - 1) / 2
    middle[axis] = cut.at
    down_axis, across_axis = (n for n in range(3) if n != axis)
    normal, down, across = np.eye(3)[[axis, down_axis, across_axis]]
    yaw, pitch = math.radians(cut.yaw), math.radians(cut.pitch)
    across, normal = (
        across * math.cos(yaw) + normal * math.sin(yaw),
        normal * math.cos(yaw) - across * math.sin(yaw),
    )
    down = down * math.cos(pitch) + normal * math.sin(pitch)
    return middle, across, down
