"""How bright the surfaces in a volume are, for somebody who holds the lamp."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.bodies import Body
from pacs_cloud.dicom.volume.slices import Vector

_AMBIENT, _DIFFUSE, _SPECULAR = 0.25, 0.8, 0.2
_EVEN_LIGHT: Final = 0.6
"""How much of the light falls on what is no surface."""
_SHINE: Final = 16


class Light:
    """A lamp above the left shoulder of who looks."""

    def __init__(self, body: Body, axes: tuple[Vector, Vector, Vector], surface: float) -> None:
        """Light a body.

        Args:
            body: what is lit.
            axes: right, down and away from the eye, in the axes of the body.
            surface: kept values that lie 1 mm apart where there is a surface.
        """
        right, down, away = axes
        lamp = -away - 0.4 * right - 0.4 * down
        self._lamp = (lamp / np.linalg.norm(lamp)).astype(np.float32)
        self._voxels = body.voxels
        self._spacing = body.spacing
        self._noise = np.float32(surface**2)

    def of(
        self, axis: int, n: int, row: NDArray[np.int64], column: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return how bright voxels of a slice are, and how much they shine.

        Args:
            axis: that the slice cuts.
            n: its number.
            row: of each voxel, along the first of the other axes.
            column: along the second.
        """
        at = [row, column]
        at.insert(axis, np.full(1, n))
        shape = self._voxels.shape
        strides = (shape[1] * shape[2], shape[2], 1)
        flat = self._voxels.reshape(-1)
        here = at[0] * strides[0] + at[1] * strides[1] + at[2]
        along = np.zeros(row.size, np.float32)
        steep = np.zeros(row.size, np.float32)
        for one, stride, size, spacing, lamp in zip(
            at, strides, shape, self._spacing, self._lamp, strict=True
        ):
            after = here + np.where(one < size - 1, stride, 0)
            slope = flat[after].astype(np.float32)
            slope -= flat[here - np.where(one > 0, stride, 0)]
            slope /= np.float32(2 * spacing)
            along += slope * lamp
            steep += slope * slope
        # Both sides of a surface are lit: values may rise or fall into what is seen.
        along /= np.sqrt(steep + np.float32(1e-6))
        np.abs(along, out=along)
        share = steep / (steep + self._noise)
        gleam = (along**_SHINE * (_SPECULAR * share)).astype(np.float32, copy=False)
        along -= _EVEN_LIGHT
        along *= share
        along += _EVEN_LIGHT
        along *= _DIFFUSE
        along += _AMBIENT
        return along, gleam
