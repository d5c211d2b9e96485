"""A volume: its values, where they lie in the patient, and how they are looked at."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.render.grey_shades import GreyTransform, Shades, VoiFunction, Window
from pacs_cloud.dicom.volume.grid import Grid
from pacs_cloud.dicom.volume.stacks import Stack, common_modality
from pacs_cloud.dicom.volume.voxels import Scale

_SAMPLED: Final = 1 << 18
_DARKEST, _BRIGHTEST = 1.0, 99.5
"""Percent of a volume's values below black, and below white, where no window is given."""
_RAREST: Final = 99.95
"""Percent of them below the white of what shows the greatest alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Values in their place.

    Attributes:
        voxels: by the axes of `grid`.
        grid: where they lie.
        scale: what they mean.
        modality: that measured them.
        is_inverse: low values are bright: MONOCHROME1, or Presentation LUT Shape INVERSE.
        window: that is shown first.
        quantiles: values in modality units that 1, 50, 99.5 and 99.95 % of all are below.
    """

    voxels: NDArray[np.int16]
    grid: Grid
    scale: Scale
    modality: str
    is_inverse: bool
    window: Window
    quantiles: tuple[float, float, float, float]

    @property
    def is_ct(self) -> bool:
        """Whether its values are Hounsfield units."""
        return self.modality == "CT"

    def shades(self, kept: NDArray[np.int16], window: Window | None = None) -> Shades:
        """Return kept values as grey under a window, None: the one that is shown first."""
        transform = GreyTransform(
            slope=self.scale.slope,
            intercept=self.scale.intercept,
            window=window or self.window,
            is_inverse=self.is_inverse,
        )
        ramp = transform.ramp
        return transform.shades(kept) if ramp is None else ramp.shades(kept)


def volume_of(voxels: NDArray[np.int16], stack: Stack, grid: Grid, scale: Scale) -> Volume:
    """Return a volume that is filled."""
    flat = voxels.reshape(-1)
    # By chance: every so many would be those of one column, where rows are as long.
    chance = np.random.default_rng(0)
    some = flat if flat.size <= _SAMPLED else flat[chance.integers(flat.size, size=_SAMPLED)]
    found = np.percentile(some, (_DARKEST, 50, _BRIGHTEST, _RAREST))
    low, middle, high, rarest = (scale.value(float(one)) for one in found)
    first = stack.slices[len(stack.slices) // 2]
    window = first.window
    if window is None:
        width = max(high - low, scale.slope)
        window = Window((low + high) / 2, width, VoiFunction.LINEAR_EXACT)
    return Volume(
        voxels,
        grid,
        scale,
        common_modality(stack.slices),
        first.is_inverse,
        window,
        (low, middle, high, rarest),
    )
