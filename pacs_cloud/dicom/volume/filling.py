"""Slices become a volume as they come, one after the other: put straight, evened out, reduced."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.grid import Grid, full_size
from pacs_cloud.dicom.volume.stacks import Stack
from pacs_cloud.dicom.volume.voxels import Scale, kept

Plane: TypeAlias = NDArray[np.int16]


class Filling:
    """A volume that is being filled.

    Attributes:
        voxels: what is there of it, as `Grid` holds it.
        scale: what they mean.
        taken: how many slices have come.
    """

    def __init__(self, stack: Stack, grid: Grid, scale: Scale) -> None:
        """Make room for `grid`; the kernel gives the memory as slices come."""
        self.voxels = np.empty(grid.shape, np.int16)
        self.taken = 0
        self._stack = stack
        self.scale = scale
        self._steps = grid.steps
        self._out = grid.stacked(self.voxels)
        self._size = full_size(stack)[1:]
        self._before: Plane | None = None
        self._bucket: NDArray[np.float32] | None = None
        self._made = 0

    def add(self, data: bytes) -> None:
        """Take the next slice's native pixels, in the order of the stack.

        Raises:
            InvalidInstance: they are not of the size that its header says.
        """
        one = self._stack.slices[self.taken]
        plane = self._straight(kept(data, one, self.scale))
        for made in self._evened(plane):
            self._put(made)
        self._before = plane
        self.taken += 1

    def _straight(self, plane: Plane) -> Plane:
        """Return a slice where a tilted gantry's lies, with nothing around it."""
        if plane.shape == self._size:
            return plane
        down, across = self._stack.offsets[self.taken]
        canvas = np.full(self._size, self.scale.outside, np.int16)
        rows, columns = plane.shape
        top, left = int(down), int(across)
        moved = plane.astype(np.float32)
        for axis, share in enumerate((down - top, across - left)):
            if share > 1e-3:
                edge = [(0, 0), (0, 0)]
                edge[axis] = (1, 1)
                wide = np.pad(moved, edge, constant_values=self.scale.outside)
                first = wide[:-1] if axis == 0 else wide[:, :-1]
                second = wide[1:] if axis == 0 else wide[:, 1:]
                # Pixel n of the canvas lies `share` before pixel n of the slice.
                moved = first * share + second * (1 - share)
        rows = min(moved.shape[0], self._size[0] - top)
        columns = min(moved.shape[1], self._size[1] - left)
        canvas[top : top + rows, left : left + columns] = np.rint(moved[:rows, :columns])
        return canvas

    def _evened(self, plane: Plane) -> Iterator[Plane | NDArray[np.float32]]:
        """Yield the volume's slices up to this one, as it is or from it and the one before."""
        stack = self._stack
        if stack.is_even:
            yield plane
            self._made += 1
            return
        here = stack.places[self.taken]
        before = stack.places[self.taken - 1] if self.taken else here
        is_last = self.taken == len(stack.places) - 1
        while self._made < stack.count:
            at = self._made * stack.gap
            if at > here + 1e-6 and not is_last:
                return
            if self._before is None or at >= here:
                yield plane
            else:
                share = np.float32((at - before) / (here - before))
                mixed = self._before * (1 - share) + plane * share
                yield mixed.astype(np.float32, copy=False)
            self._made += 1

    def _put(self, plane: Plane | NDArray[np.float32]) -> None:
        deep, tall, wide = self._steps
        place = self._made // deep
        if place >= self._out.shape[0]:
            return
        if (deep, tall, wide) == (1, 1, 1):
            self._out[place] = plane if plane.dtype == np.int16 else np.rint(plane)
            return
        _, rows, columns = self._out.shape
        cut = plane[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide)
        small = cut.mean(axis=(1, 3), dtype=np.float32)
        if self._made % deep and self._bucket is not None:
            small += self._bucket
        self._bucket = small
        if self._made % deep == deep - 1:
            self._out[place] = np.rint(small / deep)
