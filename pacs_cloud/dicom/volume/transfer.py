"""Which values are seen in a view, how opaque, and in which colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.volume.volume import Volume

LEVELS: Final = 256
MIP: Final = "mip"
_SURFACE: Final = 0.05
"""Of a view's values, in 1 mm."""

Knot = tuple[float, float, tuple[int, int, int]]
"""A value, its opacity in 1 mm of it, and its colour; between two of them all three run evenly."""

_SKIN, _FLESH, _BONE = (232, 190, 160), (196, 110, 92), (246, 238, 216)
_BLOOD, _BRIGHT, _AIRY = (190, 38, 30), (255, 208, 170), (120, 165, 205)

_CT: Final[dict[str, tuple[Knot, ...]]] = {
    "bone": (
        (150.0, 0.0, _FLESH),
        (220.0, 0.08, (214, 150, 110)),
        (350.0, 0.5, _BONE),
        (1200.0, 0.95, (255, 255, 250)),
    ),
    "soft-tissue": (
        (-300.0, 0.0, _SKIN),
        (-150.0, 0.25, _SKIN),
        (20.0, 0.6, _FLESH),
        (120.0, 0.75, (205, 140, 115)),
        (350.0, 0.9, _BONE),
    ),
    "vessels": (
        (130.0, 0.0, _BLOOD),
        (200.0, 0.18, _BLOOD),
        (320.0, 0.55, (225, 90, 60)),
        (600.0, 0.8, _BRIGHT),
        (1000.0, 0.95, _BONE),
    ),
    "lung": (
        (-960.0, 0.0, _AIRY),
        (-880.0, 0.012, _AIRY),
        (-700.0, 0.05, (170, 195, 215)),
        (-500.0, 0.12, (225, 150, 130)),
        (-250.0, 0.02, (225, 150, 130)),
        (-100.0, 0.0, _FLESH),
    ),
}
"""By Hounsfield units."""
_RELATIVE: Final[dict[str, tuple[Knot, ...]]] = {
    "soft-tissue": (
        (0.12, 0.0, (120, 110, 104)),
        (0.3, 0.25, (176, 160, 148)),
        (0.6, 0.6, (222, 206, 190)),
        (1.0, 0.9, (255, 250, 242)),
    ),
    "vessels": (
        (0.5, 0.0, _BLOOD),
        (0.7, 0.3, (225, 90, 60)),
        (1.0, 0.9, _BRIGHT),
    ),
}
"""By the share of what is bright in a volume whose values have no unit."""


def views_of(volume: Volume) -> tuple[str, ...]:
    """Return the names of the views that a volume has, the one that is shown first before."""
    return (*(_CT if volume.is_ct else _RELATIVE), MIP)


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """What values look like.

    Attributes:
        low: kept value of the first level.
        scale: levels from one kept value to the next.
        opacity: of each level, in 1 mm.
        colour: of each level, 0 to 1, by red, green and blue.
        surface: kept values that lie 1 mm apart where there is a surface; where they lie closer
            there is noise, which no light falls on.
    """

    low: float
    scale: float
    opacity: NDArray[np.float32]
    colour: NDArray[np.float32]
    surface: float

    def levels(self, kept: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Return the level of each kept value of a volume."""
        found = np.empty(kept.shape, np.uint8)
        for plane, out in zip(kept, found, strict=True):
            share = plane.astype(np.float32)
            share -= self.low
            share *= self.scale
            out[:] = np.clip(share, 0, LEVELS - 1, out=share)
        return found


def transfer_of(volume: Volume, name: str) -> Transfer:
    """Return what a volume's values look like in a view that `views_of` names."""
    if volume.is_ct:
        knots: Sequence[Knot] = _CT[name]
    else:
        floor, _, high, _ = volume.quantiles
        reach = high - floor or volume.scale.slope
        knots = [
            (floor + share * reach, opacity, colour) for share, opacity, colour in _RELATIVE[name]
        ]
    values = np.array([knot[0] for knot in knots])
    first, last = float(values[0]), float(values[-1])
    at = np.linspace(first, last, LEVELS)
    opacity = np.interp(at, values, [knot[1] for knot in knots])
    colours = np.array([knot[2] for knot in knots]) / 255
    colour = np.stack([np.interp(at, values, colours[:, n]) for n in range(3)], axis=1)
    slope = volume.scale.slope
    return Transfer(
        low=(first - volume.scale.intercept) / slope,
        scale=(LEVELS - 1) * slope / (last - first),
        opacity=opacity.astype(np.float32),
        colour=colour.astype(np.float32),
        surface=_SURFACE * (last - first) / slope,
    )
