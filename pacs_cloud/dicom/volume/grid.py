"""Where a volume's values lie in the patient.

Every volume is held the same way round, whatever direction it was acquired in: its first axis
leads from head to foot, the second from front to back, the third from right to left, each as
nearly as the acquisition does. So planes are plain cuts, and what they show is what was
measured.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.slices import Vector
from pacs_cloud.dicom.volume.stacks import Stack

AXES: Final = ("axial", "coronal", "sagittal")
"""The planes that cut each axis."""
_HELD: Final = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Head to foot, front to back, right to left; x leads to the left, y to the back, z to the head."""
_ENDS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
_SECOND_LETTER: Final = 0.26
"""The sine of 15 degrees: an end that is askew by more has two letters."""
BYTES: Final = 2
"""Of one value."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where values lie.

    Attributes:
        shape: how many along each axis.
        spacing: mm from one to the next.
        origin: of the first, mm in the patient's coordinates.
        directions: of the axes, unit vectors in rows.
        sources: which axis of the stack (slices, rows, columns) each one is.
        flips: whether it runs the other way.
        steps: of the stack's axes, how many values were averaged to one.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: Vector
    directions: Vector
    sources: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    steps: tuple[int, int, int] = (1, 1, 1)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return self.shape[0] * self.shape[1] * self.shape[2] * BYTES

    def millimetres(self, index: Vector) -> Vector:
        """Return where in the patient an index lies, which may be between values."""
        return self.origin + (index * np.array(self.spacing)) @ self.directions

    def stacked(self, voxels: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the volume as the stack has it: by slices, rows, columns; a view."""
        straight = voxels[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]
        return straight.transpose(tuple(self.sources.index(axis) for axis in range(3)))

    def end(self, axis: int, *, is_last: bool) -> str:
        """Return the letters of one end of an axis: of R, L, A, P, H, F the nearest, or two."""
        direction = self.directions[axis] if is_last else -self.directions[axis]
        by_size = np.argsort(-np.abs(direction), kind="stable")
        letters = [
            _ENDS[n][int(direction[n] > 0)]
            for place, n in enumerate(by_size[:2])
            if not place or abs(direction[n]) > _SECOND_LETTER
        ]
        return "".join(letters)


def full_size(stack: Stack) -> tuple[int, int, int]:
    """Return slices, rows and columns of a stack that is put straight."""
    first = stack.slices[0]
    most = np.ceil(np.array(stack.offsets).max(axis=0) - 1e-6).astype(int)
    return (
        stack.count,
        first.pixel_format.rows + int(most[0]),
        first.pixel_format.columns + int(most[1]),
    )


def grid_of(stack: Stack, max_bytes: int) -> Grid:
    """Return where the values of a stack's volume lie, coarser until it takes `max_bytes`."""
    size = list(full_size(stack))
    first = stack.slices[0]
    spacing = [stack.gap, *first.spacing]
    steps = [1, 1, 1]
    while size[0] * size[1] * size[2] * BYTES > max_bytes and max(size) > 1:
        # What is finest is halved: in plane, or else from slice to slice; what is one stays so.
        is_finer = min(spacing[1:]) <= spacing[0] * 1.2 and min(size[1:]) > 1
        for axis in (1, 2) if is_finer or size[0] == 1 else (0,):
            if size[axis] > 1:
                steps[axis] *= 2
                size[axis] //= 2
                spacing[axis] *= 2
    directions = np.stack([first.normal, first.down, first.across])
    down, across = np.array(stack.offsets)[0]
    # The canvas begins where the slice does that begins first.
    corner = (
        first.position
        - first.down * first.spacing[0] * down
        - first.across * first.spacing[1] * across
    )
    fine = np.array([stack.gap, *first.spacing])
    corner = corner + ((np.array(steps) - 1) / 2 * fine) @ directions
    sources = _sources(directions)
    flips = tuple(bool(directions[axis] @ _HELD[n] < 0) for n, axis in enumerate(sources))
    origin = corner
    for axis, flip in zip(sources, flips, strict=True):
        if flip:
            origin = origin + directions[axis] * spacing[axis] * (size[axis] - 1)
    signs = np.where(np.array(flips), -1.0, 1.0)[:, None]
    a, b, c = sources
    return Grid(
        (size[a], size[b], size[c]),
        (spacing[a], spacing[b], spacing[c]),
        origin,
        directions[list(sources)] * signs,
        sources,
        (flips[0], flips[1], flips[2]),
        (steps[0], steps[1], steps[2]),
    )


def _sources(directions: Vector) -> tuple[int, int, int]:
    """Return which axis of the stack leads most nearly along each of _HELD."""
    likeness = np.abs(directions @ _HELD.T)

    def fit(order: tuple[int, ...]) -> float:
        return float(sum(likeness[axis, n] for n, axis in enumerate(order)))

    a, b, c = max(permutations(range(3)), key=fit)
    return a, b, c
