"""Pictures of a volume, and what they are of."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.render.grey_shades import Shades, VoiFunction, Window, full_window
from pacs_cloud.dicom.render.picture import DEFAULT_QUALITY, JPEG, encode
from pacs_cloud.dicom.render.viewport import Region, fitted, resampled
from pacs_cloud.dicom.volume.bodies import Body, body_of, is_fit
from pacs_cloud.dicom.volume.casting import Angle, projection, view
from pacs_cloud.dicom.volume.grid import AXES
from pacs_cloud.dicom.volume.planes import Cut, Mode, cut_plane, index_at, plane_shape
from pacs_cloud.dicom.volume.transfer import MIP, Transfer, transfer_of, views_of
from pacs_cloud.dicom.volume.volume import Volume
from pacs_cloud.errors import InvalidRequest

MAX_SIZE: Final = 2048
"""Pixels of a picture's longer side."""
_ASKEW_SIZE: Final = 1024
"""Of a plane that lies askew no more are sampled: a slab of it takes seconds as it is."""
_QUICK_SIZE: Final = 400
"""A view up to this size is made from few voxels: in a phone's hand it turns."""
_QUICK_VOXELS: Final = 6 << 20
_FINE_VOXELS: Final = 24 << 20
"""Of a view in full size, where its voxels have to be made."""


@dataclass(frozen=True, slots=True)
class PlanePicture:
    """A picture of a plane.

    Attributes:
        cut: which.
        window: centre and width; None: the volume's own, or for a MIP
            up to its highest values.
        size: pixels of its longer side at most; None: as many as there are.
        quality: of JPEG, 1 to 100.
        media_type: what it is encoded as.
    """

    cut: Cut
    window: tuple[float, float] | None = None
    size: int | None = None
    quality: int = DEFAULT_QUALITY
    media_type: str = JPEG


@dataclass(frozen=True, slots=True)
class ViewPicture:
    """A picture of all of a volume.

    Attributes:
        angle: where somebody looks from.
        preset: what is seen, as `views_of` names it; "": the first of them.
        size: pixels of each side.
        quality: of JPEG, 1 to 100.
        media_type: what it is encoded as.
    """

    angle: Angle
    preset: str = ""
    size: int = 512
    quality: int = DEFAULT_QUALITY
    media_type: str = JPEG


class Pictures:
    """Makes pictures of one volume."""

    def __init__(self, volume: Volume) -> None:
        """Make them of `volume`."""
        self._volume = volume
        self._bodies: dict[bool, Body] = {}
        self._seen: tuple[str, Transfer] | None = None
        self._levels: dict[bool, Any] = {}

    def about(self) -> dict[str, Any]:
        """Return what a viewer has to know of the volume."""
        volume = self._volume
        grid = volume.grid
        low, _, high, _ = volume.quantiles
        planes: dict[str, Any] = {}
        for axis, name in enumerate(AXES):
            shape = plane_shape(grid, axis)
            labels = zip(("left", "right", "top", "bottom"), shape.labels, strict=True)
            planes[name] = {
                "count": shape.count,
                "width": shape.width,
                "height": shape.height,
                "mm": list(shape.mm),
                "labels": dict(labels),
            }
        return {
            "shape": list(grid.shape),
            "spacing": list(grid.spacing),
            "planes": planes,
            "window": {"center": volume.window.center, "width": volume.window.width},
            "range": [low, high],
            "views": list(views_of(volume)),
        }

    def plane(self, wanted: PlanePicture) -> bytes:
        """Return a picture of a plane; raises InvalidRequest where there is none such."""
        volume = self._volume
        shape = plane_shape(volume.grid, wanted.cut.axis)
        width, height = shape.width, shape.height
        if wanted.size is not None:
            side = min(wanted.size, max(width, height))
            width, height = fitted(width, height, side, side)
        size = width, height
        if wanted.cut.is_askew and max(size) > _ASKEW_SIZE:
            size = fitted(width, height, _ASKEW_SIZE, _ASKEW_SIZE)
        kept = cut_plane(volume, wanted.cut, size)
        if wanted.window is not None:
            shades = volume.shades(kept, _window(*wanted.window))
        elif wanted.cut.mode is Mode.MIP:
            shades = self._bright(kept)
        else:
            shades = volume.shades(kept)
        return encode(_scaled(shades, width, height), wanted.media_type, wanted.quality)

    def view(self, wanted: ViewPicture) -> bytes:
        """Return a picture of all of it; raises InvalidRequest where it has no such view."""
        volume = self._volume
        names = views_of(volume)
        preset = wanted.preset or names[0]
        if preset not in names:
            raise InvalidRequest(f"preset: of this volume it is one of {', '.join(names)}.")
        is_quick = wanted.size <= _QUICK_SIZE
        body = self._body(is_quick=is_quick)
        if preset == MIP:
            found = projection(body, wanted.angle, wanted.size, volume.scale.outside)
            return encode(self._bright(found), wanted.media_type, wanted.quality)
        if self._seen is None or self._seen[0] != preset:
            self._seen = preset, transfer_of(volume, preset)
            self._levels.clear()
        transfer = self._seen[1]
        levels = self._levels.get(is_quick)
        if levels is None:
            levels = self._levels[is_quick] = transfer.levels(body.voxels)
        shades = view(body, levels, transfer, wanted.angle, wanted.size)
        return encode(shades, wanted.media_type, wanted.quality)

    def point(self, cut: Cut, x: float, y: float) -> dict[str, Any]:
        """Return what lies at a point of a plane's picture; raises InvalidRequest as `plane`."""
        volume = self._volume
        grid = volume.grid
        index = index_at(grid, cut, x, y)
        last = np.array(grid.shape) - 1
        nearest = np.clip(np.rint(index), 0, last).astype(int)
        is_inside = bool(((index >= -0.5) & (index <= last + 0.5)).all())
        a, b, c = nearest.tolist()
        value = volume.scale.value(float(volume.voxels[a, b, c]))
        return {
            "mm": [round(float(one), 3) for one in grid.millimetres(index)],
            "value": round(value, 3) if is_inside else None,
            "at": dict(zip(AXES, (a, b, c), strict=True)),
        }

    def _body(self, *, is_quick: bool) -> Body:
        found = self._bodies.get(is_quick)
        if found is None:
            volume = self._volume
            if is_quick:
                found = body_of(volume.voxels, volume.grid, _QUICK_VOXELS)
            elif is_fit(volume.grid):
                found = Body(volume.voxels, volume.grid.spacing)
            else:
                found = body_of(volume.voxels, volume.grid, _FINE_VOXELS)
            self._bodies[is_quick] = found
        return found

    def _bright(self, kept: NDArray[np.int16]) -> Shades:
        """Return the greatest values as grey: from the middle of all values to the highest."""
        volume = self._volume
        _, middle, _, high = volume.quantiles
        low = 0.0 if volume.is_ct else middle
        return volume.shades(kept, full_window(low, max(high, low + volume.scale.slope)))


def _window(center: float, width: float) -> Window:
    return Window(center, width, VoiFunction.LINEAR if width >= 1 else VoiFunction.LINEAR_EXACT)


def _scaled(shades: Shades, width: int, height: int) -> Shades:
    rows, columns = shades.shape
    return resampled(shades, Region(0, 0, columns, rows), (width, height))
