"""One frame as a slice through the patient: where it lies, and what its values mean.

PS3.3 C.7.6.2.1.1: the centre of the first pixel, the directions of rows and of columns, and
the distances of pixels say where each value was measured. Instance numbers say nothing.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.functional_groups import Groups, functional_groups, items_of
from pacs_cloud.dicom.pixel_format import PixelFormat, stored_format
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicom.render.appearance import (
    modality_of,
    padding_of,
    presentation_of,
    stored_window,
)
from pacs_cloud.dicom.render.grey_shades import GreyTransform, VoiFunction, Window
from pacs_cloud.errors import NotAcceptable

Vector: TypeAlias = NDArray[np.float64]

_PLANE_POSITION, _PLANE_ORIENTATION, _MEASURES = "00209113", "00209116", "00289110"
_TRANSFORMATION, _VOI = "00289145", "00289132"
_LOCALIZERS: Final = frozenset({"LOCALIZER", "SCOUT", "SCANOGRAM", "SURVIEW", "TOPOGRAM"})
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_MARKS: Final = (
    "00209056",  # Stack ID
    "00200012",  # Acquisition Number
    "00180086",  # Echo Number
    "00180081",  # Echo Time
    "00189082",  # Effective Echo Time
    "00200100",  # Temporal Position Identifier
    "00209128",  # Temporal Position Index
    "00189087",  # Diffusion b-value
    "00080008",  # Image Type
    "00181060",  # Trigger Time
    "00209241",  # Nominal Percentage of Cardiac Phase
    "00080022",  # Acquisition Date
    "00080032",  # Acquisition Time
    "00080033",  # Content Time
)
"""What tells apart what was measured at the same place, the plainest first."""
_MARKED: Final = (
    "00209111",  # Frame Content Sequence
    "00189114",  # MR Echo Sequence
    "00189117",  # MR Diffusion Sequence
    "00209253",  # Respiratory Synchronization Sequence
    "00209310",  # Temporal Position Sequence
    "00189118",  # Cardiac Synchronization Sequence
)
"""The macros that have them in an image of many frames."""
_UNIT_TOLERANCE: Final = 0.02
_FARTHEST_MM: Final = 1e5


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One frame.

    Attributes:
        position: of the centre of its first pixel, mm in the patient's coordinates.
        down: the direction in which rows follow one another, a unit vector.
        across: likewise of columns.
        spacing: mm from row to row, and from column to column.
        pixel_format: of its cells.
        high_bit: the place of a value's most significant bit.
        is_float: whether its cells are floating point numbers.
        slope: from a stored value to its meaning.
        intercept: likewise.
        padding: first and last stored value that stand for no value.
        window: that it asks for.
        is_inverse: low values are bright.
        modality: "CT", "MR", …
        is_localizer: whether it is a plan for others.
        marks: what tells it from others at the same place.
        number: Instance Number, and the frame's.
    """

    position: Vector
    down: Vector
    across: Vector
    spacing: tuple[float, float]
    pixel_format: PixelFormat
    high_bit: int
    is_float: bool
    slope: float
    intercept: float
    padding: tuple[float, float] | None
    window: Window | None
    is_inverse: bool
    modality: str
    is_localizer: bool
    marks: tuple[str, ...]
    number: tuple[float, int]

    @property
    def normal(self) -> Vector:
        """The direction that stands on it, a unit vector."""
        return np.cross(self.across, self.down)


def read_slice(image: DataSet, frame: int, pixel_tag: str = PIXEL_DATA) -> Slice:
    """Return one frame as a slice.

    Args:
        image: its instance's header.
        frame: 1 for the first.
        pixel_tag: of its pixel data, floating point or not.

    Raises:
        NotAcceptable: it has no place in the patient, or no grey values; says so.
        InvalidInstance: its Image Pixel module is broken.
    """
    groups = functional_groups(image, frame)
    is_float = pixel_tag != PIXEL_DATA
    pixel_format, high_bit = stored_format(image, pixel_tag)
    if pixel_format.samples_per_pixel != 1 or (
        pixel_format.photometric_interpretation not in _GREY and not is_float
    ):
        raise NotAcceptable("Its images are in colour: values that no volume is made of.")
    if pixel_format.bits_allocated not in {8, 16, 32, 64} or (
        pixel_format.bits_allocated == 64 and not is_float
    ):
        raise NotAcceptable("Its images have no grey values: no volume is made of them.")
    if any(group.items("00283000") for group in (image, *groups)):
        raise NotAcceptable("Its values go through a table: no volume is made of them.")
    orientation = _numbers(image, groups, _PLANE_ORIENTATION, "00200037", 6)
    position = _numbers(image, groups, _PLANE_POSITION, "00200032", 3)
    spacing = _numbers(image, groups, _MEASURES, "00280030", 2)
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    _check_directions(across, down)
    if min(spacing) <= 0 or max(spacing) > _FARTHEST_MM or max(map(abs, position)) > _FARTHEST_MM:
        raise _no_place()
    if not 1 <= pixel_format.bits_stored <= pixel_format.bits_allocated:
        raise NotAcceptable("Its values are of more bits than there are, or of none.")
    values = map(modality_of, (*items_of(groups, _TRANSFORMATION), image))
    meant = next(filter(None, values), None) or GreyTransform()
    window = next(filter(None, map(stored_window, (*items_of(groups, _VOI), image))), None)
    if is_float and window is not None and window.function is VoiFunction.LINEAR:
        window = replace(window, function=VoiFunction.LINEAR_EXACT)  # as `read_appearance`
    grey = GreyTransform(is_inverse=pixel_format.photometric_interpretation == "MONOCHROME1")
    return Slice(
        position=np.array(position),
        down=down / np.linalg.norm(down),
        across=across / np.linalg.norm(across),
        spacing=(spacing[0], spacing[1]),
        pixel_format=pixel_format,
        high_bit=high_bit,
        is_float=is_float,
        slope=meant.slope,
        intercept=meant.intercept,
        padding=padding_of(image, pixel_format, is_float=is_float),
        window=window,
        is_inverse=presentation_of(image, grey).is_inverse,
        modality=image.text("00080060"),
        is_localizer=any(
            str(one).strip().upper() in _LOCALIZERS
            for one in image.elements.get("00080008", {}).get("Value") or ()
        ),
        marks=_marks(image, groups),
        number=(image.number("00200013") or 0.0, frame),
    )


def _numbers(image: DataSet, groups: Groups, macro: str, tag: str, count: int) -> tuple[float, ...]:
    """Return numbers of a functional group's macro, else of the image itself."""
    for holder in (*items_of(groups, macro), image):
        found = holder.numbers(tag)
        if len(found) == count:
            return found
    raise _no_place()


def _no_place() -> NotAcceptable:
    return NotAcceptable(
        "Its images do not say where in the patient they lie: no volume can be made of them."
    )


def _check_directions(across: Vector, down: Vector) -> None:
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > _UNIT_TOLERANCE:
        raise _no_place()
    if abs(float(across @ down)) > _UNIT_TOLERANCE:
        raise _no_place()


def _marks(image: DataSet, groups: Groups) -> tuple[str, ...]:
    """Return the values of _MARKS, "" where there is none."""
    holders = (*(one for macro in _MARKED for one in items_of(groups, macro)), image)
    found: list[str] = []
    for tag in _MARKS:
        values = (one.elements.get(tag, {}).get("Value") for one in holders)
        found.append(str(next(filter(None, values), "")))
    return tuple(found)
