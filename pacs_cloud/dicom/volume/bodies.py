"""A volume in a coarseness that is fit for views: voxels as nearly cubic as can be had."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.grid import Grid
from pacs_cloud.dicom.volume.slices import Vector

_NEARLY_CUBIC: Final = 1.6


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A volume in a coarseness that is fit for views.

    Attributes:
        voxels: kept values.
        spacing: mm between them.
    """

    voxels: NDArray[np.int16]
    spacing: tuple[float, float, float]

    @property
    def extent_mm(self) -> Vector:
        """How large it is along each axis."""
        return np.array(self.voxels.shape) * np.array(self.spacing)


def is_fit(grid: Grid) -> bool:
    """Tell whether a volume's voxels are nearly cubic as they are."""
    return max(grid.spacing) <= _NEARLY_CUBIC * min(grid.spacing)


def body_of(voxels: NDArray[np.int16], grid: Grid, max_voxels: int) -> Body:
    """Return a volume with cubic voxels, `max_voxels` at most; with fewer if that is as fine."""
    extent = np.array(grid.shape) * np.array(grid.spacing)
    side = max(min(grid.spacing), float(np.cbrt(extent.prod() / max_voxels)))
    shape = np.maximum(1, (extent / side + 1e-6).astype(int))
    out = voxels
    # What becomes fewer does so first: then there is less to be made more.
    for axis in np.argsort(shape / np.array(grid.shape)).tolist():
        out = _resized(out, axis, int(shape[axis]))
    a, b, c = (extent / shape).tolist()
    return Body(out, (a, b, c))


def _resized(values: NDArray[np.int16], axis: int, count: int) -> NDArray[np.int16]:
    """Return `values` with `count` along an axis: averaged when fewer, else linear."""
    size = values.shape[axis]
    if count == size:
        return values
    at = (np.arange(count) + 0.5) * size / count - 0.5
    shape = list(values.shape)
    shape[axis] = count
    out = np.empty(shape, np.int16)
    ends = np.rint(np.arange(count + 1) * size / count).astype(int)
    for n in range(count):
        where = (slice(None),) * axis
        if count < size:
            part = values[(*where, slice(ends[n], max(ends[n] + 1, ends[n + 1])))]
            out[(*where, n)] = part.mean(axis, dtype=np.float32)
        else:
            low = int(np.clip(np.floor(at[n]), 0, size - 1))
            high = min(low + 1, size - 1)
            share = np.float32(np.clip(at[n] - low, 0, 1))
            out[(*where, n)] = values[(*where, low)] * (1 - share) + values[(*where, high)] * share
    return out
